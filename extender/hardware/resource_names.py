"""Extended resources of device plug-ins: which names are GPUs, parts of GPUs, or NICs.

Vendors' names are a table, `config/hardware/resources.yaml`, which the policy may extend. SR-IOV
and RDMA operators let everybody choose names; those are known by whole words. A name that we do
not know is somebody else's business, and passes.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import functools
import re
from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec

from extender import bounded_cache
from extender.hardware import mig_profiles, shape

# openshift.io/mlx5_ib, mellanox.com/cx7_vf, intel.com/intel_sriov_netdevice, example.com/hca. Not
# so the virtual functions of accelerators for cryptography and storage, the addresses that GKE
# counts, and amounts.
_NIC_WORDS = r"(sriov|vfs?|rdma|roce|ib|hca|nics?|netdevice)\d*"
_NIC_NAME = re.compile(
    r"(?!.*(qat|sgx|fpga|dsa|nvme))(?!.*\.ip$)(?!.*(bandwidth|[kmg]bps|percent|memory|quota))"
    rf"[^/]+/((.*[-_.])?{_NIC_WORDS}([-_.].*)?|(mlnx|mlx|cx|connectx)[-_]?\d.*)"
)

_KINDS = {
    "GPU": shape.Kind.GPU,
    "Partition": shape.Kind.PARTITION,
    "NIC": shape.Kind.NIC,
    "Other": None,
}
# Domains by which one vendor's driver and plug-in go → the one that they are known by here.
_VENDORS = {
    "amazon.com": "aws.com",
    "project-hami.io": "nvidia.com",  # HAMi-DRA drives NVIDIA's GPUs
    "gaudi.intel.com": "habana.ai",
    "volcano.sh": "nvidia.com",
}


class Resource(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What one unit of a resource is.

    `name` is a pattern (* ? [..]) over the whole name, in any case. `share` is GPUs in a unit, 0
    where the name does not tell. Names of one `same` group count the same devices. `virtual`:
    handed to virtual machines. `whole`: a unit is one NIC that nobody shares; of shared ones a unit
    is a ticket for all NICs of the node, and virtual functions are of any of them.
    """

    name: Annotated[str, msgspec.Meta(min_length=3, max_length=317)]
    kind: Literal["GPU", "Partition", "NIC", "Other"]
    source: str = ""
    share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    same: str = ""
    virtual: bool = False
    whole: bool = False

    @property
    def what(self) -> shape.Kind | None:
        """The kind of device; None for a resource that is none."""
        return _KINDS[self.kind]


@dataclasses.dataclass(frozen=True)
class Table:
    """The resources that are known; the first whose name matches decides."""

    entries: tuple[Resource, ...] = ()
    # name → what was found; to hash all entries for each name would take longer than to look
    _known: dict[str, Resource | None] = dataclasses.field(
        default_factory=dict, compare=False, repr=False
    )

    def of(self, name: str) -> Resource | None:
        """What a unit of that name is; None for resources that do not concern us."""
        if name not in self._known:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[name] = self._found(name)
        return self._known[name]

    def _found(self, name: str) -> Resource | None:
        if "/" not in name:
            return None
        lowered = name.lower()
        if self.entries and (match := self._pattern.match(lowered)):
            entry = self.entries[match.lastindex - 1] if match.lastindex else None
            return entry if entry is not None and entry.what is not None else None
        if _NIC_NAME.fullmatch(lowered):
            return Resource(name=lowered, kind="NIC")
        return None

    @functools.cached_property
    def _pattern(self) -> re.Pattern[str]:
        """All entries' names, in their order: one look-up in place of one for each entry."""
        names = [fnmatch.translate(entry.name.lower()) for entry in self.entries]
        return re.compile("|".join(f"({name})" for name in names))

    def kind_of(self, name: str) -> shape.Kind | None:
        """The kind of a resource's units; None for resources that do not concern us."""
        found = self.of(name)
        return None if found is None else found.what

    def extended(self, own: Iterable[Resource]) -> Table:
        """The table with an operator's own entries, which come first."""
        return Table((*own, *self.entries))


NONE = Table()
_MOST_KNOWN = 4096  # names; a cluster has tens


@bounded_cache.remembered("vendors", 4096)
def vendor_of(name: str) -> str:
    """Whose devices these are: the registered domain of a resource's or a driver's name."""
    domain = name.partition("/")[0].lower()
    if domain in _VENDORS:
        return _VENDORS[domain]
    short = ".".join(domain.split(".")[-2:])
    return _VENDORS.get(short, short)


def mig_profile(name: str) -> str | None:
    """The MIG profile of a resource ("1g.5gb+me" of nvidia.com/mig-1g.5gb.me); None if none."""
    plain = name.removesuffix(".shared")
    return mig_profiles.canonical(plain) if mig_profiles.is_profile(plain) else None
