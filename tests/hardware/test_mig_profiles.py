import pathlib

import pytest
from hypothesis import given, strategies

from extender import errors
from extender.hardware import mig_profiles

TABLE = pathlib.Path(__file__).parents[2] / "config" / "hardware" / "mig_profiles.tsv"
PARTITIONS = mig_profiles.parse(TABLE.read_bytes(), source="mig_profiles.tsv")
A100 = PARTITIONS.geometry("A100-80GB / A800-80GB")
A30 = PARTITIONS.geometry("A30-24GB")
HEADER = (
    "gpu_models\tmemory_slices\tcompute_slices\tprofile\tcompute_size\tmemory_size"
    "\tlegal_start_slots\tmax_instances\n"
)


def maximal_layouts(geometry, names):
    """Every set of placed instances to which no further one can be added."""
    placed = [
        (name, start, mask)
        for name in names
        for start, mask in zip(
            geometry.profiles[name].starts, geometry.profiles[name].masks, strict=True
        )
    ]
    found = set()

    def grow(first, layout, taken):
        if all(mask & taken for _, _, mask in placed):
            found.add(frozenset(layout))
        for number in range(first, len(placed)):
            name, start, mask = placed[number]
            if not mask & taken:
                grow(number + 1, [*layout, (name, start)], taken | mask)

    grow(0, [], 0)
    return found


def test_the_table_holds_all_models_and_profiles():
    assert len(PARTITIONS.geometries) == 13
    assert sum(len(one.profiles) for one in PARTITIONS.geometries.values()) == 85


def test_an_a100_has_the_nineteen_layouts_that_are_documented():
    plain = ["1g.10gb", "2g.20gb", "3g.40gb", "4g.40gb", "7g.80gb"]
    layouts = maximal_layouts(A100, plain)
    assert len(layouts) == 19
    assert len({tuple(sorted(name for name, _ in layout)) for layout in layouts}) == 14
    assert len(maximal_layouts(A100, [*plain, "1g.20gb"])) == 78


@pytest.mark.parametrize("geometry", PARTITIONS.geometries.values(), ids=lambda one: one.model)
def test_as_many_instances_fit_as_the_table_says(geometry):
    for profile in geometry.profiles.values():
        if not profile.name.endswith("+me"):
            taken = fitted = 0
            for mask in profile.masks:
                if not mask & taken:
                    taken, fitted = taken | mask, fitted + 1
            assert fitted == profile.most, profile.name


def test_what_is_taken_leaves_only_legal_starts():
    taken = 0b0000_0011  # slots 0 and 1
    legal = A100.legal(taken)
    assert legal["1g.10gb"] == (2, 3, 4, 5, 6)
    assert legal["1g.20gb"] == (2, 4, 6)
    assert legal["3g.40gb"] == (4,)
    assert legal["4g.40gb"] == legal["7g.80gb"] == ()


def test_one_instance_with_media_engines_is_the_last():
    assert A100.legal(0b1)["1g.10gb+me"] == (1, 2, 3, 4, 5, 6)
    assert A100.legal(0b1, media_taken=True)["1g.10gb+me"] == ()


def test_a_small_gpu_has_four_slots():
    assert A30.slots == 4
    assert A30.legal(0b0001)["2g.12gb"] == (2,)


def test_placements_count_what_is_still_possible():
    assert A100.placements(0) == 7 + 4 + 3 + 2 + 1 + 1
    assert A100.placements(0b1111_1111) == 0
    assert A100.placements(0b1000_0000) > A100.placements(0b0000_1000)


@given(taken=strategies.integers(0, 255), more=strategies.integers(0, 255))
def test_taking_more_never_makes_more_possible(taken, more):
    before, after = A100.legal(taken), A100.legal(taken | more)
    assert all(set(after[name]) <= set(before[name]) for name in before)
    assert A100.placements(taken | more) <= A100.placements(taken)


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("1g.10gb", "1g.10gb"),
        ("1g.5gb+me", "1g.5gb+me"),
        ("nvidia.com/mig-1g.5gb.me", "1g.5gb+me"),
        ("mig-3g.20gb", "3g.20gb"),
        ("1G.24GB", "1g.24gb"),
        ("1g.24gb-me", "1g.24gb-me"),
        ("1g.24gb+me.all", "1g.24gb+me.all"),
        ("nvidia.com/gpu", "nvidia.com/gpu"),
    ],
)
def test_a_profile_is_known_in_all_its_spellings(name, canonical):
    assert mig_profiles.canonical(name) == canonical
    assert mig_profiles.is_profile(name) == (canonical != "nvidia.com/gpu")


def test_a_profile_is_found_by_its_resource():
    assert A100.profile("nvidia.com/mig-3g.40gb").size == 4
    assert A100.profile("nvidia.com/mig-3g.20gb") is None


@pytest.mark.parametrize(
    ("rows", "place", "reason"),
    [
        pytest.param("", "t.tsv", "holds no profiles", id="empty"),
        pytest.param("A\t8\t7\t1g.5gb\t1\n", "t.tsv:3", "no profile", id="cut off"),
        pytest.param("A\t8\t7\tbig\t1\t1\t0\t7\n", "t.tsv:3", "'big' is not", id="a name"),
        pytest.param("A\t8\t7\t7g.40gb\t7\t8\t1\t1\n", "t.tsv:3", "does not fit", id="too far"),
        pytest.param(
            "A\t8\t7\t1g.5gb\t1\t1\t0\t7\nA\t8\t7\t1g.5gb\t1\t1\t0\t7\n",
            "t.tsv:4",
            "contradicts",
            id="twice",
        ),
        pytest.param(
            "A\t8\t7\t1g.5gb\t1\t1\t0\t7\nA\t4\t7\t2g.5gb\t1\t1\t0\t7\n",
            "t.tsv:4",
            "contradicts",
            id="two sizes of one GPU",
        ),
    ],
)
def test_a_broken_table_is_refused_with_the_line(rows, place, reason):
    with pytest.raises(errors.ConfigError) as caught:
        mig_profiles.parse(("# note\n" + HEADER + rows).encode(), source="t.tsv")
    ((where, what),) = caught.value.problems
    assert where == place
    assert reason in what
