"""Selectors on what tells equal machines apart: exact answers, and nothing else is touched."""

import pytest

from extender.cluster import machines
from extender.demand import work
from extender.verdicts.query import Query
from tests.kit.builders import make_claim, make_class, make_node, make_pod, make_slice
from tests.kit.rigs.identity_fleet import DRIVER, engine, feed, gpus, passing

NAMES = ["n0", "n1", "n2", "n3", "n4"]


OWN = f'device.attributes["{DRIVER}"]'


PLAIN = f'device.driver == "{DRIVER}"'


class Counting(machines.Builder):
    """Counts how often a machine is read."""

    nodes_read = 0

    def machine(self, node, source):
        self.nodes_read += 1
        return super().machine(node, source)


def fleet(judging, count=6, **attributes):
    names = [f"n{number}" for number in range(count)]
    feed(judging, make_class("gpus", PLAIN).obj())
    feed(judging, *(make_node(name).obj() for name in names))
    feed(judging, *(gpus(name, **attributes) for name in names))
    judging.settle()
    return names


def claimed(name, *selectors, **more):
    """A claim and the pod that has it."""
    claim = make_claim(name).request("r", more.pop("of", "gpus"), selectors=selectors, **more)
    return claim.obj(), make_pod(name).claim(name).obj()


def asks(judging, name, *selectors, **more):
    claim, pod = claimed(name, *selectors, **more)
    feed(judging, claim)
    return pod


# ---------------------------------------------------------------- what is answered


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        pytest.param(f'{OWN}.uuid == "n3-1"', ["n3"], id="one device"),
        pytest.param(f'{OWN}.uuid in ["n1-0", "n4-1"]', ["n1", "n4"], id="one of a list"),
        pytest.param(f'{OWN}["uuid"].startsWith("n2")', ["n2"], id="a part of it"),
        pytest.param(f'!({OWN}.uuid in ["n1-0", "n1-1"])', ["n0", "n2", "n3", "n4"], id="all but"),
        pytest.param("device.attributes.exists(d, true)", NAMES, id="exists"),
        pytest.param(f'{OWN}.exists(k, k == "uuid")', NAMES, id="any name"),
        pytest.param('device.attributes[device.driver].uuid == "n2-0"', ["n2"], id="own domain"),
        pytest.param(f'{OWN}.all(k, {OWN}[k] != "n0-0")', NAMES, id="any key"),
        pytest.param(f'{OWN}.serial == "x"', [], id="an attribute nobody has"),
    ],
)
def test_a_selector_on_the_uuid_is_answered_exactly(selector, expected):
    judging = engine()
    names = fleet(judging, 5)

    assert passing(judging, asks(judging, "p", selector), names) == expected


def test_a_class_may_select_by_uuid_for_claims_and_for_extended_resources():
    judging = engine()
    names = fleet(judging)
    feed(
        judging,
        make_class("mine", PLAIN, f'{OWN}.uuid == "n1-1"')
        .extended_resource("nvidia.com/gpu")
        .obj(),
    )

    assert passing(judging, asks(judging, "p", of="mine"), names) == ["n1"]
    assert passing(judging, make_pod("q").request("nvidia.com/gpu", 1).obj(), names) == ["n1"]


def test_a_device_that_is_replaced_is_another_device():
    judging = engine()
    names = fleet(judging)
    pod = asks(judging, "p", f'{OWN}.uuid == "spare"')
    assert passing(judging, pod, names) == []

    feed(judging, gpus("n2"), make_slice("n2-gpus", DRIVER).on("n2")
         .device("gpu-0", uuid="n2-0", model="H100").device("gpu-1", uuid="spare", model="H100")
         .obj())  # fmt: skip

    assert passing(judging, pod, names) == ["n2"]


def test_a_device_in_use_is_not_free_and_is_again_afterwards():
    judging = engine()
    names = fleet(judging)
    pod = asks(judging, "p", f'{OWN}.uuid == "n3-1"')
    holder = make_claim("h").request("r", "gpus").allocated("n3", ("r", DRIVER, "n3", "gpu-1"))
    feed(judging, holder.obj())

    refused = judging.filter_only(pod, names)

    assert "n3" in refused.failed
    assert "n3" not in refused.unresolvable
    judging.store.apply("ResourceClaim", "DELETED", holder.obj())
    assert passing(judging, pod, names) == ["n3"]


def test_the_device_named_is_the_one_reserved():
    judging = engine()
    names = fleet(judging)
    pod = asks(judging, "p", f'{OWN}.uuid == "n3-1"')

    judging.filter(pod, names)

    (held,) = judging.index.reservations.on("n3")
    assert [pick.device for pick in held.picks] == [1]


