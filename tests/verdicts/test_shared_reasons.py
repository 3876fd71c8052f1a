"""States that are refused for the same cause share the words, and none gets another one's."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.builders import make_claim, make_class, make_node, make_pod, make_slice
from tests.kit.worlds import GPU, NIC, engine, feed, held

OWN = f'device.attributes["{GPU}"].'
ROOT = "resource.kubernetes.io/pcieRoot"
CLASSES = (make_class(GPU, f'device.driver == "{GPU}"'), make_class(NIC))
DEMANDS = (
    make_claim("all").request("r", GPU, 8),
    make_claim("pair").request("g", GPU, 2).request("n", NIC, 2).match(ROOT),
    make_claim("model").request("r", GPU, 2, selectors=[f'{OWN}model == "b"']),
    make_claim("choices").first_available("r", ("one", GPU, 7), ("two", NIC, 5)),
    make_claim("many").request("r", GPU, 9),
)
DEVICES = 12


def machine(name, roots, models, taken):
    """Eight GPUs of two models and four NICs behind these roots, some of them held."""
    gpus, nics = make_slice(f"{name}-g", GPU).on(name), make_slice(f"{name}-n", NIC).on(name)
    for number, root in enumerate(roots):
        if number < 8:
            model = models[number % 2]
            gpus.device(f"gpu-{number}", pcieRoot=f"pci{root}", type="gpu", model=model)
        else:
            nics.device(f"nic-{number}", pcieRoot=f"pci{root}")
    names = [f"{'gpu' if d < 8 else 'nic'}-{d}" for d in range(DEVICES) if taken >> d & 1]
    return [make_node(name), gpus, nics, *([held(name, *names)] if names else [])]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 3), min_size=DEVICES, max_size=DEVICES),
    st.lists(st.integers(0, 2**DEVICES - 1), min_size=2, max_size=12, unique=True),
    st.sampled_from(["ab", "bb", "ba"]),
)
def test_a_reason_that_states_share_is_the_one_that_each_would_have(roots, taken, models):
    judging = engine()
    feed(judging, *CLASSES, *DEMANDS)
    names = [f"n{number}" for number in range(len(taken))]
    for name, mask in zip(names, taken, strict=True):
        feed(judging, *machine(name, roots, models, mask))
    for demand in DEMANDS:
        pod = make_pod("p").claim(demand.obj().metadata.name).obj()
        found = judging.filter_only(pod, names)
        question = judging.resolver.resolve(pod, judging.policy).question
        for name, reason in {**found.failed, **found.unresolvable}.items():
            state = judging.index.states[int(judging.index.state[judging.index.rows[name]])]
            assert judging.judge.verdict(question, state, None).reason == reason
