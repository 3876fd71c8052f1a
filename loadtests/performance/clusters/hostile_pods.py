"""Pods that are as costly to judge as the API server lets anybody make them, and plain ones."""

import dataclasses
import itertools

from extender.kube.api import objects

GPU, NIC, MIG = "gpu.nvidia.com", "rdma.dranet", "mig.nvidia.com"
ROOT = "resource.kubernetes.io/pcieRoot"
NAMESPACE = "default"


@dataclasses.dataclass(frozen=True)
class Case:
    """One pod, and the objects that come with it, in the order in which the watch shows them."""

    name: str
    pod: objects.Pod
    objects: tuple
    asked: bool = True


def plain():
    """A pod for one GPU and one NIC behind one PCIe root."""
    asked = spec([request("gpu", GPU), request("nic", NIC)], [match(ROOT)])
    return claiming("plain", [asked])


def cases():
    """Yield the table; names say what there is too much of."""
    yield from _large_pods()
    yield from _costly_selectors()
    yield from _combinations()
    yield from _many_claims()


def distinct(number):
    """Pods of which no two ask the same: claims, resources and texts in turn."""
    kind = number % 4
    if kind == 0:
        expression = f'device.attributes["{GPU}"].productName != "{number}"'
        asked = spec([request("gpu", GPU, selectors=[expression])])
    elif kind == 1:
        asked = spec([request(f"r{number}", GPU, count=1 + number % 4)], [match(f"a.b/c{number}")])
    elif kind == 2:
        asked = spec([request("gpu", GPU), request(f"nic{number}", NIC)], [match(ROOT)])
    else:
        notes = {f"note-{number}-{n}": "x" * 20 for n in range(200)}
        amounts = {"nvidia.com/gpu": "1", f"example.com/n{number}": "1"}
        return alone(
            f"distinct-{number}", pod_of(f"distinct-{number}", [amounts], annotations=notes)
        )
    return claiming(f"distinct-{number}", [asked])


# ---------------------------------------------------------------- large pods


def _large_pods():
    many = {f"example.com/r{number}": "1" for number in range(20_000)}
    yield alone("20,000 resource names", pod_of("names", [{"nvidia.com/gpu": "1", **many}]))
    few = {f"nvidia.com/mig-{number}g": "1" for number in range(1, 200)}
    yield alone("200 device resources", pod_of("devices", [{"nvidia.com/gpu": "1", **few}]))
    some = {f"nvidia.com/mig-{number}g": "1" for number in range(1, 60)}
    yield alone("60 device resources", pod_of("some", [{"nvidia.com/gpu": "1", **some}]))
    each = [{"nvidia.com/gpu": "1"} for _ in range(10_000)]
    yield alone("10,000 containers", pod_of("containers", each))
    yield alone("10,000 init containers", pod_of("initial", each[:1], initial=each))
    names = [{f"example.com/r{number}": "1"} for number in range(10_000)]
    yield alone("10,000 containers of one name each", pod_of("one-each", names))
    texts = {f"note-{number}": "x" * 20 for number in range(10_000)}
    one = [{"nvidia.com/gpu": "1"}]
    yield alone("10,000 annotations", pod_of("annotations", one, annotations=texts))
    yield alone("10,000 labels", pod_of("labels", one, labels=texts))
    devices = "nvidia.com/gpu=" + ",".join(str(number) for number in range(40_000))
    reported = {"railyard.dev/devices": devices}
    bound = pod_of("reported", one, annotations=reported, node="n00005")
    yield dataclasses.replace(alone("an annotation of 40,000 devices", bound), asked=False)
    entries = ";".join(f"r{number}=0" for number in range(20_000))
    bound = pod_of("entries", one, annotations={"railyard.dev/devices": entries}, node="n00005")
    yield dataclasses.replace(alone("an annotation of 20,000 resources", bound), asked=False)
    running = pod_of("running", [many | {"nvidia.com/gpu": "1"}], node="n00006")
    yield dataclasses.replace(alone("20,000 resource names, bound", running), asked=False)


