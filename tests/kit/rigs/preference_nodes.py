"""What the tests of preference share."""

from extender.hardware.shape import Device, Kind, Level, Shape


def machine(count, *, linked=0, nics=0, taints=()):
    """`linked` of the GPUs form an NVLink island; the rest know nothing of each other."""
    kinds = [Kind.GPU] * count + [Kind.NIC] * nics
    return Shape(
        devices=tuple(
            Device("d", f"d{n}", {}, {}, kind=kind, taints=taints) for n, kind in enumerate(kinds)
        ),
        levels=tuple(
            bytes(
                Level.NVLINK if a != b and max(a, b) < linked else Level.UNKNOWN
                for b in range(len(kinds))
            )
            for a in range(len(kinds))
        ),
    )
