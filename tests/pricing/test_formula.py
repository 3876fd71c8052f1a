import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extender.pricing import formula
from extender.pricing.mix import demand_mix


def classes_of(*columns, units=("gpu",)):
    """Columns are (ask, count, share, cpu, memory)."""
    table = np.array(columns, dtype=float).reshape(-1, 5)
    return demand_mix.DemandClasses(
        units=units,
        unit=table[:, 0].astype(np.int64),
        count=table[:, 1],
        share=table[:, 2],
        cpu=table[:, 3],
        memory=table[:, 4],
        weight=np.full(len(table), 1 / max(len(table), 1)),
    )


ONE = (0, 1, 1.0, 10.0, 1.0)
EIGHT = (0, 8, 1.0, 80.0, 8.0)
HALF = (0, 1, 0.5, 5.0, 1.0)


EVEN = formula.Constants(blend=0.5)  # what fits now and what could be covered count alike


def headroom(free, chain, cpu, memory, *columns, form=EVEN):
    classes = classes_of(*columns)
    device = formula.device_headroom(
        np.array([[free]], float), np.array([[chain]], float), classes, form
    )
    return formula.headroom(device, np.array([cpu]), np.array([memory]), classes, form)[0]


@pytest.mark.parametrize(
    ("free", "chain", "cpu", "memory", "column", "expected"),
    [
        pytest.param(4.0, 4, 1e6, 1e6, ONE, 4.0, id="nothing limits"),
        pytest.param(4.0, 4, 20.0, 1e6, ONE, 0.5 * 4 + 0.5 * 2, id="CPU covers two of four"),
        pytest.param(4.0, 4, 1e6, 3.0, ONE, 0.5 * 4 + 0.5 * 3, id="memory covers three of four"),
        pytest.param(4.0, 4, 9.0, 1e6, ONE, 0.5 * 0.9, id="not one pod fits"),
        pytest.param(4.0, 4, -5.0, 1e6, ONE, 0.0, id="overcommitted CPU gives nothing"),
        pytest.param(1.7, 2, 1e6, 1e6, HALF, 0.5 * 1.7 + 0.5 * 1.0, id="0.7 holds one half"),
        pytest.param(8.0, 8, 1e6, 1e6, EIGHT, 8.0, id="a whole machine"),
        pytest.param(4.0, 4, 1e6, 1e6, EIGHT, 0.5 * 8 * 0.5**5, id="part credit, nothing fits now"),
        pytest.param(0.0, 0, 1e6, 1e6, EIGHT, 0.0, id="a full machine"),
    ],
)
def test_the_room_of_a_node_for_a_class(free, chain, cpu, memory, column, expected):
    assert headroom(free, chain, cpu, memory, column) == pytest.approx([expected])


def test_a_node_nearer_to_being_whole_again_has_more_headroom_for_large_pods():
    found = [headroom(float(k), k, 1e6, 1e6, EIGHT)[0] for k in range(9)]
    steps = np.diff(found)
    assert (steps > 0).all()
    assert (np.diff(steps) > 0).all()


def test_a_class_that_asks_no_cpu_is_not_limited_by_it():
    assert headroom(2.0, 2, 0.0, 0.0, (0, 1, 1.0, 0.0, 0.0)) == pytest.approx([1.0])


def test_the_dearer_class_decides_which_node_loses_least():
    before = np.array([[8.0, 2.0], [1.0, 2.0]])
    after = np.array([[0.0, 1.0], [0.0, 1.0]])
    assert formula.cost(before, after, np.array([0.9, 0.1])) == pytest.approx([7.3, 1.0])


def test_the_tightest_node_has_least_left():
    left = formula.tightness(
        np.array([10.0, 0.0, 10.0]), np.array([0.0, 1.0, 4.0]), most_cpu=10.0, most_gpus=8.0
    )
    assert left.tolist() == [0.5, 0.0625, 0.75]


@given(
    chain=st.integers(0, 16),
    cpu=st.floats(-10, 1000),
    memory=st.floats(-1, 100),
    placed=st.tuples(st.integers(0, 16), st.floats(0, 500)),
    count=st.integers(1, 8),
    blend=st.floats(0, 1),
    part=st.floats(1, 8),
)
def test_a_placement_never_adds_headroom(chain, cpu, memory, placed, count, blend, part):
    form = formula.Constants(blend=blend, part_credit=part)
    column = (0, count, 1.0, 10.0 * count, 1.0)
    taken, used = placed
    left = max(chain - taken, 0)
    before = headroom(float(chain), chain, cpu, memory, column, form=form)
    after = headroom(float(left), left, cpu - used, memory, column, form=form)
    assert (after <= before + 1e-9).all()
    assert (after >= 0).all()
    assert (before <= chain + 1e-9).all()


