"""Who is evicted: as few as will do, the least important, and nobody whose end helps nothing."""

import pytest

from extender.decisions.verb_results import Victims
from tests.kit.builders import make_claim, make_class, make_node, make_pod, make_slice
from tests.kit.rigs.eviction_worlds import (
    answer,
    claims,
    dra_node,
    holding,
    leaving,
    nominated,
    started,
)
from tests.kit.worlds import GPU, H100, NIC, engine, feed, p4d


def plugin_node(judging, gpus, *pods, cpu="96"):
    feed(
        judging, make_node("n").gpus(H100, gpus).allocatable(cpu=cpu), *(p.node("n") for p in pods)
    )


def wants(gpus, priority=9):
    return make_pod("urgent").gpus(gpus).priority(priority)


# ---------------------------------------------------------------- who is added


def test_pods_without_devices_are_never_added(judging):
    cpu = [make_pod(f"cpu-{n}").request("cpu", 1).priority(0) for n in range(3)]
    gpu = [make_pod(f"gpu-{n}").gpus(1).priority(0) for n in range(2)]
    plugin_node(judging, 2, *cpu, *gpu)

    assert answer(judging, wants(2), "gpu-1") == ["gpu-0", "gpu-1"]


def test_the_lowest_priority_dies_even_if_more_pods_do(judging):
    plugin_node(judging, 4, make_pod("big").gpus(2).priority(5),
                *(make_pod(f"low-{n}").gpus(1).priority(0) for n in range(2)))  # fmt: skip

    assert answer(judging, wants(2)) == ["low-0", "low-1"]


def test_of_one_priority_the_fewest_die(judging):
    small = [started(make_pod(f"small-{n}").gpus(1).priority(0), 50) for n in range(4)]
    plugin_node(judging, 8, started(make_pod("big").gpus(4).priority(0), 1), *small)

    assert answer(judging, wants(4)) == ["big"]


def test_of_equal_pods_the_one_that_started_last_dies(judging):
    pods = [started(make_pod(name).gpus(1).priority(0), at) for name, at in
            (("old", 1), ("new", 9), ("middle", 5))]  # fmt: skip
    plugin_node(judging, 3, *pods)

    assert answer(judging, wants(1)) == ["new"]
    assert answer(judging, wants(2)) == ["middle", "new"]


@pytest.mark.parametrize("priority", [3, 4])
def test_equal_and_higher_priorities_are_never_added(judging, priority):
    plugin_node(
        judging, 2, make_pod("a").gpus(1).priority(priority), make_pod("b").gpus(1).priority(0)
    )

    assert answer(judging, wants(2, priority=3), "b") is None
    assert answer(judging, wants(1, priority=3)) == ["b"]


def test_a_pod_in_deletion_is_added_first_and_breaks_no_budget(judging):
    plugin_node(
        judging,
        2,
        leaving(make_pod("going").gpus(1).priority(5)),
        make_pod("low").gpus(1).priority(0),
    )

    kept = judging.preempt(wants(1).obj(), {"n": Victims()})

    assert kept == {"n": Victims(("uid-going",), 0)}


def test_each_victim_of_our_own_choice_counts_as_a_violation(judging):
    plugin_node(judging, 4, *(make_pod(f"p{n}").gpus(1).priority(n) for n in range(4)))

    kept = judging.preempt(wants(3).obj(), {"n": Victims(("uid-p3",), 1)})

    assert kept == {"n": Victims(("uid-p3", "uid-p1", "uid-p0"), 3)}


def test_what_a_sidecar_holds_is_freed_with_its_pod(judging):
    pod = make_pod("sidecar").priority(0)
    pod.body["spec"]["initContainers"] = [
        {"name": "s", "restartPolicy": "Always", "resources": {"limits": {"nvidia.com/gpu": "1"}}}
    ]
    plugin_node(judging, 1, pod)

    assert answer(judging, wants(1)) == ["sidecar"]