# ---------------------------------------------------------------- selectors


def _costly_selectors():
    def costly(number):
        return (
            f"lists.range(60).map(x, lists.range(60).map(y, x * y + {number}).size()).size() > 0"
            f" && device.driver == '{GPU}'"
        )

    several = [costly(number) for number in range(32)]
    yield claiming("32 costly selectors", [spec([request("gpu", GPU, selectors=several)])])
    each = [request(f"r{n}", GPU, selectors=[costly(100 + n)]) for n in range(32)]
    yield claiming("32 requests of a costly selector each", [spec(each)])
    reading = [
        f"device.attributes['{GPU}'].uuid.split('').map(c, c + '{n}').join() != ''"
        for n in range(32)
    ]
    yield claiming("32 costly selectors on uuids", [spec([request("gpu", GPU, selectors=reading)])])
    long = [" && ".join([f"device.driver != 'x{n}y{m}'" for m in range(360)]) for n in range(32)]
    yield claiming("32 selectors of 10 KB each", [spec([request("gpu", GPU, selectors=long)])])
    deep = ["(" * 60 + f"device.driver != '{n}'" + ")" * 60 for n in range(32)]
    full = [
        first(f"r{n}", [(f"c{m}", GPU, 1, [f"{text} && {n} != {m + 900}" for text in deep])
                         for m in range(8)])
        for n in range(32)
    ]  # fmt: skip
    yield claiming("a claim at every limit: 8,192 selectors", [spec(full)])
    rows = [
        first(f"r{n}", [(f"c{m}", GPU, 1, [f"device.driver != '{n}-{m}'"]) for m in range(8)])
        for n in range(16)
    ]
    yield claiming("128 choices with a selector each", [spec(rows)])


# ---------------------------------------------------------------- combinations


def _combinations():
    apart = [match(f"example.com/none{n}") for n in range(1)]
    some = [request(f"r{n}", GPU) for n in range(8)]
    yield claiming("8 requests that match on nothing", [spec(some, apart)])
    choices = [
        first(f"r{n}", [(f"c{m}", (GPU, NIC, MIG)[(n + m) % 3], 1 + m % 4, ()) for m in range(8)])
        for n in range(8)
    ]
    yield claiming("8 x 8 choices of 1 to 4", [spec(choices, [match(ROOT)])])
    choices = [
        first(f"r{n}", [(f"c{m}", (GPU, NIC)[(n + m) % 2], 1 + (n * m) % 5, ()) for m in range(8)])
        for n in range(32)
    ]
    yield claiming("32 x 8 choices of 1 to 5", [spec(choices)])
    yield claiming("32 x 8 choices of 1 to 5, matched", [spec(choices, [match(ROOT)])])
    mig = [request(f"r{n}", MIG) for n in range(32)]
    yield claiming("32 partitions one by one", [spec(mig)])
    yield claiming("32 partitions of one root", [spec(mig, [match("gpu.nvidia.com/parentUUID")])])
    yield claiming("32 partitions in one request", [spec([request("m", MIG, count=32)])])
    pairs = [match(ROOT, f"r{n}", f"r{m}") for n, m in itertools.combinations(range(9), 2)][:32]
    yield claiming(
        "32 constraints over pairs", [spec([request(f"r{n}", GPU) for n in range(9)], pairs)]
    )
    yield from _large_requests()


def _large_requests():
    distinct = [
        distinct_in(ROOT),
        distinct_in("gpu.nvidia.com/uuid"),
        distinct_in("gpu.nvidia.com/minor"),
    ]
    yield claiming(
        "12 requests that must differ",
        [spec([request(f"r{n}", GPU) for n in range(12)], distinct)],
    )
    every = [request(f"r{n}", GPU, mode="All") for n in range(32)]
    yield claiming("all GPUs, 32 times", [spec(every)])
    admin = [request(f"r{n}", MIG, mode="All", admin_access=True) for n in range(32)]
    yield claiming("all partitions, 32 times, as admin", [spec(admin)])
    sizes = {f"c{n}": "1" for n in range(1000)}
    large = [request(f"r{n}", GPU, capacity=sizes) for n in range(8)]
    yield claiming("1,000 capacities in 8 requests", [spec(large)])
    tolerations = tuple(objects.DeviceToleration(key=f"k{n}", operator="Exists") for n in range(16))
    many = [request(f"r{n}", MIG, tolerations=tolerations) for n in range(32)]
    yield claiming("16 tolerations in 32 requests", [spec(many)])


