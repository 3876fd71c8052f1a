"""How the fake API server begins and breaks a stream, and which objects of a list it sends."""

import msgspec
from aiohttp import web


async def begin(request, headers=None):
    stream = web.StreamResponse(headers={"Content-Type": "application/json", **(headers or {})})
    stream.enable_chunked_encoding()
    await stream.prepare(request)
    return stream


def reset(request):
    if request.transport is not None:  # else the client was faster
        request.transport.abort()


def bare(body):
    """The object as lists have it: typed items do not say their kind."""
    if isinstance(body, msgspec.Raw):
        return body
    return {key: value for key, value in body.items() if key not in {"kind", "apiVersion"}}


def selected(key, body, query):
    """Whether the object passes the fieldSelector: terms of = and != on dotted paths.

    Of an object that is kept encoded only the name is looked at.
    """
    for term in filter(None, query.get("fieldSelector", "").split(",")):
        path, wanted = term.replace("!=", "=").split("=")
        value = {"metadata": {"name": key[1]}} if isinstance(body, msgspec.Raw) else body
        for step in path.split("."):
            value = value.get(step, {})
        if ((value or "") == wanted) is ("!=" in term):
            return False
    return True
