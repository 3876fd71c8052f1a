"""MIG geometry: the profiles of a GPU, where each may start, and what is still possible.

A GPU has memory slots (8, or 4 on small ones), and every profile has a size and legal starts. The
memory slots alone decide: no layout that they allow runs out of compute slots. Source of the table:
`config/hardware/mig_profiles.tsv`.
"""

from __future__ import annotations

import csv
import dataclasses
import re
from collections.abc import Mapping

from extender import errors

_PROFILE = re.compile(
    r"(?P<compute>[1-9])g\.(?P<memory>[1-9]\d*)gb(?P<extras>(?:[+.-][a-z]+(?:\.[a-z]+)?)*)"
)
_RESOURCE_PREFIXES = ("nvidia.com/", "mig-")
_MEDIA = "+me"  # one instance with media engines per GPU


@dataclasses.dataclass(frozen=True, slots=True)
class MigProfile:
    """A MIG profile: how many memory slots it takes, where it may start, how often on a GPU."""

    name: str
    compute: int
    size: int
    starts: tuple[int, ...]
    most: int

    @property
    def masks(self) -> tuple[int, ...]:
        """The slots of each legal placement, as bits, in the order of `starts`."""
        return tuple(((1 << self.size) - 1) << start for start in self.starts)


@dataclasses.dataclass(frozen=True, slots=True)
class MigGeometry:
    """All profiles of one GPU model, by their full name ("1g.10gb", "1g.10gb+me")."""

    model: str
    slots: int
    profiles: Mapping[str, MigProfile]

    def profile(self, name: str) -> MigProfile | None:
        """The profile of that name in any spelling: "1g.5gb.me", "nvidia.com/mig-1g.5gb"."""
        return self.profiles.get(canonical(name))

    def legal(self, taken: int, *, media_taken: bool = False) -> dict[str, tuple[int, ...]]:
        """Where each profile can still start, given the slots in use as bits.

        `media_taken`: an instance with media engines (+me) is there already.
        """
        return {
            name: ()
            if media_taken and name.endswith(_MEDIA)
            else tuple(
                start
                for start, mask in zip(profile.starts, profile.masks, strict=True)
                if not mask & taken
            )
            for name, profile in self.profiles.items()
        }

    def placements(self, taken: int) -> int:
        """How many placements of all profiles are still legal: the packing measure "CC"."""
        return sum(
            not mask & taken
            for name, profile in self.profiles.items()
            if not name.endswith(_MEDIA)
            for mask in profile.masks
        )


@dataclasses.dataclass(frozen=True, slots=True)
class MigPartitions:
    """The table: geometries by the name of the GPU model as the table has it."""

    geometries: Mapping[str, MigGeometry]

    def geometry(self, model: str) -> MigGeometry | None:
        return self.geometries.get(model)


def canonical(name: str) -> str:
    """The name of a profile as `nvidia-smi` has it; the text itself where it is none.

    Resource names have no plus sign: nvidia.com/mig-1g.5gb.me is 1g.5gb+me.
    """
    short = name
    for prefix in _RESOURCE_PREFIXES:
        short = short.removeprefix(prefix)
    match = _PROFILE.fullmatch(short.lower())
    if match is None:
        return name
    extras = match["extras"]
    if extras.startswith("."):
        extras = f"+{extras[1:]}"
    return f"{match['compute']}g.{match['memory']}gb{extras}"


def is_profile(name: str) -> bool:
    """Whether the text names a MIG profile or its resource."""
    return _PROFILE.fullmatch(canonical(name)) is not None


def parse(data: bytes, *, source: str) -> MigPartitions:
    """Read the table of profiles (tab separated, # starts a comment); ConfigError names lines."""
    problems: list[tuple[str, str]] = []
    lines = [
        (number, line)
        for number, line in enumerate(data.decode(errors="replace").splitlines(), start=1)
        if line.strip() and not line.startswith("#")
    ]
    rows = csv.DictReader((line for _, line in lines), delimiter="\t", quoting=csv.QUOTE_NONE)
    found: dict[str, dict[str, MigProfile]] = {}
    slots: dict[str, int] = {}
    for (number, _), row in zip(lines[1:], rows, strict=True):
        try:
            model, size = row["gpu_models"], int(row["memory_slices"])
            profile = _profile(row, size)
        except (KeyError, TypeError, ValueError) as error:
            problems.append((f"{source}:{number}", f"no profile: {error}"))
            continue
        if slots.setdefault(model, size) != size or profile.name in found.get(model, {}):
            problems.append((f"{source}:{number}", f"{model} {profile.name} contradicts a line"))
        found.setdefault(model, {})[profile.name] = profile
    if not found and not problems:
        problems.append((source, "holds no profiles"))
    if problems:
        raise errors.ConfigError(f"{source} is not a table of MIG profiles", problems)
    return MigPartitions({
        model: MigGeometry(model, slots[model], profiles) for model, profiles in found.items()
    })  # fmt: skip


def _profile(row: Mapping[str, str], slots: int) -> MigProfile:
    name, size = row["profile"], int(row["memory_size"])
    starts = tuple(int(start) for start in row["legal_start_slots"].split(","))
    if canonical(name) != name or not is_profile(name):
        raise ValueError(f"{name!r} is not a profile's name")
    if not 0 < size <= slots or any(not 0 <= start <= slots - size for start in starts):
        raise ValueError(f"{name} of size {size} does not fit at {starts}")
    return MigProfile(name, int(row["compute_size"]), size, starts, int(row["max_instances"]))
