"""Named formats of Kubernetes strings: `format.dns1123Label().validate("x")`.

Sources: apiserver pkg/cel/library/format.go, apimachinery util/validation, kube-openapi strfmt.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import re
from collections.abc import Callable

from extender.demand.cel.library import formatting, urls
from extender.demand.cel.runtime.meter import EvaluationError, Meter
from extender.demand.cel.runtime.values import NONE, Opaque, Optional
from extender.demand.cel.typecheck import signatures
from extender.demand.cel.typecheck.signatures import Overload

_NAME = signatures.FORMAT.name
_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_OLD_LABEL = "[a-z]([-a-z0-9]*[a-z0-9])?"
_KEY = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_UUID = "[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}"
_CLOCK = re.compile(r"(\d\d):(\d\d):(\d\d)(?:.[0-9]+)?(?:z|[+-]\d\d:\d\d)", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)

# Upstream takes its pattern of URLs for 1,103 characters long, and four of them for a unit.
_LONGEST_PATTERN = 276

_LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must start and end with an alphanumeric character"
)
_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character"
)
_OLD_LABEL_RULE = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "
    "alphabetic character, and end with an alphanumeric character"
)
_KEY_RULE = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character"
)
_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
    "'.', and must start and end with an alphanumeric character"
)


def _is(pattern: str, text: str) -> bool:
    return re.fullmatch(pattern, text, re.ASCII) is not None


def _too_long(text: str, most: int) -> list[str]:
    if len(text.encode()) <= most:
        return []
    return [f"must be no more than {most} characters" if most != 63 else _LONG_LABEL]


_LONG_LABEL = "must be no more than 63 bytes"


def _regex_error(rule: str, pattern: str, *examples: str) -> str:
    shown = "".join(
        f"{' or ' if number else ' (e.g. '}'{example}', " for number, example in enumerate(examples)
    )
    return f"{rule}{shown}regex used for validation is '{pattern}')"


def _label(text: str) -> list[str]:
    found = _too_long(text, 63)
    if not _is(_LABEL, text):
        error = _regex_error(_LABEL_RULE, _LABEL, "my-name", "123-abc")
        found.append("must not contain dots" if _is(_SUBDOMAIN, text) else error)
    return found


def _subdomain(text: str) -> list[str]:
    found = _too_long(text, 253)
    if not _is(_SUBDOMAIN, text):
        found.append(_regex_error(_SUBDOMAIN_RULE, _SUBDOMAIN, "example.com"))
    return found


def _old_label(text: str) -> list[str]:
    found = _too_long(text, 63)
    if not _is(_OLD_LABEL, text):
        found.append(_regex_error(_OLD_LABEL_RULE, _OLD_LABEL, "my-name", "abc-123"))
    return found


def _qualified(text: str) -> list[str]:
    *prefixes, name = text.split("/")
    found: list[str] = []
    if len(prefixes) > 1:
        return [
            f"a valid label key {_regex_error(_KEY_RULE, _KEY, 'MyName', 'my.name', '123-abc')}"
        ]
    if prefixes:
        problems = _subdomain(prefixes[0]) if prefixes[0] else ["must be non-empty"]
        found += [f"prefix part {problem}" for problem in problems]
    if not name:
        found.append("name part must be non-empty")
    found += [f"name part {problem}" for problem in _too_long(name, 63)]
    if not _is(_KEY, name):
        error = _regex_error(_KEY_RULE, _KEY, "MyName", "my.name", "123-abc")
        found.append(f"name part {error}")
    return found


def _label_value(text: str) -> list[str]:
    found = _too_long(text, 63)
    if not _is(f"({_KEY})?", text):
        found.append(_regex_error(_VALUE_RULE, f"({_KEY})?", "MyValue", "my_value", "12345"))
    return found


def _prefix(rule: Callable[[str], list[str]]) -> Callable[[str], list[str]]:
    def check(text: str) -> list[str]:
        # Upstream replaces the last two characters, not only the dash.
        return rule(f"{text[:-2]}a" if len(text) > 1 and text.endswith("-") else text)

    return check


def _uri(text: str) -> list[str]:
    try:
        urls.parse(text)
    except EvaluationError as problem:
        return [f"parse {formatting.quoted(text)}: {problem}"]
    return []


def _uuid(text: str) -> list[str]:
    good = re.fullmatch(_UUID, text, re.ASCII | re.IGNORECASE)
    return [] if good else ["does not match the UUID format"]


def _byte(text: str) -> list[str]:
    try:
        good = bool(text) and len(text) % 4 == 0 and bool(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        good = False
    return [] if good else ["invalid base64"]


def _is_date(text: str) -> bool:
    if not _DATE.fullmatch(text):
        return False
    year, month, day = map(int, text.split("-"))
    try:
        dt.date(year or 2000, month, day)
    except ValueError:
        return False
    return True


def _date(text: str) -> list[str]:
    return [] if _is_date(text) else ["invalid date"]


def _datetime(text: str) -> list[str]:
    day, *rest = text.lower().split("t")
    match = _CLOCK.fullmatch(rest[0]) if rest and _is_date(day) else None
    good = match is not None and match[1] <= "23" and match[2] <= "59" and match[3] <= "59"
    return [] if good else ["invalid datetime"]


_RULES: dict[str, Callable[[str], list[str]]] = {
    "dns1123Label": _label, "dns1123Subdomain": _subdomain, "dns1035Label": _old_label,
    "qualifiedName": _qualified, "dns1123LabelPrefix": _prefix(_label),
    "dns1123SubdomainPrefix": _prefix(_subdomain), "dns1035LabelPrefix": _prefix(_old_label),
    "labelValue": _label_value, "uri": _uri, "uuid": _uuid, "byte": _byte, "date": _date,
    "datetime": _datetime,
}  # fmt: skip
_FORMATS = {name: Opaque(_NAME, name, rule) for name, rule in _RULES.items()}


def _named(_: Meter, name: str) -> Optional:
    found = _FORMATS.get(name)
    return NONE if found is None else Optional(present=True, held=found)


def _validate(meter: Meter, form: Opaque, text: str) -> Optional:
    # The patterns have no nested repetition that could make them slow; still they read the text.
    meter.charge(len(text) // 4 + 1)
    meter.suspect((len(text) // 10 + 1) * _LONGEST_PATTERN)
    problems = form.content(text)
    return Optional(present=True, held=problems) if problems else NONE


OVERLOADS: tuple[Overload, ...] = (
    signatures.overload("Format::validate(string) -> optional(list(string))", _validate),
    signatures.overload("format.named(string) -> optional(Format)", _named),
    *(
        signatures.overload(f"format.{name}() -> Format", lambda _, form=form: form)
        for name, form in _FORMATS.items()
    ),
)
