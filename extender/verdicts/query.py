"""What is asked about a pod: everything a verdict per node state depends on, and nothing else."""

from __future__ import annotations

import dataclasses
import re

from extender.demand import extended_resources as special_claim
from extender.demand import pod as pods
from extender.demand.requests import ClaimDemand, Request
from extender.kube.api import objects
from extender.policy import config

# Words for people, by the words in the name of a class or resource, never by a part of one: "efa"
# in compute-domain-default-channel is no NIC. The first that has one wins.
_NOUNS = (
    (frozenset({"channel", "channels"}), "channel"),
    (frozenset({"mig", "partition", "partitions"}), "GPU partition"),
    (
        frozenset(
            {
                *("rdma", "nic", "nics", "efa", "erdma", "dranet", "sriov", "infiniband", "ib"),
                *("hca", "roce", "netdev", "netdevice", "hostdev"),
            }
        ),
        "NIC",
    ),
    (frozenset({"neuroncore"}), "Neuron core"),
    (frozenset({"neuron", "neurondevice"}), "Neuron device"),
    (frozenset({"tpu", "tpus"}), "TPU"),
    (frozenset({"gaudi"}), "Gaudi accelerator"),
    (frozenset({"npu", "npus"}), "NPU"),
    (frozenset({"gpu", "gpus", "pgpu", "sgpu", "vgpu", "accelerator", "accelerators"}), "GPU"),
)
_GROUPS = {
    "resource.kubernetes.io/pcieRoot": "behind one PCIe root",
    "resource.kubernetes.io/numaNode": "on one NUMA node",
    "dra.net/numaNode": "on one NUMA node",
    "dra.cpu/numaNodeID": "on one NUMA node",
}


# How much pods that come later will communicate, as far as anybody knows.
_LATER_SHARE = config.Locality().communication_share


@dataclasses.dataclass(frozen=True, slots=True)
class Query:
    """The memo key of verdicts: equal questions get equal answers on equal states.

    `claims` are those still to be allocated. `special` are the device requests that extended
    resources become where DRA serves them, (resource, ((request name, count), …)); `blind`: we
    may not see what DRA has.
    """

    claims: tuple[ClaimDemand, ...] = ()
    extended: tuple[tuple[str, int], ...] = ()
    special: tuple[tuple[str, tuple[tuple[str, int], ...]], ...] = ()
    blind: bool = False
    mode: str = "Preferred"
    level: str = "PHB"
    unknown: str = "Refuse"
    communication_share: float = 0.23
    _hash: int = dataclasses.field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        # A question is looked up several times a request, and is deep.
        values = (getattr(self, field.name) for field in dataclasses.fields(self) if field.compare)
        object.__setattr__(self, "_hash", hash(tuple(values)))

    def __hash__(self) -> int:
        return self._hash

    def names(self) -> tuple[str, ...]:
        """The device classes and extended resources that are asked for."""
        return (*device_classes(self.claims), *(name for name, _ in self.extended))

    def __bool__(self) -> bool:
        """Whether devices are asked for at all."""
        return bool(self.claims or self.extended)


def query_of(
    demands: tuple[ClaimDemand, ...],
    requests: pods.Requests,
    pod: objects.Pod,
    locality: config.Locality,
    *,
    blind: bool = False,
) -> Query:
    """Put the question of one pod under a profile's locality rules."""
    asked = special_claim.all_requests(pod) if requests.extended else {}
    special = tuple((name, tuple(asked.get(name, ()))) for name, _ in requests.extended)
    return Query(
        claims=demands,
        extended=requests.extended,
        special=special,
        blind=blind and bool(special),
        mode=locality.mode,
        level=locality.level,
        unknown=locality.unknown,
        communication_share=locality.communication_share,
    )


def noun(name: str) -> str:
    """The word for a device class or resource: GPU, NIC, GPU partition, …, or its own name."""
    parts = re.split(r"[^a-z0-9]+", name.lower().replace("dra.net", "dranet"))
    return next((word for known, word in _NOUNS if not known.isdisjoint(parts)), name)


def describe(question: Query, adjective: str = "") -> str:
    """The demand in words, the same for every node: "2 GPUs + 2 NICs behind one PCIe root".

    One single device goes without its number: "NIC", "free GPU".
    """
    counts: dict[str, int] = {}
    for claim in question.claims:
        for request in claim.requests:
            choice = request.choices[0]
            counts[noun(choice.device_class)] = counts.get(noun(choice.device_class), 0) + (
                choice.count if choice.mode == "ExactCount" else 0
            )
    for name, count in question.extended:
        counts[noun(name)] = counts.get(noun(name), 0) + count
    alone = len(counts) == 1
    listed = " + ".join(
        _counted(count, word, adjective, alone=alone) for word, count in counts.items()
    )
    groups = {
        _GROUPS.get(constraint.attribute, f"with one {constraint.attribute.rpartition('/')[2]}")
        for claim in question.claims
        for constraint in claim.constraints
        if not constraint.distinct
    }
    return " ".join([listed, *sorted(groups)])


def _counted(count: int, word: str, adjective: str, *, alone: bool) -> str:
    named = f"{adjective} {word}".strip()
    if count == 0:
        return f"set of all {word}s"
    if count == 1:
        return named if alone else f"1 {named}"
    return f"{count} {named}s"


def device_classes(demands: tuple[ClaimDemand, ...]) -> tuple[str, ...]:
    """Names of the device classes that the demands may use."""
    return tuple(
        dict.fromkeys(
            choice.device_class
            for demand in demands
            for request in demand.requests
            for choice in request.choices
        )
    )


def single_unit(question: Query) -> tuple[Query, int]:
    """Split a demand into its unit and how many: the ask of a class, and its count.

    A demand of n equal devices without constraints is n times one device. Any other demand is its
    own unit, once.
    """
    if len(question.claims) == 1 and not question.extended:
        claim = question.claims[0]
        if len(claim.requests) == 1 and not claim.constraints:
            request = claim.requests[0]
            choice = request.choices[0]
            if not request.prioritized and choice.mode == "ExactCount":
                one = dataclasses.replace(choice, count=1)
                unit = ClaimDemand(
                    requests=(Request(request.name, (one,), prioritized=False),), constraints=()
                )
                return _unit(claims=(unit,)), choice.count
    if not question.claims and len(question.extended) == 1:
        name, count = question.extended[0]
        titles = [title for _, asked in question.special for title, _ in asked] or [""]
        return _unit(extended=((name, 1),), special=((name, ((titles[0], 1),)),)), count
    return _unit(question.claims, question.extended, question.special, share=_LATER_SHARE), 1


def asks_one_kind(question: Query) -> bool:
    """Whether devices of one kind are all that is asked for, so that no NIC has to be near."""
    requests = sum(len(claim.requests) for claim in question.claims)
    return requests + len(question.extended) == 1


def _unit(
    claims: tuple[ClaimDemand, ...] = (),
    extended: tuple[tuple[str, int], ...] = (),
    special: tuple[tuple[str, tuple[tuple[str, int], ...]], ...] = (),
    *,
    share: float = 0.0,
) -> Query:
    # Locality refuses nothing here: it makes no room, it only tells what the room is worth.
    return Query(claims=claims, extended=extended, special=special, communication_share=share)
