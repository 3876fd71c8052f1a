import pytest

from extender.cluster import store
from extender.demand import claims
from tests.kit.builders import make_claim, make_class, make_pod, make_template

GPU = "gpu.example.com"


@pytest.fixture
def known():
    found = store.ClusterStore()
    for builder in (
        make_claim("own").request("r", GPU),
        make_template("template").request("r", GPU),
        make_claim("generated-x").request("r", GPU),
        make_class(GPU),
    ):
        found.apply(builder.kind, "ADDED", builder.obj())
    return found


def names(found):
    return [(each.name, each.claim_name) for each in found]


def test_claims_come_in_the_order_of_the_spec(known):
    pod = make_pod("p").template("template", claim="generated-x").claim("own").obj()

    assert names(claims.of_pod(pod, known)) == [("template", "generated-x"), ("own", "own")]


def test_a_template_stands_for_a_claim_that_is_not_made_yet(known):
    (found,) = claims.of_pod(make_pod("p").template("template").obj(), known)

    assert (found.claim, found.claim_name) == (None, "")
    assert found.spec.devices.requests[0].exactly.device_class_name == GPU


def test_a_claim_that_needs_no_object_is_left_out(known):
    pod = make_pod("p").template("template")
    pod.body["status"]["resourceClaimStatuses"] = [{"name": "template"}]

    assert claims.of_pod(pod.obj(), known) == ()


def test_an_allocation_is_seen_through_the_claim(known):
    held = make_claim("own").request("r", GPU).allocated("a", ("r", GPU, "a", "gpu-0")).obj()
    known.apply("ResourceClaim", "MODIFIED", held)

    (found,) = claims.of_pod(make_pod("p").claim("own").obj(), known)

    assert found.allocation.devices.results[0].device == "gpu-0"


@pytest.mark.parametrize(
    ("pod", "what"),
    [
        pytest.param(make_pod("p").claim("no").obj(), "ResourceClaim no", id="claim"),
        pytest.param(make_pod("p").template("no").obj(), "ResourceClaimTemplate no", id="template"),
        pytest.param(
            make_pod("p", "other").claim("own").obj(), "ResourceClaim own", id="namespace"
        ),
    ],
)
def test_what_is_not_known_is_named(known, pod, what):
    found = claims.of_pod(pod, known)

    assert isinstance(found, claims.Missing)
    assert found.what == what


def test_a_pod_without_claims_has_none(known):
    assert claims.of_pod(make_pod("p").obj(), known) == ()
