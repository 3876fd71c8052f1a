"""GPU products by any of their names: as drivers, labels and clouds spell them, or by PCI id.

Where no entry has the very name, its words are read: the model (H100), the form (SXM5, PCIe) and
the memory (80GB). That tells less at times than an entry would, and never more.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from typing import Annotated

import msgspec

from extender.hardware.catalogue import entry
from extender.hardware.dra import device_facts

_MODEL = re.compile(r"(?:gb|gh|mi|a|b|h|l|p|t|v)\d{1,4}[a-z]?")
_MEMORY = re.compile(r"(\d{2,3})gb?")
_JOINED = re.compile(r"sxm\d?|oam")  # forms whose GPUs sit on one baseboard
_APART = frozenset({"pcie", "nvl", "cnx"})  # cards
_MOST_REMEMBERED = 4096


class Product(entry.CatalogueEntry, frozen=True):
    """A GPU by the name that drivers and labels give it.

    `names` are other spellings, `device_ids` PCI ids ("10de:2330"). `linked`: NVLink, NVSwitch,
    XGMI or NeuronLink joins all of them in a node. `mig` names the model in the table of MIG
    profiles. `memory` is in GiB, `partitions` how many compute dies AMD's mode CPX tells apart; 0
    where not known.
    """

    name: str
    source: str
    names: tuple[str, ...] = ()
    device_ids: tuple[str, ...] = ()
    linked: bool = False
    mig: str = ""
    memory: Annotated[int, msgspec.Meta(ge=0, le=4096)] = 0
    partitions: Annotated[int, msgspec.Meta(ge=0, le=64)] = 0


class ProductNames:
    """Finds products; remembers what it has found."""

    def __init__(self, products: Iterable[Product]) -> None:
        self._exact: dict[str, Product] = {}  # plain name or PCI id → product
        self._models: dict[str, list[Product]] = {}  # model → its products
        self._found: dict[str, Product | None] = {}
        for product in products:
            for name in (product.name, *product.names, *product.device_ids):
                self._exact.setdefault(device_facts.plain_value(name), product)
            model = _model(_words(product.name))
            if model:
                self._models.setdefault(model, []).append(product)

    def find(self, name: str) -> Product | None:
        """The product of that name; None where none can be chosen from the others."""
        plain = device_facts.plain_value(name)
        if plain not in self._found:
            if len(self._found) >= _MOST_REMEMBERED:
                self._found.clear()
            self._found[plain] = self._exact.get(plain) or self._by_words(plain)
        return self._found[plain]

    def __contains__(self, plain: object) -> bool:
        """Whether the GPUs of that product are all joined within a node."""
        found = self.find(plain) if isinstance(plain, str) else None
        return found is not None and found.linked

    def _by_words(self, plain: str) -> Product | None:
        words = _words(plain)
        candidates = self._of_model(_model(words))
        form = next((w for w in words if _JOINED.fullmatch(w) or w in _APART), "")
        if form:
            same = [each for each in candidates if form in _words(each.name)]
            joined = form not in _APART
            alike = [each for each in candidates if each.linked == joined and not _form(each)]
            candidates = same or alike or [c for c in candidates if c.linked == joined and joined]
        memory = next((m[1] for m in map(_MEMORY.fullmatch, words) if m), "")
        sized = [each for each in candidates if memory in _sizes(each)]
        if len(sized) == 1:
            return sized[0]
        if len(candidates) == 1 and not memory:
            return candidates[0]
        return _in_common(plain, sized or candidates, sized=bool(sized) or not memory)

    def _of_model(self, model: str) -> list[Product]:
        """The products of a model; AMD's are written without their letter at times (MI355)."""
        if model in self._models or not model.startswith("mi"):
            return self._models.get(model, [])
        lettered = [found for name, found in self._models.items() if name[:-1] == model]
        return list(itertools.chain.from_iterable(lettered))


def _in_common(name: str, candidates: Sequence[Product], *, sized: bool) -> Product | None:
    """What all of these products share; None where that is not even whether they are joined."""
    if len({each.linked for each in candidates}) != 1:
        return None
    mig = {each.mig for each in candidates}
    shared = mig.pop() if sized and len(mig) == 1 else ""
    return Product(name, candidates[0].source, linked=candidates[0].linked, mig=shared)


def _words(name: str) -> list[str]:
    return device_facts.plain_value(name).split("-")


def _model(words: Sequence[str]) -> str:
    return next((word for word in words if _MODEL.fullmatch(word)), "")


def _form(product: Product) -> str:
    return next((w for w in _words(product.name) if _JOINED.fullmatch(w) or w in _APART), "")


def _sizes(product: Product) -> set[str]:
    named = {m[1] for m in map(_MEMORY.fullmatch, _words(product.name)) if m}
    return named | ({str(product.memory)} if product.memory else set())
