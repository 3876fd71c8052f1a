"""The figures of the design pages are those that the code they describe computes."""

import pathlib
import re

import numpy as np
import pytest

from extender.pricing import formula, prices
from extender.pricing.mix.demand_mix import DemandClasses

PAGES = pathlib.Path(__file__).resolve().parents[2] / "docs" / "design"
# Three machines of eight GPUs and 128 cores: free GPUs and free CPU (millicores) of each.
NODES = {"a": (8.0, 128_000.0), "b": (4.0, 64_000.0), "c": (1.0, 16_000.0)}
# Pods of one GPU and 8 cores are three of four; the others fill a machine.
CLASSES = DemandClasses(
    units=("gpu",),
    unit=np.array([0, 0]),
    count=np.array([1.0, 8.0]),
    share=np.array([1.0, 1.0]),
    cpu=np.array([8_000.0, 64_000.0]),
    memory=np.array([0.0, 0.0]),
    weight=np.array([0.75, 0.25]),
)
FORM = formula.Constants()


def headroom(free, cpu):
    column = np.array(free)[:, None]
    device = formula.device_headroom(column, column, CLASSES, FORM)
    return formula.headroom(device, np.array(cpu), np.ones(len(cpu)), CLASSES, FORM)


def worked_example():
    """The rows of the page's table: node, headroom for both classes now and after, cost."""
    free, cpu = zip(*NODES.values(), strict=True)
    before = headroom(free, cpu)
    after = headroom([gpus - 1.0 for gpus in free], [left - 8_000.0 for left in cpu])
    charged = prices.prices(CLASSES, before.sum(axis=0), FORM, pool=np.array([24.0, 24.0]))
    costs = formula.cost(before, after, charged)
    rows = [
        f"| {name} | {gpus:.0f} | {b[0]:.3f} | {b[1]:.3f} | {a[0]:.3f} | {a[1]:.3f} | {cost:.3f} |"
        for name, gpus, b, a, cost in zip(NODES, free, before, after, costs, strict=True)
    ]
    return rows, charged, before.sum(axis=0)


def test_the_worked_example_of_the_pricing_page_is_what_the_code_computes():
    rows, charged, total = worked_example()
    page = (PAGES / "pricing.md").read_text()

    for row in rows:
        assert row in page
    assert f"| price | {charged[0]:.3f} | {charged[1]:.3f} |" in page
    assert f"| headroom U | {total[0]:.3f} | {total[1]:.3f} |" in page


ROOT = PAGES.parents[1]
GUIDES = ["ARCHITECTURE.md", "CONTRIBUTING.md", "extender/pricing/README.md"]
LINKED = [*GUIDES, *sorted(f"docs/design/{page.name}" for page in PAGES.glob("*.md"))]


@pytest.mark.parametrize("name", LINKED)
def test_links_between_pages_lead_somewhere(name):
    page = ROOT / name
    links = re.findall(r"\]\((?!http)([^)#]+)", page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_checklists_name_files_that_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = re.findall(r"`([a-z_.]+(?:/[\w.]+)+)`", text)

    assert len(named) > 15
    assert [n for n in named if not _exists(n)] == []


def _exists(name):
    """Whether it is a path from the top or from the package, where modules go without ending."""
    ways = (
        ROOT / name,
        ROOT / "extender" / name,
        ROOT / "extender" / f"{name}.py",
        ROOT / f"{name}.py",
    )
    return any(way.exists() for way in ways)
