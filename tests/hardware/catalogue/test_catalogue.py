import itertools
import pathlib

import pytest

from extender import errors
from extender.hardware import shape
from extender.hardware.catalogue import (
    catalogue,
    instance_types,
    label_evidence,
    platforms,
    topology_matrix,
)
from extender.policy import locality

ROOT = pathlib.Path(__file__).parents[3]
TOPO = ROOT / "tests" / "golden" / "topo"
FILES = {path.name: path.read_bytes() for path in (ROOT / "config" / "hardware").iterdir()}
CATALOGUE = catalogue.parse(FILES)
Kind, Level = shape.Kind, shape.Level


# ---------------------------------------------------------------- our own catalogue


@pytest.mark.parametrize(
    ("platform", "matrix"),
    [
        ("dgx-a100", "dgx_a100_8gpu_10nic_nvidia_smi_topo_m.txt"),
        ("dgx-h100", "dgx_h100_8gpu_12nic_nvidia_smi_topo_m.txt"),
        ("gke-a3-ultra", "gke_a3ultra_h200_8gpu_8nic_nvidia_smi_topo_m.txt"),
        ("gb300", "aks_gb300_4gpu_4nic_topo_table.md"),
    ],
)
def test_a_platform_has_the_levels_that_a_machine_of_it_printed(platform, matrix):
    printed = topology_matrix.parse((TOPO / matrix).read_text())
    known = next(one for one in CATALOGUE.platforms if one.name == platform)
    kinds = {"GPU": Kind.GPU, "NIC": Kind.NIC}
    places = [(kinds[name[:3]], int(name[3:])) for name in printed.names]
    assert known.gpus == sum(kind is Kind.GPU for kind, _ in places)
    compared = 0
    for i, j in itertools.combinations(range(len(places)), 2):
        if {places[i][0], places[j][0]} == {Kind.GPU, Kind.NIC}:
            level = known.level(places[i], places[j])
            assert level in {printed.levels[i][j], Level.UNKNOWN}, (places[i], places[j])
            compared += level is not Level.UNKNOWN
    assert compared >= 16
    gpus = range(known.gpus)
    numa = [known.numa_and_root((Kind.GPU, number))[0] for number in gpus]
    assert list(printed.numa[: known.gpus]) in (numa, [None] * known.gpus)


def test_a_tray_of_a_gb200_follows_its_numa_nodes_not_what_it_printed():
    printed = topology_matrix.parse((TOPO / "oke_gb200_4gpu_8nic_topo_table.md").read_text())
    known = next(one for one in CATALOGUE.platforms if one.name == "gb200")
    assert printed.between("GPU0", "NIC0") is Level.SYS
    assert known.level((Kind.GPU, 0), (Kind.NIC, 0)) is Level.NODE
    assert known.level((Kind.GPU, 0), (Kind.NIC, 4)) is Level.SYS
    assert known.numa_and_root((Kind.GPU, 0)) == (0, None)


def test_products_are_known_as_drivers_and_labels_spell_them():
    assert CATALOGUE.product("NVIDIA-A100-SXM4-40GB").linked
    assert CATALOGUE.product("NVIDIA A100-SXM4-40GB").linked
    assert not CATALOGUE.product("Tesla-T4").linked
    assert CATALOGUE.product("AMD_Instinct_MI300X_OAM").linked
    assert CATALOGUE.product("GTX 9000") is None
    assert "a100-sxm4-40gb" in CATALOGUE.linked
    assert "mi300x-oam" in CATALOGUE.linked
    assert "t4" not in CATALOGUE.linked
    assert "l4" not in CATALOGUE.linked


@pytest.mark.parametrize(
    ("spelt", "name"),
    [
        ("NVIDIA-H100-PCIe", "NVIDIA H100 PCIe"),
        ("H100-PCIE-80GB", "NVIDIA H100 PCIe"),
        ("h100-80gb-pcie", "NVIDIA H100 PCIe"),
        ("H100-NVL", "NVIDIA H100 NVL"),
        ("NVIDIA-H100-96GB-HBM3", "NVIDIA H100 96GB HBM3"),
        ("NVIDIA-H100-64GB-HBM2", "NVIDIA H100 64GB HBM2"),
        (
            "NVIDIA-RTX-PRO-6000-Blackwell-Workstation-Edition",
            "NVIDIA RTX PRO 6000 Blackwell Workstation Edition",
        ),
        (
            "NVIDIA-RTX-PRO-6000-Blackwell-Max-Q-Workstation-Edition",
            "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition",
        ),
        ("H100-94GB-NVL", "NVIDIA H100 NVL"),
        ("H200-NVL", "NVIDIA H200 NVL"),
        ("A100-80GB-PCIe", "NVIDIA A100 80GB PCIe"),
        ("A100-PCIE-80GB", "NVIDIA A100 80GB PCIe"),
        ("A100-80GB-SXM4", "NVIDIA A100-SXM4-80GB"),
        ("H100-80GB-HBM3-SXM5", "NVIDIA H100 80GB HBM3"),
        ("V100-32GB-SXM2", "Tesla V100-SXM2-32GB"),
        ("RTX-6000-Ada", "NVIDIA RTX 6000 Ada Generation"),
        ("NVIDIA-RTX-6000-Ada-Generation", "NVIDIA RTX 6000 Ada Generation"),
    ],
)
@pytest.mark.parametrize("case", [str, str.upper, str.lower])
def test_the_case_and_the_order_of_words_tell_nothing_about_a_product(spelt, name, case):
    assert CATALOGUE.product(case(spelt)).name == name


