"""The nodes of a pool as a list: filtered, in pages, each with its GPUs as cells."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Iterator

from extender import errors
from extender.cluster import index
from extender.decisions import engine
from extender.page.fleet import cluster_map
from extender.pools import gpu_states, node_pools
from extender.server import admin_routes

PAGE_NODES = node_pools.BLOCK  # so that a block of the map is a page of its group
ANY = "any"
STATES = {
    ANY: "all",
    "free": "free",
    "part": "partly held",
    "full": "full",
    "closed": "closed to pods",
}
_TURN = 16
_ALMOST = 1e-6


@dataclasses.dataclass(frozen=True, slots=True)
class Chosen:
    """What of the pool is shown."""

    text: str = ""
    state: str = ANY
    group: str = ""
    page: int = 1


@dataclasses.dataclass(frozen=True, slots=True)
class NodeRow:
    """One node of the list; CPU in cores, memory in GiB, both free."""

    name: str
    group: str
    strip: cluster_map.Strip
    free: float
    gpus: float
    nics: tuple[int, int]
    cpu: float
    memory: float
    state: str
    problems: tuple[str, ...]
    units: str


@dataclasses.dataclass(frozen=True, slots=True)
class Listed:
    """One page of the list. `groups`: (name, kind, nodes) of the pool."""

    rows: tuple[NodeRow, ...]
    found: int
    pages: int
    groups: tuple[tuple[str, str, int], ...]
    kind: str


def chosen(given: admin_routes.Parameters) -> Chosen:
    """Read the filter; WireError 400 where it makes no sense."""
    state, page = given.get("state", ANY) or ANY, given.get("page", "1") or "1"
    if state not in STATES:
        raise errors.WireError(400, f"state is one of {', '.join(STATES)}")
    if not (page.isascii() and page.isdecimal() and 1 <= len(page) <= 6 and int(page)):
        raise errors.WireError(400, "page is a number from 1")
    return Chosen(given.get("q", "").strip(), state, given.get("group", ""), int(page))


def listed(
    judging: engine.Engine, known: node_pools.NodePools, pool: node_pools.NodePool, wanted: Chosen
) -> Generator[None, None, Listed]:
    """The chosen nodes, in turns."""
    groups: dict[tuple[str, str], int] = {}
    for block in pool.blocks:
        key = (block.group, block.kind)
        groups[key] = groups.get(key, 0) + len(block.names)
    first, found = (wanted.page - 1) * PAGE_NODES, 0
    rows: list[NodeRow] = []
    text = wanted.text.lower()
    for number, (block, name) in enumerate(_named(pool)):
        if number % _TURN == 0:
            yield
        if (wanted.group and block.group != wanted.group) or text not in name.lower():
            continue
        detail = judging.index.detail(name)
        if detail is None:
            continue
        if wanted.state != ANY and _state(judging, known, detail) != wanted.state:
            continue
        if first <= found < first + PAGE_NODES:
            rows.append(_row(judging, known, block, detail))
        found += 1
    kinds = {kind for _, kind in groups}
    return Listed(
        tuple(rows),
        found,
        max(-(-found // PAGE_NODES), 1),
        tuple((group, kind, count) for (group, kind), count in groups.items()),
        kinds.pop() if len(kinds) == 1 else "group",
    )


def page_numbers(current: int, pages: int) -> tuple[int, ...]:
    """The pages to link: the ends and those around the current one; 0 stands for those between."""
    shown = {1, pages, *range(current - 2, current + 3)}
    found: list[int] = []
    for number in sorted(shown & set(range(1, pages + 1))):
        if found and number - found[-1] > 1:
            found.append(0)
        found.append(number)
    return tuple(found)


def _named(pool: node_pools.NodePool) -> Iterator[tuple[node_pools.Block, str]]:
    for block in pool.blocks:
        for name in block.names:
            yield block, name


def _state(judging: engine.Engine, known: node_pools.NodePools, detail: index.Row) -> str:
    row = judging.index.rows[detail.name]
    states, inventory = judging.index.state[[row]], judging.pricer.inventory
    left, total = float(inventory.left(states)[0]), float(inventory.gpus(states)[0])
    if row < len(known.blocked) and known.blocked[row]:
        return "closed"
    if total <= _ALMOST:
        return "none"
    if left <= _ALMOST:
        return "full"
    return "free" if left >= total - _ALMOST else "part"


def _row(
    judging: engine.Engine, known: node_pools.NodePools, block: node_pools.Block, detail: index.Row
) -> NodeRow:
    hardware, usage = detail.machine.shape, detail.usage
    row = judging.index.rows[detail.name]
    states, inventory = judging.index.state[[row]], judging.pricer.inventory
    return NodeRow(
        name=detail.name,
        group=block.group,
        strip=cluster_map.strip_of(hardware, usage),
        free=float(inventory.left(states)[0]),
        gpus=float(inventory.gpus(states)[0]),
        nics=gpu_states.nics(hardware, usage),
        cpu=(detail.cpu - detail.cpu_asked) / 1000,
        memory=(detail.memory - detail.memory_asked) / 2**30,
        state=_state(judging, known, detail),
        problems=node_pools.problems_of(detail.node),
        units=loose_units(detail),
    )


def loose_units(detail: index.Row) -> str:
    """What a device plug-in counts without saying on which GPU it is: held, and how many."""
    units = gpu_states.units(detail.machine.shape, detail.usage)
    return ", ".join(
        f"{each.held} of {each.resource.count} {each.resource.name.rpartition('/')[2]} held"
        for each in units
        if not each.resource.devices
    )
