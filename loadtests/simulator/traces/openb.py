"""Read the openb cluster and its pod lists (loadtests/data/SOURCES.md) into arrays.

Units are the files' own: CPU and GPU in thousandths, memory in MiB.
"""

import csv
import dataclasses
import gzip
import json
import pathlib

import numpy as np

from loadtests.simulator.traces import go_random

DATA = pathlib.Path(__file__).parents[2] / "data" / "openb"
NODES = DATA / "openb_node_list_gpu_node.csv.gz"
GPU = 1000  # thousandths in a whole GPU
SLOTS = 8  # the largest machine of the trace
DRAWN_ELSEWHERE = 10  # random numbers of a published run that do not show in its order


@dataclasses.dataclass(frozen=True, slots=True)
class Nodes:
    """The machines: one entry a node, sorted by name; `model` indexes `models`."""

    names: tuple[str, ...]
    cpu: np.ndarray
    memory: np.ndarray
    gpus: np.ndarray
    model: np.ndarray
    models: tuple[str, ...]

    @property
    def capacity(self) -> int:
        """GPU thousandths of the whole cluster."""
        return int(self.gpus.sum()) * GPU


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """What a pod asks for; pods that ask for the same share one.

    `models` are the accepted GPU models as written, duplicates kept; none means any.
    """

    cpu: int
    memory: int
    num: int
    milli: int
    models: tuple[str, ...] = ()

    @property
    def gpu(self) -> int:
        """GPU thousandths asked in all."""
        return self.num * self.milli

    @property
    def tag(self) -> str:
        """The class of GPU demand that GpuClustering keeps together."""
        if self.num == 0:
            return ""
        return "share" if self.milli < GPU else str(self.num)


@dataclasses.dataclass(frozen=True, slots=True)
class Trace:
    """A pod list: distinct demands, and which one each pod of the list has."""

    name: str
    kinds: tuple[Kind, ...]
    pods: np.ndarray


def rows(path):
    with gzip.open(path, "rt", newline="") as stream:
        yield from csv.DictReader(stream)


def read_nodes(path=NODES):
    table = sorted(rows(path), key=lambda row: row["sn"])
    models = tuple(sorted({row["model"] for row in table}))
    return Nodes(
        names=tuple(row["sn"] for row in table),
        cpu=np.array([int(row["cpu_milli"]) for row in table]),
        memory=np.array([int(row["memory_mib"]) for row in table]),
        gpus=np.array([int(row["gpu"]) for row in table]),
        model=np.array([models.index(row["model"]) for row in table]),
        models=models,
    )


def read_trace(path):
    path = locate(path)
    kinds = {}  # demand → its number
    pods = []
    for row in rows(path):
        models = tuple(m for m in (row.get("gpu_spec") or "").split("|") if m)
        kind = Kind(
            cpu=int(row["cpu_milli"]),
            memory=int(row["memory_mib"]),
            num=int(row["num_gpu"]),
            milli=int(row["gpu_milli"]),
            models=models,
        )
        pods.append(kinds.setdefault(kind, len(kinds)))
    name = path.name.removeprefix("openb_pod_list_").removesuffix(".csv.gz")
    return Trace(name=name, kinds=tuple(kinds), pods=np.array(pods))


def locate(name):
    """A path as given, or the pod list of that short name in loadtests/data/openb."""
    path = pathlib.Path(name)
    return path if path.exists() else DATA / f"openb_pod_list_{name}.csv.gz"


def read_order(path):
    """The arrival order (rows of the pod list) and the nodes' ranks of one published run."""
    with gzip.open(path, "rt") as stream:
        order = json.load(stream)
    return np.array(order["Pods"]), np.array(order["Ranks"])


def published_order(trace, nodes, seed, *, load=1.3):
    """The arrival order and the nodes' ranks of the published run of this seed.

    The runs' simulator (pkg/simulator, core.go and simulator.go) shuffles the list, then drops
    or appends random pods until they ask `load` times the capacity. Ten numbers went to other
    threads before the nodes were ranked: with ten skipped all published runs come out.
    """
    draws = go_random.Rand(seed)
    draws.int63()
    order = list(range(len(trace.pods)))
    draws.shuffle(order)
    gpu = np.array([kind.gpu for kind in trace.kinds])[trace.pods].tolist()
    wanted, total = load * nodes.capacity, sum(gpu)
    room = total < wanted
    while total > wanted:
        total -= gpu[order.pop(draws.intn(len(order)))]
    while room:
        pod = draws.intn(len(trace.pods))
        # The original stops by what the pod asks of one GPU, not of all.
        room = total + trace.kinds[trace.pods[pod]].milli <= wanted
        if room:
            order.append(pod)
            total += gpu[pod]
    for _ in range(DRAWN_ELSEWHERE):
        draws.int63()
    return np.array(order), np.array(draws.perm(len(nodes.names)))


def every_nth(nodes: Nodes, count: int) -> Nodes:
    """Return `count` of the machines, evenly spread over the list; 0 is all of them."""
    if not count:
        return nodes
    rows = np.linspace(0, len(nodes.names) - 1, count).astype(int)
    columns = {name: getattr(nodes, name)[rows] for name in ("cpu", "memory", "gpus", "model")}
    return dataclasses.replace(nodes, names=tuple(nodes.names[row] for row in rows), **columns)
