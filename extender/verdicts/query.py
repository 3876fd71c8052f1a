"""What a pod needs: everything a verdict per node state depends on, and nothing else."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from extender import bounded_cache
from extender.demand import extended_resources as special_claim
from extender.demand import pod as pods
from extender.demand.requests import EXACT, ClaimDemand, DeviceChoice, Request
from extender.kube.api import objects, quantity
from extender.policy import config
from extender.verdicts import selector_words

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
    (frozenset({"gpu", "gpus", "pgpu", "accelerator", "accelerators"}), "GPU"),
)
_WORDS = frozenset(word for _, word in _NOUNS)
# A unit of a resource whose name has one of these is a part of a GPU, or an amount of something
# that it has: koordinator.sh/gpu-core, gpu.intel.com/memory.max, nvidia.com/gpu.shared.
_PARTS = frozenset(
    {"core", "cores", "mem", "memory", "ratio", "percent", "percentage", "priority", "millicores"}
    | {"tiles", "shared", "share", "number", "mib", "mb", "gb", "gib"}
)
_PERCENT = frozenset({"koordinator.sh/gpu"})  # 100 are one GPU, by Koordinator's documentation
_MOST_DESCRIBED = 512  # queries whose description is remembered: each of their refusals has it
_MOST_CHOICES = 3  # of a firstAvailable list that are named
# Attribute that devices have in common → the one thing, and how the devices stand to it.
_GROUPS = {
    "resource.kubernetes.io/pcieRoot": ("PCIe root", "behind one PCIe root"),
    "resource.kubernetes.io/numaNode": ("NUMA node", "on one NUMA node"),
    "dra.net/numaNode": ("NUMA node", "on one NUMA node"),
    "dra.cpu/numaNodeID": ("NUMA node", "on one NUMA node"),
}


# How much pods that come later will communicate, as far as anybody knows.
_LATER_SHARE = config.Locality().communication_share


@dataclasses.dataclass(frozen=True, slots=True)
class Query:
    """The memo key of verdicts: equal queries get equal answers on equal states.

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
        # A query is looked up several times a request, and is deep.
        devices = (self.claims, self.extended, self.special, self.blind)
        locality = (self.mode, self.level, self.unknown, self.communication_share)
        object.__setattr__(self, "_hash", hash((devices, locality)))

    def __hash__(self) -> int:
        return self._hash

    def names(self) -> tuple[str, ...]:
        """The device classes and extended resources that are requested."""
        return (*device_classes(self.claims), *(name for name, _ in self.extended))

    def __bool__(self) -> bool:
        """Whether devices are requested at all."""
        return bool(self.claims or self.extended)


def query_of(
    demands: tuple[ClaimDemand, ...],
    requests: pods.Requests,
    pod: objects.Pod,
    locality: config.Locality,
    *,
    blind: bool = False,
) -> Query:
    """The query of one pod under a profile's locality rules."""
    requested = special_claim.all_requests(pod) if requests.extended else {}
    special = tuple((name, tuple(requested.get(name, ()))) for name, _ in requests.extended)
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


@bounded_cache.remembered("nouns", 4096)
def noun(name: str) -> str:
    """The word for a device class or resource: GPU, NIC, GPU partition, …, or its own name."""
    parts = re.split(r"[^a-z0-9]+", name.lower().replace("dra.net", "dranet"))
    found = next((word for known, word in _NOUNS if not known.isdisjoint(parts)), name)
    if found == "GPU" and "/" in name and (name in _PERCENT or not _PARTS.isdisjoint(parts)):
        return name
    return found


def named(word: str) -> bool:
    """Whether it is a word that people use, not a class's or resource's own name."""
    return word in _WORDS


def one(word: str) -> str:
    """A single one of these: "GPU", "fpga.example.com device", "example.com/licence"."""
    return word if named(word) or "/" in word else f"{word} device"


def counted(count: int, word: str) -> str:
    """So many of these: "1 GPU", "2 NICs", "200 koordinator.sh/gpu-core"."""
    return f"{count} {one(word)}" if count == 1 or "/" in word else f"{count} {one(word)}s"


def group(attribute: str) -> tuple[str, str]:
    """What devices with one value of the attribute share, and how they stand to it."""
    plain = selector_words.word_of(attribute)
    return _GROUPS.get(attribute, (plain, f"with the same {plain}"))


@bounded_cache.remembered("descriptions", _MOST_DESCRIBED)
def describe(query: Query, *, times: int = 1) -> str:
    """The demand in words, the same for every node: "2 GPUs + 2 NICs behind one PCIe root".

    A share of a device is described as one: "25 of a NIC". `times`: so many of the query.
    """
    tied = [claim for claim in query.claims if _groups(claim)]
    loose = [request for claim in query.claims if claim not in tied for request in claim.requests]
    texts = [f"{_listed(claim.requests, (), times)} {_groups(claim)}" for claim in tied]
    rest = _listed(loose, query.extended, times)
    return " + ".join([*texts, *([rest] if rest else [])])