def _many_claims():
    one = spec([request(f"r{n}", GPU) for n in range(4)])
    yield claiming("8 claims of 4", [one] * 8)
    large = spec([request(f"r{n}", (GPU, NIC, MIG)[n % 3]) for n in range(32)])
    yield claiming("100 claims of 32", [large] * 100)
    missing = tuple(
        objects.PodResourceClaim(name=f"c{n}", resource_claim_name=f"missing-{n}")
        for n in range(10_000)
    )
    yield alone("10,000 claims that are not there", pod_of("missing", [{}], claims=missing))


# ---------------------------------------------------------------- objects


def alone(name, pod):
    return Case(name, pod, (("Pod", pod),))


def claiming(name, specs):
    """A pod with a claim for each spec; equal specs are claims of their own all the same."""
    title = "".join(c if c.isalnum() else "-" for c in name)
    made = [
        objects.ResourceClaim(
            metadata=objects.ObjectMeta(
                name=f"{title}-{n}", namespace=NAMESPACE, uid=f"{title}-{n}", resource_version="1"
            ),
            spec=spec,
        )
        for n, spec in enumerate(specs)
    ]
    references = tuple(
        objects.PodResourceClaim(name=f"c{n}", resource_claim_name=claim.metadata.name)
        for n, claim in enumerate(made)
    )
    pod = pod_of(title, [{"cpu": "1"}], claims=references)
    return Case(name, pod, (*(("ResourceClaim", claim) for claim in made), ("Pod", pod)))


def pod_of(name, containers, *, initial=(), claims=None, annotations=None, labels=None, node=""):
    return objects.Pod(
        metadata=objects.ObjectMeta(
            name=name, namespace=NAMESPACE, uid=name, annotations=annotations, labels=labels
        ),
        spec=objects.PodSpec(
            containers=_containers(containers),
            init_containers=_containers(initial) or None,
            resource_claims=claims,
            node_name=node,
        ),
        status=objects.PodStatus(phase="Running" if node else "Pending"),
    )


def _containers(amounts):
    return tuple(
        objects.Container(name=f"c{n}", resources=objects.ResourceRequirements(limits=each))
        for n, each in enumerate(amounts)
    )


def spec(requests, constraints=()):
    return objects.ResourceClaimSpec(
        objects.DeviceClaim(requests=tuple(requests), constraints=tuple(constraints))
    )


def _selectors(texts):
    return tuple(
        objects.DeviceSelector(cel=objects.CELDeviceSelector(expression=text)) for text in texts
    )


def request(name, device_class, *, count=1, mode="ExactCount", selectors=(), capacity=None, **more):
    exactly = objects.ExactDeviceRequest(
        device_class_name=device_class,
        allocation_mode=mode,
        count=count if mode == "ExactCount" else 0,
        selectors=_selectors(selectors),
        capacity=None if capacity is None else objects.CapacityRequirements(requests=capacity),
        **more,
    )
    return objects.DeviceRequest(name=name, exactly=exactly)


def first(name, choices):
    """A request of choices: (name, device class, count, selectors) each."""
    return objects.DeviceRequest(
        name=name,
        first_available=tuple(
            objects.DeviceSubRequest(
                name=sub,
                device_class_name=device_class,
                allocation_mode="ExactCount",
                count=count,
                selectors=_selectors(texts),
            )
            for sub, device_class, count, texts in choices
        ),
    )


def match(attribute, *requests):
    return objects.DeviceConstraint(match_attribute=attribute, requests=requests or None)


def distinct_in(attribute):
    return objects.DeviceConstraint(distinct_attribute=attribute)
