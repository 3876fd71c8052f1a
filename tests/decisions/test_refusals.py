"""Refusals as two lists say what a dict would: to readers, and on the wire."""

from hypothesis import given, settings
from hypothesis import strategies as st

from extender.decisions import refusals
from extender.decisions.verb_results import FilterResult
from extender.server import replies, wire
from tests.kit.builders import make_claim, make_class, make_node, make_pod, make_slice
from tests.kit.worlds import GPU, engine, feed

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=9)
NODES = [f"n{number}" for number in range(6)]


@given(st.dictionaries(TEXTS, TEXTS, max_size=9), st.lists(TEXTS, max_size=4))
def test_lists_read_and_are_written_as_the_dict_that_they_stand_for(plain, others):
    quick = refusals.Refusals(list(plain), list(plain.values()))
    asked = wire.NodeNames(list(dict.fromkeys([*plain, *others])))

    assert (quick, len(quick), bool(quick), list(quick)) == (
        plain,
        len(plain),
        bool(plain),
        list(plain),
    )
    for slow, fast in (
        (FilterResult(failed=plain), FilterResult(failed=quick)),
        (FilterResult(unresolvable=plain), FilterResult(unresolvable=quick)),
    ):
        assert replies.filtered(asked, fast) == replies.filtered(asked, slow)


def cluster(sizes, taken):
    """Nodes with so many GPUs, and so many of them taken."""
    judging = engine()
    feed(judging, make_class(GPU))
    for name, size, gone in zip(NODES, sizes, taken, strict=True):
        gpus = make_slice(f"{name}-g", GPU).on(name)
        for number in range(size):
            gpus.device(f"gpu-{number}", type="gpu")
        feed(judging, make_node(name), gpus)
        results = [("r", GPU, name, f"gpu-{number}") for number in range(min(gone, size))]
        if results:
            feed(judging, make_claim(f"held-{name}").allocated(name, *results))
    feed(judging, make_claim("two").request("g", GPU, 2))
    return judging


SIX = st.tuples(*[st.integers(0, 4)] * 6)


@settings(max_examples=30)
@given(SIX, SIX, st.lists(st.sampled_from([*NODES, "unknown"]), max_size=9))
def test_a_list_of_nodes_is_refused_as_each_node_alone_is(sizes, taken, asked):
    judging = cluster(sizes, taken)
    pod = make_pod("p").claim("two").obj()
    alone = {name: judging.filter_only(pod, [name]) for name in asked}

    found = judging.filter_only(pod, asked)
    again = judging.filter_only(pod, asked)

    for result in (found, again):
        for refused in ("failed", "unresolvable"):
            said = {}
            for name in asked:
                said |= getattr(alone[name], refused)
            assert list(getattr(result, refused).items()) == list(said.items())
    known = [name for name in asked if name != "unknown"]
    assert found.distinct == (known == asked and len(set(asked)) == len(asked))
    once = wire.NodeNames(list(dict.fromkeys(asked)))
    plain = FilterResult(dict(found.failed), dict(found.unresolvable))
    assert replies.filtered(once, found).body == replies.filtered(once, plain).body
