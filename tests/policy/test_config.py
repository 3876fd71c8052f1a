import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extender import errors
from extender.hardware.shape import Level
from extender.policy import config, crosschecks


def problems(document):
    with pytest.raises(errors.ConfigError) as refused:
        config.parse(document, source="policy.yaml")
    return dict(refused.value.problems)


@pytest.mark.parametrize("document", [None, {}])
def test_an_empty_document_is_the_default(document):
    assert config.parse(document, source="x") == config.DEFAULT


def test_names_are_those_of_kubernetes():
    found = config.parse(
        {"profiles": [{"name": "a"}], "packing": {"fitsNowShare": 0.2}, "cpuPods": "Ignore"},
        source="x",
    )

    assert found.packing.fits_now_share == 0.2
    assert found.cpu_pods == "Ignore"


def test_problems_of_all_profiles_and_of_the_rest_are_reported_together():
    found = problems(
        {
            "profiles": [
                {"name": "a", "locality": {"weight": -1}},
                {"name": "b", "packing": {"weight": 101}},
                {"packing": {}},
            ],
            "packing": {"reserve": [{"gpus": 0}]},
            "scores": {"maximum": 10.5},
        }
    )

    assert set(found) == {
        "profiles[0].locality.weight",
        "profiles[1].packing.weight",
        "profiles[1].match",
        "profiles[2].match",
        "packing.reserve[0].gpus",
        "profiles[2].name",
        "scores.maximum",
    }


@pytest.mark.parametrize(
    ("document", "place"),
    [
        pytest.param({"profile": []}, "profile", id="an unknown field"),
        pytest.param({"apiVersion": "v1"}, "apiVersion", id="another version"),
        pytest.param({"kind": "Pod"}, "kind", id="another kind"),
        pytest.param({"profiles": []}, "profiles", id="no profile"),
        pytest.param({"profiles": "all"}, "profiles", id="no list"),
        pytest.param({"profiles": [{"name": "a"}] * 2}, "profiles[1].name", id="a name twice"),
        pytest.param({"reservationSeconds": 61}, "reservationSeconds", id="out of range"),
        pytest.param({"stepBudget": 1}, "stepBudget", id="too small a budget"),
    ],
)
def test_each_problem_has_its_path(document, place):
    assert place in problems(document)


NARROW = {"namespaces": ["a"], "labels": {"x": "1"}}


@pytest.mark.parametrize(
    ("first", "second", "covered"),
    [
        ({}, {}, True),
        ({}, NARROW, True),
        (NARROW, {}, False),
        (NARROW, NARROW, True),
        ({"namespaces": ["a", "b"]}, NARROW, True),
        ({"namespaces": ["b"]}, NARROW, False),
        ({"labels": {"x": "1"}}, NARROW, True),
        ({"labels": {"x": "2"}}, NARROW, False),
        ({"labels": {"x": "1", "y": "1"}}, NARROW, False),
        ({"resources": ["r"]}, NARROW, False),
        ({"deviceClassNames": ["g", "h"]}, {"deviceClassNames": ["h"]}, True),
        ({"deviceClassNames": ["g"]}, {"deviceClassNames": ["g", "h"]}, False),
    ],
)
def test_a_profile_whose_pods_an_earlier_one_takes_is_never_reached(first, second, covered):
    profiles = [{"name": "a", "match": first}, {"name": "b", "match": second}, {"name": "c"}]
    found = dict(crosschecks.problems({"profiles": profiles}))

    assert ("profiles[1].match" in found) is covered
    if covered:
        assert "is never reached: profiles[0] (a) takes all of its pods" in found.values()


def test_a_match_of_the_last_profile_that_takes_no_pod_is_reported():
    found = problems({"profiles": [{"name": "a", "match": NARROW}, {"name": "b", "match": NARROW}]})

    assert "serves all others anyway" in found["profiles[1].match"]


def test_so_many_profiles_are_a_mistake():
    assert problems({"profiles": [{"name": str(n)} for n in range(101)]})["profiles"]


@pytest.mark.parametrize("field", msgspec.structs.fields(config.ClusterPacking))
def test_what_holds_for_the_cluster_is_a_problem_in_a_profile(field):
    name = field.encode_name
    found = problems({"profiles": [{"name": "a", "packing": {name: 1, "weight": 1}}]})

    assert found == {
        f"profiles[0].packing.{name}": f"holds for the whole cluster: set it at packing.{name}"
    }


@pytest.mark.parametrize("field", msgspec.structs.fields(config.ClusterPacking))
def test_a_field_of_the_prices_without_its_section_is_reported_where_it_belongs(field):
    name = field.encode_name
    location = f"set it at packing.{name}"

    assert problems({name: 1}) == {name: f"belongs to a section: {location}"}
    assert problems({"profiles": [{"name": "a", name: 1}]}) == {
        f"profiles[0].{name}": f"holds for the whole cluster: {location}"
    }


@pytest.mark.parametrize("field", msgspec.structs.fields(config.Policy))
def test_a_field_of_the_document_is_a_problem_in_a_profile(field):
    name = field.encode_name
    if name in {"apiVersion", "kind", "profiles", "packing"}:
        pytest.skip("means something else there, or nothing")

    found = problems({"profiles": [{"name": "a", name: 1}]})

    assert found == {f"profiles[0].{name}": f"holds for the whole cluster: set it at {name}"}


