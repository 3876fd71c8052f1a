"""Every figure that README and the pages tell is one of the records, or one that somebody set."""

import pathlib
import re

import msgspec
import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
RESULTS = (ROOT / "loadtests" / "RESULTS.md").read_text().splitlines()
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`]*`")
# A number with the unit of something measured, or one of so many digits that nobody chose it.
_FIGURE = re.compile(
    r"(?<![\w.,-])(?:\d[\d,.]*\d|\d)(?: to (?:\d[\d,.]*\d|\d))? "
    r"(?:%|ms|µs|MB|GB|points|times)(?![\w/])"
    r"|(?<![\w.,-])\d+\.\d+(?: to \d+(?:\.\d+)?)? s(?![\w/])"
    r"|(?<![\w.,-])\d+\.\d{2,}(?![\w.])(?! [%\w])"
)
_COLUMNS = (range(5, 8), range(8, 11))  # of the real scheduler's table: measured, simulated
_VERSION = re.compile(r"1\.3\d|3\.1\d")  # of Kubernetes and of Python


class Figures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Figures of a page as they are written; `row` tells the row of the results that has them."""

    page: str
    figures: list[str]
    row: list[str] = []
    why: str = ""


LISTED = msgspec.convert(
    yaml.safe_load((pathlib.Path(__file__).parent / "figures.yaml").read_text()),
    dict[str, list[Figures]],
)
MEASURED = [(each, figure) for each in LISTED["measured"] for figure in each.figures]


def prose(page):
    """The page without what a program printed, and without names of flags and fields."""
    return _CODE.sub("``", _FENCED.sub("", page.read_text())).replace("\n", " ")


def reported(page):
    return {figure for figure in _FIGURE.findall(prose(page)) if not _VERSION.fullmatch(figure)}


def named(page):
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_figure_of_a_page_is_measured_or_stated(page):
    """A worked example's figures are computed by a test of their own."""
    known = {
        figure
        for each in (*LISTED["measured"], *LISTED["stated"])
        if each.page == named(page)
        for figure in each.figures
    }
    assert reported(page) - known - worked(page) == set()


def worked(page):
    text = page.read_text().partition("## Worked example")[2].partition("\n## ")[0]
    return set(re.findall(r"\d+\.\d+", text))


@pytest.mark.parametrize(
    ("listed", "figure"), MEASURED, ids=[f"{each.page}-{figure}" for each, figure in MEASURED]
)
def test_a_measured_figure_stands_in_its_row_of_the_results(listed, figure):
    rows = [line for line in RESULTS if all(words in line for words in listed.row)]
    (row,) = [line for line in rows if line.startswith("|")]
    plain = figure.removesuffix(" s").removesuffix(" MB").replace(",", "")
    cells = [cell.strip().partition(" ± ")[0] for cell in row.strip("|").split("|")]

    assert figure in prose(ROOT / listed.page)
    assert plain in cells or plain.removesuffix(" %") in cells


def test_no_figure_is_listed_that_its_page_does_not_tell():
    text = {named(page): prose(page) for page in PAGES}
    gone = [
        (each.page, figure)
        for group in LISTED.values()
        for each in group
        for figure in each.figures
        if figure not in text.get(each.page, "")
    ]
    assert gone == []


def test_the_simulator_is_as_near_to_the_real_scheduler_as_the_page_says():
    rows = [line.strip("|").split("|") for line in RESULTS if "| default | dra | 1213 |" in line]
    real, simulated = ([[float(row[at]) for at in span] for row in rows] for span in _COLUMNS)
    largest = max(
        abs(one - other)
        for pair in zip(real, simulated, strict=True)
        for one, other in zip(*pair, strict=True)
    )

    assert len(rows) == 2
    assert f"{largest:.2f} points" in reported(ROOT / "docs" / "gains.md")
