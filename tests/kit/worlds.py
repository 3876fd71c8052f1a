"""Small clusters that many tests judge pods on, and the engine that judges them."""

from extender.hardware import allocator_features
from extender.policy import config
from extender.service import assembly
from tests.kit.builders import make_claim, make_node, make_slice

GPU, NIC = "gpu.nvidia.com", "dra.net"
H100 = "NVIDIA-H100-80GB-HBM3"


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def engine(policy=config.DEFAULT, *, clock=None, features=None, patient=True):
    return assembly.assemble(
        policy=policy,
        features=features or allocator_features.AllocatorFeatures(),
        hardware=assembly.read_catalogue(),
        clock=clock or Clock(),
        patient=patient,
    )


def feed(judging, *items):
    for item in items:
        built = item.obj() if hasattr(item, "obj") else item
        judging.store.apply(type(built).__name__, "ADDED", built)


def p4d(name):
    """The published AWS p4d: two GPUs and one NIC behind each of four PCIe roots."""
    roots = ("10", "20", "90", "a0")
    gpus, nics = make_slice(f"{name}-gpu", GPU).on(name), make_slice(f"{name}-nic", NIC).on(name)
    for number in range(8):
        gpus.device(f"gpu-{number}", type="gpu", pcieRoot=f"pci0000:{roots[number // 2]}")
    for number, root in enumerate(roots):
        nics.device(f"nic-{number}", pcieRoot=f"pci0000:{root}")
    return make_node(name), gpus, nics


def held(name, *devices):
    """A claim that holds these devices of the node of that name."""
    results = [("r", GPU if d.startswith("gpu") else NIC, name, d) for d in devices]
    return make_claim(f"held-{name}-{'-'.join(devices)}").allocated(name, *results)
