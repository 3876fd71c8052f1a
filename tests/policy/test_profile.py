import pytest

from extender.policy import config, profile
from tests.kit.builders import make_pod

TRAINING = config.Profile("training", match=config.Match(labels={"role": "train"}))
DEFAULT = config.Profile("default")


def chosen(pod, *profiles, **asked):
    return profile.for_pod(config.Policy(profiles=profiles), pod.obj(), **asked)


def with_priority_class(name):
    pod = make_pod("p")
    pod.body["spec"]["priorityClassName"] = name
    return pod


@pytest.mark.parametrize(
    ("match", "pod", "asked"),
    [
        pytest.param({"namespaces": ("ml",)}, make_pod("p", "ml"), {}, id="namespace"),
        pytest.param({"labels": {"a": "b"}}, make_pod("p").label("a", "b"), {}, id="labels"),
        pytest.param(
            {"priority_class_names": ("high",)}, with_priority_class("high"), {}, id="priority"
        ),
        pytest.param(
            {"device_class_names": ("gpu",)},
            make_pod("p"),
            {"device_class_names": ["nic", "gpu"]},
            id="device class",
        ),
        pytest.param(
            {"resources": ("nvidia.com/gpu",)},
            make_pod("p"),
            {"resources": ["nvidia.com/gpu"]},
            id="resource",
        ),
    ],
)
def test_a_profile_is_chosen_by_each_thing_a_match_names(match, pod, asked):
    special = config.Profile("special", match=config.Match(**match))

    assert chosen(pod, special, DEFAULT, **asked).name == "special"
    assert chosen(make_pod("p"), special, DEFAULT).name == "default"


def test_everything_that_a_match_names_must_hold():
    both = config.Match(namespaces=("ml",), labels={"a": "b"})
    special = config.Profile("special", match=both)

    assert chosen(make_pod("p", "ml"), special, DEFAULT).name == "default"
    assert chosen(make_pod("p", "ml").label("a", "b"), special, DEFAULT).name == "special"


def test_the_first_profile_that_matches_is_the_one():
    second = config.Profile("second", match=TRAINING.match)

    assert chosen(make_pod("p").label("role", "train"), TRAINING, second).name == "training"


def test_the_last_profile_serves_where_none_matches():
    assert chosen(make_pod("p"), TRAINING).name == "training"


@pytest.mark.parametrize(
    ("wish", "mode", "level"),
    [
        ("required", "Required", "PHB"),
        ("Required", "Required", "PHB"),
        ("NODE", "Required", "NODE"),
        ("pix", "Required", "PIX"),
        ("near", "Preferred", "PHB"),
        ("", "Preferred", "PHB"),
    ],
)
def test_a_pod_may_insist_on_nearness_and_a_typing_error_changes_nothing(wish, mode, level):
    pod = make_pod("p").annotation(profile.LOCALITY_ANNOTATION, wish)

    found = chosen(pod, DEFAULT).locality

    assert (found.mode, found.level) == (mode, level)


def test_a_policy_may_ignore_what_pods_wish():
    pod = make_pod("p").annotation(profile.LOCALITY_ANNOTATION, "required").obj()
    policy = config.Policy(pod_annotations="Ignore")

    assert profile.for_pod(policy, pod).locality.mode == "Preferred"
