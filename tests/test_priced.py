import numpy as np
import pytest

from extender.policy import mix
from loadtests import priced


def one_class():
    """Whole GPUs with ten thousandths of CPU each, and nothing else."""
    one = np.ones(1)
    return mix.Classes(("gpu",), np.zeros(1, dtype=np.int64), one, one, 10 * one, one, one)


@pytest.mark.parametrize(
    ("idle_cpu", "expected"),
    [
        pytest.param(500.0, 0.3, id="half the CPU that idle GPUs will ask"),
        pytest.param(1000.0, 0.3, id="just enough"),
        pytest.param(1150.0, 0.45, id="some surplus"),
        pytest.param(5000.0, 0.6, id="plenty"),
    ],
)
def test_the_blend_follows_the_cpu_left_for_idle_gpus(idle_cpu, expected):
    got = priced.adaptive_blend(
        one_class(),
        idle_cpu=idle_cpu * 0.98,
        total_cpu=idle_cpu,
        idle_gpus=98.0,
        total_gpus=100.0,
    )
    assert got == pytest.approx(expected)


def test_the_blend_of_an_unknown_mix_is_the_plain_one():
    got = priced.adaptive_blend(
        mix.Mix().classes(), idle_cpu=1.0, total_cpu=1.0, idle_gpus=1.0, total_gpus=1.0
    )
    assert got == 0.6
