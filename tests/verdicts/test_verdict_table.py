"""Each distinct state is judged once; a table grows with the states."""

import numpy as np
import pytest

from extender.cluster import states
from extender.hardware.shape import Broken, Shape
from extender.hardware.usage import Usage
from extender.verdicts import verdict_table
from extender.verdicts.evaluator import Verdict, VerdictCode
from extender.verdicts.query import Query
from tests.kit.builders import make_node, make_pod
from tests.kit.worlds import H100, engine, feed

ASKED = Query(extended=(("nvidia.com/gpu", 1),))


class CountingJudge:
    """Refuses every second usage, and counts what it was asked."""

    def __init__(self):
        self.asked = []

    def verdict(self, question, state, surroundings):
        self.asked.append((question, state.usage, surroundings))
        if state.usage.taken % 2:
            return Verdict(VerdictCode.BUSY, words="odd")
        return Verdict(VerdictCode.FITS, after=Usage(taken=state.usage.taken + 1))


@pytest.fixture
def judge():
    return CountingJudge()


def numbers(interned, count):
    shape = Shape()
    found = [interned.number(shape, Usage(taken=taken)) for taken in range(count)]
    return np.array(found, dtype=np.int32)


def test_a_state_is_judged_once_however_often_it_is_met(judge):
    interned = states.States()
    met = numbers(interned, 3)
    table = verdict_table.VerdictTables(judge).of(ASKED, interned, None)

    table.fill(np.repeat(met, 5))
    table.fill(met)

    assert [usage.taken for _, usage, _ in judge.asked] == [0, 1, 2]
    assert table.code[met].tolist() == [VerdictCode.FITS, VerdictCode.BUSY, VerdictCode.FITS]


def test_what_fits_leads_to_the_state_that_it_leaves(judge):
    interned = states.States()
    met = numbers(interned, 2)
    table = verdict_table.VerdictTables(judge).of(ASKED, interned, None)
    table.fill(met)

    assert interned[int(table.after[met[0]])].usage.taken == 1
    assert table.after[met[1]] == -1


def test_a_table_grows_beyond_its_first_states(judge):
    interned = states.States()
    met = numbers(interned, 5000)
    table = verdict_table.VerdictTables(judge).of(ASKED, interned, None)

    table.fill(met)

    assert len(judge.asked) == 5000
    assert (table.code[met] != VerdictCode.UNSEEN).all()


def test_a_single_verdict_is_judged_on_demand(judge):
    interned = states.States()
    (number,) = numbers(interned, 1)
    table = verdict_table.VerdictTables(judge).of(ASKED, interned, None)

    assert table.verdict(int(number)) is table.verdict(int(number))
    assert len(judge.asked) == 1


def test_states_numbered_anew_make_new_tables(judge):
    kept = verdict_table.VerdictTables(judge)
    first = kept.of(ASKED, states.States(), None)

    assert kept.of(ASKED, states.States(), None) is not first
    assert len(kept) == 1


def test_broken_pools_elsewhere_make_another_table(judge):
    interned = states.States()
    kept = verdict_table.VerdictTables(judge)

    assert kept.of(ASKED, interned, None) is not kept.of(ASKED, interned, Broken.INVALID)


def test_the_questions_asked_of_late_are_kept(judge):
    interned = states.States()
    kept = verdict_table.VerdictTables(judge, most=2)
    one, two, three = (Query(extended=(("nvidia.com/gpu", n),)) for n in (1, 2, 3))

    first = kept.of(one, interned, None)
    kept.of(two, interned, None)
    kept.of(one, interned, None)
    kept.of(three, interned, None)

    assert kept.of(one, interned, None) is first
    assert len(kept) == 2


def test_equal_nodes_cost_one_judgement():
    judging = engine()
    feed(judging, *(make_node(f"n{number}").gpus(H100, 8) for number in range(50)))
    judging.settle()
    pod = make_pod("p").gpus(1).obj()
    judging.filter_only(pod, sorted(judging.index.rows))

    table = judging.table(judging.resolver.resolve(pod, judging.policy).question)

    assert table.judged == 1
