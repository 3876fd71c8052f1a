"""Which policy is in force: nothing that happens to the ConfigMap is silent, or the default."""

import pytest

from extender import errors
from extender.kube.api import objects
from extender.policy import config
from extender.service.policy_source import active_policy

GOOD, OTHER, BROKEN = "scores: {maximum: 50}", "scores: {maximum: 60}", "scores: {maximum: -1}"


def config_map(text=None, **more):
    meta = objects.ObjectMeta(name="policy", namespace="ops")
    data = None if text is None else {"policy.yaml": text}
    return objects.ConfigMap(metadata=meta, data=data, **more)


class Standing:
    """Policies with what they led to: those used, the outcomes counted, and a clock."""

    def __init__(self, **options):
        self.used, self.counted, self.now = [], [], 1000.0
        self.policies = active_policy.Policies(
            lambda policy: self.used.append(policy.scores.maximum),
            config_map="ops/policy",
            counted=self.counted.append,
            clock=lambda: self.now,
            **options,
        )

    def shows(self, *texts):
        for text in texts:
            self.now += 10
            if text is None:
                self.policies.missing()
            else:
                self.policies.see(config_map(text))
        return self

    @property
    def since(self):
        return self.policies.figures().refused_since


def test_nothing_is_used_before_the_config_map_is_read():
    standing = Standing()

    assert standing.used == []
    assert standing.policies.waiting_for() == {
        "a policy": "ConfigMap ops/policy has not been read yet"
    }


@pytest.mark.parametrize("text", [BROKEN, None, "", "a: [", "[" * 10_000, "a: 2024-13-45"])
def test_on_start_without_a_usable_one_it_waits_until_that_is_mended(text):
    standing = Standing().shows(text)

    assert standing.used == []
    assert standing.counted == [False]
    assert standing.policies.waiting_for()
    assert standing.since == 1010.0

    standing.shows(GOOD)

    assert (standing.used, standing.counted) == ([50], [False, True])
    assert standing.policies.waiting_for() == {}
    assert (standing.since, standing.policies.notes()) == (0.0, ())


@pytest.mark.parametrize("text", [BROKEN, None, ""])
def test_live_the_last_good_one_stays_and_tells_since_when(text):
    standing = Standing().shows(GOOD, text)

    assert standing.used == [50]
    assert standing.since == 1020.0
    assert "ConfigMap ops/policy is not followed" in standing.policies.notes()[0]

    standing.shows("another: 1")

    assert standing.since == 1020.0  # it is broken since then, however often it changed
    assert "another: unknown field" in standing.policies.notes()[0]


def test_the_same_content_again_is_no_reload_good_or_bad():
    standing = Standing().shows(GOOD, GOOD, BROKEN, BROKEN, None, None, GOOD, GOOD)

    assert standing.used == [50, 50]
    assert standing.counted == [True, False, False, True]


def test_a_deleted_one_is_read_again_when_it_is_back():
    standing = Standing().shows(GOOD, None, GOOD)

    assert standing.since == 0.0


def test_a_fallback_is_used_where_there_is_none_and_reported():
    fallback = active_policy.Fallback(config.Policy(scores=config.Scores(7)), "the file f.yaml")
    standing = Standing(fallback=fallback).shows(BROKEN)

    assert standing.used == [7]
    assert standing.policies.waiting_for() == {}
    assert standing.policies.figures().origin == "the fallback, the file f.yaml"
    assert standing.since

    standing.shows(GOOD, None)

    assert standing.used == [7, 50]  # what was good since stays, not the fallback


@pytest.mark.parametrize("text", [BROKEN, None])
def test_a_restart_keeps_to_the_last_good_one_rather_than_to_the_fallback(tmp_path, text):
    fallback = active_policy.Fallback(config.DEFAULT, "the built-in policy")
    options = {"last_good": tmp_path / "policy.yaml", "fallback": fallback}
    Standing(**options).shows(OTHER, GOOD, BROKEN)

    again = Standing(**options).shows(text)

    assert again.used == [50]
    assert again.policies.figures().origin == "the last good policy of ConfigMap ops/policy"
    assert again.since


@pytest.mark.parametrize(
    "kept", ["# last good policy of ConfigMap ops/other\n{}", "", "\0", "a: ["]
)
def test_a_kept_file_of_another_or_damaged_is_not_used(tmp_path, kept):
    path = tmp_path / "policy.yaml"
    path.write_text(kept)

    assert Standing(last_good=path).shows(None).used == []


def test_a_folder_that_cannot_be_written_to_costs_only_the_restart(tmp_path, caplog):
    standing = Standing(last_good=tmp_path / "no" / "policy.yaml").shows(GOOD)

    assert standing.used == [50]
    assert "cannot be kept for a restart" in caplog.text


def test_equal_policies_have_one_hash_however_they_were_written():
    one, other = (
        Standing().shows(text).policies.figures().fingerprint
        for text in (GOOD, '{"kind": "PlacementPolicy", "scores": {"maximum": 50}}  # again')
    )

    assert one == other != Standing().shows(OTHER).policies.figures().fingerprint


@pytest.mark.parametrize(
    ("version", "reported"),
    [("1.20", "older"), ("1.99", "newer"), ("1.36", ""), ("v1.37.1-eks-1", "")],
)
def test_a_version_beyond_what_is_known_is_reported(version, reported):
    notes = Standing().shows(f'kubernetesVersion: "{version}"').policies.notes()

    assert [reported] == [
        word for note in notes for word in ("older", "newer") if word in note
    ] or (not reported and notes == ())


def test_a_fallback_is_named_by_file_or_built_in(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(GOOD)

    assert active_policy.named(None) is None
    assert active_policy.named("builtin").policy == config.DEFAULT
    assert active_policy.named(str(path)).policy.scores.maximum == 50
    with pytest.raises(errors.ConfigError):
        active_policy.named(str(tmp_path / "none.yaml"))
