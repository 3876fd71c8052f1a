import pytest

from extender.hardware import resources, shape

Kind = shape.Kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("nvidia.com/gpu", Kind.GPU),
        ("nvidia.com/gpu.shared", Kind.GPU),
        ("nvidia.com/mig-1g.5gb", Kind.PARTITION),
        ("nvidia.com/mig-1g.5gb.me", Kind.PARTITION),
        ("amd.com/gpu", Kind.GPU),
        ("amd.com/cpx_nps4", Kind.PARTITION),
        ("gpu.intel.com/i915", Kind.GPU),
        ("gpu.intel.com/i915_monitoring", None),
        ("habana.ai/gaudi", Kind.GPU),
        ("google.com/tpu", Kind.GPU),
        ("aws.amazon.com/neurondevice", Kind.GPU),
        ("huawei.com/Ascend910", Kind.GPU),
        ("vpc.amazonaws.com/efa", Kind.NIC),
        ("vpc.amazonaws.com/pod-eni", None),
        ("rdma/hca_shared_devices_a", Kind.NIC),
        ("rdma/ib", Kind.NIC),
        ("openshift.io/mlx5_ib", Kind.NIC),
        ("openshift.io/sriov_rdma_vf", Kind.NIC),
        ("intel.com/intel_sriov_netdevice", Kind.NIC),
        ("intel.com/qat_vf", None),
        ("mellanox.com/cx7_vf", Kind.NIC),
        ("nvidia.com/hostdev", Kind.NIC),
        ("nvidia.com/resibp24s0", None),
        ("example.com/hca", Kind.NIC),
        ("networking.gke.io.networks/rdma-0", Kind.NIC),
        ("networking.gke.io.networks/rdma-0.IP", None),
        ("devices.kubevirt.io/kvm", None),
        ("example.com/dongle", None),
        ("hugepages-1Gi", None),
        ("cpu", None),
        ("ephemeral-storage", None),
    ],
)
def test_resources_are_what_their_plug_ins_publish(name, kind):
    assert resources.kind_of(name) is kind
    assert resources.is_device_resource(name) == (kind is not None)


@pytest.mark.parametrize(
    ("name", "profile"),
    [
        ("nvidia.com/mig-1g.5gb", "1g.5gb"),
        ("nvidia.com/mig-1g.5gb.me", "1g.5gb+me"),
        ("nvidia.com/gpu", None),
        ("nvidia.com/mig-large", None),
    ],
)
def test_the_profile_of_a_mig_resource_is_in_its_name(name, profile):
    assert resources.mig_profile(name) == profile
