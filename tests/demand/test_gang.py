import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extender.demand import gang
from extender.kube.api import objects
from tests.kit.builders import make_pod


def grouped(**spec):
    pod = make_pod("p", "ml")
    pod.body["spec"] |= spec
    return pod.obj()


@pytest.mark.parametrize("label", gang.LABELS)
def test_a_pod_says_its_group_by_the_labels_in_use(label):
    assert gang.of_pod(make_pod("p", "ml").label(label, "job-1").obj()) == "ml/job-1"


@pytest.mark.parametrize("annotation", gang.ANNOTATIONS)
def test_older_schedulers_groups_stand_in_annotations(annotation):
    assert gang.of_pod(make_pod("p", "ml").annotation(annotation, "job-1").obj()) == "ml/job-1"


def test_kube_schedulers_own_group_goes_before_any_label():
    pod = make_pod("p", "ml").label(gang.LABELS[0], "by-label")
    pod.body["spec"]["schedulingGroup"] = {"podGroupName": "by-spec"}

    assert gang.of_pod(pod.obj()) == "ml/by-spec"


def test_pod_groups_of_one_workload_are_groups_of_their_own():
    first = grouped(workloadRef={"name": "train", "podGroup": "workers"})
    second = grouped(workloadRef={"name": "train", "podGroup": "drivers"})

    assert gang.of_pod(first) == "ml/train/workers"
    assert gang.of_pod(first) != gang.of_pod(second)


def test_replicas_of_a_pod_group_are_groups_of_their_own():
    first, second = (
        grouped(workloadRef={"name": "train", "podGroup": "workers", "podGroupReplicaKey": key})
        for key in ("0", "1")
    )

    assert gang.of_pod(first) == "ml/train/workers/0"
    assert gang.of_pod(first) != gang.of_pod(second)


def test_the_narrower_grouping_goes_before_the_wider_one():
    pod = make_pod("p").label("jobset.sigs.k8s.io/jobset-name", "whole")
    pod.label("leaderworkerset.sigs.k8s.io/group-key", "group-0")

    assert gang.of_pod(pod.obj()) == "default/group-0"


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param(make_pod("p").obj(), id="nothing said"),
        pytest.param(make_pod("p").label(gang.LABELS[0], "").obj(), id="an empty label"),
        pytest.param(grouped(schedulingGroup={}), id="an empty group"),
        pytest.param(msgspec.convert({}, objects.Pod), id="an empty pod"),
    ],
)
def test_a_pod_that_names_no_group_is_on_its_own(pod):
    assert gang.of_pod(pod) == ""


@given(st.sampled_from(gang.LABELS), st.sampled_from(["a", "b"]), st.sampled_from(["x", "y"]))
def test_groups_of_two_namespaces_are_never_the_same(label, namespace, name):
    here = gang.of_pod(make_pod("p", namespace).label(label, name).obj())
    there = gang.of_pod(make_pod("p", namespace + "2").label(label, name).obj())

    assert here != there