def test_the_device_named_on_the_best_node_is_the_one_reserved():
    judging = engine()
    names = fleet(judging)
    pod = asks(judging, "p", f'{OWN}.uuid in ["n3-1", "n4-1"]')

    kept = judging.filter(pod, names).passing(names)
    judging.prioritize(pod, kept)

    held = [held for name in kept for held in judging.index.reservations.on(name)]
    assert [pick.device for each in held for pick in each.picks] == [1]


# ---------------------------------------------------------------- what is left alone


SELECTORS = {
    "uuid": f'{OWN}.uuid == "n1-0"',
    "exists": "device.attributes.exists(d, true)",
    "any key": f'{OWN}.all(k, {OWN}[k] != "n0-0")',
    "an attribute never read before": f'{OWN}.model == "H100"',
}


@pytest.mark.parametrize("selector", SELECTORS.values(), ids=SELECTORS)
def test_a_claim_costs_no_reading_and_no_state(selector):
    judging = engine(Counting)
    names = fleet(judging, 40)
    plain = asks(judging, "plain")
    judging.filter_only(plain, names)
    judging.score(plain, names)
    cluster = judging.index
    before = (cluster.builder.nodes_read, cluster.generation, len(cluster.states), cluster.writes)
    table = judging.table(judging.resolver.resolve(plain, judging.policy).question)
    judged = table.judged

    pod = asks(judging, "p", selector)
    passing(judging, pod, names)
    judging.score(pod, names)
    judging.filter_only(plain, names)

    after = (cluster.builder.nodes_read, cluster.generation, len(cluster.states), cluster.writes)
    assert after == before
    assert judging.table(judging.resolver.resolve(plain, judging.policy).question) is table
    assert table.judged == judged


def test_thirty_attribute_names_cost_no_reading_and_no_state():
    judging = engine(Counting)
    some = {f"a{number}": f"v{number}" for number in range(30)}
    names = fleet(judging, 10, **some)
    judging.filter_only(asks(judging, "plain"), names)
    cluster = judging.index
    before = cluster.builder.nodes_read, cluster.generation

    for key, value in some.items():
        assert passing(judging, asks(judging, key, f'{OWN}.{key} == "{value}"'), names) == names

    assert (cluster.builder.nodes_read, cluster.generation) == before


def test_what_a_claim_brought_goes_with_it():
    judging = engine()
    names = fleet(judging)
    claim, pod = claimed("p", f'{OWN}.uuid == "n1-0"')
    feed(judging, claim)
    passing(judging, pod, names)
    assert len(judging.verdicts.single) == 1

    judging.store.apply("ResourceClaim", "DELETED", claim)
    judging.settle()

    assert len(judging.verdicts.single) == 0
    assert not judging.verdicts.single.unfinished


def test_the_pods_later_demand_is_learnt_without_the_uuid():
    judging = engine()
    fleet(judging)
    one, other = (asks(judging, name, f'{OWN}.uuid == "{name}-0"') for name in ("n1", "n2"))

    feed(judging, one, other)
    judging.settle()

    asks_seen = [ask for ask in judging.pricer.classes.units if isinstance(ask, Query)]
    assert len(asks_seen) == 1


# ---------------------------------------------------------------- how much at a time


def test_what_an_allowance_does_not_reach_passes_and_is_counted(monkeypatch):
    monkeypatch.setattr(work, "JUDGING", 1500)
    judging = engine(patient=False)
    names = fleet(judging, 30)
    pod = asks(judging, "p", f'{OWN}.uuid == "n3-1"')

    first = judging.filter_only(pod, names).passing(names)

    assert 1 < len(first) < len(names)
    assert judging.unjudged["unfinished"] == 1
    assert judging.verdicts.single.unfinished
    assert passing(judging, pod, names) == ["n3"]
    assert not judging.verdicts.single.unfinished


def test_what_shared_states_were_asked_for_in_vain_is_judged_without_another_call(monkeypatch):
    judging = engine(patient=False)
    names = [*fleet(judging, 2), *(f"odd{number}" for number in range(3, 9))]
    for number, name in enumerate(names[2:], start=3):
        feed(judging, make_node(name).obj(), gpus(name, number))
    judging.settle()
    monkeypatch.setattr(work, "JUDGING", 1200)
    pod = asks(judging, "p", f'{OWN}.model == "nothing"')
    while not judging.verdicts.unfinished:
        first = judging.filter_only(pod, names).passing(names)
        assert first  # some of it is put off, again and again until its selector is compiled

    for _ in range(1000):
        if not judging.verdicts.unfinished:
            break
        judging.settle()
        judging.ahead.step()

    monkeypatch.setattr(work, "JUDGING", 0)
    assert judging.filter_only(pod, names).passing(names) == []


def test_a_node_that_takes_more_than_an_allowance_is_judged_in_the_end(monkeypatch):
    monkeypatch.setattr(work, "JUDGING", 300)
    judging = engine(patient=False)
    names = fleet(judging, 3)

    assert passing(judging, asks(judging, "p", f'{OWN}.uuid == "n2-1"'), names) == ["n2"]
