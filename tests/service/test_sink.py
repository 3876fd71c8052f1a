"""Lists and events reach all stores, in turns where calls are answered meanwhile."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extender.cluster import store
from extender.service import sink
from tests.kit.builders import make_node

NODES = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(["x", "y"]), max_size=6)


@given(before=NODES, after=NODES, begun=st.integers(0, 6))
def test_a_kind_that_is_listed_again_in_turns_ends_as_if_listed_at_once(before, after, begun):
    """Also where another store is begun from the first one's objects between two turns."""
    first, at_once, stores = store.ClusterStore(), store.ClusterStore(), []
    stores.append(first)
    taking = sink.StoreSink(lambda: stores, None)
    taking.replace("Node", nodes_of(before), "1")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sink, "_TURN_OBJECTS", 1)
        for turn, _ in enumerate(taking.replace("Node", nodes_of(after), "2")):
            if turn == begun:
                stores.append(store.ClusterStore())
                for kind, items in first.contents():
                    stores[1].replace(kind, items, "1")
    at_once.replace("Node", nodes_of(after), "2")

    for each in stores:
        assert each.nodes == at_once.nodes


def nodes_of(labels):
    return [make_node(name).label("kind", kind).obj() for name, kind in labels.items()]
