"""Pages that show what they know, and go on where they were when they are loaded again."""

import itertools

from extender.page.views import node_view, pending, pod_view
from extender.policy import config
from tests.kit.builders import make_class, make_node, make_pod, make_slice
from tests.kit.worlds import GPU, H100, engine, feed


class Spent:
    """A processor's time that each look at it uses a hundredth of a second of."""

    now = 0.0

    def __call__(self):
        self.now += 0.01
        return self.now


def groups_of(kept, judging):
    turns = kept.of(judging)
    while True:
        try:
            next(turns)
        except StopIteration as over:
            return over.value


def crowd():
    judging = engine()
    feed(judging, *(make_node(f"n-{number}").gpus(H100, 8) for number in range(200)))
    feed(judging, *(make_pod(f"p-{size}", "ml").gpus(size) for size in (1, 9, 10)))
    judging.settle()
    return judging


def test_each_page_judges_for_a_while_and_the_next_one_goes_on():
    judging, kept = crowd(), pending.Groups(lambda: 0.0, spent=Spent())

    left = [sum(each.unfinished for each in groups_of(kept, judging)) for _ in range(12)]

    assert left[0] == 3
    assert left == sorted(left, reverse=True)
    assert left[-1] == 0
    assert {each.judged.passing for each in groups_of(kept, judging)} == {0, 200}


def test_a_judgement_is_shown_until_there_is_a_newer_one():
    judging, now = crowd(), [0.0]
    kept = pending.Groups(lambda: now[0], spent=lambda: 0.0)
    assert [each.judged.passing for each in groups_of(kept, judging)] == [0, 0, 200]
    feed(judging, *(make_node(f"more-{number}").gpus(H100, 16) for number in range(2)))
    now[0] = 31.0
    kept._spent = Spent()

    first = groups_of(kept, judging)
    later = [groups_of(kept, judging) for _ in range(12)][-1]

    assert not any(each.unfinished for each in first)
    assert sorted(each.judged.passing for each in later) == [2, 2, 202]


def test_another_policy_is_another_judgement():
    judging, kept = crowd(), pending.Groups(lambda: 0.0, spent=lambda: 0.0)
    groups_of(kept, judging)
    judging.use(config.parse({"podAnnotations": "Ignore"}, source="test"))
    kept._spent = Spent()

    assert sum(each.unfinished for each in groups_of(kept, judging)) > 0


def test_the_best_nodes_come_when_they_are_worked_out():
    judging = crowd()
    pod = judging.store.pods["ml", "p-1"]

    def best(spent):
        turns = pod_view.view(judging, pod, spent=spent)
        while True:
            try:
                next(turns)
            except StopIteration as over:
                return over.value.best

    assert best(itertools.count().__next__) is None
    assert len(best(lambda: 0.0)) == 5


def test_what_the_prices_rest_on_is_counted_before_the_turn_in_which_they_are_made():
    judging = engine()
    feed(judging, *(make_node(f"n-{number}").gpus(H100, 8) for number in range(40)))
    for number in range(40):
        feed(judging, make_pod(f"held-{number}").gpus(1 + number % 6).node(f"n-{number}"))
    feed(judging, make_pod("p", "ml").gpus(1))
    judging.settle(rest=True)
    pod, names = judging.store.pods["ml", "p"], sorted(judging.index.rows)

    def counted():
        return sum(each.used for each in judging.pricer.caches() if each.name == "device-headroom")

    before = counted()
    pod_view._count_ahead(judging, pod, names)
    ahead = counted()
    judging.score(pod, names)

    assert before < ahead == counted()


def test_roots_stand_in_the_order_of_their_gpus_and_not_of_their_names():
    judging = engine()
    devices = make_slice("s", GPU).on("n")
    for number, root in enumerate(("pci0003:00", "pci0009:00", "pci000a:00")):
        devices.device(f"gpu-{number}", type="gpu", pcieRoot=root)
    feed(judging, make_class(GPU), make_node("n"), devices)
    judging.settle()

    shown = node_view.view(judging.index.detail("n"), judging.store)

    roots = [root for numa in shown.numas for root in numa.roots]
    assert [gpu.number for root in roots for gpu in root.gpus] == [0, 1, 2]
