"""What the cluster can still give to the pods it usually sees, through an engine on small nodes."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extender.demand import selectors
from extender.policy import config
from extender.pricing import count_plan
from extender.verdicts.query import single_unit
from tests.kit.builders import (
    make_claim,
    make_class,
    make_node,
    make_pod,
    make_slice,
    make_template,
)
from tests.kit.worlds import GPU, H100, NIC, engine, feed, held, p4d


def policy(**packing):
    """A policy by these constants, which keeps nothing for whole machines unless they say so."""
    chosen = config.ClusterPacking(**{"machine_reserve": 0.0} | packing)
    return config.Policy(packing=chosen)


def seen(judging, *sizes):
    """Pods of these sizes were seen, and are pending."""
    for number, gpus in enumerate(sizes):
        feed(judging, make_pod(f"seen-{number}").gpus(gpus).request("cpu", 4))
    judging.settle()


def test_nothing_is_scarce_before_anybody_asked():
    judging = engine()
    feed(judging, make_node("a").gpus(H100, 8))
    judging.settle()

    assert not judging.pricer.priced


def test_headroom_is_counted_in_gpus_over_the_whole_cluster():
    judging = engine(policy(fits_now_share=1.0))
    feed(judging, make_node("a").gpus(H100, 8), make_node("b").gpus(H100, 4))
    seen(judging, 1)

    assert judging.pricer.headroom.tolist() == [12.0]


@pytest.mark.parametrize(
    ("pods", "cpu", "room"),
    [
        pytest.param(200, 4, 16.0, id="there is CPU for every GPU: what fits now counts"),
        pytest.param(200, 8, 0.2 * 16 + 0.8 * 8, id="for half of them: what CPU covers counts"),
        pytest.param(199, 8, 16.0, id="too few pods tell what is asked"),
    ],
)
def test_where_cpu_is_short_the_gpus_that_it_covers_count_more(pods, cpu, room):
    judging = engine(policy(fits_now_share=1.0))
    feed(judging, *(make_node(name).gpus(H100, 8).allocatable(cpu="32") for name in "ab"))
    feed(judging, *(make_pod(f"p-{n}").gpus(1).request("cpu", cpu) for n in range(pods)))
    judging.settle()

    assert judging.pricer.headroom.tolist() == [pytest.approx(room)]


def test_pods_without_devices_want_cpu_too_and_find_it_on_machines_without_gpus():
    judging = engine(policy(fits_now_share=1.0))
    feed(judging, make_node("poor").gpus(H100, 8).allocatable(cpu="8"))
    feed(judging, make_node("rich").gpus(H100, 8).allocatable(cpu="128"))
    feed(judging, *(make_pod(f"p-{n}").gpus(1).request("cpu", 6) for n in range(200)))
    judging.settle()
    before = judging.pricer.headroom.tolist()
    feed(judging, *(make_pod(f"bare-{n}").request("cpu", 6) for n in range(200)))
    judging.settle()
    wanted = judging.pricer.headroom.tolist()
    feed(judging, make_node("plain").allocatable(cpu="128"))
    feed(judging, *(make_pod(f"more-{n}").gpus(1).request("cpu", 6) for n in range(40)))
    judging.settle()

    assert before == [16.0]
    assert wanted == [pytest.approx(0.2 * 16 + 0.8 * (8 / 6 + 8))]
    assert judging.pricer.headroom.tolist() == [16.0]


def test_a_size_that_fits_nowhere_has_no_headroom_and_the_highest_price():
    judging = engine(policy())
    feed(judging, make_node("a").gpus(H100, 8), make_node("b").gpus(H100, 8))
    for name in "ab":
        feed(judging, make_pod(f"holder-{name}").gpus(1).node(name))
    seen(judging, 1, 8)

    sizes = judging.pricer.classes.size.tolist()
    by_size = dict(zip(sizes, judging.pricer.prices.tolist(), strict=True))
    room = dict(zip(sizes, judging.pricer.headroom.tolist(), strict=True))
    assert by_size[8.0] > by_size[1.0]
    assert room[8.0] < room[1.0]


def test_the_same_pod_counts_once_however_often_it_is_seen():
    judging = engine()
    feed(judging, make_node("a").gpus(H100, 8))
    for _ in range(3):
        feed(judging, make_pod("p").gpus(1))
        judging.settle()

    assert judging.pricer.mix.seen == 1


def test_a_declared_size_is_a_class_before_the_first_such_pod():
    declared = config.DeclaredClass(gpus=8, share=0.25, cpu_per_gpu=2)
    judging = engine(policy(reserve=(declared,)))
    feed(judging, make_node("a").gpus(H100, 8))
    seen(judging, 1)

    classes = judging.pricer.classes
    place = classes.size.tolist().index(8.0)
    assert classes.weight[place] == 0.25
    assert classes.cpu[place] == 16_000


def test_a_policy_without_the_declared_size_lets_it_go():
    declared = config.DeclaredClass(gpus=8, share=0.25)
    judging = engine(policy(reserve=(declared,)))
    feed(judging, make_node("a").gpus(H100, 8))
    seen(judging, 1)

    judging.use(policy())
    judging.settle()

    assert 8.0 not in judging.pricer.classes.size.tolist()


def test_room_is_kept_for_a_pod_of_each_size_of_machine_that_the_cluster_has():
    judging = engine(policy(machine_reserve=0.1))
    feed(judging, *(make_node(f"large-{n}").gpus(H100, 8) for n in range(2)))
    feed(judging, make_node("small").gpus(H100, 4), make_node("single").gpus(H100, 1))
    seen(judging, 1)

    classes = judging.pricer.classes
    assert classes.count.tolist() == [1.0, 8.0, 4.0]
    asked = classes.weight[0]
    assert classes.weight[1:] == pytest.approx(
        [0.1 * 16 / 21 * asked / 8, 0.1 * 4 / 21 * asked / 4]
    )
    assert judging.pricer.headroom[1:].min() > 0


def test_the_first_pod_of_a_whole_machine_finds_one_though_only_small_ones_were_seen():
    judging = engine(policy(machine_reserve=0.05))
    feed(judging, make_node("whole").gpus(H100, 8), make_node("broken").gpus(H100, 8))
    feed(judging, make_pod("holder").gpus(4).node("broken"))
    seen(judging, *[1] * 20)
    found = judging.score(make_pod("p").gpus(1).obj(), ["whole", "broken"])

    whole, broken = found.parts["packing"]
    assert whole > broken


@pytest.mark.parametrize("horizon", [100, 1000])
def test_the_mix_looks_back_on_as_many_pods_as_the_policy_says(horizon):
    judging = engine(policy(horizon_pods=horizon))
    feed(judging, make_node("a").gpus(H100, 8))
    seen(judging, 1)

    assert judging.pricer.classes.weight[0] == pytest.approx(1 / horizon)


def test_placing_a_small_pod_on_a_whole_node_costs_more_than_on_a_broken_one():
    judging = engine()
    feed(judging, make_node("whole").gpus(H100, 8), make_node("broken").gpus(H100, 8))
    feed(judging, make_pod("holder").gpus(1).node("broken"))
    seen(judging, 1, 8)
    found = judging.score(make_pod("p").gpus(1).obj(), ["whole", "broken"])

    whole, broken = found.parts["packing"]
    assert whole > broken


def test_locality_of_the_demand_makes_no_difference_to_headroom():
    strict = msgspec.structs.replace(
        config.Profile("default"), locality=config.Locality(mode="Required")
    )
    amounts = []
    for chosen in (config.DEFAULT, config.Policy(profiles=(strict,))):
        judging = engine(chosen)
        feed(judging, make_node("a").gpus(H100, 8))
        seen(judging, 2)
        amounts.append(judging.pricer.headroom)
    assert np.array_equal(*amounts)


def placed_one_after_the_other(table, state):
    """How many units the state takes, by following what each placement leaves."""
    count = 0
    while table.verdict(state).picks:
        state = int(table.after[state])
        count += 1
    return count


@settings(max_examples=30)
@given(
    models=st.lists(st.sampled_from("ab"), min_size=1, max_size=6),
    shared=st.booleans(),
    taken=st.sets(st.integers(0, 5)),
    wanted=st.sampled_from([1, 3, 4, 10]),
    model=st.sampled_from("ab"),
)
def test_counting_by_arithmetic_is_counting_by_placing(models, shared, taken, wanted, model):
    judging = engine()
    gpus = make_slice("s", GPU).on("n")
    for number, each in enumerate(models):
        gpus.device(f"gpu-{number}", model=each, capacity={"memory": "10"}, multi=shared)
    more = {"capacity": {"requests": {"memory": str(wanted)}}}
    expressions = [f'device.attributes["{GPU}"].model == "{model}"']
    claim = make_claim("c").request("r", GPU, selectors=expressions, **more)
    feed(judging, make_node("n"), gpus, make_class(GPU), claim)
    devices = [f"gpu-{number}" for number in taken if number < len(models)]
    if not shared:
        held = make_claim("held").allocated("n", *(("r", GPU, "n", d) for d in devices))
        feed(judging, held)
    judging.settle()
    unit, _ = single_unit(
        judging.resolver.resolve(make_pod("p").claim("c").obj(), judging.policy).question
    )
    state = int(judging.index.state[judging.index.rows["n"]])
    hardware, usage = judging.index.states[state]

    plan = count_plan.plan(hardware, unit, selectors.Selectors().matches)

    assert plan is not None
    assert plan.count_on(hardware, usage).count == placed_one_after_the_other(
        judging.table(unit), state
    )


# ---------------------------------------------------------------- locality of later pods


def pairs(name):
    """Four GPUs and four NICs, a pair behind each root."""
    gpus, nics = make_slice(f"{name}-gpu", GPU).on(name), make_slice(f"{name}-nic", NIC).on(name)
    for number in range(4):
        gpus.device(f"gpu-{number}", type="gpu", pcieRoot=f"pci000{number}:00")
        nics.device(f"nic-{number}", pcieRoot=f"pci000{number}:00")
    return make_node(name), gpus, nics


@pytest.fixture
def paired():
    """Three pairs are left on `whole`; on `shifted`, first fit gives each GPU another's NIC."""
    judging = engine()
    feed(judging, *pairs("whole"), *pairs("shifted"), make_class(GPU), make_class(NIC))
    feed(judging, held("whole", "gpu-3", "nic-3"), held("shifted", "gpu-0", "nic-3"))
    feed(judging, make_template("pair").request("g", GPU).request("n", NIC))
    feed(judging, make_template("gpu").request("g", GPU))
    for number in range(4):
        feed(judging, make_pod(f"seen-{number}").template("pair"))
    return judging


