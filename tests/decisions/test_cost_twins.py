"""What a request needs of the costs, and the costs with their parts: the same scores."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from extender.policy import config
from tests.kit.builders import make_class, make_node, make_pod, make_template
from tests.kit.worlds import GPU, H100, NIC, engine, feed, p4d

GANG = ("jobset.sigs.k8s.io/jobset-name", "job")
CLIQUE = "nvidia.com/gpu.clique"
# GPUs, CPU, clique, whether its health is bad, GPUs that a pod holds
NODE = st.tuples(
    st.sampled_from([4, 8]),
    st.sampled_from([16, 64, 128]),
    st.sampled_from(["one", "two"]),
    st.booleans(),
    st.integers(0, 4),
)
POD = st.tuples(st.integers(1, 8), st.integers(1, 32), st.booleans())


def compared(judging, pod, names):
    """(scores with parts, scores without) of a pod; both empty where there is no opinion."""
    judging.settle(rest=True)
    reported = judging.score(pod, names)
    with_parts = np.zeros(0) if reported is None else reported.scores
    if reported is not None and reported.resolved.question:
        assert parts_found_later(judging, pod, names) == listed(reported.parts)
    return with_parts.tolist(), judging.prioritize(pod, names).tolist()


def parts_found_later(judging, pod, names):
    """The parts as the decision history finds them, from a score that was made without."""
    found = judging.score(pod, names, with_parts=False)
    if found.parts:  # of a gang's member they are made at once
        return listed(found.parts)
    everything = found.some(list(range(len(names))))
    scoring, candidates = judging.scoring, everything.candidates
    return listed(scoring.parts_of(everything.resolved, candidates, everything.priced))


def listed(parts):
    """Part of the cost → its values, to the bit."""
    return {name: values.tolist() for name, values in parts.items()}


@settings(max_examples=15, deadline=None)
@given(
    nodes=st.lists(NODE, min_size=2, max_size=6),
    seen=st.lists(POD, max_size=4),
    asked=POD,
    weights=st.tuples(*(st.sampled_from([0.0, 0.5, 1.0, 10.0]) for _ in range(3))),
)
def test_scores_do_not_depend_on_whether_the_parts_are_kept(nodes, seen, asked, weights):
    packing, locality, preference = weights
    profile = config.Profile(
        name="all",
        packing=config.Packing(weight=packing),
        locality=config.Locality(weight=locality),
        preference=config.Preference(weight=preference),
    )
    judging = engine(config.Policy(profiles=(profile,)))
    names = [f"n{number}" for number in range(len(nodes))]
    for name, (gpus, cpu, clique, bad, held) in zip(names, nodes, strict=True):
        node = make_node(name).gpus(H100, gpus).allocatable(cpu=str(cpu)).label(CLIQUE, clique)
        feed(judging, node.condition("GpuMemWatch") if bad else node)
        if held:
            feed(judging, make_pod(f"on-{name}").gpus(held).node(name))
    for number, (gpus, cpu, gang) in enumerate(seen):
        pod = make_pod(f"seen-{number}").gpus(gpus).request("cpu", cpu)
        feed(judging, pod.label(*GANG) if gang else pod)
    gpus, cpu, gang = asked
    pod = make_pod("p").gpus(gpus).request("cpu", cpu)
    pod = (pod.label(*GANG) if gang else pod).obj()

    with_parts, without = compared(judging, pod, names)

    assert with_parts == without


@settings(max_examples=5, deadline=None)
@given(pairs=st.integers(1, 4), held=st.integers(0, 3))
def test_nor_where_the_devices_are_claimed_with_their_nics(pairs, held):
    judging = engine()
    template = make_template("t").request("g", GPU, count=pairs).request("n", NIC, count=pairs)
    feed(judging, make_class(GPU), make_class(NIC), *p4d("a"), *p4d("b"), template)
    for number in range(held):
        feed(judging, make_pod(f"seen-{number}").template("t"))
    pod = make_pod("p").template("t").obj()

    with_parts, without = compared(judging, pod, ["a", "b"])

    assert with_parts == without
    assert len(without) == 2
