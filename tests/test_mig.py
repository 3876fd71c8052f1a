import itertools

import numpy as np
import pytest

from loadtests import lookahead, mig, mig_churn

INF = np.inf


def test_the_next_instance_goes_where_it_costs_least():
    now = np.array([[3.0, 5.0], [1.0, 9.0], [2.0, 7.0]])
    then = np.array([[INF, 5.0], [4.0, 9.0], [2.0, 6.0]])
    got = lookahead.next_loss(now, then, np.array([0.5, 0.5]))
    # row 0: 1 and 5 elsewhere or here; row 1: 2 on another node, 5; row 2: 1 elsewhere, 5
    assert got.tolist() == [3.0, 3.5, 3.0]


def test_a_profile_that_would_fit_nowhere_costs_more_than_any_placement():
    now = np.array([[2.0], [INF]])
    then = np.array([[INF], [INF]])
    got = lookahead.next_loss(now, then, np.array([1.0]))
    assert got.tolist() == [lookahead.NOWHERE, 2.0]
    assert mig.OPEN.max() < lookahead.NOWHERE


def test_no_nodes_expect_nothing():
    empty = np.zeros((0, 3))
    assert lookahead.next_loss(empty, empty, np.ones(3)).shape == (0,)


def test_looking_ahead_is_the_plain_minimum_over_the_changed_cluster():
    rng = np.random.default_rng(7)
    now = rng.integers(1, 9, size=(6, 4)).astype(float)
    now[rng.random((6, 4)) < 0.3] = INF
    then = now + rng.integers(0, 3, size=(6, 4))
    weight = np.array([0.1, 0.2, 0.3, 0.4])
    got = lookahead.next_loss(now, then, weight)
    for row in range(6):
        changed = now.copy()
        changed[row] = then[row]
        best = changed.min(axis=0)
        expected = weight @ np.where(np.isinf(best), lookahead.NOWHERE, best)
        assert got[row] == pytest.approx(expected)


def test_an_empty_gpu_has_the_documented_placements():
    assert mig.OPEN[0] == 18
    assert mig.FIRST[0].tolist() == [0, 0, 0, 0, 0, 0]
    assert mig.LAST[0].tolist() == [6, 6, 4, 4, 0, 0]


def packable(counts, gpus):
    """Whether the instances fit, by trying everything."""

    def fill(masks, left):
        profile = next((p for p in range(mig_churn.KINDS)[::-1] if left[p]), None)
        if profile is None:
            return True
        fewer = tuple(n - (p == profile) for p, n in enumerate(left))
        size = mig.PROFILES[profile][1]
        for gpu, mask in enumerate(masks):
            for start in np.flatnonzero(mig.LEGAL[mask, profile]):
                after = list(masks)
                after[gpu] |= mig.window(size, int(start))
                if fill(tuple(sorted(after)), fewer):
                    return True
        return False

    return fill((0,) * gpus, tuple(counts))


@pytest.mark.parametrize("gpus", [1, 2])
def test_the_repack_ceiling_is_what_trying_everything_finds(gpus):
    rng = np.random.default_rng(gpus)
    verdicts = set()
    tops = (6 * gpus, 3 * gpus, 3 * gpus, 2 * gpus, gpus, 1)
    for _ in range(60):
        counts = [int(rng.integers(0, top // 2 + 1)) for top in tops]
        if sum(c * s for c, s in zip(counts, mig.SIZES, strict=True)) > 8 * gpus + 1:
            continue
        expected = packable(counts, gpus)
        assert mig.fits_repacked(counts, gpus) == expected, counts
        verdicts.add(expected)
    assert verdicts == {True, False}


@pytest.mark.parametrize(
    ("mask", "profile"), list(itertools.product((0, 1, 0b10010, 0b1111), range(6)))
)
def test_the_loss_counts_the_windows_that_first_fit_closes(mask, profile):
    if mig.FIRST[mask, profile] == mig.NONE:
        assert mig.LOSS[mask, profile] == INF
        return
    taken = mig.window(mig.PROFILES[profile][1], int(mig.FIRST[mask, profile]))
    assert not mask & taken
    assert mig.LOSS[mask, profile] == mig.OPEN[mask] - mig.OPEN[mask | taken]
    assert mig.LOSS[mask, profile] > 0
