"""What the tests of index share."""

from extender.hardware import allocator_features
from extender.policy import config
from extender.service import assembly
from tests.kit.builders import (
    make_slice,
)

DRIVER = "gpu.example.com"


def engine():
    return assembly.assemble(
        policy=config.DEFAULT,
        features=allocator_features.AllocatorFeatures(),
        hardware=assembly.read_catalogue(),
        clock=lambda: 0.0,
    )


def gpu_slice(node, count=2, **attributes):
    found = make_slice(f"{node}-gpus", DRIVER).on(node)
    for number in range(count):
        found.device(
            f"gpu-{number}", uuid=f"{node}-{number}", pcieRoot=f"pci{number}", **attributes
        )
    return found.obj()


def feed(picture, *items):
    for item in items:
        picture.store.apply(type(item).__name__, "ADDED", item)
    picture.index.settle()
