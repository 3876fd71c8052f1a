"""What we know of machines that tell little themselves: GPU products and platforms.

A product says whether all its GPUs in a node are joined by NVLink (or its like), and which MIG
geometry it has. A platform is a kind of machine, recognised by node labels: where its GPUs and
NICs sit, for nodes with device plug-ins, and the numbers of the locality cost model that were
measured on it. An instance type says what machines of a cloud have, a resource what a unit of a
device plug-in is. The files are `config/hardware/*.yaml` and `mig_profiles.tsv` there; an operator
may add their own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import TypeVar

import msgspec
import yaml

from extender import errors
from extender.hardware import mig_profiles, resource_names
from extender.hardware.catalogue import entry, instance_types
from extender.hardware.catalogue.instance_types import InstanceType
from extender.hardware.catalogue.platforms import Platform, PlatformMatch
from extender.hardware.catalogue.products import Product, ProductNames
from extender.hardware.dra import device_facts

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the first takes a tenth of the time
_FIELDS = ("products", "platforms", "instances", "resources")  # of a file

_Entry = TypeVar("_Entry", Product, Platform, InstanceType, resource_names.Resource)
_Named = TypeVar("_Named", Product, Platform)


@dataclasses.dataclass(frozen=True, slots=True)
class Catalogue:
    """All products and platforms, found by what nodes and devices say of themselves."""

    products: Mapping[str, Product]  # plain name → product
    platforms: tuple[Platform, ...]
    partitions: mig_profiles.MigPartitions
    instances: tuple[InstanceType, ...] = ()
    resources: resource_names.Table = resource_names.NONE
    names: ProductNames = dataclasses.field(
        default_factory=lambda: ProductNames(()),
        compare=False,  # made of `products`
    )

    @property
    def linked(self) -> Container[str]:
        """The plain names of products whose GPUs are all joined; what `links.links` wants."""
        return self.names

    def product(self, name: str) -> Product | None:
        """The product of that name, in any spelling, or of that PCI id."""
        return self.names.find(name)

    def instance_type(self, labels: Mapping[str, str]) -> InstanceType | None:
        """What machines of the node's instance type have; None where the type is not known."""
        kind = instance_types.of(labels)
        for each in self.instances if kind else ():
            if any(entry.is_spelt(kind, pattern) for pattern in each.types):
                return each
        return None

    def geometry(self, product: str) -> mig_profiles.MigGeometry | None:
        """The MIG geometry of a product; None where it has none, or is not known."""
        known = self.product(product)
        return self.partitions.geometry(known.mig) if known is not None else None

    def find(
        self, product: str, labels: Mapping[str, str] | None = None, *, gpus: int = 0
    ) -> Platform | None:
        """The platform that fits best: the one with most fields that hold, first come.

        `gpus` is the number of physical GPUs, 0 where it is not known: then it decides nothing.
        """
        best: tuple[int, Platform] | None = None
        known = self.product(product)
        name = product if known is None else known.name
        for platform in self.platforms:
            score = platform.match.fit(name, labels or {}, gpus)
            if score and (best is None or score > best[0]):
                best = score, platform
        return best[1] if best is not None else None

    def platform(
        self, product: str, labels: Mapping[str, str] | None = None, *, gpus: int = 0
    ) -> str:
        """The name of the platform that fits best, empty where none does; see `find`."""
        found = self.find(product, labels, gpus=gpus)
        return found.name if found is not None else ""

    def calibration(self, platform: str) -> dict[str, float]:
        """The measured factors of the platform of that name; none where it is not known."""
        for one in self.platforms:
            if one.name == platform:
                return one.calibration.values()
        return {}

    def title(self, product: str) -> str:
        """The product as the catalogue spells it; as it is given where no entry is that one."""
        known = self.product(product)
        # What several entries have in common has no name of its own, but the one asked for.
        own = known is not None and device_facts.plain_value(known.name) in self.products
        return known.name if known is not None and own else product


EMPTY = Catalogue({}, (), mig_profiles.MigPartitions({}))


