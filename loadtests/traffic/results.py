"""The table of a run, and how it compares with what is typical. Pure but for `read_ranges`."""

from __future__ import annotations

import csv
import io
import pathlib
from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec
import yaml

from loadtests.traffic import scenarios

RANGES = pathlib.Path(__file__).parents[1] / "ranges.yaml"
ECHO = "echo "  # before the verb: the same body sent to the echo
_HEAD = ("verb", "requests", "failures", "p50", "p90", "p99", "max")
_MEASURES = ("p50", "p90", "p99")

Ratio = Annotated[float, msgspec.Meta(gt=0)]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One verb's calls; times are milliseconds."""

    verb: str
    requests: int
    failures: int
    p50: float
    p90: float
    p99: float
    max: float


# scenario → verb → measure → (least, most), as ratios to the echo's p50 of the same verb
Ranges = dict[str, dict[str, dict[str, tuple[Ratio, Ratio]]]]


def table(rows: Sequence[Row]) -> str:
    """The rows as text, in columns; times in milliseconds."""
    lines = [f"{_HEAD[0]:<18}" + "".join(f"{title:>10}" for title in _HEAD[1:]) + "   (ms)"]
    for row in rows:
        times = (row.p50, row.p90, row.p99, row.max)
        counts = f"{row.requests:>10}{row.failures:>10}"
        lines.append(f"{row.verb:<18}" + counts + "".join(f"{time:>10.2f}" for time in times))
    return "\n".join(lines)


def as_csv(rows: Sequence[Row]) -> str:
    """The same for a spreadsheet."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_HEAD)
    writer.writerows([getattr(row, title) for title in _HEAD] for row in rows)
    return text.getvalue()


def ratios(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """verb → measure → ratio to the echo's p50 of that verb; without an echo, nothing.

    Every measure is put beside the echo's median: its own p99 is the noise of the machine.
    """
    by_verb = {row.verb: row for row in rows}
    found = {}
    for row in rows:
        floor = by_verb.get(ECHO + row.verb)
        if floor is not None and floor.p50 > 0 and row.requests:
            found[row.verb] = {name: getattr(row, name) / floor.p50 for name in _MEASURES}
    return found


def compare(
    measured: Mapping[str, Mapping[str, float]],
    typical: Mapping[str, Mapping[str, tuple[float, float]]],
) -> list[str]:
    """A sentence for each ratio: what was measured, what is typical, and whether it is within."""
    lines = []
    for verb, measures in measured.items():
        for name, ratio in measures.items():
            span = typical.get(verb, {}).get(name)
            if span is None:
                lines.append(f"{verb} {name}: {ratio:.2f}x the echo's p50")
                continue
            least, most = span
            words = "as usual" if least <= ratio <= most else "UNUSUAL"
            if ratio > most:
                words = f"SLOWER than usual by {ratio / most:.2f}"
            elif ratio < least:
                words = f"faster than usual by {least / ratio:.2f}"
            lines.append(f"{verb} {name}: {ratio:.2f}x the echo's p50 ({least}–{most}): {words}")
    return lines


def slower(
    measured: Mapping[str, Mapping[str, float]],
    typical: Mapping[str, Mapping[str, tuple[float, float]]],
) -> bool:
    """Whether any ratio is above its range."""
    return any(
        name in typical.get(verb, {}) and ratio > typical[verb][name][1]
        for verb, measures in measured.items()
        for name, ratio in measures.items()
    )


def read_ranges(path: pathlib.Path = RANGES) -> Ranges:
    """Read what is typical. Raises ScenarioError, which says what is wrong and where."""
    try:
        ranges = msgspec.convert(yaml.safe_load(path.read_text(encoding="utf-8")) or {}, Ranges)
    except (OSError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise scenarios.ScenarioError(f"{path}: {error}") from None
    check_ranges(ranges, str(path))
    return ranges


def check_ranges(ranges: Ranges, where: str) -> None:
    """Raise ScenarioError at a measure that does not exist or a range that is upside down."""
    for scenario, verbs in ranges.items():
        for verb, measures in verbs.items():
            for name, (least, most) in measures.items():
                place = f"{where}: {scenario}.{verb}.{name}"
                if name not in _MEASURES:
                    raise scenarios.ScenarioError(
                        f"{place} is not measured; there are {', '.join(_MEASURES)}"
                    )
                if least > most:
                    raise scenarios.ScenarioError(f"{place}: {least} is more than {most}")
