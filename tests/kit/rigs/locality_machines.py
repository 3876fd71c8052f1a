"""What the tests of locality share."""

import pathlib

from extender.hardware import shape
from extender.hardware.catalogue import catalogue
from extender.policy import locality

HARDWARE = pathlib.Path(__file__).parents[3] / "config" / "hardware"


CATALOGUE = catalogue.parse({path.name: path.read_bytes() for path in HARDWARE.iterdir()})


Kind, Level = shape.Kind, shape.Level


def device(kind, number, driver=""):
    driver = driver or ("dra.net" if kind is Kind.NIC else "gpu.nvidia.com")
    return shape.Device(driver, f"{kind.value}-{number}", {}, {}, kind=kind)


def machine(gpus, nics=(), *, islands=(), kind=Kind.GPU, product="", driver=""):
    """Places are (root, NUMA node); `islands` are sets of GPU numbers joined by NVLink."""
    places = [*gpus, *nics]
    kinds = [kind] * len(gpus) + [Kind.NIC] * len(nics)

    def level(one, other):
        if any({one, other} <= set(island) for island in islands):
            return Level.NVLINK
        (root, numa), (other_root, other_numa) = places[one], places[other]
        if root is not None and root == other_root:
            return Level.PHB
        if None in (numa, other_numa):
            return Level.UNKNOWN
        return Level.NODE if numa == other_numa else Level.SYS

    every = range(len(places))
    return shape.Shape(
        devices=tuple(device(one, n, driver if one is kind else "") for n, one in enumerate(kinds)),
        levels=tuple(bytes(level(one, other) for other in every) for one in every),
        numa=tuple(numa for _, numa in places),
        root=tuple(root for root, _ in places),
        product=product,
    )


def assess(hardware, devices, *, share=0.23, platform=""):
    calibration = locality.Calibration(**CATALOGUE.calibration(platform))
    return locality.assess(hardware, devices, communication_share=share, calibration=calibration)


def rate(hardware, gpu, nic, best):
    factor = {Level.NODE: 1.0 if best is Level.NODE else 0.8, Level.SYS: 0.5, Level.UNKNOWN: 0.8}
    return factor.get(Level(hardware.levels[gpu][nic]), 1.0)