@pytest.mark.parametrize("field", msgspec.structs.fields(config.Profile))
def test_a_field_of_a_profile_is_a_problem_in_the_document(field):
    name = field.encode_name
    if name in {"name", "packing"}:
        pytest.skip("is the document's, too, or too short to tell")

    assert problems({name: {}}) == {name: f"belongs to a profile: set it at profiles[].{name}"}


@pytest.mark.parametrize(
    ("document", "place", "reported"),
    [
        ({"packing": {"weight": 1}}, "packing.weight", "profiles[].packing.weight"),
        ({"packing": {"halfLifePods": 1}}, "packing.halfLifePods", "packing.horizonPods"),
        ({"packing": {"cliffShare": 0.4}}, "packing.cliffShare", "packing.fitsNowShare"),
        (
            {"profiles": [{"name": "a", "packing": {"cliffShare": 0.4}}]},
            "profiles[0].packing.cliffShare",
            "packing.fitsNowShare",
        ),
        (
            {"profiles": [{"name": "a", "packing": {"halfLifePods": 1}}]},
            "profiles[0].packing.halfLifePods",
            "packing.horizonPods",
        ),
        (
            {"profiles": [{"name": "a", "preference": {"avoidConditions": []}}]},
            "profiles[0].preference.avoidConditions",
            "set it at avoidConditions",
        ),
    ],
)
def test_a_field_that_moved_or_has_another_name_is_shown_where_to_stand(document, place, reported):
    assert reported in problems(document)[place]


@pytest.mark.parametrize("version", ["latest", "1", "v1", "1.36x", "1.36.", "one", "1.9999"])
def test_what_is_no_version_is_a_problem(version):
    assert (
        "is not a Kubernetes version such as 1.36"
        in problems({"kubernetesVersion": version})["kubernetesVersion"]
    )


def test_the_message_names_the_document():
    with pytest.raises(errors.ConfigError, match=r"^ConfigMap a/b is not a usable policy"):
        config.parse({"kind": "Pod"}, source="ConfigMap a/b")


@pytest.mark.parametrize("level", ["PIX", "PXB", "PHB", "NODE"])
def test_a_level_is_a_word_of_nvidia_smi(level):
    assert config.level_of(config.Locality(level=level)) is Level[level]


POLICIES = st.builds(
    config.Policy,
    packing=st.builds(
        config.ClusterPacking,
        alpha=st.floats(0, 6),
        horizon_pods=st.integers(100, 1_000_000),
        max_namespace_share=st.floats(0.01, 1),
    ),
    profiles=st.builds(
        lambda packing, locality: (config.Profile("p", packing=packing, locality=locality),),
        st.builds(config.Packing, weight=st.floats(0, 100)),
        st.builds(
            config.Locality,
            weight=st.floats(0, 100),
            mode=st.sampled_from(["Preferred", "Required"]),
            communication_share=st.floats(0.01, 1),
        ),
    ),
    scores=st.builds(config.Scores, maximum=st.integers(1, 1000)),
    reservation_seconds=st.floats(0, 60),
)


@given(POLICIES)
def test_a_policy_written_out_is_read_back_the_same(policy):
    written = json.loads(msgspec.json.encode(policy))

    assert config.parse(written, source="x") == policy


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
        max_leaves=8,
    )
)
def test_whatever_stands_in_a_document_it_is_used_or_its_problems_are_listed(value):
    for document in ({"profiles": value}, {"scores": value}, {"profiles": [value]}):
        assert isinstance(read(document), config.Policy | list)


def read(document):
    """The policy, or the problems; anything else raised is a fault of ours."""
    try:
        return config.parse(document, source="x")
    except errors.ConfigError as refused:
        return refused.problems or "refused without a problem"


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({"avoidConditions": [""]}, "avoidConditions[0]"),
        ({"avoidConditions": ["=True"]}, "avoidConditions[0]"),
        ({"avoidConditions": ["A="]}, "avoidConditions[0]"),
        ({"avoidConditions": ["A", "B=Maybe"]}, "avoidConditions[1]"),
        ({"avoidConditions": ["A", "A"]}, "avoidConditions[1]"),
        (
            {"deviceResources": [{"name": "a.b/c", "kind": "GPU"}] * 2},
            "deviceResources[1].name",
        ),
        (
            {"deviceResources": [{"name": "a.b/c", "kind": "GPU", "share": 0}]},
            "deviceResources[0].share",
        ),
        (
            {"packing": {"reserve": [{"gpus": 4, "share": 0.6}, {"gpus": 8, "share": 0.6}]}},
            "packing.reserve",
        ),
        ({"packing": {"reserve": [{"gpus": 4}, {"gpus": 4}]}}, "packing.reserve[1].gpus"),
        (
            {"profiles": [{"name": "a", "proximity": {"labels": ["x", "x"]}}]},
            "profiles[0].proximity.labels[1]",
        ),
    ],
)
def test_entries_that_say_nothing_or_the_same_twice_are_reported(document, place):
    with pytest.raises(errors.ConfigError) as caught:
        config.parse(document, source="policy")
    assert [where for where, _ in caught.value.problems] == [place]


def test_entries_that_say_something_are_taken():
    document = {
        "avoidConditions": ["A", "A=False", "B=Unknown", "C*"],
        "deviceResources": [
            {"name": "a.b/c", "kind": "GPU", "share": 0.5},
            {"name": "a.b/d", "kind": "GPU"},
        ],
        "packing": {"reserve": [{"gpus": 4, "share": 0.5}, {"gpus": 8, "share": 0.5}]},
    }
    assert config.parse(document, source="policy").avoid_conditions[-1] == "C*"