def packed(judging, template):
    judging.settle()
    pod = make_pod("p").template(template).obj()
    return judging.score(pod, ["whole", "shifted"]).parts["packing"].tolist()


def test_a_pod_without_nics_pays_for_the_pairs_that_it_breaks(paired):
    whole, shifted = packed(paired, "gpu")

    assert whole > shifted


def test_a_pod_that_uses_a_pair_pays_for_its_own_locality_instead(paired):
    whole, shifted = packed(paired, "pair")

    assert whole == pytest.approx(shifted)


def test_where_locality_has_no_weight_pairs_have_no_price(paired):
    packed(paired, "gpu")
    near = config.ClusterPacking(distance_weight=0.0)

    paired.use(config.Policy(packing=near))

    whole, shifted = packed(paired, "gpu")
    assert whole == pytest.approx(shifted)


def test_a_restart_learns_from_bound_pods_what_was_learnt_while_they_waited():
    nodes = (make_class(GPU), *p4d("a"))
    claim = make_claim("c").request("r", GPU, 2)
    pod = make_pod("p").claim("c").request("cpu", 4)
    before = engine()
    feed(before, *nodes, claim, pod)
    before.settle()
    after = engine()
    feed(after, *nodes, claim.allocated("a", *(("r", GPU, "a", f"gpu-{n}") for n in range(2))))
    feed(after, pod.node("a"))
    after.settle()

    assert before.pricer.mix.seen == after.pricer.mix.seen == 1
    for name in ("count", "share", "cpu", "weight"):
        column, other = (getattr(each.pricer.classes, name) for each in (before, after))
        assert column.tolist() == other.tolist()
    assert 2.0 in after.pricer.classes.count.tolist()
