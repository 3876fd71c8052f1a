"""Who is evicted: as few as will do, the least important, and nobody whose end helps nothing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extender.decisions.verb_results import Victims
from extender.demand import work
from tests.kit.builders import make_claim, make_class, make_node, make_pod, make_slice
from tests.kit.worlds import GPU, H100, NIC, engine, feed, p4d

CPUS, PODS = 16, 8


def started(pod, second):
    pod.body["status"]["startTime"] = f"2026-01-01T00:00:{second:02d}Z"
    return pod


def leaving(pod):
    pod.body["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return pod


def nominated(pod, node):
    pod.body["status"]["nominatedNodeName"] = node
    return pod


def holding(name, *devices, node="n", users=None):
    """A claim that holds devices of the node for its users, by default the pod of its name."""
    claim = make_claim(name).allocated(node, *(("r", GPU, node, device) for device in devices))
    claim.body["status"]["reservedFor"] = [
        {"resource": "pods", "name": user, "uid": f"uid-{user}"} for user in users or [name]
    ]
    return claim


def plugin_node(judging, gpus, *pods, cpu="96"):
    feed(
        judging, make_node("n").gpus(H100, gpus).allocatable(cpu=cpu), *(p.node("n") for p in pods)
    )


def dra_node(judging, gpus, *pods, cpu="96"):
    devices = make_slice("gpus", GPU).on("n")
    for number in range(gpus):
        devices.device(f"gpu-{number}", type="gpu")
    feed(judging, make_node("n").allocatable(cpu=cpu), devices, make_class(GPU))
    feed(judging, *(pod.node("n") for pod in pods))


def wants(gpus, priority=9):
    return make_pod("urgent").gpus(gpus).priority(priority)


def claims(judging, gpus, priority=9):
    feed(judging, make_claim("wanted").request("r", GPU, gpus))
    return make_pod("urgent").claim("wanted").priority(priority)


def answer(judging, pod, *offered, violations=0):
    """Who dies on the node, by name; None where the node is not kept."""
    uids = tuple(f"uid-{name}" for name in offered)
    kept = judging.preempt(pod.obj(), {"n": Victims(uids, violations)})
    return [uid.removeprefix("uid-") for uid in kept["n"].pods] if "n" in kept else None


@pytest.fixture
def judging():
    return engine()


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


# ---------------------------------------------------------------- the kind


@st.composite
def worlds(draw):
    """Pods on one node by claims: (priority, CPUs, devices), some sharing the claim before."""
    gpus = draw(st.integers(1, 8))
    pods, free, cpu = [], gpus, CPUS
    for number in range(draw(st.integers(0, PODS))):
        share = bool(pods and pods[-1]["devices"]) and draw(st.booleans())
        size = draw(st.integers(0, min(free, 4)))
        devices = pods[-1]["devices"] if share else list(range(gpus - free, gpus - free + size))
        free -= 0 if share else size
        asked = draw(st.integers(0, min(cpu, 8)))
        cpu -= asked
        pods.append({
            "name": f"p{number}", "priority": draw(st.integers(0, 4)), "cpu": asked,
            "devices": devices, "claim": pods[-1]["claim"] if share else f"p{number}",
            "started": draw(st.integers(0, 59)), "budget": draw(st.booleans()),
        })  # fmt: skip
    return gpus, pods, draw(st.integers(1, gpus)), draw(st.integers(0, CPUS))


def amounts_fit(pods, gone, cpu):
    staying = [pod for pod in pods if pod["name"] not in gone]
    return sum(pod["cpu"] for pod in staying) + cpu <= CPUS and len(staying) < PODS


def devices_fit(gpus, pods, gone, asked):
    held = {device for pod in pods if pod["name"] not in gone for device in pod["devices"]}
    return gpus - len(held) >= asked


def offered_by_kube_scheduler(pods, cpu, mine):
    """Its dry run, by what it counts beside claims; None where it offers nothing."""
    lower = [pod for pod in pods if pod["priority"] < mine]
    lower.sort(key=lambda pod: (not pod["budget"], -pod["priority"], pod["started"]))
    gone = {pod["name"] for pod in lower}
    if not amounts_fit(pods, gone, cpu):
        return None
    for pod in lower:
        if amounts_fit(pods, gone - {pod["name"]}, cpu):
            gone -= {pod["name"]}
    return gone


@settings(max_examples=150)
@given(world=worlds(), mine=st.integers(1, 4), needless=st.sets(st.integers(0, 7)))
def test_who_dies_is_enough_and_lower_and_needed(world, mine, needless):
    gpus, pods, asked, cpu = world
    judging = engine()
    dra_node(judging, gpus)
    feed(judging, make_node("n").allocatable(cpu=str(CPUS), pods=str(PODS)))
    for pod in pods:
        built = started(make_pod(pod["name"]).priority(pod["priority"]), pod["started"])
        built.request("cpu", pod["cpu"])
        if pod["devices"]:
            users = [other["name"] for other in pods if other["claim"] == pod["claim"]]
            devices = (f"gpu-{device}" for device in pod["devices"])
            feed(judging, holding(pod["claim"], *devices, users=users))
            built.claim(pod["claim"])
        feed(judging, built.node("n"))
    offered = offered_by_kube_scheduler(pods, cpu, mine)
    if offered is None:
        return
    offered |= {p["name"] for n, p in enumerate(pods) if n in needless and p["priority"] < mine}
    violations = sum(pod["budget"] for pod in pods if pod["name"] in offered)

    pod = claims(judging, asked, mine).request("cpu", cpu).obj()
    kept = judging.preempt(pod, {"n": Victims(tuple(f"uid-{n}" for n in offered), violations)})

    lower = {pod["name"] for pod in pods if pod["priority"] < mine}
    if "n" not in kept:
        assert not devices_fit(gpus, pods, lower, asked)
        return
    dying = {uid.removeprefix("uid-") for uid in kept["n"].pods}
    assert dying <= lower

    def fits(gone):
        return amounts_fit(pods, gone, cpu) and devices_fit(gpus, pods, gone, asked)

    assert fits(dying)
    if fits(set()):
        assert dying == offered  # what made kube-scheduler offer it is not known
    else:
        assert not any(fits(dying - {name}) for name in dying)
    assert {p["name"] for p in pods if p["devices"]} >= dying - offered
    stay = min(violations, len(dying & offered))
    assert kept["n"].pdb_violations == (
        violations if dying == offered else stay + len(dying - offered)
    )


# ---------------------------------------------------------------- within an allowance


def many_busy_nodes(count, *, patient=True):
    """Nodes of eight GPUs, each held by a pod of its own, and what kube-scheduler offers there."""
    judging = engine(patient=patient)
    for n in range(count):
        feed(judging, make_node(f"n{n}").gpus(H100, 8))
        for k in range(8):
            feed(judging, make_pod(f"p{n}-{k}").gpus(1).node(f"n{n}").priority(k % 3))
    return judging, {f"n{n}": Victims((f"uid-p{n}-2",)) for n in range(count)}


def urgent(name="urgent"):
    return make_pod(name).gpus(4).priority(9).obj()


def held(name, priority=0):
    return make_pod(name).gpus(1).node("n0").priority(priority)


# What may happen on a node after victims were chosen there.
CHANGES = {
    "a pod is gone": lambda e: e.store.apply("Pod", "DELETED", held("p0-2").obj()),
    "a pod ends": lambda e: feed(e, held("p0-5").phase("Succeeded")),
    "a pod is more important": lambda e: feed(e, held("p0-0", 8)),
    "a pod is being deleted": lambda e: feed(e, leaving(held("p0-1", 1))),
    "a pod starts later": lambda e: feed(e, started(held("p0-3"), 7)),
    "another pod waits for the node": lambda e: feed(
        e, nominated(make_pod("waits").gpus(2).priority(9), "n0")
    ),
    "the node has less": lambda e: feed(e, make_node("n0").gpus(H100, 8).allocatable(pods="3")),
    "the node has fewer GPUs": lambda e: feed(e, make_node("n0").gpus(H100, 4)),
}


def test_beyond_the_allowance_what_was_offered_stands_and_the_next_call_goes_on(monkeypatch):
    patient, offered = many_busy_nodes(6)
    expected = patient.preempt(urgent(), offered)
    assert all(kept != offered[name] for name, kept in expected.items())

    monkeypatch.setattr(work, "PREEMPTING", 700)
    hasty, _ = many_busy_nodes(6, patient=False)
    answers = [hasty.preempt(urgent(f"u{number}"), offered) for number in range(6)]
    assert answers[0].keys() == offered.keys()
    judged = [sum(answer[name] == expected[name] for name in offered) for answer in answers]
    assert 0 < judged[0] < 6
    assert judged == sorted(judged)
    assert answers[-1] == expected
    assert hasty.unjudged["unfinished"] == sum(answer != expected for answer in answers)


def test_what_kube_scheduler_is_likely_to_choose_is_judged_first(monkeypatch):
    monkeypatch.setattr(work, "PREEMPTING", 60)
    judging, offered = many_busy_nodes(3, patient=False)
    likely = {**offered, "n0": Victims(("uid-p0-2",), 1), "n1": Victims(("uid-p1-2", "uid-p1-5"))}
    first = next(
        judged
        for kept in (judging.preempt(urgent(), likely) for _ in range(20))
        if (judged := [name for name in offered if kept[name] != likely[name]])
    )
    assert first == ["n2"]


@given(st.lists(st.sampled_from(sorted(CHANGES)), min_size=1, max_size=4))
@settings(max_examples=20, deadline=None)
def test_what_was_chosen_before_is_never_answered_for_another_world(changes):
    judging, offered = many_busy_nodes(2)
    judging.preempt(urgent(), offered)
    done = []
    for name in changes:
        CHANGES[name](judging)
        done.append(CHANGES[name])
        fresh, _ = many_busy_nodes(2)
        for each in done:
            each(fresh)
        assert judging.preempt(urgent(), offered) == fresh.preempt(urgent(), offered)
