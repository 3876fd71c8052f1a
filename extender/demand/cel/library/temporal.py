"""Durations and timestamps: read, written and taken apart as Go does.

Source: Go's time.ParseDuration and time.Parse(RFC3339), cel-go common/types/timestamp.go. Named
time zones other than UTC are left out: their rules are files that differ by machine.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable

from extender.demand.cel.runtime import values
from extender.demand.cel.runtime.meter import EvaluationError, Meter, UnansweredError
from extender.demand.cel.runtime.operators import timestamp as checked
from extender.demand.cel.runtime.values import Duration, Timestamp
from extender.demand.cel.typecheck import signatures
from extender.demand.cel.typecheck.signatures import Implementation, Overload

_UNITS = {
    "ns": 1, "us": 10**3, "\u00b5s": 10**3, "\u03bcs": 10**3, "ms": 10**6, "s": 10**9,
    "m": 60 * 10**9, "h": 3600 * 10**9,
}  # fmt: skip
_PART = re.compile(r"([0-9]*)(?:(\.)([0-9]*))?([^0-9.]+)")
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d{1,2}):(\d\d):(\d\d)(?:[.,](\d+))?(?:(Z)|([+-])(\d\d):(\d\d))",
    re.ASCII,
)
# What names of time zones look like.
_ZONE = re.compile(r"[A-Z][A-Za-z0-9+_-]*(?:/[A-Z][A-Za-z0-9+_-]*)*", re.ASCII)
_EPOCH = dt.date(1970, 1, 1).toordinal()
_DAY = 86400
_BAD_DURATION = "type conversion error from 'string' to 'google.protobuf.Duration'"
_BAD_TIMESTAMP = "type conversion error from 'string' to 'google.protobuf.Timestamp'"


def duration(text: str) -> Duration:
    """A duration like "1h2m3.5s"; EvaluationError if the text is none."""
    rest = text[1:] if text[:1] in {"-", "+"} else text
    sign = -1 if text[:1] == "-" else 1
    if rest == "0":
        return Duration(0)
    if not rest or len(rest) > 256:
        raise EvaluationError(_BAD_DURATION)
    total = 0
    position = 0
    while position < len(rest):
        match = _PART.match(rest, position)
        if match is None or match[4] not in _UNITS or not (match[1] or match[3]):
            raise EvaluationError(_BAD_DURATION)
        total += _amount(match[1], match[3] or "", _UNITS[match[4]])
        position = match.end()
    if total > values.MAX_INT + (sign < 0):
        raise EvaluationError(_BAD_DURATION)
    return Duration(sign * total)


def _amount(whole: str, fraction: str, unit: int) -> int:
    nanos = int(whole or "0") * unit
    # Go stops reading a fraction once it leaves 63 bits, and scales it as a double.
    read = fraction[:18]
    if read:
        nanos += int(float(int(read)) * (float(unit) / 10.0 ** len(read)))
    return nanos


def duration_text(value: Duration) -> str:
    """A duration in seconds, "3.5s"."""
    sign = "-" if value.nanos < 0 else ""
    whole, part = divmod(abs(value.nanos), values.NANO)
    seconds = float(whole) + float(part) / 1e9
    text = format(seconds, ".17g") if seconds >= 1e16 else repr(seconds).removesuffix(".0")
    if "e" in text:
        text = f"{seconds:.9f}".rstrip("0")
    return f"{sign}{text}s"


def timestamp(text: str) -> Timestamp:
    """An RFC 3339 time; EvaluationError if the text is none, or outside the years 1 to 9999."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise EvaluationError(_BAD_TIMESTAMP)
    year, month, day, hour, minute, second = (int(match[i]) for i in range(1, 7))
    if hour > 23 or minute > 59 or second > 59 or not 1 <= month <= 12:
        raise EvaluationError(_BAD_TIMESTAMP)
    offset = 0
    if match[9]:
        if int(match[10]) > 24 or int(match[11]) > 60:
            raise EvaluationError(_BAD_TIMESTAMP)
        offset = (int(match[10]) * 3600 + int(match[11]) * 60) * (-1 if match[9] == "-" else 1)
    nanos = int((match[7] or "0")[:9].ljust(9, "0"))
    seconds = _days(year, month, day) * _DAY + hour * 3600 + minute * 60 + second - offset
    return checked(seconds * values.NANO + nanos, offset)


