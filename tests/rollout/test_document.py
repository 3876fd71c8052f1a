"""The document of a candidate: a policy and its canary, every problem with its path."""

import pytest

from extender import errors
from extender.policy import config
from extender.rollout import document

BROKEN = {
    "neither a share nor namespaces": ({}, {"canary"}),
    "a list": ([], {"canary"}),
    "nothing": (None, {"canary"}),
    "more than all": ({"percent": 101}, {"canary.percent"}),
    "less than none": ({"percent": -1}, {"canary.percent"}),
    "a share in quotes": ({"percent": "10"}, {"canary.percent"}),
    "no number": ({"percent": float("nan")}, {"canary.percent"}),
    "one namespace": ({"namespaces": "ml"}, {"canary.namespaces"}),
    "a namespace twice": ({"namespaces": ["ml", "ml"]}, {"canary.namespaces[1]"}),
    "an empty namespace": ({"namespaces": [" "]}, {"canary.namespaces[0]"}),
    "a number for a namespace": ({"namespaces": [1]}, {"canary.namespaces[0]"}),
    "another word": ({"percent": 1, "share": 2}, {"canary.share"}),
    "no call to look at": ({"percent": 1, "rollback": {"calls": 0}}, {"canary.rollback.calls"}),
    "a rate above 1": (
        {"percent": 1, "rollback": {"errorRate": 5, "slowRate": -1}},
        {"canary.rollback.errorRate", "canary.rollback.slowRate"},
    ),
    "no time at all": (
        {"percent": 1, "rollback": {"slowMilliseconds": 0}},
        {"canary.rollback.slowMilliseconds"},
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_canary_is_reported_with_every_place(name):
    section, places = BROKEN[name]

    with pytest.raises(errors.ConfigError) as caught:
        document.parse({"canary": section, "profiles": [{"weight": 1}]}, source="shadow.yaml")

    reported = {place for place, _ in caught.value.problems}
    assert reported == places | {"profiles[0].weight", "profiles[0].name"}


def test_a_candidate_keeps_its_hash_when_it_is_promoted():
    section = {"profiles": [{"name": "default", "locality": {"weight": 2}}]}

    found = document.parse(section | {"canary": {"percent": 10}}, source="shadow.yaml")

    promoted = config.parse(section, source="policy.yaml")
    assert config.fingerprint(found.policy) == config.fingerprint(promoted)
    assert found.canary == document.Canary(percent=10)


def test_a_policy_in_force_has_no_use_for_a_canary_and_says_so():
    with pytest.raises(errors.ConfigError, match=r"canary: belongs to a candidate policy"):
        config.parse({"canary": {"percent": 1}}, source="policy.yaml")


@pytest.mark.parametrize(
    ("section", "place"),
    [
        ({"cpuPercent": 0}, "shadow.cpuPercent"),
        ({"cpuPercent": 50}, "shadow.cpuPercent"),
        ({"cpuPercent": "1"}, "shadow.cpuPercent"),
        ({"percent": 1}, "shadow.percent"),
        ([], "shadow"),
        (None, "shadow"),
    ],
)
def test_a_broken_share_of_the_processor_is_reported_with_its_place(section, place):
    with pytest.raises(errors.ConfigError) as caught:
        document.parse({"shadow": section}, source="shadow.yaml")

    assert [where for where, _ in caught.value.problems] == [place]


def test_a_trial_may_take_more_of_the_processor_and_keeps_the_policys_hash():
    found = document.parse({"shadow": {"cpuPercent": 5}}, source="shadow.yaml")

    assert found.trial.cpu_percent == 5
    assert config.fingerprint(found.policy) == config.fingerprint(config.DEFAULT)
    with pytest.raises(errors.ConfigError, match=r"shadow: belongs to a candidate policy"):
        config.parse({"shadow": {"cpuPercent": 5}}, source="policy.yaml")


def test_a_document_may_name_its_schema():
    found = document.parse({"$schema": "https://x.test/candidate.schema.json"}, source="x")

    assert found == document.Candidate(config.DEFAULT)
    with pytest.raises(errors.ConfigError, match=r"\$schema: expected the address"):
        config.parse({"$schema": 1}, source="x")