@pytest.mark.parametrize("label", ["node.kubernetes.io/instance-type"])
@pytest.mark.parametrize("kind", ["p5.48xlarge", "P5.48XLARGE", "P5.48xlarge"])
def test_an_instance_type_is_known_in_any_case(label, kind):
    assert CATALOGUE.instance_type({label: kind}).product == "NVIDIA H100 80GB HBM3"
    assert CATALOGUE.find("", {label: kind}) == CATALOGUE.find("", {label: "p5.48xlarge"})


@pytest.mark.parametrize(
    ("label", "value"),
    [
        ("amd.com/gpu.device-id", "74a1"),
        ("amd.com/gpu.device-id", "0x74a1"),
        ("amd.com/gpu.device-id", "0X74A1"),
        ("amd.com/gpu.device-id.74a1", "8"),
        ("beta.amd.com/gpu.device-id.0x74A1", "8"),
    ],
)
def test_a_device_id_is_known_however_its_hexadecimal_is_written(label, value):
    (found,) = label_evidence.device_ids({label: value})
    assert CATALOGUE.product(found).name == "AMD Instinct MI300X OAM"


def test_every_mig_capable_model_of_the_table_is_some_product():
    used = {product.mig for product in CATALOGUE.products.values()} - {""}
    assert used == set(CATALOGUE.partitions.geometries)


def test_the_geometry_of_a_gpu_is_found_by_its_product():
    geometry = CATALOGUE.geometry("NVIDIA-H100-80GB-HBM3")
    assert geometry.profile("1g.20gb").starts == (0, 2, 4, 6)
    assert CATALOGUE.geometry("Tesla T4") is None
    assert CATALOGUE.geometry("GTX 9000") is None


DGX = {platforms.MACHINE: "DGXA100-920-23687-2530-000"}


@pytest.mark.parametrize(
    ("product", "labels", "gpus", "platform"),
    [
        ("NVIDIA A100-SXM4-40GB", {instance_types.INSTANCE_TYPE: "p4d.24xlarge"}, 8, "aws-p4d"),
        ("NVIDIA A100-SXM4-40GB", {instance_types.INSTANCE_TYPE: "p4d.24xlarge"}, 0, "aws-p4d"),
        ("NVIDIA A100-SXM4-40GB", DGX, 8, "dgx-a100"),
        ("NVIDIA A100-SXM4-40GB", DGX, 7, "hgx-a100"),
        ("NVIDIA-A100-SXM4-80GB", {}, 8, "hgx-a100"),
        ("NVIDIA GB300", {}, 4, "gb300"),
        ("NVIDIA GB300", {}, 0, "gb300"),
        ("AMD_Instinct_MI300X_OAM", {instance_types.INSTANCE_TYPE: "Standard_ND96isr_MI300X_v5"}, 8,
            "azure-nd-mi300x-v5"),
        ("AMD_Instinct_MI300X_OAM", {}, 8, "mi300x"),
        ("Tesla-T4", {}, 2, "pcie"),
        ("GTX 9000", {instance_types.INSTANCE_TYPE: "p4d.24xlarge"}, 8, ""),
        ("", {instance_types.INSTANCE_TYPE: "p4d.24xlarge"}, 8, "aws-p4d"),
        ("", {instance_types.INSTANCE_TYPE: "m5.large"}, 8, ""),
    ],
)  # fmt: skip
def test_a_platform_is_recognised_by_what_the_node_says(product, labels, gpus, platform):
    assert CATALOGUE.platform(product, labels, gpus=gpus) == platform


def test_calibrations_fill_the_cost_model():
    values = CATALOGUE.calibration("aws-p4d")
    assert values == {"other_root": 0.53, "other_numa": 0.53}
    assert CATALOGUE.calibration("no such platform") == {}
    for platform in CATALOGUE.platforms:
        locality.Calibration(**CATALOGUE.calibration(platform.name))


def test_every_number_says_where_it_was_measured():
    entries = [*CATALOGUE.products.values(), *CATALOGUE.platforms]
    assert all(len(entry.source) > 8 for entry in entries)
    fields = platforms.MeasuredFactors.__struct_fields__
    numbers = [getattr(platform.calibration, name) for platform in CATALOGUE.platforms
               for name in fields]  # fmt: skip
    reported = [number for number in numbers if number is not None]
    assert len(reported) >= 8
    assert all("dranet" in number.source or "the same" in number.source for number in reported)


