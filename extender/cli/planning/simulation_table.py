"""A comparison of simulated policies as a table for people."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from extender.simulation import comparison

_GAP = "  "
_NO_NOISE = (
    "differs, but all seeds gave the same, so that nothing is known of noise: --shuffle gives each"
    " its own order of arrival, --seeds more of them"
)


def lines(found: Sequence[comparison.Compared], *, seeds: int, width: int | None) -> Iterator[str]:
    """One row a figure; more variants than the width holds come in further blocks."""
    first, others = found[0], list(found[1:])
    blocks = [[first]]
    names = list(first.figures)
    while others:
        block = [first, others.pop(0)]
        while others and _fits([*block, others[0]], names, width):
            block.append(others.pop(0))
        blocks.append(block)
    for number, block in enumerate(blocks[1:] or blocks):
        if number:
            yield ""
        yield from _table(_rows(block, names))
    yield from _verdicts(found, width)
    error = "errors of the mean" if seeds > 1 else "one seed tells nothing of noise"
    yield from _wrapped(f"{seeds} seed{'s' if seeds != 1 else ''} each; ±: {error}", width)


def _rows(block: Sequence[comparison.Compared], names: Sequence[str]) -> list[tuple[str, ...]]:
    header = ["FIGURE", block[0].variant]
    for each in block[1:]:
        header += [each.variant, "difference"]
    rows = [tuple(header)]
    for name in names:
        row = [name, figure_text(block[0].figures[name])]
        for each in block[1:]:
            row += [figure_text(each.figures[name]), difference(each.differences[name])]
        rows.append(tuple(row))
    return rows


def _fits(block: Sequence[comparison.Compared], names: Sequence[str], width: int | None) -> bool:
    return width is None or max(map(len, _table(_rows(block, names)))) <= width


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(size) for cell, size in zip(row[1:], widths[1:], strict=True)]
        yield _GAP.join(cells).rstrip()


def _verdicts(found: Sequence[comparison.Compared], width: int | None) -> Iterator[str]:
    for each in found[1:]:
        yield from _wrapped(sentence(each, found[0].variant), width)


def sentence(each: comparison.Compared, first: str) -> str:
    """Which of the two is better, and in what, beyond noise."""
    words = {"better": [], "worse": []}  # type: dict[str, list[str]]
    for name, change in each.differences.items():
        if change.verdict in words:
            words[change.verdict].append(f"{name} ({difference(change, plain=True)})")
    parts = [f"{word} in {', '.join(some)}" for word, some in words.items() if some]
    unknown = any(not change.verdict for change in each.differences.values())
    said = "; ".join(parts) or (_NO_NOISE if unknown else "no figure differs beyond noise")
    return f"{each.variant} against {first}: {said}"


def figure_text(figure: comparison.Figure) -> str:
    """A mean and its error: 95.86 ±0.03."""
    error = "" if figure.error is None else f" ±{_number(figure.error)}"
    return f"{_number(figure.mean)}{error}"


def difference(change: comparison.FigureDifference, *, plain: bool = False) -> str:
    """A difference and its error, with a word where it is beyond noise."""
    sign = "+" if change.mean > 0 else ""
    error = "" if change.error is None else f" ±{_number(change.error)}"
    word = "" if plain or change.verdict not in {"better", "worse"} else f" {change.verdict}"
    return f"{sign}{_number(change.mean)}{error}{word}"


def _number(value: float) -> str:
    if value == round(value):
        return f"{value:.0f}"
    return f"{value:.4f}" if abs(value) < 2 else f"{value:.2f}"


def _wrapped(text: str, width: int | None) -> list[str]:
    return [text] if width is None else textwrap.wrap(text, width, subsequent_indent="  ")
