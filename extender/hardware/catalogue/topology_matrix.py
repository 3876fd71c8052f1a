"""The device matrix that `nvidia-smi topo -m` or `rocm-smi --showtopo` prints, as data.

Used to make and to test the hardware catalogue; the service itself never sees such text.
"""

from __future__ import annotations

import dataclasses
import re

from extender.hardware import shape

_NAME = re.compile(r"(?:GPU|NIC)\d+|mlx\d+_\d+")
_LINK = re.compile(r"NV\d+|XGMI")
_WORDS = {level.name: level for level in shape.Level if level is not shape.Level.NVLINK} | {
    "X": shape.Level.PIX,
    "0": shape.Level.PIX,  # rocm-smi prints the diagonal so
    "SOC": shape.Level.SYS,  # drivers before 410
    "PCIE": shape.Level.UNKNOWN,  # rocm-smi: some way over PCIe
}
_NIC_NUMA = re.compile(r"(NIC\d+)=\S+ \(NUMA (\d+)\)")
_NUMA_COLUMN = "NUMA Affinity"


@dataclasses.dataclass(frozen=True, slots=True)
class TopologyMatrix:
    """Devices in the order of the columns; what a cut listing leaves out is UNKNOWN."""

    names: tuple[str, ...]
    levels: tuple[bytes, ...]
    numa: tuple[int | None, ...]

    def between(self, one: str, other: str) -> shape.Level:
        row, column = self.names.index(one), self.names.index(other)
        return shape.Level(self.levels[row][column])


def parse(text: str) -> TopologyMatrix:
    """The matrix in the text; ValueError names the word or row that is not understood.

    Rows may be missing (listings of GPUs only): the matrix is symmetric. NUMA nodes come from the
    column of that name, for NICs from "NIC0=mlx5_0 (NUMA 0)" below the matrix.
    """
    names: tuple[str, ...] = ()
    has_numa = False
    cells: dict[tuple[str, str], shape.Level] = {}
    numa: dict[str, int | None] = {}
    for line in text.splitlines():
        words = line.replace("|", " ").split()
        if not words:
            continue
        if not names:
            if _NAME.fullmatch(words[0]):
                names = tuple(word for word in words if _NAME.fullmatch(word))
                has_numa = _NUMA_COLUMN in " ".join(words)
        elif words[0] in names:
            name, row = words[0], words[1:]
            if len(row) < len(names):
                raise ValueError(f"row {name} has {len(row)} cells, not {len(names)}")
            for other, word in zip(names, row, strict=False):
                cells[name, other] = _level(word)
            if has_numa and name.startswith("GPU"):
                numa[name] = _first_number(row[len(names) + 1 :])
    if not names:
        raise ValueError("no row of device names")
    numa |= {name: int(node) for name, node in _NIC_NUMA.findall(text) if name in names}
    return TopologyMatrix(names, _rows(names, cells), tuple(numa.get(name) for name in names))


def by_numa(matrix: TopologyMatrix) -> TopologyMatrix:
    """The matrix of a GB200 tray as its NUMA nodes have it.

    There every GPU–NIC pair prints SYS, since GPUs hang off the CPU by C2C instead of PCIe; what
    was measured follows the NUMA node (kubernetes-sigs/dranet, OKE GB200: 46 against 25 GB/s).
    Pairs whose nodes are not known become UNKNOWN.
    """
    rows = []
    for name, numa, row in zip(matrix.names, matrix.numa, matrix.levels, strict=True):
        cells = []
        for other, other_numa, level in zip(matrix.names, matrix.numa, row, strict=True):
            if name[:3] == other[:3] or level != shape.Level.SYS:
                cells.append(level)
            elif numa is None or other_numa is None:
                cells.append(shape.Level.UNKNOWN)
            else:
                cells.append(shape.Level.NODE if numa == other_numa else shape.Level.SYS)
        rows.append(bytes(cells))
    return dataclasses.replace(matrix, levels=tuple(rows))


def _rows(names: tuple[str, ...], cells: dict[tuple[str, str], shape.Level]) -> tuple[bytes, ...]:
    def cell(one: str, other: str) -> int:
        if one == other:
            return shape.Level.PIX
        unknown = shape.Level.UNKNOWN
        return cells.get((one, other), cells.get((other, one), unknown))

    return tuple(bytes(cell(one, other) for other in names) for one in names)


def _level(word: str) -> shape.Level:
    if _LINK.fullmatch(word):
        return shape.Level.NVLINK
    level = _WORDS.get(word)
    if level is None:
        raise ValueError(f"{word!r} is no way between devices")
    return level


def _first_number(words: list[str]) -> int | None:
    match = re.match(r"\d+", words[0]) if words else None
    return int(match[0]) if match else None
