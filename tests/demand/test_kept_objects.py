"""What is kept of pods and claims has a bound, whatever is large; what a pod takes stays exact."""

import functools
import operator
import sys

import hypothesis
import msgspec
import pytest
from hypothesis import strategies

from extender.demand import kept_objects, pod_size_limits
from extender.demand import pod as pods
from extender.kube.api import objects
from loadtests.performance.clusters import hostile_pods
from tests.kit.builders import make_pod

MANY = 2000
# The API server bounds these: names, timestamps, enumerations.
BOUNDED = {
    *("metadata.name", "metadata.namespace", "metadata.generate_name", "metadata.uid"),
    *("metadata.resource_version", "metadata.creation_timestamp", "metadata.deletion_timestamp"),
    *("spec.node_name", "spec.preemption_policy", "status.phase", "status.nominated_node_name"),
    *("status.start_time", "status.extended_resource_claim_status.resource_claim_name"),
    "spec.topology_spread_constraints[0].when_unsatisfiable",
}


def memory_of(value):
    """Bytes of an object and all its parts, as the interpreter tells them."""
    size = sys.getsizeof(value)
    if isinstance(value, msgspec.Struct):
        return size + sum(memory_of(getattr(value, f)) for f in value.__struct_fields__)
    if isinstance(value, dict):
        return size + sum(memory_of(k) + memory_of(v) for k, v in value.items())
    if isinstance(value, tuple):
        return size + sum(map(memory_of, value))
    return 0 if value is None else size


def small(kind, number):
    """A value of that type with a name or two in it."""
    match kind:
        case msgspec.inspect.StrType():
            return f"x{number}"
        case msgspec.inspect.IntType():
            return 1000 + number
        case msgspec.inspect.BoolType():
            return True
        case msgspec.inspect.StructType():
            fields = msgspec.structs.fields(kind.cls)
            plain = (msgspec.inspect.StrType, msgspec.inspect.IntType, msgspec.inspect.StructType)
            types = {f.name: without_none(msgspec.inspect.type_info(f.type)) for f in fields}
            return kind.cls(
                **{n: small(t, number) for n, t in types.items() if isinstance(t, plain)}
            )
        case _:
            return None


def without_none(kind):
    if isinstance(kind, msgspec.inspect.UnionType):
        kinds = [k for k in kind.types if not isinstance(k, msgspec.inspect.NoneType)]
        return kinds[0]
    return kind


def enlarged(kind, path="", around=lambda value: value):
    """Yield (path, what makes a value of that type in which one field is large) for each field."""
    kind = without_none(kind)
    match kind:
        case msgspec.inspect.StrType():
            yield path, lambda: around("x" * 200_000)
        case msgspec.inspect.DictType():
            value = small(without_none(kind.value_type), 1)
            names = [f"a.b/{'n' * 30}{n}" for n in range(MANY)]
            yield f"{path}{{}}", lambda: around(dict.fromkeys(names, value))
        case msgspec.inspect.VarTupleType():
            item = kind.item_type
            yield f"{path}[]", lambda: around(tuple(small(item, n) for n in range(MANY)))
            yield from enlarged(item, f"{path}[0]", lambda value: around((value,)))
        case msgspec.inspect.StructType():
            for field in msgspec.structs.fields(kind.cls):
                yield from enlarged(
                    msgspec.inspect.type_info(field.type),
                    f"{path}.{field.name}".removeprefix("."),
                    lambda value, name=field.name: around(kind.cls(**{name: value})),
                )


def all_large(kind):
    return [
        pytest.param(make, id=path)
        for path, make in enlarged(msgspec.inspect.type_info(kind))
        if path not in BOUNDED
        and "too_large" not in path
        # What the control plane writes of a claim has bounds of its own.
        and "status.allocation" not in path
        and "status.reserved_for" not in path
    ]


@pytest.mark.parametrize("make", all_large(objects.Pod))
def test_a_pod_takes_no_more_memory_than_is_said_whatever_field_is_large(make):
    kept = kept_objects.as_kept(make())

    assert memory_of(kept) <= kept_objects.MOST_BYTES * 1.25
    assert kept_objects.as_kept(kept) == kept


@pytest.mark.parametrize("make", all_large(objects.ResourceClaim))
def test_a_claim_takes_no_more_memory_than_is_said_whatever_field_is_large(make):
    kept = kept_objects.as_kept(make())

    assert memory_of(kept) <= kept_objects.MOST_BYTES * 1.25
    assert kept_objects.as_kept(kept) == kept


def test_a_template_is_kept_as_its_claims_are():
    texts = tuple(
        objects.DeviceSelector(objects.CELDeviceSelector(f"{n}" * 2000)) for n in range(20)
    )
    exactly = objects.ExactDeviceRequest(device_class_name="c", selectors=texts)
    spec = objects.ResourceClaimSpec(
        objects.DeviceClaim((objects.DeviceRequest(name="r", exactly=exactly),))
    )
    template = objects.ResourceClaimTemplate(spec=objects.ResourceClaimTemplateSpec(spec=spec))

    kept = kept_objects.as_kept(template)

    assert kept.spec.spec.devices == objects.DeviceClaim()
    assert pod_size_limits.excess_of_specs([kept.spec.spec]) == kept.spec.spec.too_large
    assert "characters of selectors" in kept.spec.spec.too_large


