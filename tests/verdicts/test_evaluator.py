"""The verdict on one state, through the judge that assembly makes."""

import pytest

from extender.policy import config
from extender.verdicts import reasons
from extender.verdicts.evaluator import VerdictCode
from tests.kit.builders import make_claim, make_class, make_node, make_pod, make_slice
from tests.kit.worlds import GPU, H100, NIC, engine, feed, p4d


@pytest.fixture
def judging():
    found = engine()
    feed(found, *p4d("p4d"), make_node("plugin").gpus(H100, 4), make_node("bare"))
    feed(found, make_class(GPU), make_class(NIC))
    return found


def verdict(judging, pod, node, *claims):
    feed(judging, *claims)
    judging.settle()
    asked = judging.resolver.resolve(pod.obj(), judging.policy)
    table = judging.table(asked.question)
    return table.verdict(int(judging.index.state[judging.index.rows[node]]))


def test_what_fits_says_its_devices_and_what_is_then_in_use(judging):
    claim = make_claim("c").request("r", GPU, 2)

    found = verdict(judging, make_pod("p").claim("c"), "p4d", claim)

    assert (found.code, found.fits, found.reason) == (VerdictCode.FITS, True, "")
    devices = judging.index.detail("p4d").machine.shape.devices
    assert [devices[place].name for place in found.devices()] == ["gpu-0", "gpu-1"]
    assert found.after.taken == sum(1 << place for place in found.devices())


def test_admin_access_takes_nothing(judging):
    claim = make_claim("c").request("r", GPU, adminAccess=True)

    found = verdict(judging, make_pod("p").claim("c"), "p4d", claim)

    assert found.fits
    assert found.devices() == ()
    assert found.after.taken == 0


@pytest.mark.parametrize(
    ("count", "code", "reason"),
    [
        pytest.param(
            7, VerdictCode.BUSY, "needs 7 GPUs; 6 of 8 GPUs are free", id="too few are free"
        ),
        pytest.param(
            9, VerdictCode.NEVER, "needs 9 GPUs; node has 8 GPUs", id="there never were as many"
        ),
    ],
)
def test_busy_and_never_are_distinguished_by_the_empty_node(judging, count, code, reason):
    held = make_claim("held").allocated("p4d", *(("r", GPU, "p4d", f"gpu-{n}") for n in range(2)))
    feed(judging, held)

    found = verdict(
        judging, make_pod("p").claim("c"), "p4d", make_claim("c").request("r", GPU, count)
    )

    assert (found.code, found.reason) == (code, reason)
    assert not found.fits


def test_of_several_claims_the_one_that_is_missing_is_named(judging):
    held = make_claim("held").allocated(
        "p4d", *(("r", NIC, "p4d", f"nic-{number}") for number in range(4))
    )
    pod = make_pod("p").claim("gpus").claim("nics")

    found = verdict(
        judging, pod, "p4d", held, make_claim("gpus").request("r", GPU),
        make_claim("nics").request("r", NIC),
    )  # fmt: skip

    assert found.reason == "needs 1 GPU + 1 NIC; 0 of 4 NICs are free"


@pytest.mark.parametrize("holding", [0, 6])
def test_what_a_node_never_has_is_named_first_whatever_others_hold_there(judging, holding):
    feed(judging, make_node("no-nics").gpus(H100, 8))
    feed(judging, make_node("nics").gpus(H100, 8).resource("vpc.amazonaws.com/efa", 4))
    if holding:
        feed(judging, make_pod("other").gpus(holding).node("no-nics").phase("Running"))

    found = verdict(judging, make_pod("p").gpus(4).request("vpc.amazonaws.com/efa", 4), "no-nics")

    assert (found.code, found.reason) == (
        VerdictCode.NEVER,
        "needs 4 GPUs + 4 NICs; node has 8 GPUs, but no NIC",
    )


@pytest.mark.parametrize(
    ("gpus", "node", "code"),
    [
        (4, "plugin", VerdictCode.FITS),
        (5, "plugin", VerdictCode.NEVER),
        (1, "bare", VerdictCode.NEVER),
    ],
)
def test_units_of_a_plugin_are_counted(judging, gpus, node, code):
    assert verdict(judging, make_pod("p").gpus(gpus), node).code is code


def test_a_resource_that_is_no_device_is_kube_schedulers_business(judging):
    assert verdict(judging, make_pod("p").request("example.com/licence", 1), "bare").fits


def test_a_selector_that_fails_refuses_for_now_and_says_so(judging):
    claim = make_claim("c").request("r", GPU, selectors=['device.attributes["x"].y == 1'])

    found = verdict(judging, make_pod("p").claim("c"), "p4d", claim)

    assert (found.code, found.reason) == (
        VerdictCode.BUSY,
        "device claim cannot be evaluated here: no such key: 'y'",
    )
    assert found.detail


def test_a_search_that_takes_too_long_is_not_judged_and_passes():
    judging = engine(config.Policy(step_budget=1000))
    gpus = make_slice("gpus", GPU).on("n").pool("n", slices=2)
    for number in range(24):
        gpus.device(f"gpu-{number}", pcieRoot=f"p{number}", consumes={"c": {"m": "1"}})
    counters = make_slice("counters", GPU).on("n").pool("n", slices=2).counters(c={"m": "9"})
    feed(judging, make_node("n"), gpus, counters, make_class(GPU))
    claim = make_claim("c")
    for number, count in enumerate((2, 3, 3, 3)):
        claim.request(f"r{number}", GPU, count)
    apart = {"distinctAttribute": "resource.kubernetes.io/pcieRoot"}
    claim.devices()["constraints"] = [apart]

    found = verdict(judging, make_pod("p").claim("c"), "n", claim)

    assert (found.code, found.fits) == (VerdictCode.UNJUDGED, True)
    assert found.detail


@pytest.mark.parametrize(
    ("unknown", "code"), [("Accept", VerdictCode.FITS), ("Refuse", VerdictCode.BUSY)]
)
def test_nearness_that_nobody_publishes_is_judged_as_the_policy_says(unknown, code):
    locality = config.Locality(mode="Required", unknown=unknown)
    judging = engine(config.Policy(profiles=(config.Profile("p", locality=locality),)))
    feed(judging, make_node("n"), make_class(GPU), make_class(NIC))
    feed(judging, make_slice("g", GPU).on("n").device("gpu-0", type="gpu"))
    feed(judging, make_slice("f", NIC).on("n").device("nic-0"))
    claim = make_claim("c").request("g", GPU).request("n", NIC)

    found = verdict(judging, make_pod("p").claim("c"), "n", claim)

    assert found.code is code
    assert found.reason == ("" if found.fits else reasons.ReasonText.LOCALITY_NOT_PUBLISHED)