def _days(year: int, month: int, day: int) -> int:
    try:
        # Year 0 is a leap year that datetime lacks; it ends in an overflow all the same.
        return dt.date(year or 2000, month, day).toordinal() - _EPOCH - (0 if year else 730_485)
    except ValueError:
        raise EvaluationError(_BAD_TIMESTAMP) from None


def _date(value: Timestamp, offset: int) -> tuple[dt.date, int]:
    """The day and the second of the day at an offset from UTC."""
    days, second = divmod(value.nanos // values.NANO + offset, _DAY)
    ordinal = days + _EPOCH
    if not 1 <= ordinal <= dt.date.max.toordinal():
        raise UnansweredError("a day outside the years 1 to 9999")
    return dt.date.fromordinal(ordinal), second


def timestamp_text(value: Timestamp) -> str:
    """A timestamp in RFC 3339, with as many decimals as it needs."""
    day, second = _date(value, value.offset)
    hour, minute = second // 3600, second // 60 % 60
    fraction = f".{value.nanos % values.NANO:09d}".rstrip("0").rstrip(".")
    minutes = abs(value.offset) // 60
    zone = "Z"
    if value.offset:
        zone = f"{'-' if value.offset < 0 else '+'}{minutes // 60:02d}:{minutes % 60:02d}"
    return (
        f"{day.year:04d}-{day.month:02d}-{day.day:02d}T{hour:02d}:{minute:02d}:{second % 60:02d}"
        f"{fraction}{zone}"
    )


def _offset(zone: str) -> int:
    """Seconds east of UTC of a zone's name or "+01:30"."""
    if zone in {"", "UTC"}:
        return 0
    if ":" not in zone:
        if _ZONE.fullmatch(zone):
            raise UnansweredError("named time zones are not implemented")
        raise EvaluationError("unknown time zone")
    hours, _, minutes = zone.partition(":")
    digits = re.compile(r"[+-]?[0-9]{1,6}", re.ASCII)
    if not digits.fullmatch(hours) or not digits.fullmatch(minutes):
        raise EvaluationError("not a time zone")
    total = int(hours) * 60 + (-int(minutes) if zone.startswith("-") else int(minutes))
    return total * 60


_PARTS: dict[str, Callable[[dt.date, int, int], int]] = {
    "getFullYear": lambda day, _, __: day.year,
    "getMonth": lambda day, _, __: day.month - 1,
    "getDayOfYear": lambda day, _, __: day.timetuple().tm_yday - 1,
    "getDayOfMonth": lambda day, _, __: day.day - 1,
    "getDate": lambda day, _, __: day.day,
    "getDayOfWeek": lambda day, _, __: day.isoweekday() % 7,
    "getHours": lambda _, second, __: second // 3600,
    "getMinutes": lambda _, second, __: second // 60 % 60,
    "getSeconds": lambda _, second, __: second % 60,
    "getMilliseconds": lambda _, __, nanos: nanos // 10**6,
}


def _part(name: str) -> Implementation:
    take = _PARTS[name]

    def implementation(_: Meter, value: Timestamp, zone: str = "UTC") -> int:
        return take(*_date(value, _offset(zone)), value.nanos % values.NANO)

    return implementation


def _span(unit: int) -> Implementation:
    def implementation(_: Meter, value: Duration) -> int:
        # Go computes these as doubles, and a long duration rounds up.
        whole, part = divmod(abs(value.nanos), unit)
        size = int(float(whole) + float(part) / float(unit))
        return -size if value.nanos < 0 else size

    return implementation


def _milliseconds(_: Meter, value: Duration) -> int:
    size = abs(value.nanos) // 10**6
    return -size if value.nanos < 0 else size


OVERLOADS: tuple[Overload, ...] = (
    *(signatures.overload(f"timestamp::{name}() -> int", _part(name)) for name in _PARTS),
    *(signatures.overload(f"timestamp::{name}(string) -> int", _part(name)) for name in _PARTS),
    signatures.overload("duration::getHours() -> int", _span(3600 * 10**9)),
    signatures.overload("duration::getMinutes() -> int", _span(60 * 10**9)),
    signatures.overload("duration::getSeconds() -> int", _span(10**9)),
    signatures.overload("duration::getMilliseconds() -> int", _milliseconds),
)
