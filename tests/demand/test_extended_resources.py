"""The special claim for extended resources has kube-scheduler's requests."""

from __future__ import annotations

import pytest

from extender import errors
from extender.demand import extended_resources
from extender.hardware import allocator_features
from extender.kube.api import objects
from tests.kit import builders

GPU = "gpu.example.com/gpu"
NEWEST = allocator_features.features_of("1.37")


def container(*, gpus=0, nics=0, cpu="1", sidecar=False):
    wanted = {"cpu": cpu, GPU: gpus, "nic.example.com/nic": nics}
    return objects.Container(
        resources=objects.ResourceRequirements(requests={k: v for k, v in wanted.items() if v}),
        restart_policy="Always" if sidecar else None,
    )


def pod(*containers, init=()):
    return objects.Pod(spec=objects.PodSpec(containers=containers, init_containers=tuple(init)))


@pytest.mark.parametrize(
    ("containers", "init", "requests"),
    [
        pytest.param([container(gpus=2)], [], [("container-0-request-1", 2)], id="one container"),
        pytest.param(
            [container(gpus=2, cpu=0)],
            [],
            [("container-0-request-0", 2)],
            id="nothing else asked for",
        ),
        pytest.param(
            [container(gpus=1), container(), container(gpus=3)],
            [],
            [("container-0-request-1", 1), ("container-2-request-1", 3)],
            id="several containers",
        ),
        pytest.param(
            [container(gpus=2)],
            [container(gpus=2)],
            [("container-1-request-1", 2)],
            id="an init container reuses",
        ),
        pytest.param(
            [container(gpus=2)],
            [container(gpus=3), container(gpus=5), container(gpus=4)],
            [("container-1-request-1", 3), ("container-3-request-1", 2)],
            id="the largest init container asks for the rest",
        ),
        pytest.param(
            [container(gpus=1)],
            [container(gpus=2, sidecar=True), container(gpus=2)],
            [
                ("container-1-request-1", 1),
                ("container-0-request-1", 2),
                ("container-2-request-1", 1),
            ],
            id="a sidecar before an init container is not reused",
        ),
    ],
)
def test_each_resource_is_asked_for_once_per_container_that_keeps_it(containers, init, requests):
    assert extended_resources.device_requests(pod(*containers, init=init), GPU) == requests


def test_the_claim_lists_requests_by_name_as_text():
    many = pod(*(container(gpus=1, nics=int(n == 2)) for n in range(11)))
    classes = {name: builders.make_class(name).obj() for name in ("gpu", "nic")}
    served = {GPU: "gpu", "nic.example.com/nic": "nic"}
    claim = extended_resources.extended_claim(many, served, classes, features=NEWEST)
    named = [request.name for request in claim.requests]
    assert named[:4] == [f"container-{n}-request-1" for n in (0, 1, 10, 2)]
    assert named[4] == "container-2-request-2"
    assert claim.requests[4].choices[0].device_class == "nic"
    assert claim.requests[0].choices[0].selectors == ('device.driver == "gpu"',)


def test_a_pod_that_needs_nothing_here_gets_no_claim():
    assert (
        extended_resources.extended_claim(pod(container()), {GPU: "gpu"}, {}, features=NEWEST)
        is None
    )


def test_a_class_that_is_gone_fails_the_pod():
    with pytest.raises(errors.ClaimError, match="device class gpu"):
        extended_resources.extended_claim(pod(container(gpus=1)), {GPU: "gpu"}, {}, features=NEWEST)


def test_the_newest_class_that_claims_a_name_is_behind_it():
    old, new, other = (builders.make_class(n).extended_resource(GPU) for n in ("old", "new", "b"))
    for built, stamp in ((old, "2026-01-01"), (new, "2026-02-01"), (other, "2026-02-01")):
        built.body["metadata"]["creationTimestamp"] = f"{stamp}T00:00:00Z"
    classes = {c.metadata.name: c for c in (old.obj(), new.obj(), other.obj())}
    assert extended_resources.class_of(GPU, classes) == "b"
    assert extended_resources.class_of("deviceclass.resource.kubernetes.io/old", classes) == "old"
    assert extended_resources.class_of("deviceclass.resource.kubernetes.io/gone", classes) is None
    assert extended_resources.class_of("another.example.com/gpu", classes) is None
