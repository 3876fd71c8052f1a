"""What a selector on a uuid costs the others: `python -m loadtests.performance.identity [nodes]`.

Processor time of one call, in ms: a plain pod's filter before and after a claim arrives that reads
what tells machines apart, that claim's own filter, the longest turn until it is answered exactly,
and how many states there are.
"""

import sys
import time

from extender.kube.api import objects
from extender.policy import config
from extender.service import assembly
from tests.kit import builders

DRIVER = "gpu.example.com"
OWN = f'device.attributes["{DRIVER}"]'
GPUS = 8
SELECTORS = {
    "uuid": f'{OWN}.uuid == "n7-3"',
    "exists": "device.attributes.exists(d, true)",
    **{f"name {number}": f'{OWN}.a{number} == "v{number}"' for number in range(30)},
}


def fleet(judging, count):
    """Machines of one model, each with devices of its own; every third has one device in use."""
    feed(judging, builders.make_class("gpus", f'device.driver == "{DRIVER}"').obj())
    for number in range(count):
        name = f"n{number}"
        made = builders.make_slice(f"{name}-gpus", DRIVER).on(name)
        alike = {f"a{place}": f"v{place}" for place in range(30)}
        for place in range(GPUS):
            made.device(f"gpu-{place}", uuid=f"{name}-{place}", serial=number * GPUS, **alike)
        feed(judging, builders.make_node(name).obj(), made.obj())
        if number % 3 == 0:
            held = builders.make_claim(f"h{number}").request("r", "gpus")
            feed(judging, held.allocated(name, ("r", DRIVER, name, f"gpu-{number % GPUS}")).obj())
    while judging.index.settle(most=32):
        pass
    judging.settle()


def feed(judging, *items):
    for item in items:
        judging.store.apply(type(item).__name__, "ADDED", item)


def timed(call):
    """The call's processor time in ms, and its result."""
    begun = time.process_time()
    found = call()
    return 1000 * (time.process_time() - begun), found


def measure(judging, names, plain, title, selector):
    claim = builders.make_claim(title.replace(" ", "")).request("r", "gpus", selectors=[selector])
    pod = builders.make_pod(title).claim(claim.body["metadata"]["name"]).obj()
    item: objects.ResourceClaim = claim.obj()
    before, _ = timed(lambda: judging.filter_only(plain, names))
    feed(judging, item)
    after, _ = timed(lambda: judging.filter_only(plain, names))
    own, _ = timed(lambda: judging.filter_only(pod, names))
    turns = [0.0]
    single = judging.verdicts.single
    while single.unfinished:
        judging.settle()
        turns.append(timed(single.advance)[0])
    passing = len(judging.filter_only(pod, names).passing(names))
    states = len(judging.index.states)
    judging.store.apply("ResourceClaim", "DELETED", item)
    gone, _ = timed(lambda: judging.filter_only(plain, names))
    print(
        f"{title:8} plain {before:6.1f} -> {after:6.1f}, gone {gone:6.1f}; own {own:6.1f}, "
        f"{len(turns) - 1} turns, longest {max(turns):.1f}; passes {passing}; states {states} -> "
        f"{len(judging.index.states)}",
        flush=True,
    )


def main(count):
    judging = assembly.assemble(
        policy=config.DEFAULT,
        features=assembly.features_for("1.36"),
        hardware=assembly.read_catalogue(),
        patient=False,
    )
    took, _ = timed(lambda: fleet(judging, count))
    names = [f"n{number}" for number in range(count)]
    feed(judging, builders.make_claim("plain").request("r", "gpus").obj())
    plain = builders.make_pod("plain").claim("plain").obj()
    for _ in range(3):
        judging.filter_only(plain, names)
    print(f"{count} nodes read in {took / 1000:.1f} s: {judging.index!r}", flush=True)
    for title, selector in SELECTORS.items():
        measure(judging, names, plain, title, selector)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5000)
