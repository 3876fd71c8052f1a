"""Why a node is refused: what is needed, and what is there."""

import pathlib

import pytest

from extender.demand import work
from extender.policy import config
from extender.verdicts import reasons
from tests.kit.builders import make_claim, make_class, make_node, make_pod, make_slice
from tests.kit.worlds import GPU, H100, NIC, engine, feed, held

MIG, MODEL = "mig.nvidia.com", "h100.example.com"
ROOT = "resource.kubernetes.io/pcieRoot"
OWN = 'device.attributes["gpu.nvidia.com"].'
OF_DRIVER = 'device.driver == "gpu.nvidia.com"'
CLASSES = (
    make_class(GPU, f'{OF_DRIVER} && {OWN}type == "gpu"'),
    make_class(MIG, f'{OF_DRIVER} && {OWN}type == "mig"'),
    make_class(MODEL, OF_DRIVER, f'{OWN}productName == "H100"'),
    make_class(NIC),
)
LOST = [{"key": "gpu-lost", "effect": "NoSchedule"}]


def gpus(count=8, **more):
    """So many A100s, two behind a PCIe root."""
    found = make_slice("gpus", GPU).on("n")
    version = {"version": "550.1.0"}
    for number in range(count):
        found.device(
            f"gpu-{number}", type="gpu", productName="A100", architecture="Ampere",
            driverVersion=version, pcieRoot=f"pci0000:0{number // 2}", **more,
        )  # fmt: skip
    return found


def nics(count=4, **more):
    found = make_slice("nics", NIC).on("n")
    for number in range(count):
        found.device(f"nic-{number}", pcieRoot=f"pci0000:0{number}", **more)
    return found


def partitions():
    """One GPU that can be cut in two of 3g.40gb, three of 2g.20gb or seven of 1g.10gb."""
    found = make_slice("cut", GPU).on("n").pool("n", slices=2)
    for profile, size, starts in (("3g.40gb", 4, (0, 4)), ("2g.20gb", 2, (0, 2, 4)),
                                  ("1g.10gb", 1, range(7))):  # fmt: skip
        for start in starts:
            drawn = {f"slice-{number}": "1" for number in range(start, start + size)}
            name = f"gpu-0-{profile.replace('.', '-')}-{start}"
            found.device(name, type="mig", profile=profile, consumes={"gpu-0": drawn})
    slices = {f"slice-{number}": "1" for number in range(8)}
    found.device("gpu-0", type="gpu", consumes={"gpu-0": slices})
    return found, make_slice("sets", GPU).on("n").pool("n", slices=2).counters(**{"gpu-0": slices})


def shared(*taken):
    """Four NICs of 100 each, of which claims have taken so much."""
    found = [nics(multi=True, capacity={"bandwidth": "100"})]
    for number, amount in enumerate(taken):
        claim = make_claim(f"u{number}").allocated("n", ("r", NIC, "n", f"nic-{number}"))
        result = claim.body["status"]["allocation"]["devices"]["results"][0]
        result["consumedCapacity"] = {"bandwidth": str(amount)}
        result["shareID"] = f"a671734a-e8e5-11e4-8fde-42010af0732{number}"
        found.append(claim)
    return found


def claim():
    return make_claim("c")


def selecting(expression, count=1, device_class=GPU):
    return claim().request("r", device_class, count, selectors=[expression])


def share(**amounts):
    return {"capacity": {"requests": amounts}}


def refusal(*items, pod=None, policy=config.DEFAULT):
    judging = engine(policy)
    feed(judging, *CLASSES, *items)
    found = judging.filter((pod or make_pod("p").claim("c")).obj(), ["n"])
    return {**found.failed, **found.unresolvable}["n"]


BARE = make_node("n")
LARGE = 'device.capacity["gpu.nvidia.com"].memory.compareTo(quantity("80Gi")) >= 0'


