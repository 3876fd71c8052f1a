"""Put one case to the real allocator and to ours, and say whether they differ."""

from __future__ import annotations

import collections
import dataclasses
import functools
import json
import random
import subprocess
import traceback
from types import TracebackType
from typing import Any, Self

from extender.demand import selectors
from extender.hardware import allocator_features
from tests.kit.allocator import allocator_cases, allocator_live, allocator_replay
from tests.kit.allocator.allocator_replay import Answer
from tests.kit.allocator.validity import allocator_validity

Json = dict[str, Any]

# From this minor on upstream sorts pools and slices, so that its pick is one and the same.
ORDERED = (1, 36)
# Before, so many runs show nearly all answers that upstream may give: a Go map of two pools is
# walked the rarer way round in one run of eight.
REPEATS = 100
# Either way the pod does not come to this node. The index knows the worst counter pool of all
# nodes together, and so may take a node's own broken pool for one of another node.
REFUSALS = {allocator_replay.NO_FIT, allocator_replay.NODE_ERROR}
# The variant that kube-scheduler takes when few features are on; it never sorts pools.
STABLE = "stable"


@dataclasses.dataclass(frozen=True, slots=True)
class Setting:
    """What is compared: a Kubernetes version, the oracle's binary for it, its time per case.

    `against` is the binary of another version, to ask instead of our predictor. `live` asks the
    predictor through the store, the index and the predictor, as the service does.
    """

    version: str
    binary: str
    timeout: str
    against: str = ""
    live: bool = False

    @property
    def minor(self) -> tuple[int, int]:
        major, minor = self.version.split(".")[:2]
        return int(major), int(minor)


def batch(
    setting: Setting, seed: int, numbers: range
) -> tuple[collections.Counter[str], list[int]]:
    """Return how often each verdict occurred, and the numbers of the cases that differ."""
    tally: collections.Counter[str] = collections.Counter()
    differing = []
    with Duel(setting) as duel:
        for number in numbers:
            case = allocator_cases.draw(seed, number, version=setting.minor)
            verdict = duel.verdict(case)
            tally[verdict] += 1
            if verdict == "different":
                differing.append(number)
    return tally, differing