@pytest.mark.parametrize(
    ("score", "weight", "expected"),
    [
        pytest.param(1.0, 10.0, 1.0, id="best locality"),
        pytest.param(0.95, 10.0, 0.5, id="poorer locality"),
        pytest.param(0.8, 10.0, 0.0, id="locality costs all it is worth"),
        pytest.param(0.8, 0.0, 1.0, id="locality has no weight"),
    ],
)
def test_a_placement_is_worth_to_a_later_pod_what_locality_leaves(score, weight, expected):
    assert formula.future_worth(score, weight) == pytest.approx(expected)


def test_device_headroom_is_weighted_by_what_their_placements_are_worth():
    one = np.array([[4.0, 2.0]])
    plain, near = formula.DeviceHeadroom(one, 2 * one), np.array([[1.0, 0.5]])

    found = formula.DeviceHeadroom(one, 2 * one, near).weighted()

    assert plain.weighted() is plain
    assert found.fits_now.tolist() == [[4.0, 1.0]]
    assert found.count.tolist() == [[8.0, 2.0]]


@pytest.mark.parametrize(
    ("idle", "idle_elsewhere", "gpus", "per_gpu", "bare_per_gpu", "expected"),
    [
        pytest.param(80.0, 0.0, 10, 8.0, 0.0, 1.0, id="just enough for the pods with GPUs"),
        pytest.param(80.0, 0.0, 10, 8.0, 2.0, 0.8, id="the others want some, too"),
        pytest.param(80.0, 15.0, 10, 8.0, 2.0, 80 / 85, id="they take what has no GPUs first"),
        pytest.param(80.0, 50.0, 10, 8.0, 2.0, 1.0, id="and it is no use to the GPUs"),
        pytest.param(-3.0, 0.0, 10, 8.0, 0.0, 0.0, id="more is in use than there is"),
        pytest.param(80.0, 0.0, 0, 8.0, 2.0, np.inf, id="no GPU is idle"),
        pytest.param(80.0, 0.0, 10, 0.0, 0.0, np.inf, id="nobody asks for any"),
    ],
)
def test_the_share_of_idle_gpus_that_cpu_covers(
    idle, idle_elsewhere, gpus, per_gpu, bare_per_gpu, expected
):
    found = formula.coverage(
        idle, idle_elsewhere, gpus=gpus, per_gpu=per_gpu, bare_per_gpu=bare_per_gpu
    )
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("blend", "share", "expected"),
    [
        pytest.param(0.45, np.inf, 0.45, id="plenty"),
        pytest.param(0.45, 1.15, 0.45, id="enough and some to spare"),
        pytest.param(0.45, 1.0, 0.25, id="just enough"),
        pytest.param(0.45, 0.95, 0.2, id="short"),
        pytest.param(0.45, 0.0, 0.2, id="nothing left"),
        pytest.param(0.33, 1.14, 0.33, id="never above the policy's"),
        pytest.param(0.1, 0.0, 0.1, id="a policy's that is lower stays"),
    ],
)
def test_what_fits_now_counts_less_where_cpu_is_short(blend, share, expected):
    form = formula.Constants(blend=blend, steepness=3.0)
    found = formula.adapted_to_coverage(form, share)
    assert found.blend == pytest.approx(expected)
    assert found.steepness == 3.0


COLUMN = st.tuples(
    st.just(0),
    st.integers(1, 8),
    st.floats(0.01, 1.0),
    st.floats(0, 1e6),
    st.floats(0, 1e12),
)
ROW = st.tuples(st.floats(0, 64), st.integers(0, 64), st.floats(-1e6, 1e7), st.floats(-1e12, 1e13))


@given(
    columns=st.lists(COLUMN, min_size=1, max_size=6),
    rows=st.lists(ROW, min_size=1, max_size=4),
    blend=st.floats(0, 1),
)
def test_headroom_of_one_row_is_that_of_arrays_to_the_bit(columns, rows, blend):
    form, classes = formula.Constants(blend=blend), classes_of(*columns)
    free, chain, cpu, memory = (np.array(values, dtype=float) for values in zip(*rows, strict=True))
    device = formula.device_headroom(free[:, None], chain[:, None], classes, form)

    expected = formula.headroom(device, cpu, memory, classes, form).tolist()

    needs = formula.class_needs(classes, form)
    found = [
        formula.headroom_of_row(*parts, *limits, needs)
        for *parts, limits in zip(
            device.fits_now.tolist(),
            device.count.tolist(),
            zip(cpu.tolist(), memory.tolist(), strict=True),
            strict=True,
        )
    ]
    assert found == expected
