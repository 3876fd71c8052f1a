"""Ask our predictor a vector's question, and bring every answer into one comparable form.

Shared by the vectors' runner (tests/kit/allocator/allocator_vectors.py), the fuzzer and their
tests.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec

from extender import errors
from extender.demand import requests, selectors
from extender.demand.allocator import allocator, outcome
from extender.hardware import allocator_features, shape
from extender.hardware.dra import slices
from extender.kube.api import conversion, objects, quantity

Json = dict[str, Any]

FITS, NO_FIT = "fits", "does not fit"
POD_ERROR, NODE_ERROR = "error for the pod", "error for the node"
UNKNOWN, CRASH = "unknown", "crash"

# Upstream's own words where an error concerns the one node only; the vectors keep only words.
NODE_ONLY = ("invalid resource pools were encountered",)
# Steps, as many as upstream takes in well under its ten seconds.
BUDGET = 200_000


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What becomes of a case: the verdict, and the devices of each claim where there are any.

    A pick is (request, driver, pool, device, admin, shared, ((capacity name, nano), …)).
    """

    verdict: str
    picks: tuple[tuple[tuple[Any, ...], ...], ...] = ()
    message: str = ""
    certain: bool = True

    def same(self, other: Answer) -> bool:
        """Whether both say the same; the words of an error are not compared."""
        return self.verdict == other.verdict and self.picks == other.picks


def upstream(answer: Json) -> Answer:
    """Read what the oracle printed, or what a vector expects."""
    for field in ("failure", "panic"):
        if answer.get(field):
            return Answer(CRASH, message=answer[field])
    if answer.get("timeout"):
        return Answer(UNKNOWN, message="timeout")
    if message := answer.get("error"):
        node_only = answer.get("nodeOnly") or message in NODE_ONLY
        return Answer(NODE_ERROR if node_only else POD_ERROR, message=message)
    if answer.get("results") is None:
        return Answer(NO_FIT)
    claims = (result["devices"].get("results") or () for result in answer["results"])
    return Answer(FITS, tuple(tuple(map(_pick, results)) for results in claims))


def as_results(answer: Answer) -> list[Json]:
    """Write picks as the API would, one allocation per claim, for the validity check."""
    return [{"devices": {"results": [_written(pick) for pick in picks]}} for picks in answer.picks]


def _written(pick: tuple[Any, ...]) -> Json:
    request, driver, pool, device, admin, shared, consumed = pick
    result = {"request": request, "driver": driver, "pool": pool, "device": device}
    if admin:
        result["adminAccess"] = True
    if shared:
        result["shareID"] = "ours"
        result["consumedCapacity"] = {name: f"{nano}n" for name, nano in consumed}
    return result


def _pick(result: Json) -> tuple[Any, ...]:
    consumed = result.get("consumedCapacity") or {}
    return (
        *(result[field] for field in ("request", "driver", "pool", "device")),
        bool(result.get("adminAccess")),
        "shareID" in result,
        tuple(sorted((name, quantity.nano(amount)) for name, amount in consumed.items())),
    )


def switches(
    gates: list[str], version: str, **overrides: bool
) -> allocator_features.AllocatorFeatures:
    """Return the version's switches with exactly the named gates on."""
    named = {part for gate in gates for part in gate.split("+")}
    chosen = {gate: gate in named for gate in allocator_features.GATES}
    return dataclasses.replace(allocator_features.features_of(version, gates=chosen), **overrides)


def judge(features: allocator_features.AllocatorFeatures) -> selectors.Selectors:
    """Return a CEL engine as kube-scheduler sets it up under these switches.

    It compiles stored expressions: `device.allowMultipleAllocations` is known whatever the gate.
    """
    return selectors.Selectors(
        list_attributes=features.list_attributes or not features.selectors_refuse_lists,
        minor=features.selectors_minor,
    )


def predict(
    case: Json,
    *,
    features: allocator_features.AllocatorFeatures,
    judge: selectors.Selectors,
    budget: int = BUDGET,
) -> Answer:
    """Answer a vector's input with our allocator."""
    node = case["node"]["metadata"]
    found = slices.inventory(
        node["name"],
        node.get("labels") or {},
        decoded(case["slices"], objects.ResourceSlice),
        features=features,
        interner=slices.Interner(),
    )
    classes = {item.metadata.name: item for item in decoded(case["classes"], objects.DeviceClass)}
    claims = decoded(case["claims"], objects.ResourceClaim)
    try:
        demands = tuple(
            requests.claim_demand(claim.spec, classes, features=features) for claim in claims
        )
    except errors.ClaimError as problem:
        return Answer(POD_ERROR, message=str(problem))
    answer = allocator.allocate(
        shape.Shape(devices=found.devices, pools=found.pools),
        slices.used(found, in_use(case), features=features),
        demands,
        selectors=judge,
        features=features,
        surroundings=found.broken_foreign,
        budget=budget,
    )
    return read(answer, found, len(claims))


def decoded(items: list[Json] | None, kind: type[Any]) -> list[Any]:
    return [
        conversion.convert_to_v1(msgspec.convert(item, kind, strict=False)) for item in items or ()
    ]


def in_use(case: Json) -> list[objects.DeviceRequestAllocationResult]:
    """Return results of claims that lead to the allocated state of a case."""
    results = [_result(item) for item in case.get("allocatedDevices") or ()]
    capacity = {_identity(i): i["Capacity"] for i in case.get("allocatedCapacity") or ()}
    for item in case.get("allocatedSharedDeviceIDs") or ():
        # The first share of a device takes all that is consumed, the others nothing.
        consumed = capacity.pop(_identity(item), None)
        results.append(_result(item, share_id=item["ShareID"], consumed_capacity=consumed))
    for (driver, pool, device), consumed in capacity.items():
        identity = {"Driver": driver, "Pool": pool, "Device": device}
        results.append(_result(identity, share_id="another", consumed_capacity=consumed))
    return results


def _identity(item: Json) -> tuple[str, str, str]:
    return item["Driver"], item["Pool"], item["Device"]


def _result(item: Json, **share: Any) -> objects.DeviceRequestAllocationResult:
    return objects.DeviceRequestAllocationResult(
        driver=item["Driver"], pool=item["Pool"], device=item["Device"], **share
    )


def read(answer: outcome.Outcome, found: slices.NodeDevices, claims: int) -> Answer:
    match answer:
        case outcome.NoFit():
            return Answer(NO_FIT, message=answer.why)
        case outcome.Unknown():
            return Answer(UNKNOWN, message=answer.message)
        case outcome.Failed():
            verdict = POD_ERROR if answer.whole_pod else NODE_ERROR
            return Answer(verdict, message=answer.message)
    picks: list[list[tuple[Any, ...]]] = [[] for _ in range(claims)]
    for pick in answer.picks:
        driver, pool = found.pool_names[found.pool_of[pick.device]]
        device = found.published()[pick.device].name
        identity = (pick.request, driver, pool, device)
        picks[pick.claim].append((*identity, pick.admin, pick.shared, pick.consumed))
    return Answer(FITS, tuple(map(tuple, picks)), certain=answer.certain)