def _listed(requests: Sequence[Request], extended: Sequence[tuple[str, int]], times: int) -> str:
    """What the requests and extended resources ask for, equal ones added up."""
    counts: dict[tuple[str, str], int] = {}  # (word, what of it) → how many; 0 is all there are
    listed: list[str] = []
    for request in requests:
        keys = list(dict.fromkeys(_key(choice) for choice in request.choices))
        if len(keys) > 1:
            some = [_part(key, count * times) for *key, count in keys[:_MOST_CHOICES]]
            listed.append(" or ".join([*some, *(["…"] if len(keys) > _MOST_CHOICES else [])]))
        for word, what, count in keys if len(keys) == 1 else ():
            counts[word, what] = counts.get((word, what), 0) + count * times
    for name, count in extended:
        counts[noun(name), ""] = counts.get((noun(name), ""), 0) + count * times
    return " + ".join([*(_part(key, count) for key, count in counts.items()), *listed])


def _groups(claim: ClaimDemand) -> str:
    """What its devices have in common: "behind one PCIe root"."""
    found = {group(each.attribute)[1] for each in claim.constraints if not each.distinct}
    return " ".join(sorted(found))


def amount(nano: int) -> str:
    """An amount of a capacity, in nano units, as people write it: "25", "40Gi", "1500m"."""
    for power, suffix in ((40, "Ti"), (30, "Gi"), (20, "Mi"), (10, "Ki")):
        if nano and nano % (quantity.NANO << power) == 0:
            return f"{nano // (quantity.NANO << power)}{suffix}"
    if nano % quantity.NANO == 0:
        return str(nano // quantity.NANO)
    return f"{nano // (quantity.NANO // 1000)}m"


def _key(choice: DeviceChoice) -> tuple[str, str, int]:
    """What the choice asks for: the word, what of such a device, and how many."""
    word = noun(choice.device_class)
    if not choice.capacity:
        return word, selector_words.selected(choice.selectors[choice.of_class :]), _count(choice)
    if len(choice.capacity) == 1:
        return word, amount(choice.capacity[0][1]), _count(choice)
    shares = (f"{amount(nano)} {selector_words.word_of(name)}" for name, nano in choice.capacity)
    return word, " + ".join(shares), _count(choice)


def _count(choice: DeviceChoice) -> int:
    return choice.count if choice.mode == EXACT else 0


def _part(key: Sequence[str], count: int) -> str:
    word, what = key
    if not what or what.startswith("selected"):
        devices = counted(count, word) if count else f"all {one(word)}s"
        return f"{devices} {what}".rstrip()
    if count == 1:
        return f"{what} of a {one(word)}"
    return f"{count} × {what} of a {one(word)}" if count else f"{what} of all {one(word)}s"


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


def single_unit(query: Query) -> tuple[Query, int]:
    """Split a demand into its unit and how many of it.

    A demand of n equal devices without constraints is n times one device. Any other demand is its
    own unit, once.
    """
    if len(query.claims) == 1 and not query.extended:
        claim = query.claims[0]
        if len(claim.requests) == 1 and not claim.constraints:
            request = claim.requests[0]
            choice = request.choices[0]
            if not request.prioritized and choice.mode == "ExactCount":
                one = dataclasses.replace(choice, count=1)
                unit = ClaimDemand(
                    requests=(Request(request.name, (one,), prioritized=False),), constraints=()
                )
                return _unit(claims=(unit,)), choice.count
    if not query.claims and len(query.extended) == 1:
        name, count = query.extended[0]
        titles = [title for _, requested in query.special for title, _ in requested] or [""]
        return _unit(extended=((name, 1),), special=((name, ((titles[0], 1),)),)), count
    return _unit(query.claims, query.extended, query.special, share=_LATER_SHARE), 1


def asks_one_kind(query: Query) -> bool:
    """Whether devices of one kind are all that is requested, so that no NIC has to be close."""
    requests = sum(len(claim.requests) for claim in query.claims)
    return requests + len(query.extended) == 1


def _unit(
    claims: tuple[ClaimDemand, ...] = (),
    extended: tuple[tuple[str, int], ...] = (),
    special: tuple[tuple[str, tuple[tuple[str, int], ...]], ...] = (),
    *,
    share: float = 0.0,
) -> Query:
    # Locality refuses nothing here: it adds no headroom, it only says what that is worth.
    return Query(claims=claims, extended=extended, special=special, communication_share=share)
