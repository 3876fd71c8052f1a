"""Which pods a canary takes: a share by hash, the same ones always, a gang as a whole."""

import random
import uuid

from hypothesis import given
from hypothesis import strategies as st

from extender.kube.api import objects
from extender.rollout import chosen_pods, document

UIDS = st.uuids().map(str)
PERCENTS = st.floats(0, 100)


def pod(uid, *, namespace="default", **labels):
    meta = objects.ObjectMeta(name="p", namespace=namespace, uid=uid, labels=labels or None)
    return objects.Pod(metadata=meta)


@given(st.integers(0, 2**64), PERCENTS)
def test_so_many_percent_of_the_uids_are_taken(seed, percent):
    seeded = random.Random(seed)
    uids = [str(uuid.UUID(int=seeded.getrandbits(128), version=4)) for _ in range(2000)]
    taken = sum(chosen_pods.takes(document.Canary(percent=percent), pod(uid)) for uid in uids)

    expected = len(uids) * percent / 100
    spread = (len(uids) * percent / 100 * (1 - percent / 100)) ** 0.5
    assert abs(taken - expected) <= 6 * spread + 1


@given(UIDS, PERCENTS, PERCENTS)
def test_a_pod_that_is_taken_is_still_taken_at_a_higher_share(uid, one, other):
    low, high = sorted((one, other))

    if chosen_pods.takes(document.Canary(percent=low), pod(uid)):
        assert chosen_pods.takes(document.Canary(percent=high), pod(uid))
    assert not chosen_pods.takes(document.Canary(percent=0), pod(uid))
    assert chosen_pods.takes(document.Canary(percent=100), pod(uid))


@given(st.lists(UIDS, min_size=2, max_size=8), PERCENTS)
def test_the_members_of_a_gang_are_taken_together(uids, percent):
    label = {"jobset.sigs.k8s.io/jobset-name": "job"}
    canary = document.Canary(percent=percent)

    assert len({chosen_pods.takes(canary, pod(uid, **label)) for uid in uids}) == 1


@given(UIDS, PERCENTS)
def test_namespaces_bound_the_share(uid, percent):
    named = document.Canary(namespaces=("ml", "dev"))
    both = document.Canary(namespaces=("ml",), percent=percent)
    share = document.Canary(percent=percent)

    assert chosen_pods.takes(named, pod(uid, namespace="dev"))
    assert not chosen_pods.takes(named, pod(uid, namespace="other"))
    assert not chosen_pods.takes(both, pod(uid, namespace="dev"))
    within = pod(uid, namespace="ml")
    assert chosen_pods.takes(both, within) == chosen_pods.takes(share, within)


def test_a_pod_without_a_uid_is_not_taken():
    assert not chosen_pods.takes(document.Canary(percent=100), pod(""))
