"""Questions to the admin port of a running Railyard."""

from __future__ import annotations

import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

import orjson

from extender import errors

_PATIENCE_SECONDS = 120.0  # an answer is worked out in turns, which a busy service gives few
_MOST_BYTES = 256 << 20


def get(url: str, path: str, parameters: Mapping[str, str]) -> Any:  # noqa: ANN401 - JSON
    """What GET answers, as JSON; ConfigError says why there is none."""
    try:
        return orjson.loads(_body(url, path, parameters))
    except orjson.JSONDecodeError as error:
        problem = [(url, "answers no JSON: is it the admin port?")]
        raise errors.ConfigError("the service cannot be asked", problem) from error


def text(url: str, path: str) -> str:
    """What GET answers, as text; ConfigError says why there is none."""
    return _body(url, path, {}).decode("utf-8", "replace")


def _body(url: str, path: str, parameters: Mapping[str, str]) -> bytes:
    base = url if "://" in url else f"http://{url}"
    if urllib.parse.urlsplit(base).scheme not in {"http", "https"}:
        raise errors.ConfigError("the service cannot be asked", [(url, "is no http address")])
    full = f"{base.rstrip('/')}{path}?{urllib.parse.urlencode(parameters)}"
    try:
        with urllib.request.urlopen(full, timeout=_PATIENCE_SECONDS) as response:  # noqa: S310 - http alone
            found: bytes = response.read(_MOST_BYTES)
            return found
    except urllib.error.HTTPError as error:
        with error:
            why = _told(error.read(_MOST_BYTES)) or f"status {error.code}"
        raise errors.ConfigError("the service answers with an error", [(url, why)]) from error
    except (OSError, ValueError) as error:
        why = str(getattr(error, "reason", error))
        raise errors.ConfigError("the service cannot be asked", [(url, why)]) from error


def _told(body: bytes) -> str:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    return str(found.get("error", "")) if isinstance(found, dict) else ""
