import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extender.hardware import resource_names, shape
from extender.service import assembly

TABLE = assembly.read_catalogue().resources
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
        ("aws.amazon.com/neuroncore", Kind.PARTITION),
        ("amd.com/spx_nps1", Kind.GPU),
        ("huawei.com/Ascend910", Kind.GPU),
        ("huawei.com/Ascend910B4", Kind.GPU),
        ("huawei.com/Ascend910B4-memory", None),
        ("huawei.com/Ascend910-4c", Kind.PARTITION),
        ("huawei.com/Ascend310P-2c.1cpu", Kind.PARTITION),
        ("nvidia.com/pgpu", Kind.GPU),
        ("nvidia.com/GH100_H100_PCIE", Kind.GPU),
        ("nvidia.com/GA102GL_A10", Kind.GPU),
        ("nvidia.com/TU104GL_TESLA_T4", Kind.GPU),
        ("nvidia.com/AD102GL_L40S", Kind.GPU),
        ("nvidia.com/GH100_H100_NVSWITCH", None),
        ("nvidia.com/NVIDIA_A10-8Q", Kind.PARTITION),
        ("nvidia.com/GRID_T4-1Q", Kind.PARTITION),
        ("nvidia.com/gpumem", None),
        ("nvidia.com/gpucores", None),
        ("nvidia.com/gpumem-percentage", None),
        ("koordinator.sh/gpu-core", None),
        ("metax-tech.com/gpu", Kind.GPU),
        ("metax-tech.com/sgpu", Kind.PARTITION),
        ("metax-tech.com/vmemory", None),
        ("hygon.com/dcu", Kind.GPU),
        ("hygon.com/dcumem", None),
        ("cambricon.com/mlu", Kind.GPU),
        ("cambricon.com/mlu370", Kind.GPU),
        ("cambricon.com/vmlu", Kind.PARTITION),
        ("cambricon.com/mlu.smlu.vmemory", None),
        ("enflame.com/gcu", Kind.GPU),
        ("enflame.com/vgcu-percentage", None),
        ("kunlunxin.com/xpu", Kind.GPU),
        ("kunlunxin.com/vxpu-memory", None),
        ("iluvatar.ai/gpu", Kind.GPU),
        ("iluvatar.ai/BI-V150-vgpu", Kind.PARTITION),
        ("iluvatar.ai/BI-V150.vMem", None),
        ("mthreads.com/gpu", Kind.GPU),
        ("mthreads.com/sgpu-core", None),
        ("furiosa.ai/rngd", Kind.GPU),
        ("furiosa.ai/rngd-4core.24gb", Kind.PARTITION),
        ("beta.furiosa.ai/npu", Kind.GPU),
        ("rebellions.ai/ATOM", Kind.GPU),
        ("rebellions.ai/REBEL", Kind.GPU),
        ("tenstorrent.com/n300", Kind.GPU),
        ("tenstorrent.com/blackhole", Kind.GPU),
        ("qualcomm.com/qaic", Kind.GPU),
        ("example.com/default", None),
        ("microsoft.com/directx", None),
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
        ("koordinator.sh/rdma", None),
        ("example.com/rdma-bandwidth", None),
        ("example.com/nic-gbps", None),
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
    assert TABLE.kind_of(name) is kind


def test_an_operators_own_entries_come_first():
    own = resource_names.Resource(name="example.com/chip*", kind="GPU", share=0.5)
    other = resource_names.Resource(name="nvidia.com/gpu", kind="Other")
    table = TABLE.extended([own, other])

    assert table.of("example.com/chip-2") == own
    assert table.kind_of("nvidia.com/gpu") is None
    assert table.kind_of("amd.com/gpu") is Kind.GPU


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("nvidia.com/gpu", "gpu.nvidia.com"),
        ("nvidia.com/gpu", "hami-core-gpu.project-hami.io"),
        ("gpu.intel.com/i915", "gpu.intel.com"),
        ("aws.amazon.com/neuron", "neuron.aws.com"),
        ("habana.ai/gaudi", "gaudi.intel.com"),
        ("google.com/tpu", "tpu.google.com"),
        ("amd.com/gpu", "gpu.amd.com"),
    ],
)
def test_a_plug_in_and_a_driver_are_of_one_vendor(one, other):
    assert resource_names.vendor_of(one) == resource_names.vendor_of(other)


@pytest.mark.parametrize(
    ("name", "profile"),
    [
        ("nvidia.com/mig-1g.5gb", "1g.5gb"),
        ("nvidia.com/mig-1g.5gb.me", "1g.5gb+me"),
        ("nvidia.com/mig-1g.5gb.shared", "1g.5gb"),
        ("nvidia.com/gpu", None),
        ("nvidia.com/mig-large", None),
    ],
)
def test_the_profile_of_a_mig_resource_is_in_its_name(name, profile):
    assert resource_names.mig_profile(name) == profile


def first_pattern_that_matches(name):
    """The entry that decides, by one look at each."""
    found = (e for e in TABLE.entries if fnmatch.fnmatchcase(name.lower(), e.name.lower()))
    return next(found, None)


@given(
    entry=st.sampled_from(TABLE.entries),
    filled=st.text("abgx019.-_/", max_size=6),
    tail=st.sampled_from(["", "", ".shared", "x"]),
)
def test_all_patterns_at_once_find_what_one_after_the_other_do(entry, filled, tail):
    name = entry.name.replace("*", filled).replace("?", filled[:1] or "a") + tail

    decides = first_pattern_that_matches(name)

    if decides is not None and "/" in name:
        assert TABLE.of(name) is (decides if decides.what is not None else None)
