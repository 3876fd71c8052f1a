"""Takes pages from where they live in the repository, so that nothing is written twice.

The line "This page is [deploy/README.md](../deploy/README.md)." stands for that document without
its heading. Its links are kept: to another document that is a page here, to that page; to a file,
as a download; to a folder or a document that is no page, as plain text. `<!-- other pages -->` in
the index lists the pages that it does not name, and patterns that find nothing are left out.
"""

from __future__ import annotations

import fnmatch
import os
import pathlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the tests read this module without Sphinx
    import sphinx.application

DOCS = pathlib.Path(__file__).parent
ROOT = DOCS.parent
# Document, from the top of the repository → the page that holds it, from this folder.
PAGES = {
    "ARCHITECTURE.md": "architecture.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "README.md": "index.md",
    "SECURITY.md": "security.md",
    "config/README.md": "policy.md",
    "deploy/README.md": "install.md",
    "loadtests/RESULTS.md": "results.md",
}
_TAKEN = re.compile(r"^This page is \[(\S+)\]\(\S+\)\.$", re.MULTILINE)
_REST = "<!-- other pages -->"
_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|mailto:|#)([^)\s]+)\)")
_FENCED = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)


def setup(app: sphinx.application.Sphinx) -> dict[str, object]:
    """Register with Sphinx."""
    from pygments.lexers.special import TextLexer  # noqa: PLC0415 - comes with Sphinx

    app.connect("source-read", _read)
    app.add_lexer("mermaid", TextLexer)  # forges draw these; here they stay readable text
    return {"parallel_read_safe": True}


def _read(app: sphinx.application.Sphinx, docname: str, source: list[str]) -> None:
    page = DOCS / f"{docname}.md"
    taken = _TAKEN.search(source[0])
    text = linked(source[0], at=page.parent, page=page)
    if taken is not None:
        document = ROOT / taken[1]
        app.env.note_dependency(str(document))
        body = document.read_text(encoding="utf-8").partition("\n")[2]
        text = _TAKEN.sub(lambda _: linked(body, at=document.parent, page=page), text)
    source[0] = contents(text, app.env.found_docs) if _REST in text else text


def linked(text: str, *, at: pathlib.Path, page: pathlib.Path) -> str:
    """The text with its links, which are relative to the folder `at`, made relative to `page`."""

    def relinked(link: re.Match[str]) -> str:
        picture, label, target = link[1], link[2], link[3]
        path, hash_, anchor = target.partition("#")
        full = pathlib.Path(os.path.normpath(at / path))
        name = full.relative_to(ROOT).as_posix() if full.is_relative_to(ROOT) else ""
        full = DOCS / PAGES[name] if name in PAGES else full
        if full.is_dir() or (full.suffix == ".md" and not full.is_relative_to(DOCS)):
            return label
        if not full.is_relative_to(DOCS):
            hash_ = anchor = ""  # a download has no headings
        relative = pathlib.Path(os.path.relpath(full, page.parent)).as_posix()
        return f"{picture}[{label}]({relative}{hash_}{anchor})"

    parts = _FENCED.split(text)
    return "".join(
        part if part.startswith("```") and "{" not in part[:5] else _LINK.sub(relinked, part)
        for part in parts
    )


def contents(index: str, found: set[str]) -> str:
    """The index without patterns that find nothing yet, and with the pages that it does not name.

    `found` are the names of all pages.
    """
    lines = index.splitlines()
    named = {name for line in lines for name in found if _names(line.strip(), name)}
    kept = [
        line for line in lines if "*" not in line or any(_names(line.strip(), n) for n in found)
    ]
    rest = sorted(found - named - {"index"})
    return "\n".join(kept).replace(_REST, "\n".join(rest))


def _names(line: str, page: str) -> bool:
    return bool(line) and "(" not in line and fnmatch.fnmatchcase(page, line)