def test_what_is_kept_for_a_nominated_pod_is_not_free(judging):
    plugin_node(judging, 2, make_pod("a").gpus(1).priority(0))
    waiting = nominated(make_pod("waiting").gpus(1).priority(9), "n")
    feed(judging, waiting)

    assert answer(judging, wants(1)) == ["a"]
    assert answer(judging, wants(2), "a") is None
    assert answer(judging, wants(2, priority=10), "a") == ["a"]

    judging.store.apply("Pod", "DELETED", waiting.obj())
    assert answer(judging, wants(2), "a") == ["a"]


@pytest.mark.parametrize(
    ("priorities", "dying"),
    [
        ((0, 0, 0, 0), {"two", "one-a", "one-b"}),
        ((0, 0, 0, 5), {"two", "one-a", "one-b"}),
        ((5, 5, 5, 0), {"four"}),
    ],
)
def test_an_offered_victim_that_is_not_needed_is_spared(judging, priorities, dying):
    sizes = {"one-a": 1, "one-b": 1, "two": 2, "four": 4}
    pods = [
        started(make_pod(name).gpus(size).priority(priority), 10 - size)
        for (name, size), priority in zip(sizes.items(), priorities, strict=True)
    ]
    plugin_node(judging, 8, *pods)

    assert set(answer(judging, wants(4), *sizes, violations=4)) == dying


def test_what_was_offered_for_cpu_or_ports_or_for_what_is_not_known_stays(judging):
    pods = [make_pod("gpus").gpus(2), make_pod("cpu").request("cpu", 30), make_pod("idle")]
    plugin_node(judging, 4, *(pod.priority(0) for pod in pods), cpu="32")

    assert answer(judging, wants(4).request("cpu", 16), "gpus", "cpu", "idle") == ["cpu", "gpus"]
    assert answer(judging, wants(2), "gpus", "idle") == ["gpus", "idle"]  # fits as it is
    port = wants(4)
    port.body["spec"]["containers"][0]["ports"] = [{"hostPort": 80}]
    assert answer(judging, port, "gpus", "idle") == ["gpus", "idle"]


# ---------------------------------------------------------------- claims


def test_a_claim_that_somebody_more_important_uses_is_not_freed(judging):
    low = [make_pod(f"low{n}").claim(f"low{n}").priority(0) for n in range(2)]
    dra_node(judging, 2, *low, make_pod("high").claim("low1").priority(20))
    feed(judging, holding("low0", "gpu-0"), holding("low1", "gpu-1", users=["low1", "high"]))

    pod = claims(judging, 1)
    assert answer(judging, pod, "low0") == ["low0"]
    assert answer(judging, pod, "low1") == ["low0"]
    assert answer(judging, pod, "low0", "low1") == ["low0"]
    assert answer(judging, claims(judging, 2), "low0", "low1") is None


@pytest.mark.parametrize("offered", [(), ("a",), ("b",), ("b", "a")])
def test_victims_that_share_a_claim_die_together(judging, offered):
    pods = [make_pod(name).claim("both").priority(n) for n, name in enumerate("ab")]
    dra_node(judging, 2, *pods, make_pod("other").claim("other").priority(2))
    feed(judging, holding("both", "gpu-0", users=["a", "b"]), holding("other", "gpu-1"))

    assert answer(judging, claims(judging, 1), *offered) == ["b", "a"]


def test_a_partition_whose_end_does_not_help_is_left_alone(judging):
    """A GPU of eight slices; who wants four gets them from the four, not from one of the ones."""
    gpus = make_slice("parts", GPU).on("n").pool("n", slices=2)
    for name, size in (("four", 4), ("one-a", 1), ("one-b", 1), ("half", 4)):
        gpus.device(name, type="mig", profile=f"{size}g", consumes={"set": {"slices": str(size)}})
    counters = make_slice("counters", GPU).on("n").pool("n", slices=2).counters(set={"slices": "6"})
    feed(judging, make_node("n"), gpus, counters, make_class(GPU))
    for name, device in (("small", "one-a"), ("large", "four")):
        feed(judging, holding(name, device), make_pod(name).claim(name).priority(0).node("n"))
    half = """device.attributes["gpu.nvidia.com"].profile == "4g\""""
    feed(judging, make_claim("wanted").request("r", GPU, selectors=[half]))
    pod = make_pod("urgent").claim("wanted").priority(9)

    assert answer(judging, pod, "small") == ["large"]
    assert answer(judging, pod) == ["large"]


