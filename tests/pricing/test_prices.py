import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extender.pricing import formula, prices
from extender.pricing.mix import demand_mix


def classes_of(weights, *, counts=None):
    size = len(weights)
    return demand_mix.DemandClasses(
        units=("gpu",),
        unit=np.zeros(size, dtype=np.int64),
        count=np.array(counts if counts is not None else [1.0] * size, dtype=float),
        share=np.ones(size),
        cpu=np.full(size, 10.0),
        memory=np.ones(size),
        weight=np.array(weights, dtype=float),
    )


FORM = formula.Constants(steepness=2.0, slack=0.5)


def test_a_class_with_half_the_room_costs_four_times_as_much_at_a_steepness_of_two():
    form = formula.Constants(steepness=2.0, slack=0.0)
    got = prices.prices(classes_of([0.5, 0.5]), np.array([100.0, 50.0]), form)
    assert got[1] / got[0] == pytest.approx(4.0)


def test_twice_as_frequent_costs_twice_as_much():
    got = prices.prices(classes_of([0.2, 0.4]), np.array([70.0, 70.0]), FORM)
    assert got[1] / got[0] == pytest.approx(2.0)


def test_a_class_without_any_room_has_a_finite_price():
    got = prices.prices(classes_of([0.5, 0.5], counts=[1, 8]), np.array([10.0, 0.0]), FORM)
    assert np.isfinite(got).all()
    assert got[1] / got[0] == pytest.approx((10.5 / 4.0) ** 2)


def test_one_very_scarce_class_does_not_make_the_other_prices_vanish():
    form = formula.Constants(steepness=3.0)
    got = prices.prices(classes_of([0.5, 0.0005]), np.array([4000.0, 1.0]), form)
    assert got[0] > 1e-4
    assert got[1] > 1e2


def test_half_empty_pools_of_any_size_are_equally_dear_by_what_is_asked_of_each():
    form = formula.Constants(steepness=4.0, slack=0.0)
    pool = np.array([1000.0, 10.0])
    got = prices.prices(classes_of([0.5, 0.005]), pool / 2, form, pool=pool)
    assert got[0] == pytest.approx(got[1])


def test_one_pool_for_all_classes_changes_no_price():
    classes, room = classes_of([0.5, 0.2, 0.3]), np.array([400.0, 30.0, 1.0])
    got = prices.prices(classes, room, FORM, pool=np.full(3, 1000.0))
    assert got == pytest.approx(prices.prices(classes, room, FORM))


def test_a_pool_that_is_not_known_is_as_large_as_the_room_in_it():
    room = np.array([50.0, 70.0])
    got = prices.prices(classes_of([0.5, 0.5]), room, FORM, pool=np.zeros(2))
    assert got[0] / got[1] == pytest.approx(70.5 / 50.5)


def test_no_classes_have_no_prices():
    assert prices.prices(demand_mix.DemandMix().classes(), np.zeros(0), FORM).shape == (0,)


@given(
    st.lists(st.tuples(st.floats(1e-9, 1), st.floats(0, 1e5)), min_size=1, max_size=20),
    st.floats(0, 6),
)
def test_losing_an_average_gpu_for_all_classes_costs_one(pairs, steepness):
    weights, room = zip(*pairs, strict=True)
    form = formula.Constants(steepness=steepness)
    classes = classes_of(weights)
    got = prices.prices(classes, np.array(room), form)
    assert (got >= 0).all()
    slack = np.array(room) + form.slack * classes.size
    average = slack / slack.max()
    assert formula.cost(average[None, :], np.zeros((1, len(got))), got) == pytest.approx([1.0])


@pytest.mark.parametrize(
    ("gpus", "placements"), [pytest.param(0, 1), pytest.param(64, 1), pytest.param(6212, 19)]
)
def test_prices_are_renewed_more_rarely_on_larger_clusters(gpus, placements):
    assert prices.refresh_every(gpus) == placements


def test_classes_that_overlap_see_the_mean_of_their_headroom():
    room, weight = np.array([8.0, 2.0, 5.0]), np.array([0.3, 0.1, 0.6])

    found = prices.shared_headroom(room, weight, np.array([True, True, False]))

    assert found.tolist() == pytest.approx([6.5, 6.5, 5.0])


def test_no_overlap_leaves_every_class_its_own_headroom():
    room = np.array([8.0, 2.0])

    assert prices.shared_headroom(room, np.ones(2), np.zeros(2, dtype=bool)) is room
