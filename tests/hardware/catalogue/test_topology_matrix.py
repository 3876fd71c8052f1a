import itertools
import pathlib

import pytest

from extender.hardware import shape
from extender.hardware.catalogue import topology_matrix

GOLDEN = pathlib.Path(__file__).parents[2] / "golden" / "topo"
Level = shape.Level


def matrix(name):
    return topology_matrix.parse((GOLDEN / name).read_text())


FILES = sorted(path.name for path in GOLDEN.iterdir() if path.name != "SOURCES.md")

# file → GPUs, NICs, GPU–GPU levels, GPU–NIC levels, NUMA nodes of the GPUs
EXPECTED = {
    "aks_gb300_4gpu_4nic_topo_table.md": (4, 4, {Level.NVLINK: 6}, {Level.NODE: 8, Level.SYS: 8},
        [None] * 4),
    "dgx_a100_8gpu_10nic_nvidia_smi_topo_m.txt": (8, 10, {Level.NVLINK: 28},
        {Level.PXB: 16, Level.SYS: 64}, [3, 3, 1, 1, 7, 7, 5, 5]),
    "dgx_h100_8gpu_12nic_nvidia_smi_topo_m.txt": (8, 12, {Level.NVLINK: 28},
        {Level.PXB: 8, Level.NODE: 40, Level.SYS: 48}, [0] * 4 + [1] * 4),
    "gb200_4gpu_6nic_sglang11208_nvidia_smi_topo_m.partial.txt": (4, 6, {Level.NVLINK: 6},
        {Level.SYS: 18, Level.UNKNOWN: 6}, [0, 0, 1, None]),
    "gke_a3ultra_h200_8gpu_8nic_nvidia_smi_topo_m.txt": (8, 8, {Level.NVLINK: 28},
        {Level.PIX: 16, Level.NODE: 16, Level.SYS: 32}, [0] * 4 + [1] * 4),
    "hgx_8gpu_12nic_numa_off_nvidia_smi_topo_m.txt": (8, 12, {Level.NVLINK: 28},
        {Level.PIX: 8, Level.NODE: 88}, [0] * 8),
    "hgx_h100_8gpu_10nic_nccl1264_nvidia_smi_topo_m.txt": (8, 10, {Level.NVLINK: 28},
        {Level.PIX: 8, Level.SYS: 72}, [0] * 4 + [1] * 4),
    "litgpt_2gpu_no_numa_topo.txt": (2, 0, {Level.NVLINK: 1}, {}, [0, 0]),
    "litgpt_4gpu_all_nvlink_topo.txt": (4, 0, {Level.NVLINK: 6}, {}, [None] * 4),
    "litgpt_4gpu_no_nvlink_topo.txt": (4, 0, {Level.PHB: 6}, {}, [0] * 4),
    "litgpt_4gpu_partial_nvlink_topo.txt": (4, 0, {Level.NVLINK: 2, Level.SYS: 4}, {}, [None] * 4),
    "litgpt_a100_8gpu_10nic_nvlink12_topo.txt": (8, 10, {Level.NVLINK: 28},
        {Level.PXB: 16, Level.SYS: 64}, [0] * 4 + [1] * 4),
    "litgpt_amd_8gpu_xgmi_rocm_smi_topo.txt": (8, 0, {Level.NVLINK: 28}, {}, [None] * 8),
    "nvlink_pairs_4gpu_issue214_nvidia_smi_topo_m.txt": (4, 1, {Level.NVLINK: 2, Level.SYS: 4},
        {Level.SYS: 4}, [0, 1, 2, 3]),
    "oke_gb200_4gpu_8nic_topo_table.md": (4, 8, {Level.NVLINK: 6}, {Level.SYS: 32}, [None] * 4),
}  # fmt: skip


def count(found, pairs):
    levels = [found.between(one, other) for one, other in pairs]
    return {level: levels.count(level) for level in set(levels)}


@pytest.mark.parametrize("name", FILES)
def test_every_published_matrix_is_read_as_printed(name):
    gpus, nics, gpu_levels, nic_levels, numa = EXPECTED[name]
    found = matrix(name)
    gpu_names = [one for one in found.names if one.startswith("GPU")]
    nic_names = [one for one in found.names if one.startswith("NIC")]
    assert (len(gpu_names), len(nic_names)) == (gpus, nics)
    assert count(found, itertools.combinations(gpu_names, 2)) == gpu_levels
    assert count(found, itertools.product(gpu_names, nic_names)) == nic_levels
    assert list(found.numa[:gpus]) == numa


@pytest.mark.parametrize("name", FILES)
def test_a_matrix_is_symmetric_also_where_rows_are_missing(name):
    found = matrix(name)
    for row, column in itertools.product(range(len(found.names)), repeat=2):
        assert found.levels[row][column] == found.levels[column][row]


def test_the_neighbours_of_a_dgx_a100_are_pairs_behind_one_switch():
    found = matrix("dgx_a100_8gpu_10nic_nvidia_smi_topo_m.txt")
    assert found.between("GPU0", "NIC1") is Level.PXB
    assert found.between("GPU2", "NIC2") is Level.PXB
    assert found.between("GPU2", "NIC1") is Level.SYS


def test_the_numa_nodes_of_nics_are_read_below_the_matrix():
    found = matrix("aks_gb300_4gpu_4nic_topo_table.md")
    assert found.numa == (None, None, None, None, 0, 0, 1, 1)


def test_the_tray_of_a_gb200_is_corrected_by_its_numa_nodes():
    printed = matrix("oke_gb200_4gpu_8nic_topo_table.md")
    known = topology_matrix.TopologyMatrix(
        printed.names, printed.levels, (0, 0, 1, 1, 0, 0, 0, 0, 1, None, 1, 1)
    )
    corrected = topology_matrix.by_numa(known)
    assert corrected.between("GPU1", "NIC3") is Level.NODE
    assert corrected.between("NIC3", "GPU1") is Level.NODE
    assert corrected.between("GPU1", "NIC4") is Level.SYS
    assert corrected.between("GPU1", "NIC5") is Level.UNKNOWN
    assert corrected.between("GPU1", "GPU2") is Level.NVLINK


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("nothing here", "no row of device names", id="no matrix"),
        pytest.param("GPU0 GPU1\nGPU0 X WAT\n", "'WAT' is no way between devices", id="a word"),
        pytest.param("GPU0 GPU1\nGPU0 X\n", "row GPU0 has 1 cells, not 2", id="a short row"),
    ],
)
def test_text_that_is_no_matrix_is_refused_with_a_reason(text, reason):
    with pytest.raises(ValueError, match=reason):
        topology_matrix.parse(text)
