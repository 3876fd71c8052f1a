"""What a text is that holds no API objects, and what to run to get some instead.

Tables, descriptions and error messages of kubectl are what people have at hand; they cannot be
read, because they leave out most of what decides where a pod fits.
"""

from __future__ import annotations

import re

_LOOKED_AT = 8192  # characters: enough for a prompt, a warning and the first object

_RUN = "run the same command with `-o yaml`, and give that"
_HEADING = r"[A-Z][A-Z0-9_/.:%-]*(?:\([a-z%]+\))?"
_TABLE = re.compile(
    r"^(?:NAME(?:SPACE)?|LAST SEEN|CLUSTER|POD|NODE|CURRENT)"
    rf"(?:(?: {{2,}}|\t){_HEADING}(?: {_HEADING})*)*\s*$",
    re.MULTILINE,
)
_DESCRIBED = re.compile(r"^Name:[ \t]+\S", re.MULTILINE)
_DESCRIBES = re.compile(
    r"^(?:Namespace|Labels|Annotations|Roles|Priority|API Version|CreationTimestamp|Status):",
    re.MULTILINE,
)
_NAMES = re.compile(r"\s*(?:[a-z0-9.]+/[a-z0-9.-]+\s*\n?)+\Z")
_ERROR = re.compile(
    r"^\s*((?:Error from server|error:|Error:|error getting|Unable to connect|No resources found|"
    r"The connection to the server|Get \"http|Unauthorized|forbidden)[^\n]{0,200})",
    re.IGNORECASE,
)
_TEMPLATE = "{{"
# Kinds of the API server's answers that are no objects of the cluster.
ANSWERS = ("Status", "Table")


def recognise(text: str) -> str:
    """What the text is, in a sentence that says what to do instead; empty where it is not known."""
    head = text[:_LOOKED_AT]
    if error := _ERROR.match(head):
        return f"the text of an error, not objects: {error[1].strip()}"
    if _DESCRIBED.search(head) and _DESCRIBES.search(head):
        return f"what `kubectl describe` prints: use `kubectl get` instead; {_RUN}"
    if _TABLE.search(head):
        return f"a table as `kubectl get` prints it, which leaves out most fields: {_RUN}"
    if head.strip() and _NAMES.match(head):
        return f"names alone, as `kubectl get -o name` prints them: {_RUN}"
    return ""


def answer(kind: str, body: object) -> str:
    """What an answer of the API server is that holds no objects, one of `ANSWERS`."""
    if kind == "Table":
        return f"a table as the API server prints it, which leaves out most fields: {_RUN}"
    message = body.get("message") if isinstance(body, dict) else None
    detail = f": {message.strip()[:200]}" if isinstance(message, str) and message.strip() else ""
    return f"an error that the API server answered, not objects{detail}"


def hint(text: str, message: str) -> str:
    """What probably made YAML unreadable, in brackets; empty where nobody can tell."""
    if _TEMPLATE in text:
        return " (is it a template?)"
    if "'\\t'" in message or "tab character" in message:
        return " (YAML is indented by spaces, never by tabs)"
    return ""