@pytest.mark.parametrize("case", list(hostile_pods.cases()), ids=operator.attrgetter("name"))
def test_what_a_hostile_pod_has_too_much_of_stays_known(case):
    assert pod_size_limits.excess_of_pod(
        kept_objects.as_kept(case.pod)
    ) == pod_size_limits.excess_of_pod(case.pod)


AMOUNTS = strategies.dictionaries(
    strategies.sampled_from(
        ["cpu", "memory", "nvidia.com/gpu", "nvidia.com/mig-1g.10gb", "a.b/c", "hugepages-2Mi"]
    ),
    strategies.sampled_from(
        ["0", "1", "1m", "3", "1500m", "1e400", "9223372036854775807", "9E", "1n", "7Gi", 2, "-1"]
    ),
    max_size=6,
)
CONTAINERS = strategies.builds(
    objects.Container,
    resources=strategies.builds(
        objects.ResourceRequirements, limits=AMOUNTS, requests=strategies.none() | AMOUNTS
    ),
    restart_policy=strategies.sampled_from([None, "Always"]),
)


@hypothesis.given(
    spec=strategies.builds(
        objects.PodSpec,
        containers=strategies.lists(CONTAINERS, max_size=4).map(tuple),
        init_containers=strategies.lists(CONTAINERS, max_size=4).map(tuple),
        resources=strategies.none()
        | strategies.builds(objects.ResourceRequirements, requests=AMOUNTS),
        overhead=strategies.none() | AMOUNTS,
    )
)
@hypothesis.settings(deadline=None)
def test_what_a_pod_takes_of_its_node_stays_the_same_to_the_unit(spec):
    names = {f"a.a/n{number}": "0" for number in range(MANY)}
    many = objects.Container(resources=objects.ResourceRequirements(requests=names))
    hiding = msgspec.structs.replace(spec, containers=(many, *spec.containers))

    kept = kept_objects.as_kept(objects.Pod(spec=hiding))

    assert kept.too_large
    assert pods.requests_of(kept) == pods.requests_of(objects.Pod(spec=spec))
    there = {name: n for name, n in pods.amounts_of(objects.Pod(spec=spec)).items() if n}
    assert {name: n for name, n in pods.amounts_of(kept).items() if n} == there


def test_of_more_names_than_are_kept_those_of_devices_are():
    names = {f"a.a/n{number}": "1" for number in range(20_000)}
    pod = hostile_pods.pod_of("p", [names | {"nvidia.com/mig-1g.10gb": "2", "cpu": "3"}])

    asked = pods.requests_of(kept_objects.as_kept(pod))

    assert asked.cpu == 3000
    assert dict(asked.extended)["nvidia.com/mig-1g.10gb"] == 2


def test_a_malformed_quantity_of_a_large_pod_stays_one():
    pod = hostile_pods.pod_of("p", [{"cpu": "many"}] * 1000)

    with pytest.raises(ValueError, match="not a quantity"):
        pods.requests_of(kept_objects.as_kept(pod))


def test_what_keeps_other_pods_away_stays_known():
    rule = objects.PodAffinity(required=(objects.Present(),) * MANY)
    ports = tuple(objects.ContainerPort(host_port=n) for n in range(MANY))
    spread = (objects.TopologySpreadConstraint(when_unsatisfiable="DoNotSchedule"),) * MANY
    volumes = (*(objects.Volume(),) * MANY, objects.Volume(ephemeral=objects.Present()))
    spec = objects.PodSpec(
        affinity=objects.Affinity(pod_anti_affinity=rule),
        containers=(objects.Container(ports=ports),),
        topology_spread_constraints=spread,
        volumes=volumes,
    )
    large = msgspec.structs.replace(spec, node_selector={f"n{n}": "x" * 60 for n in range(MANY)})

    for kept in map(kept_objects.as_kept, (objects.Pod(spec=spec), objects.Pod(spec=large))):
        assert kept.spec.affinity.pod_anti_affinity.required
        assert any(port.host_port for each in kept.spec.containers for port in each.ports)
        assert kept.spec.topology_spread_constraints[0].when_unsatisfiable == "DoNotSchedule"
        assert any(volume.ephemeral for volume in kept.spec.volumes)
    assert kept_objects.as_kept(objects.Pod(spec=spec)).too_large is None


def test_an_ordinary_pod_is_kept_as_it_is():
    pod = functools.reduce(
        lambda made, n: made.label(f"label-{n}", "text"), range(8), make_pod("p").gpus(2)
    ).obj()

    assert kept_objects.as_kept(pod) is pod
