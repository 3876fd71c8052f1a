"""Broken policies as data: each is reported precisely and completely, and changes nothing."""

import json
import pathlib

import pytest
import yaml

from extender import errors
from extender.cli import entry
from extender.kube.api import objects
from extender.policy import config
from extender.service.policy_source import active_policy, policy_text

FILE = pathlib.Path(__file__).parents[2] / "policy" / "broken_policies.yaml"
BROKEN = yaml.safe_load(FILE.read_text(encoding="utf-8"))
names = pytest.mark.parametrize("broken", BROKEN, ids=[each["name"] for each in BROKEN])


def config_map(text, version):
    meta = objects.ObjectMeta(name="policy", namespace="ops", resource_version=version)
    return objects.ConfigMap(metadata=meta, data={"policy.yaml": text})


def lines(problems):
    return [f"{place}: {reported}" if place else reported for place, reported in problems]


def test_there_are_fifty_of_them_and_no_two_alike():
    assert len({each["text"] for each in BROKEN}) == len(BROKEN) >= 50


@names
def test_every_fault_is_reported_with_its_place(broken):
    with pytest.raises(errors.ConfigError) as refused:
        policy_text.parse(broken["text"], source="P")

    assert (refused.value.what, lines(refused.value.problems)) == (
        broken["what"],
        broken["problems"],
    )


@names
def test_the_policy_in_force_stays_and_the_refusal_is_kept(broken):
    used = []
    policies = active_policy.Policies(used.append, config_map="ops/policy", clock=lambda: 7.0)
    policies.see(config_map("scores: {maximum: 50}", "1"))
    before = policies.in_force

    policies.see(config_map(broken["text"], "2"))

    assert len(used) == 1
    assert policies.in_force == before
    assert policies.refused.resource_version == "2"
    assert lines(policies.refused.problems) == broken["problems"]
    policies.see(config_map("scores: {maximum: 60}", "3"))
    assert policies.refused is None
    assert policies.last_refused.resource_version == "2"
    assert policies.in_force.policy.scores == config.Scores(maximum=60)


def test_check_tells_the_faults_of_all_of_them_at_once(tmp_path, capsys):
    paths = []
    for number, each in enumerate(BROKEN):
        paths.append(tmp_path / f"{number:02}.yaml")
        paths[-1].write_text(each["text"], encoding="utf-8")

    status = entry.main(["check", *map(str, paths), "-o", "json"])

    found = json.loads(capsys.readouterr().out)
    assert status == 2
    assert [each["source"] for each in found] == [str(path) for path in paths]
    for reported, each in zip(found, BROKEN, strict=True):
        assert reported["good"] is False
        assert len(reported["problems"]) == len(each["problems"])
