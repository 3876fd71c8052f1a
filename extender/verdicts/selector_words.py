"""What CEL selectors select by, in words: "model", "memory", "driver version"."""

from __future__ import annotations

import re
from collections.abc import Iterable

from extender import bounded_cache

# A name after a dot, in brackets, or asked for by `in`.
_READ = re.compile(
    r"""\b(?:attributes|capacity)\s*\[\s*(?:"[^"]*"|'[^']*')\s*\]\s*\.\s*\??(\w{1,63})
    |\b(?:attributes|capacity)\s*\[\s*(?:"[^"]*"|'[^']*')\s*\]\s*\[\s*\??["']([^"']{1,63})["']
    |["'](\w{1,63})["']\s+in\s+device\.(?:attributes|capacity)""",
    re.VERBOSE,
)
# Names that drivers publish (NVIDIA's, AMD's, Intel's, the standard ones), without case and
# separators → the word.
_WORDS = {
    **dict.fromkeys(("productname", "product", "model", "gpumodel", "devicename"), "model"),
    **dict.fromkeys(("memory", "mem", "vram", "memorysize"), "memory"),
    **dict.fromkeys(("architecture", "arch", "family"), "architecture"),
    **dict.fromkeys(("driverversion", "kmdversion"), "driver version"),
    **dict.fromkeys(("profile", "partitionprofile", "migprofile"), "profile"),
    **dict.fromkeys(("cudadriverversion", "cudaversion"), "CUDA version"),
    "cudacomputecapability": "compute capability",
    "uuid": "UUID",
    "pciebusid": "PCI address",
    "pcibusid": "PCI address",
    "pcieroot": "PCIe root",
    "numanode": "NUMA node",
    "rdma": "RDMA",
}
_OF = frozenset({"model", "architecture", "type", "brand", "profile", "family"})
_MOST = 2  # named; a selector that reads more is named as a whole


@bounded_cache.remembered("selector-words", 1024)
def properties(texts: tuple[str, ...]) -> tuple[str, ...]:
    """The properties that the selectors read, each once, in the order of the text."""
    found = (
        _word(next(name for name in match.groups() if name))
        for text in texts
        for match in _READ.finditer(text)
    )
    return tuple(dict.fromkeys(found))


def selected(texts: tuple[str, ...]) -> str:
    """How devices are selected: "selected by model and memory"; empty without selectors."""
    if not texts:
        return ""
    named = properties(texts)
    return f"selected by {' and '.join(named)}" if 0 < len(named) <= _MOST else "selected"


def others(count: int, texts: tuple[str, ...], *, free: bool) -> str:
    """Devices that the selectors leave out: "8 free of another model"."""
    named = properties(texts)
    how = _other(named) if 0 < len(named) <= _MOST else "of another kind"
    return f"{count} free {how}" if free else f"{count} {how}"


def word_of(name: str) -> str:
    """The word for one attribute or capacity by its published name, its domain left out."""
    return _word(name.rpartition("/")[2])


def listed(names: Iterable[str]) -> str:
    """Some names in a fixed order, no more than three."""
    found = sorted(set(names))
    return ", ".join([*found[:3], *(["…"] if len(found) > 3 else [])])


def _word(name: str) -> str:
    plain = name.replace("_", "").replace("-", "").lower()
    return _WORDS.get(plain, name)


def _other(words: tuple[str, ...]) -> str:
    """How devices differ in these: "of another model", "with another memory size or UUID"."""
    parts: list[str] = []
    for start, group in (("of", _OF), ("with", frozenset(words) - _OF)):
        some = ["memory size" if word == "memory" else word for word in words if word in group]
        parts += [f"{start} another {' or '.join(some)}"] if some else []
    return " or ".join(parts)
