import random

import pytest

from extender.kube.watch import backoff
from tests.kit import virtual_time

LOOP = virtual_time.Loop


@pytest.fixture
async def clock():
    return virtual_time.Clock()


class Always:
    """A random source that always says the same."""

    def __init__(self, value):
        self.value = value

    def random(self):
        return self.value


@pytest.mark.parametrize(("jitter", "factor"), [(0.0, 1), (0.5, 1.5), (0.999, 1.999)])
async def test_delays_double_up_to_12_seconds_and_carry_jitter(clock, jitter, factor):
    waits = backoff.Backoff(rng=Always(jitter))
    found = [waits.next() / factor for _ in range(8)]
    assert found == pytest.approx([0.8, 1.6, 3.2, 6.4, 12, 12, 12, 12])


@pytest.mark.parametrize(("quiet", "expected"), [(119, 6.4), (121, 0.8)])
async def test_delays_start_anew_after_more_than_two_quiet_minutes(clock, quiet, expected):
    waits = backoff.Backoff(rng=Always(0))
    for _ in range(3):
        clock.advance(waits.next())
    clock.advance(quiet)
    assert waits.next() == pytest.approx(expected)


async def test_waiting_itself_is_not_quiet_time(clock):
    waits = backoff.Backoff(rng=random.Random(3))
    for _ in range(100):
        clock.advance(waits.next())
    assert waits.next() >= 12
