"""Who is evicted in any world, and within an allowance."""

from hypothesis import given, settings
from hypothesis import strategies as st

from extender.decisions.verb_results import Victims
from extender.demand import work
from tests.kit.builders import make_node, make_pod
from tests.kit.rigs.eviction_worlds import (
    claims,
    dra_node,
    holding,
    leaving,
    nominated,
    started,
    urgent,
)
from tests.kit.worlds import H100, engine, feed

CPUS, PODS = 16, 8


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


def judging_of(gpus, pods):
    """An engine with these pods on a node of so many GPUs."""
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
    return judging


@settings(max_examples=150)
@given(world=worlds(), mine=st.integers(1, 4), needless=st.sets(st.integers(0, 7)))
def test_who_dies_is_enough_and_lower_and_needed(world, mine, needless):
    gpus, pods, asked, cpu = world
    judging = judging_of(gpus, pods)
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
