import pytest

from extender.demand import pod as pods
from extender.kube.api import objects
from tests.kit.builders import make_pod


def container(name="c", restart=None, **requests):
    resources = objects.ResourceRequirements(requests=requests)
    return objects.Container(name=name, resources=resources, restart_policy=restart)


def pod(*containers, init=(), **spec):
    return objects.Pod(
        spec=objects.PodSpec(containers=containers, init_containers=tuple(init), **spec)
    )


def test_containers_add_up_and_cpu_counts_in_milli():
    asked = pods.requests_of(pod(container(cpu="500m", memory="1Gi"), container(cpu=2)))

    assert asked == pods.Requests(cpu=2500, memory=2**30)


def test_an_init_container_counts_where_it_is_larger_than_the_rest():
    asked = pods.requests_of(pod(container(cpu="1"), init=[container(cpu="4"), container(cpu="2")]))

    assert asked.cpu == 4000


def test_a_sidecar_runs_beside_the_containers_and_beside_later_init_containers():
    sidecar = container(cpu="1", restart="Always")

    assert pods.requests_of(pod(container(cpu="2"), init=[sidecar])).cpu == 3000
    assert pods.requests_of(pod(container(), init=[sidecar, container(cpu="5")])).cpu == 6000


def test_pod_level_resources_win_and_overhead_comes_on_top():
    level = objects.ResourceRequirements(requests={"cpu": "8"})

    asked = pods.requests_of(pod(container(cpu="2"), resources=level, overhead={"cpu": "250m"}))

    assert asked.cpu == 8250


def test_a_limit_stands_for_a_missing_request():
    limited = objects.Container(
        resources=objects.ResourceRequirements(limits={"nvidia.com/gpu": "2"})
    )

    assert pods.requests_of(pod(limited)).extended == (("nvidia.com/gpu", 2),)


def test_a_malformed_quantity_is_an_error_and_not_zero():
    with pytest.raises(ValueError, match="not a quantity"):
        pods.requests_of(make_pod("p").request("cpu", "many").obj())


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param(make_pod("p").request("cpu", 1), False, id="only CPU"),
        pytest.param(make_pod("p").gpus(1), True, id="an extended resource"),
        pytest.param(make_pod("p").claim("c"), True, id="a claim"),
    ],
)
def test_a_pod_concerns_us_when_it_asks_for_devices(asked, expected):
    assert pods.concerns(asked.obj()) is expected


def test_a_resource_named_only_in_the_limits_concerns_us():
    limited = objects.Container(
        resources=objects.ResourceRequirements(requests={"cpu": 1}, limits={"nvidia.com/gpu": 1})
    )

    assert pods.concerns(pod(limited))
    assert pods.concerns(pod(container(), init=[limited]))
