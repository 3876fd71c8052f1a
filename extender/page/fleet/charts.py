"""Lines over time as paths for SVG: made here, so that a browser without scripts draws them."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
from collections.abc import Sequence

WIDTH, HEIGHT = 720, 180
_LEFT, _BOTTOM, _TOP = 44, 22, 8  # space for the labels of the axes
_TICKS = 4
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_GAP = 3.0  # a pause longer than so many samples' distance is no line
_SECONDS = (120, 300, 600, 1800, 3600, 7200)
_DAY = 86400
_MOST_ACROSS = 6  # steps of the axis of time
_LEAST_TOP = 1.0
_LEAST_SECONDS = 600.0  # that the axis of time shows


@dataclasses.dataclass(frozen=True, slots=True)
class ChartLine:
    """One series: where it runs, and its last value."""

    title: str
    path: str
    last: float


@dataclasses.dataclass(frozen=True, slots=True)
class Chart:
    """A drawing of some lines; ticks are (position, text)."""

    lines: tuple[ChartLine, ...]
    across: tuple[tuple[float, str], ...]  # of time
    up: tuple[tuple[float, str], ...]  # of values
    area: str = ""  # below the first line


def chart(
    series: Sequence[tuple[str, Sequence[tuple[float, float]]]], *, every: float
) -> Chart | None:
    """Draw series of (time, value); None where there is nothing. `every`: seconds of a sample."""
    times = [at for _, points in series for at, _ in points]
    if not times:
        return None
    end = max(times)
    start = min(*times, end - _LEAST_SECONDS)
    top = _top(max(value for _, points in series for _, value in points))

    def x(at: float) -> float:
        return round(_LEFT + (at - start) / (end - start) * (WIDTH - _LEFT), 1)

    def y(value: float) -> float:
        return round(_TOP + (1 - value / top) * (HEIGHT - _TOP - _BOTTOM), 1)

    lines = []
    for title, points in series:
        path, before = [], -math.inf
        for at, value in points:
            joined = at - before <= _GAP * every
            path.append(f"{'L' if joined else 'M'}{x(at)} {y(value)}")
            before = at
        lines.append(ChartLine(title, "".join(path), points[-1][1] if points else 0.0))
    up = tuple((y(top * n / _TICKS), f"{top * n / _TICKS:,.6g}") for n in range(_TICKS + 1))
    return Chart(tuple(lines), tuple((x(at), _clock(at)) for at in _hours(start, end)), up)


def _top(most: float) -> float:
    """The end of the axis: a round number that four ticks divide well."""
    if most < _LEAST_TOP:
        return _LEAST_TOP
    scale = 10.0 ** math.floor(math.log10(most / _TICKS))
    step = next(each for each in _STEPS if each * scale * _TICKS >= most - 1e-9)
    return step * scale * _TICKS


def _hours(start: float, end: float) -> list[float]:
    """Round times between two: at most seven."""
    days = _DAY * math.ceil((end - start) / _MOST_ACROSS / _DAY)
    step = next((each for each in _SECONDS if (end - start) / each <= _MOST_ACROSS), days)
    first = math.ceil(start / step) * step
    return [first + step * n for n in range(int((end - first) // step) + 1)]


def _clock(at: float) -> str:
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%H:%M")