class Duel:
    """The real allocator (a process that answers line by line) and ours, side by side."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._oracle = _start(setting.binary, "allocate", "--timeout", setting.timeout)
        self._cel = _start(setting.binary, "cel")
        self._predict = (allocator_live if setting.live else allocator_replay).predict
        self._other = setting.against and _start(setting.against, "allocate")
        self._judges: dict[allocator_features.AllocatorFeatures, selectors.Selectors] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._oracle.communicate()
        self._cel.communicate()
        if self._other:
            self._other.communicate()

    def verdict(self, case: Json) -> str:
        """Return what the case shows: "same …", "different", or why it shows nothing."""
        theirs = allocator_replay.upstream(self.expected(case))
        if theirs.verdict in (allocator_replay.UNKNOWN, allocator_replay.CRASH):
            return f"passed over: upstream {theirs.message.splitlines()[0]}"
        ours = self._ours(case)
        if ours.verdict == allocator_replay.UNKNOWN:
            return "unknown to us"
        if ours.same(theirs):
            return f"same, {theirs.verdict}"
        if self._setting.live and {ours.verdict, theirs.verdict} == REFUSALS:
            return "same, refused on this node"
        if self._setting.live and self._setting.minor <= ORDERED and _spans_nodes(case["input"]):
            return "passed over: a pool of counters spans nodes"
        known = ours.verdict == allocator_replay.FITS and ours.certain
        if self._setting.minor < ORDERED and not known and self._may_be(case, ours):
            return f"same where order is random, {ours.verdict}"
        return "different"

    def differs(self, case: Json) -> bool:
        """Whether a smaller case is still a difference, and not in another variant's order."""
        gates = case["input"]["features"]
        if allocator_cases.FRACTIONS in gates and "DRAConsumableCapacity" not in gates:
            return False  # the first gate depends on the second
        return self.expected(case).get("channel") != STABLE and self.verdict(case) == "different"

    def answers(self, case: Json) -> tuple[Answer, Answer]:
        """Return upstream's answer and ours."""
        return allocator_replay.upstream(self.expected(case)), self._ours(case)

    def expected(self, case: Json) -> Json:
        """Return what the oracle prints for the case."""
        answer = _ask(self._oracle, case)
        answer.pop("seconds", None)
        return answer

    def _ours(self, case: Json) -> Answer:
        if self._other:
            return allocator_replay.upstream(_ask(self._other, case))
        gates = case["input"]["features"]
        features = allocator_replay.switches(gates, self._setting.version)
        if features not in self._judges:
            self._judges[features] = allocator_replay.judge(features)
        try:
            return self._predict(case["input"], features=features, judge=self._judges[features])
        except Exception:  # noqa: BLE001 - a crash of ours is a difference like any other
            return Answer(allocator_replay.CRASH, message=traceback.format_exc(limit=-3))

    def _may_be(self, case: Json, ours: Answer) -> bool:
        """Whether upstream, whose order is random here, may answer as we did."""
        rows = []
        for number in range(REPEATS):
            # Slices stand in the order in which the informer happens to list them.
            slices = list(case["input"]["slices"])
            random.Random(number).shuffle(slices)
            rows.append(self.expected({**case, "input": {**case["input"], "slices": slices}}))
            theirs = allocator_replay.upstream(rows[-1])
            both = ours.verdict == theirs.verdict == allocator_replay.FITS
            if both and not self._holds_possible(case, theirs):
                return False
            if ours.same(theirs):
                return True
        # A valid pick is as good as upstream's own; its defects may make its own invalid.
        fitting = [row["results"] for row in rows if row.get("results") is not None]
        if ours.verdict != allocator_replay.FITS or not fitting:
            return False
        picked = allocator_replay.as_results(ours)
        return self._valid(case, picked) or not all(self._valid(case, row) for row in fitting)

    def _holds_possible(self, case: Json, theirs: Answer) -> bool:
        """Whether the service would count upstream's picks as possible, and not as different."""
        wishes = (
            wish
            for claim in case["input"]["claims"]
            for request in claim["spec"]["devices"].get("requests") or ()
            for wish in request.get("firstAvailable") or ()
        )
        if any(wish.get("allocationMode") == "All" for wish in wishes):
            return True  # up to 1.35 "all" of a later wish is as many devices as of an earlier one
        features = allocator_replay.switches(case["input"]["features"], self._setting.version)
        judge = self._judges[features]
        return allocator_live.may_pick(case["input"], theirs, features=features, judge=judge)

    def _valid(self, case: Json, results: list[Json]) -> bool:
        matches = functools.partial(self._matches, case["input"]["features"])
        return not allocator_validity.violations(
            case["input"], results, matches=matches, repeats=self._setting.minor < ORDERED
        )

    def _matches(self, features: list[str], expression: str, driver: str, device: Json) -> bool:
        fields = ("attributes", "capacity", "allowMultipleAllocations")
        question = {"expression": expression, "driver": driver, "features": features}
        question |= {field: device[field] for field in fields if field in device}
        return bool(_ask(self._cel, question).get("result"))


def _spans_nodes(case: Json) -> bool:
    """Whether a counter slice of another node belongs to a pool that others have parts of, too.

    The index says once for all nodes whether pools elsewhere are broken. Of such a pool it says
    nothing, since nodes that have a part of it may see that differently.
    """
    places: dict[tuple[str, str], set[str]] = collections.defaultdict(set)
    counting = set()
    for item in case["slices"]:
        spec = item["spec"]
        pool = (spec["driver"], spec["pool"]["name"])
        places[pool].add(spec.get("nodeName", ""))
        if spec.get("sharedCounters") and spec.get("nodeName"):
            counting.add(pool)
    return any(len(places[pool]) > 1 for pool in counting)


def _start(*command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _ask(process: subprocess.Popen[str], question: Json) -> Json:
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the oracle has no pipes")
    process.stdin.write(json.dumps(question) + "\n")
    process.stdin.flush()
    answer: Json = json.loads(process.stdout.readline())
    return answer