# ---------------------------------------------------------------- reading

PRODUCT = "products: [{name: A, source: s}]\n"


def platform(**fields):
    given = {"name": "p", "source": "s", "match": "{products: [A]}"} | fields
    return "platforms:\n- {" + ", ".join(f"{name}: {value}" for name, value in given.items()) + "}"


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        pytest.param("a: [", "c.yaml", "not YAML", id="broken"),
        pytest.param("[1]", "c.yaml", "expected a mapping, got list", id="no mapping"),
        pytest.param("machines: []", "c.yaml", "unknown field 'machines'", id="a list"),
        pytest.param("products: 5", "c.yaml: products", "expected a list", id="no list"),
        pytest.param("products: [{name: A}]", "c.yaml: products[0]", "`source`", id="missing"),
        pytest.param(
            "products: [{name: A, source: s, color: red}]",
            "c.yaml: products[0]",
            "unknown field `color`",
            id="unknown field",
        ),
        pytest.param(
            "products: [{name: NVIDIA A-1, source: s}, {name: a 1, source: s}]",
            "c.yaml: products[1].name",
            "'a 1' is also c.yaml: products[0]",
            id="a name twice",
        ),
        pytest.param(
            "products: [{name: A, source: s, mig: X}]",
            "c.yaml: products[0].mig",
            "no MIG profiles are known of 'X'",
            id="MIG",
        ),
        pytest.param(
            platform(match="{gpus: 8}"), "c.yaml: platforms[0].match", "needs", id="no match"
        ),
        pytest.param(
            platform(groups="[{near: PIX, gpus: [0, 2]}]"),
            "c.yaml: platforms[0].groups",
            "gpus must be 0 to 1, each once; got [0, 2]",
            id="a hole",
        ),
        pytest.param(
            platform(groups="[{near: PIX, nics: [0]}, {near: PIX, nics: [0]}]"),
            "c.yaml: platforms[0].groups",
            "nics must be 0 to 1, each once; got [0, 0]",
            id="a device twice",
        ),
        pytest.param(
            platform(groups="[{near: CLOSE}]"),
            "c.yaml: platforms[0].groups[0].near",
            "Invalid enum value 'CLOSE'",
            id="a level",
        ),
        pytest.param(
            platform(match="{products: [A], gpus: 2}", groups="[{near: PIX, gpus: [0]}]"),
            "c.yaml: platforms[0].match.gpus",
            "is 2, but the groups have 1",
            id="two counts",
        ),
        pytest.param(
            platform(calibration="{otherNuma: {value: 1.5, source: s}}"),
            "c.yaml: platforms[0].calibration.otherNuma.value",
            "<= 1",
            id="a factor",
        ),
        pytest.param(
            platform(calibration="{otherNuma: {value: 0.5}}"),
            "c.yaml: platforms[0].calibration.otherNuma",
            "`source`",
            id="no source",
        ),
    ],
)
def test_a_wrong_entry_is_refused_with_its_place(text, place, reason):
    with pytest.raises(errors.ConfigError) as caught:
        catalogue.parse({"c.yaml": text.encode()})
    ((where, what),) = caught.value.problems
    assert where == place
    assert reason in what


def test_all_problems_of_all_files_are_reported_together():
    files = {
        "a.yaml": b"products: [{name: A}, {name: B, source: s, x: 1}]",
        "b.yml": b"platforms: [{name: p}]",
        "c.tsv": b"",
        "notes.md": b"not: [read",
    }
    with pytest.raises(errors.ConfigError) as caught:
        catalogue.parse(files)
    places = [place for place, _ in caught.value.problems]
    assert places == ["a.yaml: products[0]", "a.yaml: products[1]", "b.yml: platforms[0]", "c.tsv"]


def test_entries_of_several_files_come_together():
    found = catalogue.parse({"a.yaml": PRODUCT.encode(), "b.yaml": platform().encode()})
    assert found.platform("A") == "p"
    assert found.product("a") is not None


def test_an_empty_catalogue_knows_nothing():
    assert catalogue.EMPTY.platform("NVIDIA H100") == ""
    assert "h100" not in catalogue.EMPTY.linked
    assert catalogue.parse({}) == catalogue.EMPTY


@pytest.mark.parametrize(
    ("spelt", "title"),
    [
        ("NVIDIA-H100-80GB-HBM3", "NVIDIA H100 80GB HBM3"),
        ("AMD_Instinct_MI300X_OAM", "AMD Instinct MI300X OAM"),
        ("Nobody-Knows-9000", "Nobody-Knows-9000"),
        ("H100", "H100"),  # of several, which says nothing of its own
    ],
)
def test_a_product_has_one_title_however_it_is_spelt(spelt, title):
    assert CATALOGUE.title(spelt) == title