# ---------------------------------------------------------------- what was offered


def far_and_near(judging, far_cpu, near_cpu):
    """A p4d of which `far` and `near` hold a GPU each; the NIC that is free is beside `near`'s."""
    feed(judging, *p4d("n"), make_class(GPU), make_class(NIC))
    feed(judging, make_node("n").allocatable(cpu="40"))
    for name, devices in {
        "far": ["gpu-7"],
        "near": ["gpu-0"],
        "rest": [f"gpu-{n}" for n in range(1, 7)],
    }.items():
        feed(judging, holding(name, *devices))
    feed(judging, make_pod("rest").claim("rest").priority(20).node("n"))
    feed(judging, make_pod("far").claim("far").request("cpu", far_cpu).priority(0).node("n"))
    feed(judging, make_pod("near").claim("near").request("cpu", near_cpu).priority(0).node("n"))
    feed(judging, make_claim("wanted").request("g", GPU).request("n", NIC))
    return make_pod("urgent").claim("wanted").request("cpu", 30).priority(9)


def test_a_nearer_victim_is_taken_only_where_it_frees_enough_cpu_too():
    judging = engine()
    assert answer(judging, far_and_near(judging, 32, 1), "far") == ["far"]
    judging = engine()
    assert answer(judging, far_and_near(judging, 4, 4), "far") == ["near"]


def _port(pod):
    pod.container["ports"] = [{"containerPort": 80, "hostPort": 80}]


def _volume(pod):
    pod.body["spec"]["volumes"] = [{"name": "v", "persistentVolumeClaim": {"claimName": "v"}}]


def _affinity(pod):
    terms = [{"topologyKey": "kubernetes.io/hostname"}]
    rule = {"requiredDuringSchedulingIgnoredDuringExecution": terms}
    pod.body["spec"]["affinity"] = {"podAntiAffinity": rule}


def _spread(pod):
    pod.body["spec"]["topologySpreadConstraints"] = [
        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
    ]


@pytest.mark.parametrize("rule", [_port, _volume, _affinity, _spread])
def test_what_was_offered_for_more_than_amounts_stays_offered(rule):
    judging = engine()
    pod = far_and_near(judging, 4, 4)
    rule(pod)

    assert answer(judging, pod, "far") == ["far"]


def test_a_victim_that_repels_the_pod_stays_offered():
    judging = engine()
    pod = far_and_near(judging, 4, 4)
    repelling = make_pod("far").claim("far").request("cpu", 4).priority(0).node("n")
    _affinity(repelling)
    feed(judging, repelling)

    assert answer(judging, pod, "far") == ["far"]


@pytest.mark.parametrize(("cpu", "dying"), [(12, ["web", "gpu"]), (6, ["gpu"])])
def test_an_offered_victim_goes_where_its_cpu_is_needed_still(judging, cpu, dying):
    """16 CPUs, all in use: `web` has 8 of them, the GPU's holder 8, of which 6 are enough."""
    web, gpu = (
        make_pod("web").request("cpu", 8).priority(1),
        make_pod("gpu").claim("gpu").request("cpu", 8).priority(0),
    )
    dra_node(judging, 1, web, gpu, cpu="16")
    feed(judging, holding("gpu", "gpu-0"))

    assert answer(judging, claims(judging, 1).request("cpu", cpu), "web") == dying


def test_victims_that_are_enough_are_not_doubted(judging):
    """kube-scheduler knows of pods that the watch has not shown yet."""
    plugin_node(judging, 2, make_pod("web").request("cpu", 1).priority(0))

    assert answer(judging, wants(1), "web") == ["web"]
