"""The openb cluster and a pod list as files of `railyard simulate`: a snapshot and a workload.

    python -m loadtests.simulator.traces.openb_workload --pods default -o FOLDER
    railyard simulate --snapshot FOLDER/cluster.json --workload FOLDER/workload.jsonl --policy A

The pods are those of the list, in its order, one a second; nothing leaves.
"""

import argparse
import pathlib

import msgspec

from extender.kube.api import objects
from extender.replay import snapshots, workloads
from loadtests.simulator import argument_checks, engine
from loadtests.simulator.traces import openb


def cluster(nodes):
    yield "DeviceClass", {"metadata": {"name": engine.CLASS}, "spec": {}}
    for number, name in enumerate(nodes.names):
        yield "Node", engine.node_of(nodes, number)
        yield "ResourceSlice", engine.slice_of(nodes, number, name)


def lines(trace, most):
    for number, kind in enumerate(trace.kinds[each] for each in trace.pods[:most].tolist()):
        requests = {"cpu": f"{kind.cpu}m", "memory": str(kind.memory * engine.MIB)}
        pod = engine.pod(str(number), requests, claimed=kind.num > 0)
        claims = [engine.claim(str(number), engine.exactly_of(kind))] if kind.num else []
        yield workloads.line_of(
            float(number),
            None,
            msgspec.convert(pod, objects.Pod),
            tuple(msgspec.convert(claim, objects.ResourceClaim) for claim in claims),
        )


def main(arguments=None):
    parse = argparse.ArgumentParser(description=__doc__)
    parse.add_argument("--nodes", type=argument_checks.file, default=str(openb.NODES))
    parse.add_argument("--pods", type=argument_checks.pod_list, default="default")
    parse.add_argument("--most", type=argument_checks.count, help="so many pods at the most")
    parse.add_argument("-o", "--output", type=pathlib.Path, required=True)
    options = parse.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    nodes, trace = openb.read_nodes(options.nodes), openb.read_trace(options.pods)
    items = [(kind, engine.built(kind, body)) for kind, body in cluster(nodes)]
    snapshots.write(options.output / "cluster.json", items)
    with (options.output / "workload.jsonl").open("wb") as file:
        file.writelines(lines(trace, options.most))


if __name__ == "__main__":
    main()