@pytest.mark.parametrize(
    ("there", "demand", "reason"),
    [
        ([gpus()], claim().request("r", GPU, 9), "needs 9 GPUs; node has 8 GPUs"),
        ([], claim().request("r", NIC), "needs 1 NIC; node has none"),
        ([gpus(), nics()], claim().request("g", GPU, 8).request("n", NIC, 8),
         "needs 8 GPUs + 8 NICs; node has 8 GPUs + 4 NICs"),
        ([gpus(), held("n", "gpu-0", "gpu-1")], claim().request("r", GPU, 7),
         "needs 7 GPUs; 6 of 8 GPUs are free"),
        ([nics(), held("n", "nic-0", "nic-1", "nic-2")], claim().request("r", NIC, 2),
         "needs 2 NICs; 1 of 4 NICs is free"),
        ([gpus(1), held("n", "gpu-0")], claim().request("r", GPU),
         "needs 1 GPU; its only GPU is in use"),
        ([gpus()], selecting(f'{OWN}productName == "H100"'),
         "no free GPU matches the selector (8 free of another model)"),
        ([gpus(), held("n", "gpu-0")], selecting(f'{OWN}productName == "H100"'),
         "no GPU matches the selector (8 of another model)"),
        ([gpus(capacity={"memory": "40Gi"})], selecting(LARGE),
         "no free GPU matches the selector (8 free with another memory size)"),
        ([gpus()], selecting(f'{OWN}driverVersion.isGreaterThan(semver("560.0.0"))'),
         "no free GPU matches the selector (8 free with another driver version)"),
        ([gpus()], selecting(f'{OWN}architecture == "Hopper" && {OWN}productName == "H100"'),
         "no free GPU matches the selector (8 free of another architecture or model)"),
        ([gpus(uuid="GPU-1")], selecting(f'{OWN}uuid == "GPU-7"'),
         "no free GPU matches the selector (8 free with another UUID)"),
        ([gpus()], claim().request("r", MODEL, 2),
         "no free GPU matches the device class (8 free of another model)"),
        ([gpus(taints=LOST)], claim().request("r", GPU), "8 GPUs are tainted (gpu-lost)"),
        ([gpus(6).device("a", type="gpu", taints=LOST)], claim().request("r", GPU, 7),
         "needs 7 GPUs; 1 of 7 GPUs is tainted (gpu-lost)"),
        (shared(75, 80, 90, 100), claim().request("r", NIC, **share(bandwidth="50")),
         "no NIC has 50 of 100 bandwidth left (most: 25)"),
        (shared(75, 80), claim().request("r", NIC, 3, **share(bandwidth="50")),
         "needs 3 × 50 of a NIC; 2 of 4 NICs have 50 bandwidth left"),
        (shared(), claim().request("r", NIC, **share(bandwidth="200")),
         "no NIC has 200 bandwidth (most: 100)"),
        (shared(), claim().request("r", NIC, **share(bandwith="50")),
         "no NIC has a capacity named bandwith (there are: bandwidth)"),
        ([*partitions(), held("n", "gpu-0-3g-40gb-0", "gpu-0-2g-20gb-4")],
         selecting(f'{OWN}profile == "3g.40gb"', 1, MIG),
         "no room for a 3g.40gb (free placements: 1 of 1g.10gb)"),
        ([*partitions(), held("n", "gpu-0-1g-10gb-0")], claim().request("r", GPU),
         "needs 1 GPU; its only GPU is in use as partitions"),
        ([gpus()], claim().request("r", GPU, 3).match(ROOT),
         "needs 3 GPUs behind one PCIe root; no PCIe root has them all (most: 2 GPUs)"),
        ([gpus(), held("n", "gpu-0", "gpu-2", "gpu-4", "gpu-6")],
         claim().request("r", GPU, 2).match(ROOT),
         "needs 2 GPUs behind one PCIe root; no PCIe root has them all free (most: 1 GPU)"),
        ([gpus()], claim().request("r", GPU, 2).match("example.com/rack"),
         "needs 2 GPUs with the same rack; no GPU publishes its rack"),
        ([gpus()], claim().request("r", GPU, 5).request("s", GPU, 5),
         "needs 10 GPUs; node has 8 GPUs"),
        ([gpus(), held("n", "gpu-0", "gpu-1")],
         claim().first_available("r", ("a", MODEL, 1), ("b", GPU, 8)),
         "needs 1 h100.example.com device or 8 GPUs; 6 of 8 GPUs are free"),
        ([gpus(), held("n", "gpu-0")], claim().request("r", GPU, mode="All"),
         "needs all GPUs; 7 of 8 GPUs are free"),
        ([nics()], claim().request("r", GPU, adminAccess=True), "needs 1 GPU; node has none"),
        ([gpus().pool("n", slices=2)], claim().request("r", GPU, 2),
         "needs 2 GPUs; node has none; a resource pool is incomplete"),
        ([gpus()], selecting(f'{OWN}foo == "x"'),
         "device claim cannot be evaluated here: no such key: 'foo'"),
    ],
)  # fmt: skip
def test_a_claim_is_refused_in_words(there, demand, reason):
    assert refusal(BARE, *there, demand) == reason


