"""Answers by node equal those of an index that keeps every value."""

from hypothesis import given, settings
from hypothesis import strategies as st

from extender.cluster import machines
from tests.kit.builders import make_claim, make_class, make_node, make_pod, make_slice
from tests.kit.rigs.identity_fleet import DRIVER, engine, feed, passing

NAMES = ["n0", "n1", "n2", "n3", "n4"]


OWN = f'device.attributes["{DRIVER}"]'


PLAIN = f'device.driver == "{DRIVER}"'


class KeepsAll(machines.Builder):
    """Leaves every value in the shape, so that shared states answer everything: the oracle."""

    def differing(self, *_):
        return frozenset()


# ---------------------------------------------------------------- the old way as the oracle

VALUES = {
    "uuid": st.sampled_from([f"u{number}" for number in range(12)]),
    "serial": st.integers(0, 9),
    "firmware": st.sampled_from(["1.0.0", "1.1.0", "2.0.0"]).map(lambda v: {"version": v}),
    "rack": st.sampled_from(["r1", "r2"]),
    "healthy": st.booleans(),
    "pcieRoot": st.sampled_from(["p1", "p2", "p3"]),
}


TEXTS = st.sampled_from(
    [
        f'{OWN}.uuid == "u1"',
        f'{OWN}.uuid in ["u1", "u2", "u3", "u4"]',
        f'"uuid" in {OWN} && {OWN}.uuid > "u3"',
        f"{OWN}.serial < 5",
        f"{OWN}.serial % 2 == 0",
        f'{OWN}.firmware.compareTo(semver("1.1.0")) >= 0',
        f'{OWN}.rack == "r1" || {OWN}.serial == 3',
        f"{OWN}.healthy",
        f"has({OWN}.uuid) && !{OWN}.?healthy.orValue(false)",
        "device.attributes.exists(d, true)",
        f"{OWN}.exists(k, {OWN}[k] == 3)",
        'device.attributes[device.driver].rack == "r2"',
        'device.attributes["resource.kubernetes.io"].pcieRoot == "p1"',
        f'device.capacity["{DRIVER}"].memory.compareTo(quantity("40Gi")) > 0',
        f"{OWN}.serial + 1",  # not a bool
        "device.nothing",  # does not compile
    ]
)


devices = st.fixed_dictionaries({}, optional=VALUES)


nodes = st.lists(st.lists(devices, min_size=1, max_size=3), min_size=1, max_size=len(NAMES))


request = st.fixed_dictionaries(
    {
        "selectors": st.lists(TEXTS, max_size=2),
        "of": st.sampled_from(["gpus", "own"]),
        "count": st.integers(1, 2),
        "mode": st.sampled_from(["ExactCount", "ExactCount", "All"]),
    }
)


constraint = st.sampled_from([None, f"{DRIVER}/rack", f"{DRIVER}/uuid", f"{DRIVER}/firmware"])


def slice_of(name, found):
    built = make_slice(f"{name}-gpus", DRIVER).on(name)
    for number, attributes in enumerate(found):
        built.device(f"gpu-{number}", capacity={"memory": "80Gi"}, **attributes)
    return built.obj()


def asked(number, requests, match):
    claim = make_claim(f"c{number}")
    for place, one in enumerate(requests):
        claim.request(
            f"r{place}", one["of"], one["count"], selectors=one["selectors"], mode=one["mode"]
        )
    if match:
        claim.match(match)
    return claim.obj(), make_pod(f"p{number}").claim(f"c{number}").obj()


steps = st.one_of(
    st.tuples(st.just("slice"), st.sampled_from(NAMES), st.lists(devices, min_size=1, max_size=3)),
    st.tuples(st.just("taken"), st.sampled_from(NAMES), st.integers(0, 2)),
    st.tuples(st.just("free"), st.sampled_from(NAMES), st.integers(0, 2)),
    st.tuples(st.just("gone"), st.sampled_from(NAMES)),
    st.tuples(st.just("ask"), st.lists(request, min_size=1, max_size=2), constraint),
)


def apply(judging, step):
    match step:
        case ("slice", name, found):
            feed(judging, make_node(name).obj(), slice_of(name, found))
        case ("taken" | "free" as what, name, number):
            held = make_claim(f"held-{name}-{number}").request("r", "gpus")
            held.allocated(name, ("r", DRIVER, name, f"gpu-{number}"))
            event = "ADDED" if what == "taken" else "DELETED"
            judging.store.apply("ResourceClaim", event, held.obj())
        case ("gone", name):
            judging.store.apply("Node", "DELETED", make_node(name).obj())


@settings(max_examples=60)
@given(nodes, TEXTS, st.lists(steps, max_size=8), st.lists(request, min_size=1, max_size=2))
def test_answers_are_those_of_an_index_that_keeps_every_value(found, own, events, last):
    pictures = engine(), engine(KeepsAll)
    for judging in pictures:
        feed(judging, make_class("gpus", PLAIN).obj(), make_class("own", PLAIN, own).obj())
        for name, those in zip(NAMES, found, strict=False):
            apply(judging, ("slice", name, those))
    for number, step in enumerate([*events, ("ask", last, None)]):
        if step[0] != "ask":
            for judging in pictures:
                apply(judging, step)
            continue
        claim, pod = asked(number, step[1], step[2])
        answers = []
        for judging in pictures:
            feed(judging, claim)
            passing(judging, pod, NAMES)
            answers.append(judging.filter_only(pod, NAMES))
        assert answers[0].failed == answers[1].failed
        assert answers[0].unresolvable == answers[1].unresolvable
        assert pictures[0].index.verify() == []
