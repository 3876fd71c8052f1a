"""The benchmark beside peers asks what kube-scheduler asks, and compares medians."""

import argparse

import orjson
import pytest

from extender.decisions.verb_results import FilterResult
from extender.server import replies
from extender.server import wire as protocol
from loadtests.performance import wire


@pytest.mark.parametrize("whole", [False, True])
def test_prioritize_asks_about_what_filter_let_through(whole):
    start = wire.head(4)
    asked = wire.Windows(30, whole=whole).next(10)
    question = protocol.question(start + asked)
    reported = replies.filtered(question.asked, wire_result(question.asked.names[:3]))
    body = reported.body if isinstance(reported.body, bytes) else reported.body.whole()

    second = protocol.question(start + wire.passing(body, whole=whole))

    assert second.pod == question.pod
    assert second.asked.names == question.asked.names[3:]


def wire_result(refused):
    return FilterResult(failed=dict.fromkeys(refused, "busy"))


def test_kinds_of_pods_take_turns():
    pods = [orjson.loads(wire.head(number)[:-1] + b"}")["Pod"] for number in range(12)]
    claims = [pod["spec"]["resourceClaims"][0]["resourceClaimTemplateName"] for pod in pods]

    assert claims == [*wire.KINDS, *wire.KINDS]


class Asked:
    """A peer that notes which blocks it is asked about."""

    def __init__(self, name, log):
        self.name, self.walls, self._log = name, [1.0, 2.0], log
        self.cpu = self.after = 0.0

    def forget(self):
        """It holds nothing."""

    def block(self, pods, **_):
        self._log.append((self.name, [start for start, _ in pods]))


def test_each_peer_is_asked_all_pods_in_blocks_and_as_often_first_as_last():
    log = []
    peers = [Asked(name, log) for name in ("railyard", "before", "noop")]
    given = argparse.Namespace(nodes=30, pods=2 * wire.BLOCK)

    wire.measure(peers, given, count=5, whole=False, gap=0.0, number=7)

    for peer in peers:
        asked = [start for name, pods in log if name == peer.name for start in pods]
        assert asked == [wire.head(7 + number) for number in range(2 * wire.BLOCK)]
    order = [name for name, _ in log]
    assert order[:3] == order[3:][::-1]


def test_ratios_are_ours_over_theirs():
    us = {
        "railyard": {"p50": 300, "p90": 450, "cpu": 200},
        "floor": {"p50": 100, "p90": 110, "cpu": 50},
    }
    report = {"us": us, "names": 500, "sent": "names", "gap_ms": 1.0}

    assert wire.ratios(report) == {"floor": (3.0, 4.0)}
    assert "300 us, p90 1.5x of p50; 3.00x floor (CPU 4.00x)" in wire.printed(report)
