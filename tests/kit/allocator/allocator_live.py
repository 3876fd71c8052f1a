"""Ask a vector's question the way the service does: store, index, predictor, and their memories.

The cluster is first seen with nothing allocated and asked about, then the allocated claims arrive
and it is asked again: what was remembered must not show.
"""

from __future__ import annotations

from typing import Any

from extender import errors
from extender.cluster import index, machines, store
from extender.demand import requests, selectors
from extender.demand.allocator import allocator
from extender.hardware import allocator_features
from extender.hardware.catalogue import catalogue
from extender.hardware.usage import NodeState
from extender.kube.api import objects
from tests.kit.allocator import allocator_replay
from tests.kit.allocator.allocator_replay import Answer

Json = dict[str, Any]

NO_CATALOGUE = catalogue.parse({})


def predict(
    case: Json,
    *,
    features: allocator_features.AllocatorFeatures,
    judge: selectors.Selectors,
    budget: int = allocator_replay.BUDGET,
) -> Answer:
    """Answer a vector's input as `allocator_replay.predict` does, through the live parts."""
    name = case["node"]["metadata"]["name"]
    picture, cluster, predictor = _parts(case, features, judge, budget)
    try:
        demands = _demands(case, features)
    except errors.ClaimError as problem:
        return Answer(allocator_replay.POD_ERROR, message=str(problem))
    _ask(cluster, predictor, name, demands)
    for number, result in enumerate(allocator_replay.in_use(case)):
        picture.apply("ResourceClaim", "ADDED", _holder(number, result))
    answer, row = _ask(cluster, predictor, name, demands)
    return allocator_replay.read(answer, row.machine.inventory, len(demands))


def may_pick(
    case: Json,
    answer: Answer,
    *,
    features: allocator_features.AllocatorFeatures,
    judge: selectors.Selectors,
) -> bool:
    """Whether the service holds each claim's devices in the answer for possible ones."""
    _, cluster, predictor = _parts(case, features, judge, allocator_replay.BUDGET)
    cluster.settle()
    name = case["node"]["metadata"]["name"]
    row = cluster.detail(name)
    if row is None:
        raise LookupError(name)
    if any(pool.broken for pool in row.machine.shape.pools):
        return True  # whether the walk comes to that pool is a matter of order
    demands = _demands(case, features)
    for number, picks in enumerate(answer.picks):
        bits: dict[str, int] = {}  # request → its devices
        for request, driver, pool, device, *_ in picks:
            place = row.machine.inventory.number((driver, pool, device))
            if place is None:
                return False
            bits[request] = bits.get(request, 0) | 1 << place
        if not predictor.may_pick(row.machine.shape, demands, number, bits):
            return False
    return True


def _parts(
    case: Json,
    features: allocator_features.AllocatorFeatures,
    judge: selectors.Selectors,
    budget: int,
) -> tuple[store.ClusterStore, index.TopologyIndex, allocator.Predictor]:
    """A picture of the case with nothing allocated, and what reads it."""
    picture = store.ClusterStore()
    # The memory of an index lives as long as its selectors, so they are asked through fresh ones.
    builder = machines.Builder(features=features, hardware=NO_CATALOGUE)
    predictor = allocator.Predictor(selectors=judge, features=features, budget=budget)
    _fill(picture, case)
    return picture, index.TopologyIndex(picture, builder), predictor


def _demands(
    case: Json, features: allocator_features.AllocatorFeatures
) -> tuple[requests.ClaimDemand, ...]:
    """What the claims ask for; raises errors.ClaimError."""
    unique = {item["metadata"]["name"]: item for item in case["classes"]}
    decoded = allocator_replay.decoded(list(unique.values()), objects.DeviceClass)
    by_name = {item.metadata.name: item for item in decoded}
    claims = allocator_replay.decoded(case["claims"], objects.ResourceClaim)
    return tuple(requests.claim_demand(claim.spec, by_name, features=features) for claim in claims)


def _fill(picture: store.ClusterStore, case: Json) -> None:
    picture.apply("Node", "ADDED", allocator_replay.decoded([case["node"]], objects.Node)[0])
    elsewhere = {item["spec"].get("nodeName") for item in case["slices"]}
    for other in sorted(elsewhere - {None, case["node"]["metadata"]["name"]}):
        picture.apply("Node", "ADDED", objects.Node(metadata=objects.ObjectMeta(name=other)))
    for kind, key in (("DeviceClass", "classes"), ("ResourceSlice", "slices")):
        for item in allocator_replay.decoded(case[key], getattr(objects, kind)):
            picture.apply(kind, "ADDED", item)
    for item in allocator_replay.decoded(case["claims"], objects.ResourceClaim):
        picture.apply("ResourceClaim", "ADDED", item)


def _ask(
    cluster: index.TopologyIndex,
    predictor: allocator.Predictor,
    name: str,
    demands: tuple[requests.ClaimDemand, ...],
) -> tuple[allocator.Outcome, index.Row]:
    cluster.settle()
    row = cluster.detail(name)
    if row is None:
        raise LookupError(name)
    state = NodeState(row.machine.shape, row.usage)
    return predictor.allocate(state, demands, surroundings=cluster.surroundings), row


def _holder(number: int, result: objects.DeviceRequestAllocationResult) -> objects.ResourceClaim:
    devices = objects.DeviceAllocationResult(results=(result,))
    return objects.ResourceClaim(
        metadata=objects.ObjectMeta(name=f"held-{number}", namespace="d", uid=f"held-{number}"),
        status=objects.ResourceClaimStatus(allocation=objects.AllocationResult(devices=devices)),
    )
