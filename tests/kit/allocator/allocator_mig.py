"""Draw a pool of GPUs that can be divided, as the NVIDIA driver publishes it (dynamic MIG).

One slice of counters, then one slice per GPU: the whole GPU draws everything, a part its memory
and its slots, so that the counters alone decide which parts may live beside each other.
"""

from __future__ import annotations

import random
from typing import Any

Json = dict[str, Any]

SLOTS = 4
# (profile, memory, slots it may begin at): a quarter anywhere, a half on an even slot.
PROFILES = (("1g", 1, (0, 1, 2, 3)), ("2g", 2, (0, 2)))


def draw_slices(rng: random.Random, rule: Json) -> list[Json]:
    """Return slices that still lack driver, pool and name; `rule` is their node rule."""
    gpus = range(rng.choice((1, 1, 2)))
    counters = {"spec": {**rule, "sharedCounters": [_counter_set(gpu) for gpu in gpus]}}
    return [counters, *({"spec": {**rule, "devices": _devices(rng, gpu)}} for gpu in gpus)]


def _counter_set(gpu: int) -> Json:
    return {"name": f"gpu-{gpu}", "counters": _draws(SLOTS, range(SLOTS))}


def _devices(rng: random.Random, gpu: int) -> list[Json]:
    root = {"resource.kubernetes.io/pcieRoot": {"string": f"pci{gpu}"}, "numa": {"int": gpu}}
    whole = _device(f"gpu-{gpu}", root | {"model": {"string": "A"}}, gpu, SLOTS, range(SLOTS))
    parts = []
    for profile, memory, starts in PROFILES:
        for start in starts:
            attributes = root | {"model": {"string": "B"}, "profile": {"string": profile}}
            slots = range(start, start + memory)
            parts.append(_device(f"gpu-{gpu}-{profile}-{start}", attributes, gpu, memory, slots))
    # Not every driver lists all placements; the order is the driver's own.
    parts = rng.sample(parts, rng.randint(2, len(parts)))
    return [whole, *parts] if rng.random() < 0.8 else [*parts, whole]


def _device(name: str, attributes: Json, gpu: int, memory: int, slots: range) -> Json:
    draws = [{"counterSet": f"gpu-{gpu}", "counters": _draws(memory, slots)}]
    return {
        "name": name,
        "attributes": dict(attributes),
        "capacity": {"memory": {"value": f"{10 * memory}Gi"}},
        "consumesCounters": draws,
    }


def _draws(memory: int, slots: range) -> Json:
    return {"memory": {"value": f"{10 * memory}Gi"}} | {
        f"slot-{slot}": {"value": "1"} for slot in slots
    }
