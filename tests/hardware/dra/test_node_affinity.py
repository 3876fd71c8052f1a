import pytest

from extender.hardware.dra import node_affinity
from extender.kube.api import objects


def selector(*terms):
    return objects.NodeSelector(node_selector_terms=tuple(terms))


def term(*expressions, fields=()):
    return objects.NodeSelectorTerm(
        match_expressions=tuple(map(requirement, expressions)),
        match_fields=tuple(map(requirement, fields)),
    )


def requirement(parts):
    key, operator, *values = parts
    return objects.NodeSelectorRequirement(key=key, operator=operator, values=tuple(values))


LABELS = {"zone": "a", "gpus": "8", "odd": "eight"}


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        (("zone", "In", "a", "b"), True),
        (("zone", "In", "b"), False),
        (("none", "In", "a"), False),
        (("zone", "NotIn", "b"), True),
        (("zone", "NotIn", "a"), False),
        (("none", "NotIn", "a"), True),
        (("zone", "Exists"), True),
        (("none", "Exists"), False),
        (("none", "DoesNotExist"), True),
        (("zone", "DoesNotExist"), False),
        (("gpus", "Gt", "7"), True),
        (("gpus", "Gt", "8"), False),
        (("gpus", "Lt", "9"), True),
        (("odd", "Gt", "7"), False),
        (("gpus", "Gt"), False),
        (("zone", "Near", "a"), False),
    ],
)
def test_each_operator_means_what_it_does_in_node_affinity(expression, holds):
    assert node_affinity.matches(selector(term(expression)), "n", LABELS) is holds


@pytest.mark.parametrize(
    ("terms", "holds"),
    [
        pytest.param([], False, id="no term"),
        pytest.param([term()], False, id="an empty term"),
        pytest.param([term(("zone", "In", "a"), ("gpus", "In", "4"))], False, id="all of a term"),
        pytest.param([term(("zone", "In", "b")), term(("gpus", "Exists"))], True, id="any term"),
        pytest.param([term(fields=[("metadata.name", "In", "n")])], True, id="by name"),
        pytest.param([term(fields=[("metadata.name", "In", "m")])], False, id="by another name"),
        pytest.param([term(fields=[("metadata.uid", "Exists")])], False, id="an unknown field"),
    ],
)
def test_one_term_must_hold_in_full(terms, holds):
    assert node_affinity.matches(selector(*terms), "n", LABELS) is holds


@pytest.mark.parametrize(
    ("name", "everywhere", "chosen", "admitted"),
    [
        pytest.param("n", None, None, True, id="its name"),
        pytest.param("m", True, None, False, id="a name goes before allNodes"),
        pytest.param(None, True, selector(), True, id="allNodes goes before a selector"),
        pytest.param(None, None, selector(term(("zone", "In", "a"))), True, id="a selector"),
        pytest.param(None, None, None, False, id="nothing said"),
    ],
)
def test_a_slice_is_for_the_nodes_it_names(name, everywhere, chosen, admitted):
    found = node_affinity.admits("n", LABELS, name=name, selector=chosen, everywhere=everywhere)

    assert found is admitted
