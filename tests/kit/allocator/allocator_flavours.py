"""Which features a random case has.

A case turns on some *flavours* and leaves the others out, so that features meet each other in
small combinations instead of all being present, diluted, every time.
"""

from __future__ import annotations

import random

# How often a case has each; rare ones mostly end in an error before anything else is tried.
SHARES = {
    "admin": 0.2,
    "all": 0.3,
    "allocated": 0.45,
    "binding": 0.3,
    "broken pools": 0.12,
    "capacity": 0.3,
    "counters": 0.4,
    "distinct": 0.25,
    "first available": 0.35,
    "generations": 0.2,
    "limits": 0.1,
    "lists": 0.12,
    "match": 0.3,
    "mig": 0.15,
    "multi": 0.35,
    "node rules": 0.3,
    "odd quantities": 0.12,
    "per device": 0.2,
    "policies": 0.25,
    "selector errors": 0.15,
    "selectors": 0.35,
    "several claims": 0.4,
    "taints": 0.3,
    "types": 0.15,
}


# Rules that matter only where several features meet, and then on few cases: met more often.
RECIPES = (
    ("counters", "multi", "allocated", "capacity"),
    ("counters", "node rules", "all", "broken pools"),
    ("counters", "match", "first available"),
    ("lists", "match", "several claims"),
    ("lists", "distinct"),
    ("distinct", "several claims", "first available"),
    ("multi", "policies", "odd quantities", "allocated"),
    ("multi", "all", "allocated", "policies"),
    ("mig", "allocated", "match", "several claims"),
    ("generations", "broken pools", "node rules", "all"),
    ("binding", "all", "first available"),
)


def draw(rng: random.Random) -> frozenset[str]:
    """Return the features that a case has: each by its share, or a recipe and a few more."""
    if rng.random() < 0.6:
        return frozenset(name for name, share in SHARES.items() if rng.random() < share)
    others = {name for name, share in SHARES.items() if rng.random() < share / 3}
    return frozenset({*rng.choice(RECIPES), *others})
