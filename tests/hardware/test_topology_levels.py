"""How close devices are, against the rules asked for each pair by itself."""

from hypothesis import given, strategies

from extender.hardware import device_topology, shape
from extender.hardware.dra import device_facts

Kind = shape.Kind
facts = strategies.builds(
    device_facts.DeviceFacts,
    kind=strategies.sampled_from(Kind),
    product=strategies.sampled_from(["", "A", "NVIDIA GB200"]),
    numa=strategies.lists(strategies.integers(0, 3), max_size=2, unique=True).map(tuple),
    roots=strategies.lists(strategies.sampled_from("abc"), max_size=2, unique=True).map(tuple),
    address=strategies.none()
    | strategies.builds(device_facts.PciAddress, *(strategies.integers(0, 1) for _ in range(4))),
    body=strategies.sampled_from(["", "x", "y"]),
)


@given(devices=strategies.lists(facts, max_size=8), order=strategies.randoms())
def test_nearness_is_symmetric_and_follows_the_devices_not_their_order(devices, order):
    found = device_topology.levels(devices, linked=frozenset({"a"}))
    size = range(len(devices))
    assert all(found[i][j] == found[j][i] for i in size for j in size)
    moved = list(size)
    order.shuffle(moved)
    again = device_topology.device_topology([devices[i] for i in moved], linked=frozenset({"a"}))
    assert all(
        again.levels[i][j] == found[moved[i]][moved[j]] for i in size for j in size if i != j
    )


def level_of_two(one, other, linked):
    """How close two devices are, by the rules one after the other."""
    if one.body and one.body == other.body:
        return shape.Level.PIX
    gpus = one.kind is other.kind is Kind.GPU
    plain = device_facts.plain_value(one.product)
    if gpus and one.product == other.product and plain in linked:
        return shape.Level.NVLINK
    both = one.address is not None and other.address is not None
    same_bus = both and one.address[:2] == other.address[:2]
    if same_bus or set(one.roots) & set(other.roots):
        bridged = any(device_topology._behind_bridge(fact) for fact in (one, other))
        return shape.Level.PIX if same_bus and bridged else shape.Level.PHB
    if not one.numa or not other.numa:
        return shape.Level.UNKNOWN
    same_socket = one.numa[0] in other.numa or other.numa[0] in one.numa
    return shape.Level.NODE if same_socket else shape.Level.SYS


@given(devices=strategies.lists(facts, max_size=8))
def test_attachments_compared_once_are_as_near_as_each_pair_by_itself(devices):
    linked = frozenset({"a"})
    placed = device_topology._with_inferred_numa(devices)

    found = device_topology.levels(devices, linked=linked)

    for number, one in enumerate(placed):
        for at, other in enumerate(placed):
            if number != at:
                assert found[number][at] == level_of_two(one, other, linked)
