"""A mix of pods over every way to ask for devices, for the machines of machines.py."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tests.kit.controlplane import fleet, machines
from tests.kit.controlplane.fleet import Object

# how many of each in a hundred pods; the names are those of `SHAPES` and the pods'
MIX = {
    "one-gpu": 12,
    "two-gpus": 10,
    "near-nic": 13,
    "any-nic": 10,
    "mig-small": 13,
    "mig-large": 6,
    "first-available": 6,
    "all-gpus": 2,
    "shared-cpu": 10,
    "plugin-1": 6,
    "plugin-4": 4,
    "plugin-8": 2,
    "cpu-only": 6,
}
# kind of pod → device-plugin GPUs; a kind in neither this nor the templates uses CPU only
PLUGIN_GPUS = {"plugin-1": "1", "plugin-4": "4", "plugin-8": "8"}
GB200 = "device.attributes['gpu.nvidia.com'].productName.contains('GB200')"


def templates() -> list[Object]:
    """Return one claim template per kind of pod that claims devices, under the pod kind's name."""
    gpu = fleet.request("gpu", fleet.GPU_DRIVER)
    nic = fleet.request("nic", fleet.NIC_DRIVER, "device.attributes['dra.net'].rdma == true")
    return [
        fleet.claim_template("one-gpu", [gpu]),
        fleet.claim_template("two-gpus", [fleet.request("gpu", fleet.GPU_DRIVER, count=2)]),
        fleet.claim_template(
            "near-nic",
            [gpu, nic],
            constraints=[{"requests": ["gpu", "nic"], "matchAttribute": fleet.PCIE_ROOT}],
        ),
        fleet.claim_template("any-nic", [gpu, nic]),
        fleet.claim_template("mig-small", [_mig("1g.10gb")]),
        fleet.claim_template("mig-large", [_mig("3g.40gb")]),
        fleet.claim_template("first-available", [_first_available()]),
        fleet.claim_template(
            "all-gpus", [fleet.request("gpus", fleet.GPU_DRIVER, GB200, allocationMode="All")]
        ),
        fleet.claim_template(
            "shared-cpu",
            [
                fleet.request(
                    "cpus", machines.CPU_CLASS, capacity={"requests": {"dra.cpu/cpu": "4"}}
                )
            ],
        ),
    ]


def pods(count: int, *, seed: int, prefix: str = "") -> Iterator[Object]:
    """Yield `count` pods in a random order, every hundred of them the MIX; named kind-number."""
    claiming = {template["metadata"]["name"] for template in templates()}
    kinds = [kind for kind, share in MIX.items() for _ in range(share)]
    source = random.Random(seed)
    source.shuffle(kinds)
    drawn = [kinds[number % len(kinds)] for number in range(count)]
    for number, kind in enumerate(drawn):
        name = f"{prefix}{kind}-{number:04}"
        gpus = PLUGIN_GPUS.get(kind)
        yield fleet.pod(
            name,
            resources={fleet.GPU_RESOURCE: gpus} if gpus else None,
            claim_templates=[kind] if kind in claiming else [],
            labels={"test/kind": kind},
        )


def _mig(profile: str) -> Object:
    selector = f"device.attributes['{fleet.GPU_DRIVER}'].profile == '{profile}'"
    return fleet.request("mig", machines.MIG_CLASS, selector)


def _first_available() -> Object:
    """Return a request for two GB200, else a large MIG device, else any GPU."""
    return {
        "name": "gpu",
        "firstAvailable": [
            {
                "name": "two-gb200",
                "deviceClassName": fleet.GPU_DRIVER,
                "selectors": [{"cel": {"expression": GB200}}],
                "count": 2,
            },
            {
                "name": "half",
                "deviceClassName": machines.MIG_CLASS,
                "selectors": [
                    {
                        "cel": {
                            "expression": f"device.attributes['{fleet.GPU_DRIVER}']"
                            ".profile == '3g.40gb'"
                        }
                    }
                ],
            },
            {"name": "any", "deviceClassName": fleet.GPU_DRIVER},
        ],
    }