def parse(files: Mapping[str, bytes]) -> Catalogue:
    """Read the catalogue's files (name → content); ConfigError lists all problems with places.

    Files ending in .yaml or .yml hold products and platforms, those ending in .tsv MIG profiles;
    others are passed over. Names must be unique over all files.
    """
    problems: list[tuple[str, str]] = []
    read = _Entries()
    for name, content in sorted(files.items()):
        if name.endswith(".tsv"):
            try:
                read.geometries |= mig_profiles.parse(content, source=name).geometries
            except errors.ConfigError as error:
                problems += error.problems
        elif name.endswith((".yaml", ".yml")):
            document = _document(name, content, problems)
            read.products += _entries(name, document, "products", Product, problems)
            read.platforms += _entries(name, document, "platforms", Platform, problems)
            read.instances += _entries(name, document, "instances", InstanceType, problems)
            read.units += _entries(name, document, "resources", resource_names.Resource, problems)
    names = ProductNames([product for _, product in read.products])
    problems += _contradictions(read, names)
    if problems:
        raise errors.ConfigError("the hardware catalogue cannot be used:", problems)
    return Catalogue(
        {device_facts.plain_value(product.name): product for _, product in read.products},
        tuple(platform for _, platform in read.platforms),
        mig_profiles.MigPartitions(read.geometries),
        tuple(each for _, each in read.instances),
        resource_names.Table(tuple(each for _, each in read.units)),
        names,
    )


@dataclasses.dataclass(slots=True)
class _Entries:
    """What the files hold, each entry with its place."""

    products: list[tuple[str, Product]] = dataclasses.field(default_factory=list)
    platforms: list[tuple[str, Platform]] = dataclasses.field(default_factory=list)
    instances: list[tuple[str, InstanceType]] = dataclasses.field(default_factory=list)
    units: list[tuple[str, resource_names.Resource]] = dataclasses.field(default_factory=list)
    geometries: dict[str, mig_profiles.MigGeometry] = dataclasses.field(default_factory=dict)


def _contradictions(read: _Entries, names: ProductNames) -> Iterator[tuple[str, str]]:
    """Where entries that are right each by itself do not agree: (place, what is wrong)."""
    yield from _repeated(read.products, lambda product: device_facts.plain_value(product.name))
    yield from _repeated(read.platforms, lambda platform: platform.name)
    yield from _mig_problems(read.products, read.geometries)
    for location, each in read.instances:
        if names.find(each.product) is None:
            yield f"{location}.product", f"{each.product!r} is no product here"
    for location, platform in read.platforms:
        for where, what in _platform_problems(platform):
            yield f"{location}.{where}", what


def _document(name: str, content: bytes, problems: list[tuple[str, str]]) -> Mapping[str, object]:
    try:
        document = yaml.load(content, Loader=_LOADER)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problems.append((name, f"not YAML: {error}"))
        return {}
    if not isinstance(document, dict):
        problems.append((name, f"expected a mapping, got {type(document).__name__}"))
        return {}
    problems += [(name, f"unknown field {key!r}") for key in document if key not in _FIELDS]
    return document


def _entries(
    name: str,
    document: Mapping[str, object],
    field: str,
    kind: type[_Entry],
    problems: list[tuple[str, str]],
) -> Iterator[tuple[str, _Entry]]:
    """Each entry of a list by itself, so that one problem does not hide the next."""
    values = document.get(field) or []
    if not isinstance(values, list):
        problems.append((f"{name}: {field}", f"expected a list, got {type(values).__name__}"))
        return
    for number, value in enumerate(values):
        location = f"{name}: {field}[{number}]"
        try:
            yield location, msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            what, _, path = str(error).partition(" - at `$")
            problems.append((location + path.rstrip("`"), what))


def _repeated(
    entries: Sequence[tuple[str, _Named]], name_of: Callable[[_Named], str]
) -> Iterator[tuple[str, str]]:
    seen: dict[str, str] = {}  # name → place
    for location, each in entries:
        name = name_of(each)
        if name in seen:
            yield f"{location}.name", f"{each.name!r} is also {seen[name]}"
        seen.setdefault(name, location)


def _mig_problems(
    products: Sequence[tuple[str, Product]], geometries: Mapping[str, mig_profiles.MigGeometry]
) -> Iterator[tuple[str, str]]:
    for location, product in products:
        if product.mig and product.mig not in geometries:
            yield f"{location}.mig", f"no MIG profiles are known of {product.mig!r}"


def _platform_problems(platform: Platform) -> Iterator[tuple[str, str]]:
    match = platform.match
    if match == PlatformMatch() or match == PlatformMatch(gpus=match.gpus):
        yield "match", "needs products, instanceTypes or machines"
    for field in ("gpus", "nics"):
        numbers = sorted(number for group in platform.groups for number in getattr(group, field))
        if numbers != list(range(len(numbers))):
            yield "groups", f"{field} must be 0 to {len(numbers) - 1}, each once; got {numbers}"
    if match.gpus is not None and platform.groups and match.gpus != platform.gpus:
        yield "match.gpus", f"is {match.gpus}, but the groups have {platform.gpus}"
