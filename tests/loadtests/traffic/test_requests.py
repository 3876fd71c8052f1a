"""The load test's requests are those of a kube-scheduler."""

import itertools
import random

import msgspec
import orjson

from extender.server import wire
from loadtests.traffic import requests, scenarios

MANIFESTS = scenarios.manifests()
NAMES = [f"n{number}" for number in range(10)]


def pods_of(count, text="", caller="one"):
    scenario = scenarios.parse(f"about: a test.\n{text}", "test")
    made = requests.Pods(scenario, MANIFESTS, caller=caller)
    return list(itertools.islice(made, count))


def uids(pods):
    return {pod["metadata"]["uid"] for pod in pods}


def test_every_pod_is_another_one():
    assert len(uids(pods_of(300))) == 300
    assert not uids(pods_of(300)) & uids(pods_of(300, caller="two"))


def test_tenants_create_their_own_pods_as_often_as_their_weights_say():
    text = """\
tenants:
  - {namespace: web, weight: 3, pods: {cpu: 1}}
  - {namespace: ml, weight: 1, pods: {claim-gpu: 1, plugin-8: 1}}
"""
    pods = pods_of(2000, text)
    web = [pod for pod in pods if pod["metadata"]["namespace"] == "web"]

    assert 1400 < len(web) < 1600
    assert all("-cpu-" in pod["metadata"]["name"] for pod in web)


def test_the_members_of_a_gang_share_a_job_and_the_next_gang_has_another():
    pods = pods_of(30, "gang: {pods: 10}\n")
    jobs = [pod["metadata"]["labels"]["jobset.sigs.k8s.io/jobset-name"] for pod in pods]

    assert [len(list(group)) for _, group in itertools.groupby(jobs)] == [10, 10, 10]


def test_windows_go_on_where_the_last_one_ended():
    windows = list(itertools.islice(requests.Windows(NAMES, 4), 5))

    assert [name for window in windows for name in window] == NAMES * 2
    assert next(iter(requests.Windows(NAMES, 0))) == NAMES
    assert next(iter(requests.Windows(NAMES, 99))) == NAMES


def test_bodies_are_read_as_they_are_meant():
    pod = pods_of(1)[0]
    nodes = {
        name: msgspec.Raw(orjson.dumps({"kind": "Node", "metadata": {"name": name}}))
        for name in NAMES
    }

    by_name = wire.question(requests.question(pod, NAMES))
    whole = wire.question(requests.question(pod, NAMES[:3], nodes))

    assert by_name.pod.metadata.uid == whole.pod.metadata.uid == pod["metadata"]["uid"]
    assert by_name.asked.names == NAMES
    assert whole.asked.names == NAMES[:3]


def test_preempt_is_offered_pods_that_are_bound():
    bound = {name: [f"uid-{name}-{each}" for each in "ab"] for name in NAMES}
    offered = requests.offer(requests.Cluster(NAMES, {}, bound), random.Random(1))
    read = wire.preemption(requests.eviction(pods_of(1)[0], offered))

    assert len(offered) == 8
    assert {name: list(victims.pods) for name, victims in read.victims.items()} == offered
    assert read.pod.spec.priority > 0
