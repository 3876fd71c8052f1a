"""Questions to the admin port of a running Railyard: by its address, or through the API server.

`k8s://NAMESPACE/SERVICE[:PORT]` goes through the API server's service proxy, by the kubeconfig and
with the rights of who asks: get on services/proxy.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import pathlib
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

import orjson

from extender import errors

_PATIENCE_SECONDS = 120.0  # an answer is worked out in turns, which a busy service gives few
_MOST_BYTES = 256 << 20
URL_VARIABLE, DEFAULT_URL = "RAILYARD_URL", "http://127.0.0.1:8889"
SCHEME = "k8s://"
_PORT = "admin"  # of the Service


def add_url(parser: argparse.ArgumentParser) -> None:
    """Let the operator name the admin port."""
    parser.add_argument(
        "--url", metavar="ADMIN",
        help="the admin port of a running Railyard, or k8s://NAMESPACE/SERVICE through the API"
        f" server; default: ${URL_VARIABLE}, {DEFAULT_URL}",
    )  # fmt: skip


def ask(arguments: argparse.Namespace, path: str, parameters: Mapping[str, str]) -> Any:  # noqa: ANN401 - JSON
    """What the admin port of `--url` answers; parameters without a value are left out."""
    url = arguments.url or os.environ.get(URL_VARIABLE) or DEFAULT_URL
    return get(url, path, {name: text for name, text in parameters.items() if text})


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
    if url.startswith(SCHEME):
        return asyncio.run(_proxied(url, path, parameters))
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
            why = _reason(error.read(_MOST_BYTES)) or f"status {error.code}"
        raise errors.ConfigError("the service answers with an error", [(url, why)]) from error
    except (OSError, ValueError) as error:
        why = str(getattr(error, "reason", error))
        raise errors.ConfigError("the service cannot be asked", [(url, why)]) from error


async def _proxied(url: str, path: str, parameters: Mapping[str, str]) -> bytes:
    """The answer by way of the API server's service proxy."""
    # Imported where it is needed: it brings `kubernetes`, half a second and 20 MB.
    from extender.kube import client  # noqa: PLC0415
    from extender.kube.auth import kubeconfig  # noqa: PLC0415

    namespace, slash, service = url.removeprefix(SCHEME).partition("/")
    name, _, port = service.partition(":")
    if not slash or not namespace or not name or "/" in service:
        raise errors.ConfigError(
            "the service cannot be asked", [(url, f"write {SCHEME}NAMESPACE/SERVICE[:PORT]")]
        )
    files = os.environ.get("KUBECONFIG") or str(pathlib.Path.home() / ".kube" / "config")
    server = kubeconfig.read(files)
    proxy = f"/api/v1/namespaces/{namespace}/services/{name}:{port or _PORT}/proxy"
    pieces: list[bytes] = []
    try:
        async with client.Client(server) as api, api.stream(proxy + path, parameters) as answer:
            while piece := await answer.read():
                pieces.append(piece)
    except errors.ApiError as error:
        raise errors.ConfigError("the service cannot be asked", [(url, str(error))]) from error
    return b"".join(pieces)


def _reason(body: bytes) -> str:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    return str(found.get("error", "")) if isinstance(found, dict) else ""