@pytest.mark.parametrize(
    ("node", "pod", "reason"),
    [
        (make_node("n").gpus(H100, 8).resource("rdma/hca", 4),
         make_pod("p").gpus(8).request("rdma/hca", 8),
         "needs 8 GPUs + 8 NICs; node has 8 GPUs + 4 NICs"),
        (make_node("n").gpus(H100, 8).resource("rdma/hca", 4),
         make_pod("p").gpus(4).request("rdma/hca", 1),
         "needs 4 GPUs + 1 NIC; 3 of 8 GPUs are free"),
        (make_node("n").resource("amd.com/gpu", 4), make_pod("p").request("amd.com/gpu", 8),
         "needs 8 GPUs; node has 4 GPUs"),
    ],
)  # fmt: skip
def test_units_of_plugins_are_refused_in_words(node, pod, reason):
    assert refusal(node, make_pod("holder").gpus(5).node("n"), pod=pod) == reason


def test_a_claim_is_shown_the_gpus_that_a_device_plugin_has():
    node = make_node("n").gpus(H100, 8)

    assert refusal(node, claim().request("r", GPU)) == (
        "needs 1 GPU; node has none; a device plug-in has 8 nvidia.com/gpu"
    )


def test_a_required_locality_is_reported_with_the_nearest_that_is_free():
    strict = config.Locality(mode="Required", level="PIX")
    policy = config.Policy(profiles=(config.Profile("p", locality=strict),))
    demand = claim().request("g", GPU).request("n", NIC)

    assert refusal(BARE, gpus(), nics(), demand, policy=policy) == (
        "needs GPU and NIC under one PCIe switch (PIX); nearest pair shares a PCIe root (PHB)"
    )


class Counted(reasons.Lazy):
    """A text that counts how often it is made, of as many allowances."""

    def __init__(self, basis, *, spent=0):
        super().__init__()
        self._basis, self._spent, self.times = basis, spent, 0

    def make(self):
        self.times += 1
        if self.times <= self._spent:
            raise work.SpentError
        return "why"

    def basis(self):
        return self._basis

    def meanwhile(self):
        return "later"


def test_a_reason_is_made_when_it_is_read_and_only_once():
    lazy = Counted("b")
    assert not lazy.times

    assert (str(lazy), str(lazy), lazy.times) == ("why", "why", 1)


def test_a_reason_whose_basis_is_known_is_not_made_again():
    known = {}
    one, other, third = Counted("b"), Counted("b"), Counted("c")

    assert [each.text(known) for each in (one, other, third)] == ["why"] * 3
    assert [each.times for each in (one, other, third)] == [1, 0, 1]


def test_a_reason_that_the_allowance_did_not_reach_is_made_by_the_next_reader():
    known, lazy = {}, Counted("b", spent=1)

    assert (lazy.text(known), lazy.made) == ("later", False)
    assert (lazy.text(known), lazy.made, known) == ("why", True, {"b": "why"})


def test_a_long_reason_is_cut():
    assert len(reasons.failed("x" * 1000)) == len(reasons.bounded("y" * 500)) <= 240


def test_the_table_of_reasons_is_complete():
    page = pathlib.Path(__file__).parents[2] / "docs" / "reasons.md"
    rows = [line.split("|") for line in page.read_text().splitlines() if line.startswith("| `")]

    assert [row[1].strip(" `") for row in rows] == [str(text) for text in reasons.ReasonText]
    assert all(cell.strip() for row in rows for cell in row[2:4])
