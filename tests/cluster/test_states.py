import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from extender.cluster import states
from extender.hardware.shape import Device, Shape
from extender.hardware.usage import Usage


def shape():
    return Shape(devices=(Device("d", "gpu-0", {}, {}),))


def test_equal_usages_of_one_shape_are_one_state():
    known, machine = states.States(), shape()

    first = known.number(machine, Usage(taken=1))

    assert known.number(machine, Usage(taken=1)) == first
    assert known.number(machine, Usage(taken=0)) != first


def test_shapes_are_distinguished_by_identity():
    known = states.States()

    assert known.number(shape(), Usage()) != known.number(shape(), Usage())
    assert len(known.shapes) == 2


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2**70)), max_size=40))
def test_numbers_are_dense_and_lead_back_to_their_state(met):
    known, machines = states.States(), [shape() for _ in range(3)]

    numbers = [known.number(machines[which], Usage(taken=taken)) for which, taken in met]

    assert set(numbers) == set(range(len(known)))
    for (which, taken), number in zip(met, numbers, strict=True):
        assert known[number] == (machines[which], Usage(taken=taken))
        assert known.shapes[known.shape_of[number]] is machines[which]
        assert int(known.taken[number]) == taken % 2**64


def test_there_is_room_for_more_states_than_at_first():
    known, machine = states.States(), shape()

    for taken in range(3000):
        known.number(machine, Usage(taken=taken))

    assert np.array_equal(known.taken, np.arange(3000, dtype=np.uint64))


@given(st.lists(st.integers(0, 9), max_size=20), st.lists(st.integers(0, 9), max_size=5))
def test_numbers_of_before_mean_the_same_states_by_the_numbers_of_now(met, known_already):
    machine, before, now = shape(), states.States(), states.States()
    for taken in known_already:
        now.number(machine, Usage(taken=taken))
    numbers = np.array([before.number(machine, Usage(taken=each)) for each in met] + [-1])

    found = now.renumbered(numbers.astype(np.int32), by=before)

    assert [now[number] for number in found[:-1].tolist()] == [before[n] for n in numbers[:-1]]
    assert found[-1] == -1
