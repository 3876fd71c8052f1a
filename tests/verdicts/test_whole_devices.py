"""A verdict that states have in common is the one that each would get by itself."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from extender.hardware.usage import Usage
from extender.policy import config
from extender.verdicts import whole_devices
from tests.kit.builders import make_claim, make_class, make_node, make_pod, make_slice
from tests.kit.worlds import GPU, NIC, engine, feed, p4d

ROOT = "resource.kubernetes.io/pcieRoot"
CLAIMS = {
    "one": lambda: make_claim("c").request("g", GPU, 1),
    "four": lambda: make_claim("c").request("g", GPU, 4),
    "nine": lambda: make_claim("c").request("g", GPU, 9),
    "pair": lambda: make_claim("c").request("g", GPU, 1).request("n", NIC, 1).match(ROOT, "g", "n"),
    "apart": lambda: make_claim("c").request("g", GPU, 2).request("n", NIC, 2),
}
REQUIRED = config.Locality(mode="Required")
POLICIES = {
    "preferred": config.DEFAULT,
    "required": config.Policy(profiles=(config.Profile(name="near", locality=REQUIRED),)),
}


def judging_of(policy, claim):
    judging = engine(policy)
    feed(judging, make_class(GPU), make_class(NIC), *p4d("n0"), claim)
    feed(judging, make_node("n1"))
    feed(judging, make_slice("n1-gpu", GPU).on("n1").device("gpu-0", type="gpu"))
    judging.settle()
    return judging


USAGES = st.lists(
    st.builds(
        Usage,
        taken=st.integers(0, (1 << 12) - 1),
        shared=st.sampled_from([(), ((3, (("memory", 5),)),)]),
        inferred=st.booleans(),
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(sorted(CLAIMS)), st.sampled_from(sorted(POLICIES)), USAGES)
def test_a_table_says_of_each_state_what_the_evaluator_says(claim, policy, usages):
    judging = judging_of(POLICIES[policy], CLAIMS[claim]())
    resolved = judging.resolver.resolve(make_pod("p").claim("c").obj(), judging.policy)
    states = judging.index.states
    shapes = list(states.shapes)
    met = [states.number(shape, usage) for usage in usages for shape in shapes]
    table = judging.table(resolved.question)

    table.fill(np.array(met, dtype=np.int32))

    for number in met:
        alone = judging.judge.verdict(resolved.question, states[number], None)
        assert table.verdict(number) == alone
        assert table.code[number] == alone.code
        after = states.number(states[number].shape, alone.after) if alone.fits else -1
        assert table.after[number] == after
        assert table.locality[number] == (alone.locality.score if alone.locality else 1.0)
        if not alone.fits:
            numbers = np.array([number], dtype=np.int32)
            assert table.reasons(numbers) == [alone.reason]


def test_states_with_the_same_devices_free_cost_a_look_up_each():
    judging = judging_of(config.DEFAULT, CLAIMS["four"]())
    resolved = judging.resolver.resolve(make_pod("p").claim("c").obj(), judging.policy)
    shape = judging.index.states.shapes[0]
    met = [judging.index.states.number(shape, Usage(taken=nics << 8)) for nics in range(16)]
    table = judging.table(resolved.question)
    table.fill(np.array(met[:1], dtype=np.int32))
    before = judging.work.done

    table.fill(np.array(met, dtype=np.int32))

    assert judging.work.done - before == 15 * whole_devices.STATE_WORK
