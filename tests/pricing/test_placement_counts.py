"""Counting within an allowance ends with what counting at once gives."""

import numpy as np

from extender.hardware import allocator_features
from extender.policy import config
from extender.pricing import placement_counts
from extender.service import assembly
from tests.kit.builders import (
    make_claim,
    make_class,
    make_node,
    make_pod,
    make_slice,
    make_template,
)
from tests.kit.worlds import GPU, NIC, Clock, feed, p4d


def busy(*, patient, nodes=60):
    """Nodes that are all differently taken, and a demand that only placing can count."""
    judging = assembly.assemble(
        policy=config.DEFAULT,
        features=allocator_features.AllocatorFeatures(),
        hardware=assembly.read_catalogue(),
        clock=Clock(),
        patient=patient,
    )
    feed(judging, make_class(GPU), make_class(NIC))
    for number in range(nodes):
        name = f"n{number}"
        feed(judging, *p4d(name))
        taken = [f"gpu-{bit}" for bit in range(8) if number >> bit & 1]
        results = [("r", GPU, name, device) for device in taken]
        feed(judging, make_claim(f"held-{name}").allocated(name, *results))
    pair = make_template("pair").request("g", GPU).request("n", NIC)
    feed(judging, pair.match("resource.kubernetes.io/pcieRoot"))
    return judging


def test_an_allowance_runs_out_and_the_next_call_goes_on(monkeypatch):
    monkeypatch.setattr(placement_counts, "ALLOWANCE", 20)
    hurried, patient = busy(patient=False), busy(patient=True)
    for judging in (hurried, patient):
        feed(judging, make_pod("p").template("pair"))
        judging.settle()

    assert hurried.pricer.unfinished
    assert not patient.pricer.unfinished
    for _ in range(100):
        if not hurried.pricer.unfinished:
            break
        hurried.settle()
    assert not hurried.pricer.unfinished
    assert np.allclose(hurried.pricer.headroom, patient.pricer.headroom)


def test_a_node_and_a_slice_without_demand_count_nothing():
    judging = busy(patient=False, nodes=1)
    feed(judging, make_node("b"), make_slice("b-g", GPU).on("b").device("gpu-0", type="gpu"))
    judging.settle()

    assert len(judging.pricer.prices) == 0
