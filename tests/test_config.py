import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extender import errors
from extender.hardware.shape import Level
from extender.policy import config


def problems(document):
    with pytest.raises(errors.ConfigError) as refused:
        config.parse(document, source="policy.yaml")
    return dict(refused.value.problems)


@pytest.mark.parametrize("document", [None, {}])
def test_an_empty_document_is_the_default(document):
    assert config.parse(document, source="x") == config.DEFAULT


def test_names_are_those_of_kubernetes():
    found = config.parse(
        {"profiles": [{"name": "a", "packing": {"cliffShare": 0.2}}], "cpuPods": "Ignore"},
        source="x",
    )

    assert found.profiles[0].packing.cliff_share == 0.2
    assert found.cpu_pods == "Ignore"


def test_problems_of_all_profiles_and_of_the_rest_are_reported_together():
    found = problems(
        {
            "profiles": [
                {"name": "a", "locality": {"weight": -1}},
                {"name": "b", "packing": {"reserve": [{"gpus": 0}]}},
                {"packing": {}},
            ],
            "scores": {"maximum": 10.5},
        }
    )

    assert set(found) == {
        "profiles[0].locality.weight",
        "profiles[1].packing.reserve[0].gpus",
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


def test_a_profile_behind_one_that_takes_all_is_never_reached():
    found = problems({"profiles": [{"name": "all"}, {"name": "some"}]})

    assert list(found) == ["profiles[0].match"]


def test_the_message_names_the_document():
    with pytest.raises(errors.ConfigError, match=r"^ConfigMap a/b is not a usable policy"):
        config.parse({"kind": "Pod"}, source="ConfigMap a/b")


@pytest.mark.parametrize("level", ["PIX", "PXB", "PHB", "NODE"])
def test_a_level_is_a_word_of_nvidia_smi(level):
    assert config.level_of(config.Locality(level=level)) is Level[level]


POLICIES = st.builds(
    config.Policy,
    profiles=st.builds(
        lambda packing, locality: (config.Profile("p", packing=packing, locality=locality),),
        st.builds(
            config.Packing,
            weight=st.floats(0, 100),
            alpha=st.floats(0, 6),
            half_life_pods=st.integers(100, 1_000_000),
        ),
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
