"""A bound pod is to its node what it asks, how old it is, and the devices it says it has."""

import pytest

from extender.cluster.pods import bound_pods
from extender.demand import pod as pods
from tests.kit.builders import make_pod


def made(name="p", **annotations):
    pod = make_pod(name).gpus(2).request("cpu", 4).node("a")
    for key, text in annotations.items():
        pod.annotation(f"railyard.dev/{key}", text)
    return pod


def test_what_is_asked_is_added_up_once():
    assert bound_pods.bound_pod(made().obj()).asked == pods.requests_of(made().obj())


def test_a_pod_that_starts_or_is_labelled_stays_the_same_tenant():
    assert bound_pods.bound_pod(
        made().phase("Running").label("x", "y").obj()
    ) == bound_pods.bound_pod(made().obj())


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(made().uid("another"), id="made again"),
        pytest.param(made().request("cpu", 5), id="resized"),
        pytest.param(made(devices="nvidia.com/gpu=0,1"), id="says its devices"),
    ],
)
def test_a_pod_that_matters_otherwise_is_another_tenant(other):
    assert bound_pods.bound_pod(other.obj()) != bound_pods.bound_pod(made().obj())


def test_a_malformed_quantity_is_refused():
    with pytest.raises(ValueError, match="not a quantity"):
        bound_pods.bound_pod(made().request("cpu", "many").obj())


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("nvidia.com/gpu=" + "9" * 5000, id="a number of 5,000 digits"),
        pytest.param("nvidia.com/gpu=٣", id="a digit of another script"),
        pytest.param("nvidia.com/gpu=-1", id="a negative number"),
        pytest.param("nvidia.com/gpu=0,0", id="a device twice"),
        pytest.param("nvidia.com/gpu=,", id="no numbers"),
        pytest.param("nvidia.com/gpu=0," + "1," * 100_000, id="a list that is cut off"),
        pytest.param("0", id="no equals sign"),
    ],
)
def test_an_annotation_that_names_no_devices_is_as_good_as_absent(text):
    made_so = make_pod("p").gpus(1).node("a").annotation(bound_pods.DEVICES_ANNOTATION, text)

    assert bound_pods.bound_pod(made_so.obj()).annotated == ()
