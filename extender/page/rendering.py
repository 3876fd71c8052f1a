"""Templates and static files, and pages made of them in turns.

Nothing of a page comes from elsewhere, no script or style stands within it, and all that the
cluster tells is escaped. Static files carry a hash of their content in the name, so that browsers
keep them for good.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import hashlib
import pathlib
from collections.abc import Iterator

import jinja2

from extender import errors
from extender.page import links
from extender.server import admin_turns

HTML = "text/html; charset=utf-8"
# Everything from here; no inline script or style; no framing; forms lead here only.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_SAFE = (
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
PAGE_FIELDS = (("Content-Security-Policy", _POLICY), ("Cache-Control", "no-store"), *_SAFE)
STATIC_FIELDS = (("Cache-Control", "public, max-age=31536000, immutable"), *_SAFE)
_KINDS = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
          ".svg": "image/svg+xml"}  # fmt: skip
_HERE = pathlib.Path(__file__).parent
_CHUNKS_A_TURN = 8
_GIB = 1024.0


@dataclasses.dataclass(frozen=True, slots=True)
class StaticFile:
    """A file beside the pages, under the path that names its content."""

    path: str
    kind: str
    content: bytes


class Templates:
    """The templates, compiled at the start, and the static files that they name."""

    def __init__(self) -> None:
        self.static = {path.name: _static(path) for path in sorted((_HERE / "static").iterdir())}
        everything = b"".join(each.content for each in self.static.values())
        self.environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self.environment.filters |= {
            each.__name__: each for each in (count, share, amount, when, decimals)
        }
        self.environment.globals |= {
            "link": links,
            "static": {name: each.path for name, each in self.static.items()},
            "build": hashlib.sha256(everything).hexdigest()[:12],
        }
        self._pages = {
            name: self.environment.get_template(name) for name in self.environment.list_templates()
        }

    def page(self, name: str, **values: object) -> admin_turns.Turns:
        """The page in turns."""
        text = admin_turns.ChunkedText()
        for number, chunk in enumerate(self._pages[f"{name}.html"].generate(values)):
            text.add(chunk.encode())
            if number % _CHUNKS_A_TURN == 0:
                yield
        return text.pieces()

    def problem(self, refused: errors.WireError) -> bytes:
        """The page of a request that is refused."""
        waiting = refused.status == 503
        return self._pages["problem.html"].render(
            status=refused.status, text=str(refused), waiting=waiting, section="", crumbs=()
        ).encode()  # fmt: skip


@functools.cache
def templates() -> Templates:
    """The templates, compiled once in a process."""
    return Templates()


def sent(file: StaticFile) -> admin_turns.Turns:
    """A static file as an answer."""
    yield
    return [file.content]


def count(value: float) -> str:
    """A number of things: 1,234 or 3.5."""
    return f"{round(value, 1):,.10g}"


def decimals(value: float, digits: int = 2) -> str:
    """A number with so many digits after the point; what is almost nothing has no sign."""
    return f"{round(value, digits) + 0.0:.{digits}f}"


def share(value: float) -> str:
    """A share as a percentage; what is little is not nothing."""
    return "<1 %" if 0 < value < 0.005 else f"{value * 100:.0f} %"


def amount(gib: float) -> str:
    """Memory to three digits: 512 GiB, 1.97 TiB."""
    number, unit = (gib / _GIB, "TiB") if gib >= _GIB else (gib, "GiB")
    return f"{float(f'{number:.3g}'):,.10g} {unit}"


def when(at: float) -> str:
    """A time in seconds since 1970, to the second."""
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _static(path: pathlib.Path) -> StaticFile:
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:12]
    return StaticFile(f"/static/{path.stem}.{digest}{path.suffix}", _KINDS[path.suffix], content)


def files(templates: Templates) -> Iterator[StaticFile]:
    """The static files."""
    yield from templates.static.values()
