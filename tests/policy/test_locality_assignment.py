"""Which GPU goes with which NIC: assignments against brute force, and real machines."""

import itertools
import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extender.hardware import shape
from extender.hardware.catalogue import topology_matrix
from extender.hardware.catalogue.instance_types import INSTANCE_TYPE
from extender.hardware.catalogue.platforms import MACHINE
from extender.policy import bipartite_matching, locality
from extender.replay import snapshots
from tests.kit.builders import make_node
from tests.kit.rigs.locality_machines import CATALOGUE, Kind, Level, assess, device, machine, rate
from tests.kit.worlds import engine, feed

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"


MIG, NOWHERE = Kind.PARTITION, (None, None)


def pairs_of(hardware, gpus, nics):
    return locality.assign(hardware, gpus, nics)


# ---------------------------------------------------------------- the model

FOUR_PER_SOCKET = [(f"r{n}", n // 4) for n in range(8)]


# ---------------------------------------------------------------- assignment


def test_the_first_gpu_leaves_the_near_nic_to_one_that_needs_it_more():
    # GPU 0 is near to both NICs; taking the first would leave GPU 1 only the one across.
    hardware = machine([("a", 0), ("b", 0)], [("b", 0), ("a", 1)])
    levels = [list(row) for row in hardware.levels]
    levels[0][2] = levels[2][0] = Level.PHB
    hardware = shape.Shape(hardware.devices, levels=tuple(map(bytes, levels)),
        numa=hardware.numa, root=hardware.root)  # fmt: skip
    assert set(pairs_of(hardware, [0, 1], [2, 3])) == {(0, 3), (1, 2)}
    assert assess(hardware, [0, 1, 2, 3]).rate == 1.0


def test_of_equal_rates_the_nearer_level_is_chosen():
    # A bridge or a root, both 1.0: Required PIX must see the assignment by bridges.
    rows = [[6, 0, 1, 3], [0, 6, 3, 1], [1, 3, 6, 6], [3, 1, 6, 6]]
    hardware = shape.Shape(
        devices=(device(Kind.GPU, 0), device(Kind.GPU, 1), device(Kind.NIC, 2),
            device(Kind.NIC, 3)),
        levels=tuple(map(bytes, rows)),
        numa=(0,) * 4,
        root=("a",) * 4,
    )  # fmt: skip
    assert assess(hardware, [1, 0, 2, 3]).worst is Level.PIX


def test_eight_gpus_with_ten_nics_do_not_need_the_two_for_storage():
    places = [(f"r{n // 2}", n // 4) for n in range(8)]
    dgx = machine(places, [*places, NOWHERE, NOWHERE], islands=[range(8)])
    found = assess(dgx, range(18))
    assert (found.rate, found.worst) == (1.0, Level.PHB)
    assert {nic for _, nic in found.pairs} == set(range(8, 16))
    assert locality.possible(dgx, gpus=8, nics=10, level=Level.PHB)


def test_four_gpus_share_one_nic():
    hardware = machine(FOUR_PER_SOCKET, [("r0", 0), ("r4", 1)])
    assert {nic for _, nic in pairs_of(hardware, [0, 1, 2, 3], [8])} == {8}
    assert assess(hardware, [0, 1, 2, 3, 8]).rate > assess(hardware, [0, 1, 2, 3, 9]).rate
    assert locality.possible(hardware, gpus=4, nics=1, level=Level.NODE)
    assert not locality.possible(hardware, gpus=4, nics=1, level=Level.PHB)
    assert not locality.possible(hardware, gpus=5, nics=1, level=Level.NODE)


LEVELS = st.sampled_from([Level.PIX, Level.PHB, Level.NODE, Level.SYS, Level.UNKNOWN])


@st.composite
def machines(draw):
    """Any levels at all, also such as no tree of bridges has."""
    gpus, nics = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    cells = [[draw(LEVELS) for _ in range(nics)] for _ in range(gpus)]
    unknown = [Level.UNKNOWN]
    rows = [bytes(unknown * gpus + row) for row in cells]
    rows += [bytes([row[n] for row in cells] + unknown * nics) for n in range(nics)]
    return shape.Shape(
        devices=tuple(device(Kind.GPU if n < gpus else Kind.NIC, n) for n in range(gpus + nics)),
        levels=tuple(rows),
        numa=(None,) * (gpus + nics),
        root=(None,) * (gpus + nics),
    )


def seats(gpus, nics):
    share, room = max(len(nics) // len(gpus), 1), -(-len(gpus) // len(nics))
    return [g for g in gpus for _ in range(share)], [n for n in nics for _ in range(room)]


@given(machines())
def test_the_assignment_is_the_best_of_all(hardware):
    kinds = [one.kind for one in hardware.devices]
    gpus = [n for n, kind in enumerate(kinds) if kind is Kind.GPU]
    nics = [n for n, kind in enumerate(kinds) if kind is Kind.NIC]
    best = Level(min(hardware.levels[g][n] for g in gpus for n in nics))
    rows, columns = seats(gpus, nics)

    def worth(pairs):
        rates = [rate(hardware, gpu, nic, best) for gpu, nic in pairs]
        return min(rates), round(sum(rates), 9)

    expected = max(
        worth(zip(rows, chosen, strict=True))
        for chosen in set(itertools.permutations(columns, len(rows)))
    )
    found = pairs_of(hardware, gpus, nics)
    assert sorted(gpu for gpu, _ in found) == rows
    assert all(sum(nic == one for _, nic in found) <= columns.count(one) for one in nics)
    assert worth(found) == expected


@given(machines(), st.sampled_from([Level.PIX, Level.PHB, Level.NODE]), st.data())
def test_what_is_never_possible_is_so_for_every_choice_of_devices(hardware, level, data):
    kinds = [one.kind for one in hardware.devices]
    gpus = [n for n, kind in enumerate(kinds) if kind is Kind.GPU]
    nics = [n for n, kind in enumerate(kinds) if kind is Kind.NIC]
    some, few = data.draw(st.integers(1, len(gpus))), data.draw(st.integers(1, len(nics)))

    def near(chosen, taken):
        rows, columns = seats(chosen, taken)
        return bipartite_matching.matching(
            [[p for p, n in enumerate(columns) if hardware.levels[g][n] <= level] for g in rows],
            len(columns),
        ) == len(rows)

    reachable = any(
        near(chosen, taken)
        for chosen in itertools.combinations(gpus, some)
        for taken in itertools.combinations(nics, few)
    )
    found = locality.possible(hardware, gpus=some, nics=few, level=level)
    assert found or not reachable
    parts = [frozenset(n for n in nics if hardware.levels[g][n] <= level) for g in gpus]
    if bipartite_matching.blocks(parts):
        assert found == reachable


@given(st.data())
def test_the_cheapest_assignment_costs_what_brute_force_finds(data):
    rows, columns = data.draw(st.integers(1, 5)), data.draw(st.integers(5, 6))
    cost = [[data.draw(st.integers(0, 9)) for _ in range(columns)] for _ in range(rows)]
    found = bipartite_matching.cheapest(cost)
    least = min(
        sum(cost[row][column] for row, column in enumerate(chosen))
        for chosen in itertools.permutations(range(columns), rows)
    )
    assert len(set(found)) == rows
    assert sum(cost[row][column] for row, column in enumerate(found)) == least


# ---------------------------------------------------------------- published machines


def printed(name):
    """The machine of a published device matrix; a Grace tray by its NUMA nodes."""
    matrix = topology_matrix.parse((GOLDEN / "topo" / name).read_text())
    if "gb200" in name:
        numa = {"GPU": [0, 0, 1, 1], "NIC": [0] * 4 + [1] * 4}
        places = [numa[one[:3]][int(one[3:])] for one in matrix.names]
        if None in matrix.numa[:4]:
            matrix = topology_matrix.TopologyMatrix(matrix.names, matrix.levels, tuple(places))
        matrix = topology_matrix.by_numa(matrix)
    kinds = [Kind.GPU if one.startswith("GPU") else Kind.NIC for one in matrix.names]
    return shape.Shape(
        devices=tuple(device(kind, number) for number, kind in enumerate(kinds)),
        levels=matrix.levels,
        numa=matrix.numa,
        root=(None,) * len(kinds),
    )


def sliced(folder, node):
    """The machine of published ResourceSlices, as the index builds it."""
    judging = engine()
    paths = sorted((GOLDEN / "dra/kubernetes-sigs+dranet/examples" / folder).glob("resourceslice*"))
    snapshot, _ = snapshots.scan(paths)
    pieces = [piece for kind, piece in snapshot.objects if kind == "ResourceSlice"]
    name = pieces[0].spec.node_name
    node.body["metadata"]["name"] = name
    feed(judging, node, *pieces)
    judging.settle()
    return judging.index.detail(name).machine.shape


def instance(kind):
    return make_node("n").label("node.kubernetes.io/instance-type", kind)


MI300X = "Standard_ND96isr_MI300X_v5"


SLICED = [
    pytest.param("aws_eks_examples/gpu-efa", instance("p4d.24xlarge"), "aws-p4d", id="p4d"),
    pytest.param("azure_aks_examples/gb300", make_node("n"), "gb300", id="GB300"),
    pytest.param("oci_oke_examples/BM.GPU.GB200-v3.4", make_node("n"), "gb200", id="GB200"),
    pytest.param(
        "azure_aks_examples/mi300x",
        instance(MI300X).label("amd.com/gpu.product-name", "AMD_Instinct_MI300X_OAM")
        .resource("amd.com/gpu", 8),
        "azure-nd-mi300x-v5",
        id="MI300X: GPUs of a device plug-in",
    ),
]  # fmt: skip


# Those with NICs to choose from; issue 214's host has one.
PRINTED = [
    "aks_gb300_4gpu_4nic_topo_table.md",
    "dgx_a100_8gpu_10nic_nvidia_smi_topo_m.txt",
    "dgx_h100_8gpu_12nic_nvidia_smi_topo_m.txt",
    "gb200_4gpu_6nic_sglang11208_nvidia_smi_topo_m.partial.txt",
    "gke_a3ultra_h200_8gpu_8nic_nvidia_smi_topo_m.txt",
    "hgx_8gpu_12nic_numa_off_nvidia_smi_topo_m.txt",
    "hgx_h100_8gpu_10nic_nccl1264_nvidia_smi_topo_m.txt",
    "litgpt_a100_8gpu_10nic_nvlink12_topo.txt",
    "oke_gb200_4gpu_8nic_topo_table.md",
]


def ranks_aligned_above_misaligned(hardware, platform=""):
    """Compare every GPU's pairs: nearer in topo words must never be slower. How many strictly."""
    gpus = [n for n, one in enumerate(hardware.devices) if one.kind is Kind.GPU]
    nics = [n for n, one in enumerate(hardware.devices) if one.kind is Kind.NIC]
    strict = 0
    for gpu in gpus:
        found = {nic: assess(hardware, [gpu, nic], platform=platform) for nic in nics}
        for near, far in itertools.permutations(nics, 2):
            one, other = hardware.levels[gpu][near], hardware.levels[gpu][far]
            if one < other and other != Level.UNKNOWN:
                assert found[near].score >= found[far].score, (gpu, near, far)
                if other >= Level.NODE:
                    assert found[near].score > found[far].score, (gpu, near, far)
                    strict += 1
    return strict


@pytest.mark.parametrize("name", PRINTED)
def test_every_printed_machine_ranks_aligned_above_misaligned(name):
    assert ranks_aligned_above_misaligned(printed(name))


def test_no_printed_machine_with_nics_is_forgotten():
    files = [path.name for path in (GOLDEN / "topo").iterdir() if path.name != "SOURCES.md"]
    nics = {name: sum(one.kind is Kind.NIC for one in printed(name).devices) for name in files}
    assert sorted(name for name, count in nics.items() if count > 1) == PRINTED


@pytest.mark.parametrize(("folder", "node", "platform"), SLICED)
def test_every_published_node_ranks_aligned_above_misaligned(folder, node, platform):
    hardware = sliced(folder, node)
    assert hardware.platform == platform
    assert ranks_aligned_above_misaligned(hardware, platform)


def test_no_published_node_with_slices_is_forgotten():
    examples = GOLDEN / "dra/kubernetes-sigs+dranet/examples"
    found = {str(path.parent.relative_to(examples)) for path in examples.rglob("resourceslice*")}
    assert found == {param.values[0] for param in SLICED}


LAID_OUT = [one for one in CATALOGUE.platforms if one.gpus and one.nics]


@pytest.mark.parametrize("platform", LAID_OUT, ids=[one.name for one in LAID_OUT])
def test_every_platform_of_the_catalogue_ranks_aligned_above_misaligned(platform):
    """Nodes with device plug-ins, of which only labels and numbers of units are known."""
    match = platform.match
    node = make_node("n").gpus(match.products[0], platform.gpus)
    node.resource("nvidia.com/hostdev", platform.nics)
    for name, patterns in ((INSTANCE_TYPE, match.instance_types), (MACHINE, match.machines)):
        if patterns:
            node.label(name, patterns[0].replace("*", "-X"))
    judging = engine()
    feed(judging, node)
    judging.settle()
    hardware = judging.index.detail("n").machine.shape
    assert hardware.platform == platform.name
    some_are_far = len({group.numa for group in platform.groups if group.nics}) > 1
    assert bool(ranks_aligned_above_misaligned(hardware, platform.name)) is some_are_far


@pytest.mark.parametrize(("folder", "node", "platform"), SLICED)
@pytest.mark.parametrize("count", [2, 4])
def test_several_on_one_socket_are_above_several_across(folder, node, platform, count):
    hardware = sliced(folder, node)
    gpus = [n for n, one in enumerate(hardware.devices) if one.kind is Kind.GPU]
    nics = [n for n, one in enumerate(hardware.devices) if one.kind is Kind.NIC]
    near = sorted(nics, key=lambda nic: hardware.levels[gpus[0]][nic])
    count = min(count, len(gpus) // 2)
    aligned = assess(hardware, [*gpus[:count], *near[:count]], platform=platform)
    apart = assess(hardware, [*gpus[:count], *near[-count:]], platform=platform)
    assert aligned.score > apart.score
    assert apart.worst is Level.SYS


@pytest.mark.parametrize(
    "folder", ["azure_aks_examples/gb300", "oci_oke_examples/BM.GPU.GB200-v3.4"]
)
def test_on_grace_the_numa_node_is_what_counts(folder):
    hardware = sliced(folder, make_node("n"))
    gpus = [n for n, one in enumerate(hardware.devices) if one.kind is Kind.GPU]
    nics = [n for n, one in enumerate(hardware.devices) if one.kind is Kind.NIC]
    pairs = list(itertools.product(gpus, nics))
    near = [pair for pair in pairs if hardware.levels[pair[0]][pair[1]] == Level.NODE]
    assert {hardware.levels[gpu][nic] for gpu, nic in pairs} == {Level.NODE, Level.SYS}
    assert {assess(hardware, pair).rate for pair in near} == {1.0}
    assert "share a NUMA node" in assess(hardware, near[0]).level_words
