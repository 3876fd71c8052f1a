"""When the states of an index are numbered anew."""

from extender.service import compaction
from tests.kit.builders import make_class, make_node, make_pod
from tests.kit.worlds import GPU, H100, engine, feed


def judging_with_history():
    judging = engine()
    feed(judging, make_node("a").gpus(H100, 8), make_class(GPU))
    for number in range(1, 5):
        feed(judging, make_pod("p").gpus(number).node("a"))
        judging.settle()
    return judging


def test_what_a_class_brought_goes_with_it_and_not_more_often_than_once_a_minute():
    now = [1000.0]
    judging = judging_with_history()
    step = compaction.Compaction(lambda: now[0]).step
    assert not step(judging.index)  # a little history is kept: tables rest on it

    judging.store.apply("DeviceClass", "DELETED", make_class(GPU).obj())
    assert step(judging.index)
    assert len(judging.index.states) == 1
    assert not step(judging.index)

    feed(judging, make_class(GPU))
    judging.store.apply("DeviceClass", "DELETED", make_class(GPU).obj())
    assert not step(judging.index)
    now[0] += 60
    assert step(judging.index)


def test_answers_are_the_same_after_it():
    judging = judging_with_history()
    pods = [make_pod("q").gpus(number).obj() for number in (1, 4, 5)]
    before = [judging.filter_only(pod, ["a"]).failed.keys() for pod in pods]

    judging.index.compact()

    assert [judging.filter_only(pod, ["a"]).failed.keys() for pod in pods] == before
    assert before == [set(), set(), {"a"}]
