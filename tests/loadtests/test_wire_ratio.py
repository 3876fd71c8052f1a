"""The benchmark of the wire runs, and what it compares does the work."""

import pytest

from loadtests.performance import wire_ratio


@pytest.mark.parametrize("judge", ["engine", "table"])
def test_both_services_answer_and_are_measured(monkeypatch, judge):
    monkeypatch.setattr(wire_ratio, "_PAIRS", 2)

    report = wire_ratio.compare(200, 0.0, judge)

    assert report["names"] == 200
    assert min(*report["wall_us"].values(), *report["cpu_us"].values()) > 0
