"""What kube-scheduler's own filters say of a node, case by case."""

import pytest

from extender.cluster import store
from extender.decisions.explanation import in_tree_filters
from extender.kube.api import objects

CORDON = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
SPOT = {"key": "spot", "value": "yes", "effect": "NoSchedule"}


def node(**status):
    return objects.Node(
        metadata=objects.ObjectMeta(name="n", labels={"pool": "a", "gen": "7"}),
        status=objects.NodeStatus(allocatable={"cpu": "8", "memory": "16Gi", "pods": "3"} | status),
    )


def tainted(*taints, cordoned=False):
    spec = objects.NodeSpec(
        unschedulable=cordoned, taints=tuple(objects.NodeTaint(**taint) for taint in taints)
    )
    return objects.Node(metadata=node().metadata, spec=spec, status=node().status)


def pod(name="p", *, requests=None, on="", phase="", **spec):
    container = objects.Container(resources=objects.ResourceRequirements(requests=requests))
    return objects.Pod(
        metadata=objects.ObjectMeta(name=name, namespace="default", uid=name),
        spec=objects.PodSpec(containers=(container,), node_name=on, **spec),
        status=objects.PodStatus(phase=phase),
    )


def tolerating(**toleration):
    return {"tolerations": (objects.PodToleration(**toleration),)}


def needing(key, operator, *values):
    term = objects.NodeSelectorTerm(
        match_expressions=(objects.NodeSelectorRequirement(key, operator, values),)
    )
    rule = objects.NodeAffinity(required=objects.NodeSelector(node_selector_terms=(term,)))
    return {"affinity": objects.Affinity(node_affinity=rule)}


def refusals(asked, one, *present):
    picture = store.ClusterStore()
    picture.apply("Node", "ADDED", one)
    for each in present:
        picture.apply("Pod", "ADDED", each)
    return list(in_tree_filters.InTreeFilters(asked, picture).answer(one).refusals)


@pytest.mark.parametrize(
    ("spec", "one", "expected"),
    [
        ({}, node(), []),
        ({}, tainted(CORDON, cordoned=True), ["node is cordoned"]),
        (tolerating(operator="Exists"), tainted(CORDON, SPOT, cordoned=True), []),
        ({}, tainted(SPOT), ["taint spot=yes:NoSchedule is not tolerated"]),
        ({}, tainted(SPOT | {"effect": "PreferNoSchedule"}), []),
        (tolerating(key="spot", value="yes"), tainted(SPOT), []),
        (tolerating(key="spot", value="no"), tainted(SPOT),
         ["taint spot=yes:NoSchedule is not tolerated"]),
        (tolerating(key="spot", operator="Exists", effect="NoExecute"), tainted(SPOT),
         ["taint spot=yes:NoSchedule is not tolerated"]),
        ({"node_selector": {"pool": "a"}}, node(), []),
        ({"node_selector": {"pool": "b"}}, node(), ["nodeSelector needs pool=b; node has a"]),
        ({"node_selector": {"zone": "b"}}, node(),
         ["nodeSelector needs zone=b; node has no such label"]),
        (needing("pool", "In", "a", "b"), node(), []),
        (needing("gen", "Gt", "6"), node(), []),
        (needing("gen", "Lt", "6"), node(),
         ["the pod's required node affinity does not match the node's labels"]),
        ({"requests": {"cpu": "9"}}, node(), ["needs 9 CPU; 8 of 8 free"]),
        ({"requests": {"memory": "32Gi"}}, node(), ["needs 32 GiB memory; 16 GiB of 16 GiB free"]),
        ({"requests": {"x.io/y": 2}}, node(**{"x.io/y": "1"}), ["needs 2 x.io/y; 1 of 1 free"]),
    ],
)  # fmt: skip
def test_a_node_alone_is_refused_as_kube_scheduler_refuses_it(spec, one, expected):
    assert refusals(pod(**spec), one) == expected


def test_what_pods_on_the_node_ask_is_counted_and_finished_ones_ask_nothing():
    asked, busy = pod(requests={"cpu": "5"}), pod("b", requests={"cpu": "4"}, on="n")

    assert refusals(asked, node(), busy) == ["needs 5 CPU; 4 of 8 free"]
    assert refusals(asked, node(), pod("b", requests={"cpu": "4"}, on="n", phase="Failed")) == []


def test_a_node_that_holds_all_its_pods_is_full():
    present = [pod(f"b{number}", on="n") for number in range(3)]

    assert refusals(pod(), node(), *present) == ["node is full: 3 of 3 pods"]


def test_a_bound_pod_does_not_stand_in_its_own_way():
    asked = pod(requests={"cpu": "5"}, on="n")

    assert refusals(asked, node(), asked) == []


def test_a_resource_that_no_node_offers_is_not_judged():
    asked, one = pod(requests={"x.io/y": 1}), node()
    picture = store.ClusterStore()
    picture.apply("Node", "ADDED", one)
    filters = in_tree_filters.InTreeFilters(asked, picture)

    assert filters.unknown_names == ["x.io/y"]
    assert filters.answer(one) == in_tree_filters.NodeAnswer(
        notes=("x.io/y is not judged: no node offers it",)
    )


def test_rules_about_other_pods_are_named():
    spread = (objects.TopologySpreadConstraint(when_unsatisfiable="DoNotSchedule"),)
    asked = pod(topology_spread_constraints=spread)

    assert in_tree_filters.InTreeFilters(asked, store.ClusterStore()).not_judged() == [
        "topology spread"
    ]
