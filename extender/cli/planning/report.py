"""The report of a simulation: one HTML file with its plots inside, which needs no network.

matplotlib draws the plots (the extra `report`); without it the command says so before it begins.
"""

from __future__ import annotations

import html
import importlib.util
import io
import pathlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from extender import errors
from extender.cli.planning import simulation_table
from extender.simulation import comparison, run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MISSING = (
    "matplotlib draws its plots and is not installed: python -m pip install 'railyard[report]'"
)
_LEGEND = (
    "Means over the seeds, with the error of the mean. A difference is marked where it is more than"
    " two errors from nothing."
)
# Distinct without colour too: in print, and for whoever sees few colours (Okabe and Ito's).
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_DASHES = ("-", "--", ":", "-.")
_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#111}
table{border-collapse:collapse;margin:1rem 0}th,td{padding:.25rem .75rem;text-align:right;
border-bottom:1px solid #bbb}th:first-child,td:first-child{text-align:left}
.better{font-weight:bold}.better::after{content:" \\2191"}.worse::after{content:" \\2193"}
.worse{font-style:italic}figure{margin:2rem 0;break-inside:avoid}svg{max-width:100%;height:auto}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1rem}
dt{font-weight:bold}dd{margin:0}
@media(max-width:40rem){th,td{padding:.2rem .35rem;font-size:.8rem}}
@media print{body{margin:0;max-width:none;font-size:11pt}a{color:inherit}}
"""


def check(path: pathlib.Path) -> None:
    """ConfigError where the report could not be written."""
    if importlib.util.find_spec("matplotlib") is None:
        raise errors.ConfigError("the report cannot be made", [("--report", _MISSING)])
    if not path.parent.is_dir():
        problem = [(str(path), "there is no such folder")]
        raise errors.ConfigError("the report cannot be made", problem)


def write(
    path: pathlib.Path,
    found: Sequence[comparison.Compared],
    outcomes: Mapping[str, Sequence[run.RunOutcome]],
    *,
    facts: Mapping[str, str],
) -> None:
    """Write the report; ConfigError where that fails."""
    text = "".join(_pieces(found, outcomes, facts))
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        problem = [(str(path), error.strerror or str(error))]
        raise errors.ConfigError("the report cannot be written", problem) from error


def _pieces(
    found: Sequence[comparison.Compared],
    outcomes: Mapping[str, Sequence[run.RunOutcome]],
    facts: Mapping[str, str],
) -> list[str]:
    facts_html = "".join(
        f"<dt>{_text(n)}</dt><dd>{_text(value)}</dd>" for n, value in facts.items()
    )
    sentences = "".join(
        f"<p>{_text(simulation_table.sentence(each, found[0].variant))}</p>" for each in found[1:]
    )
    return [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<title>Railyard simulation</title><style>{_STYLE}</style></head><body>",
        f"<h1>Simulation</h1><dl>{facts_html}</dl><h2>Result</h2>{sentences}",
        _table(found),
        f"<p>{_LEGEND}</p><h2>Over time</h2>",
        *_figures(outcomes),
        "</body></html>\n",
    ]


def _table(found: Sequence[comparison.Compared]) -> str:
    head = "".join(
        f"<th scope=col>{_text(each.variant)}</th>" + ("<th scope=col>difference</th>" if n else "")
        for n, each in enumerate(found)
    )
    rows = []
    for name in found[0].figures:
        cells = [f"<th scope=row>{_text(name)}</th>"]
        for each in found:
            cells.append(f"<td>{_text(simulation_table.figure_text(each.figures[name]))}</td>")
            if name in each.differences:
                change = each.differences[name]
                plain = simulation_table.difference(change, plain=True)
                cells.append(f'<td class="{change.verdict}">{_text(plain)}</td>')
        rows.append(f"<tr>{''.join(cells)}</tr>")
    head = f"<tr><th scope=col>figure</th>{head}</tr>"
    return f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"


def _text(value: str) -> str:
    return html.escape(value)


# ---------------------------------------------------------------- plots


def _figures(outcomes: Mapping[str, Sequence[run.RunOutcome]]) -> list[str]:
    first = next(iter(outcomes.values()))[0].samples
    pools = sorted({name for sample in first for name in sample.pools})
    found = [
        _drawn("GPUs in use, % of all", outcomes, lambda s: 100 * s.used / max(s.gpus, 1e-9)),
        _drawn("GPUs that pending pods ask for", outcomes, lambda s: s.gpus_pending),
        _drawn("pods pending", outcomes, lambda s: float(s.pending)),
        _drawn(
            "mean bandwidth factor of pods placed (1 is best)",
            outcomes,
            lambda s: np.nan if s.rate is None else s.rate,
        ),
    ]
    found += [
        _drawn(
            f"headroom: free GPUs in whole sets of {size} on one node",
            outcomes,
            lambda s, size=size: s.headroom[size],  # type: ignore[misc]
        )
        for size in run.SIZES
    ]
    found += [
        _drawn(
            f"GPUs in use: {name}",
            outcomes,
            lambda s, name=name: s.pools.get(name, 0.0),  # type: ignore[misc]
        )
        for name in pools
    ]
    return found


def _drawn(
    title: str,
    outcomes: Mapping[str, Sequence[run.RunOutcome]],
    value: Callable[[run.Sample], float],
) -> str:
    """One plot as SVG: a line for each variant, the mean of its seeds, within their range."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - the extra `report`

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    axes = figure.add_subplot()
    for number, (name, runs) in enumerate(outcomes.items()):
        _line(axes, number, name, runs, value)
    axes.set_title(title, loc="left")
    axes.set_xlabel("pods arrived")
    axes.grid(alpha=0.3)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, loc="best")
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    label = f'<svg role="img" aria-label="{_text(title)}"'
    svg = _own_ids(svg.replace("<svg", label, 1), title)
    return f"<figure>{svg}</figure>"


def _line(
    axes: Axes,
    number: int,
    name: str,
    runs: Sequence[run.RunOutcome],
    value: Callable[[run.Sample], float],
) -> None:
    points = min(len(each.samples) for each in runs)
    values = np.array([[value(sample) for sample in each.samples[:points]] for each in runs])
    arrived = [sample.arrived for sample in runs[0].samples[:points]]
    colour, dash = _COLOURS[number % len(_COLOURS)], _DASHES[number % len(_DASHES)]
    known = ~np.isnan(values).all(axis=0)
    if not known.any():
        return
    values, arrived = values[:, known], np.array(arrived)[known].tolist()
    axes.plot(arrived, np.nanmean(values, axis=0), dash, color=colour, label=name, linewidth=1.6)
    if len(runs) > 1:
        low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
        axes.fill_between(arrived, low, high, color=colour, alpha=0.15, linewidth=0)


def _own_ids(svg: str, title: str) -> str:
    """Ids that no other plot of the page has."""
    own = re.sub(r"[^a-z0-9]+", "-", title.lower())
    svg = re.sub(r'\bid="', f'id="{own}-', svg)
    svg = re.sub(r'href="#', f'href="#{own}-', svg)
    return svg.replace("url(#", f"url(#{own}-")
