"""Partitioned GPUs, and what one partition takes from those to come."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extender.hardware.shape import Device, Kind, Pool, Shape
from extender.hardware.usage import Usage
from extender.pricing.mig import placements
from loadtests.simulator import mig_streams

DRIVER = "gpu.example.com"
INF = np.inf


def device(name, **draws):
    """A device that draws so much of counters; `draws` are set → {counter: amount}."""
    consumes = tuple((group, tuple(counters.items())) for group, counters in draws.items())
    return Device(DRIVER, name, {}, {}, consumes_counters=consumes, kind=Kind.PARTITION)


def machine(*devices, **counters):
    pool = Pool(DRIVER, "0", 0, len(devices), counters)
    return Shape(devices=devices, pools=(pool,))


PLACEMENTS = [
    (profile, start)
    for profile, (_, _, starts) in enumerate(mig_streams.PROFILES)
    for start in starts
]
SUITS = tuple(
    sum(1 << place for place, (one, _) in enumerate(PLACEMENTS) if one == profile)
    for profile in range(len(mig_streams.PROFILES))
)


def windows(gpu):
    for profile, start in PLACEMENTS:
        size = mig_streams.PROFILES[profile][1]
        yield device(
            f"{profile}-{start}", **{gpu: {f"s{s}": 1 for s in range(start, start + size)}}
        )


def gpus(count):
    """GPUs as a driver publishes them: a device per placement, a counter per memory slice."""
    names = [f"gpu{number}" for number in range(count)]
    counters = {name: {f"s{s}": 1 for s in range(mig_streams.SLICES)} for name in names}
    return machine(*(one for name in names for one in windows(name)), **counters)


# ---------------------------------------------------------------- partitioned GPUs


def test_a_partitioned_gpu_is_what_one_counter_set_serves_and_equal_ones_share_a_layout():
    first, second = placements.partitioned_gpus(gpus(2))

    assert first.devices == tuple(range(18))
    assert second.devices == tuple(range(18, 36))
    assert first.layout is second.layout


def test_devices_without_counters_are_on_no_partitioned_gpu():
    assert placements.partitioned_gpus(machine(device("whole"))) == ()


def test_a_device_that_draws_from_two_sets_joins_them_to_one_gpu():
    pair = [
        device("a", one={"memory": 1}),
        device("b", two={"memory": 1}),
        device("both", one={"memory": 1}, two={"memory": 1}),
    ]
    (gpu,) = placements.partitioned_gpus(machine(*pair, one={"memory": 1}, two={"memory": 1}))

    assert gpu.free(Usage()) == 0b111
    assert gpu.free(Usage(taken=0b010)) == 0b001


def test_a_device_that_draws_what_its_pool_lacks_is_left_out():
    (gpu,) = placements.partitioned_gpus(
        machine(device("a", gpu={"memory": 1}), device("b", gpu={"lost": 1}), gpu={"memory": 1})
    )

    assert gpu.devices == (0,)


def test_devices_of_a_gpu_may_stand_apart():
    mixed = [device("a0", a={"m": 2}), device("b0", b={"m": 2}), device("a1", a={"m": 1})]
    first, second = placements.partitioned_gpus(machine(*mixed, a={"m": 2}, b={"m": 2}))

    assert (first.devices, second.devices) == ((0, 2), (1,))
    assert first.free(Usage(taken=0b100)) == 0b00
    assert second.free(Usage(taken=0b100)) == 0b1


def test_what_devices_elsewhere_draw_is_missing_here():
    hardware = gpus(2)
    first, second = placements.partitioned_gpus(hardware)
    usage = Usage(drawn=((0, "gpu1", "s0", 1),))

    assert first.free(usage) == (1 << 18) - 1
    assert second.free(usage) & SUITS[5] == 0


@given(st.lists(st.sampled_from(range(18)), max_size=6))
def test_a_gpu_offers_the_legal_placements_of_its_geometry(tried):
    (gpu,) = placements.partitioned_gpus(gpus(1))
    taken, mask = 0, 0
    for place in tried:
        profile, start = PLACEMENTS[place]
        window = mig_streams.window(mig_streams.PROFILES[profile][1], start)
        if not mask & window:
            taken, mask = taken | 1 << place, mask | window
    legal = [mig_streams.LEGAL[mask, profile, start] for profile, start in PLACEMENTS]

    seen = placements.gpu_state(gpu.layout, taken, (), SUITS)

    assert [bool(gpu.free(Usage(taken=taken)) >> place & 1) for place in range(18)] == legal
    assert seen.legal.tolist() == mig_streams.LEGAL[mask].sum(axis=1).tolist()
    for profile, first in enumerate(seen.first):
        start = PLACEMENTS[first][1] if first >= 0 else mig_streams.NONE
        assert start == mig_streams.FIRST[mask, profile]
        after = mig_streams.LEGAL[mig_streams.AFTER[mask, profile]].sum(axis=1)
        assert (
            seen.closed[profile].tolist() == (mig_streams.LEGAL[mask].sum(axis=1) - after).tolist()
        )


# ---------------------------------------------------------------- the next one


def after(now, rows, then, weight, nowhere=20.0):
    now, then = np.array(now), np.array(then)
    found = placements.next_loss(now, np.array(rows), then, np.array(weight), nowhere)
    return found.sum(axis=1)


def test_the_next_one_goes_where_it_costs_least():
    now = [[3.0, 5.0], [1.0, 9.0], [2.0, 7.0]]
    then = [[INF, 5.0], [4.0, 9.0], [2.0, 6.0]]

    # before: 1 and 5; on row 1 the first goes elsewhere, for 2
    assert after(now, [0, 1, 2], then, [0.5, 0.5]).tolist() == [0.0, 0.5, 0.0]


def test_one_that_then_fits_nowhere_costs_what_was_named_for_it():
    assert after([[2.0], [INF]], [0, 1], [[INF], [INF]], [1.0]).tolist() == [18.0, 0.0]


def test_one_that_fits_nowhere_anyway_costs_nothing_more():
    assert after([[INF]], [0], [[INF]], [1.0]).tolist() == [0.0]


def test_a_placement_may_make_room_cheaper():
    assert after([[4.0], [4.0]], [0, 1], [[1.0], [4.0]], [1.0]).tolist() == [-3.0, 0.0]


def test_no_rows_expect_nothing():
    empty = np.zeros((0, 3))

    found = placements.next_loss(empty, np.zeros(0, dtype=int), empty, np.ones(3), 1.0)

    assert found.shape == (0, 3)


def test_the_next_loss_is_the_plain_minimum_over_the_changed_cluster():
    rng = np.random.default_rng(7)
    now = rng.integers(1, 9, size=(6, 4)).astype(float)
    now[rng.random((6, 4)) < 0.3] = INF
    then = now + rng.integers(0, 3, size=(6, 4))
    weight = np.array([0.1, 0.2, 0.3, 0.4])

    def expected(losses):
        best = losses.min(axis=0)
        return weight @ np.where(np.isinf(best), 20.0, best)

    for row, found in enumerate(after(now, range(6), then, weight)):
        changed = now.copy()
        changed[row] = then[row]
        assert found == pytest.approx(expected(changed) - expected(now))
