"""Node name → row → state: the picture in the form that requests read.

A node's condition is a `NodeState`, interned, so that equal nodes share a number and a verdict.
The index keeps one int32 per row for it, and free CPU and memory as columns beside it (as part of
the state they would make every state unique). `settle()` applies what the store marked dirty; it is
pulled by the next request, so a burst of events costs one settling.

Two states per row: `state` is what the API shows, and decides vetoes; `expected` adds the soft
reservations, and decides predictions and scores.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from extender.cluster import machines, pool_visibility, stale_nodes, states, store
from extender.cluster.names import name_order
from extender.cluster.pods import reservations
from extender.hardware.shape import Broken
from extender.kube.api import objects

_FIRST_ROWS = 256


@dataclasses.dataclass(slots=True)
class Row:
    """What is kept of one node beside the columns."""

    name: str
    node: objects.Node
    machine: machines.Machine
    usage: states.Usage
    cpu: int = 0  # allocatable, milli
    memory: int = 0  # allocatable, bytes
    cpu_asked: int = 0  # by the pods bound here
    memory_asked: int = 0
    doubted: Sequence[tuple[str, str]] = ()  # pods here whose annotation is not believed, and why


class TopologyIndex:
    """The incremental index over a `ClusterStore`; `verify()` compares it with one made anew."""

    def __init__(
        self,
        source: store.ClusterStore,
        builder: machines.Builder,
        held: reservations.Reservations | None = None,
        *,
        at_once: int | None = None,  # nodes that are due and read by one request; None: all
    ) -> None:
        self.at_once = at_once
        self.store = source
        self.builder = builder
        self.reservations = held or reservations.Reservations()
        self.states = states.States()
        self.rows: dict[str, int] = {}  # node name → row
        self.listed = name_order.NameOrder()  # names in the order in which requests list them
        self.details: list[Row | None] = []  # row → what is kept; None is a free row
        self.state: NDArray[np.int32] = np.full(_FIRST_ROWS, -1, dtype=np.int32)
        self.expected: NDArray[np.int32] = np.full(_FIRST_ROWS, -1, dtype=np.int32)
        self.cpu: NDArray[np.float64] = np.zeros(_FIRST_ROWS)  # free, milli, as expected
        self.memory: NDArray[np.float64] = np.zeros(_FIRST_ROWS)  # free, bytes, as expected
        # Of each row: moves when its node, or what is expected of it, is another.
        self.version: NDArray[np.int64] = np.zeros(_FIRST_ROWS, dtype=np.int64)
        self.order: NDArray[np.int64] = np.zeros(_FIRST_ROWS, dtype=np.int64)  # `order_of` each
        self.read: NDArray[np.int64] = np.zeros(_FIRST_ROWS, dtype=np.int64)  # moves with hardware
        self.writes = 0  # moves with any row's version
        self.generation = 0  # moves when any row changed
        self.layout = 0  # moves when a name gets or loses its row
        self.unreadable: dict[str, str] = {}  # nodes that could not be read → why
        self.hardware = 0  # moves when a machine, or what of it can be allocated, is another
        self.changed: set[int] = set()  # rows changed since `take_changed`
        self._free: list[int] = []
        self._marked: set[str] = set()  # nodes whose reservations changed
        self._pools = pool_visibility.PoolVisibility()
        self.outdated = stale_nodes.StaleNodes(builder)  # to be read anew when there is time

    def __repr__(self) -> str:
        return f"<TopologyIndex {len(self.rows)} nodes, {len(self.states)} states>"

    # ------------------------------------------------------------ reading

    def rows_of(self, names: Sequence[str]) -> NDArray[np.int32]:
        """The row of each name, -1 where the name is unknown."""
        return self.listed.rows_of(names, self.rows)

    def distinct(self, rows: NDArray[np.int32]) -> bool:
        """Whether no row stands there twice; all are to be known."""
        seen = np.zeros(len(self.state), dtype=np.bool_)
        seen[rows] = True
        return int(np.count_nonzero(seen)) == len(rows)

    def in_use(self) -> NDArray[np.int64]:
        """The rows of all nodes, ascending."""
        return np.flatnonzero(self.state >= 0)

    def detail(self, name: str) -> Row | None:
        row = self.rows.get(name)
        return None if row is None else self.details[row]

    @property
    def surroundings(self) -> Broken | None:
        """How the worst counter pool of a node alone is broken: mode All then fails everywhere."""
        return self._pools.worst

    def take_changed(self) -> list[int]:
        """The rows changed since the last call, sorted."""
        rows, self.changed = sorted(self.changed), set()
        return rows

    # ------------------------------------------------------------ changing

    @property
    def unsettled(self) -> bool:
        return bool(self.store.pending or self._marked or self.outdated)

    def mark_changed(self, nodes: Iterable[str]) -> None:
        """Note that the reservations on these nodes changed."""
        self._marked.update(nodes)

    def settle(self, *, most: int | None = None) -> int:
        """Apply what the store marked dirty, of at most so many nodes; how many those were.

        Without `most` all that is a node's own news is read, and of what is due as much as is
        read `at_once`.
        """
        source = self.store
        if not self.unsettled:
            return self._renew(most or 0)
        self.outdated.mark_changes(
            source, self._pools.viewers, rows=self.rows.keys(), unreadable=self.unreadable.keys()
        )
        news = source.marked
        turn = sorted(news.named | self._marked)[:most]  # sorted: states are numbered by it
        begun = self.builder.work
        for number, name in enumerate(turn, 1):
            reshape, recount = name in news.dirty_shapes, name in news.dirty
            self._read(name, reshape=reshape, reuse=not recount)
            if most is not None and self.builder.work - begun > machines.TURN:
                del turn[number:]  # which ends the turn
        touched = set(turn)
        reshaped = len(touched & news.dirty_shapes)
        self.generation += bool(touched)
        if self.states.too_many(len(self.rows)):
            self.compact()
        for marked in (news.dirty_shapes, news.dirty, self._marked):
            marked.difference_update(touched)
        if most is not None:
            rest = most - len(turn)
        else:
            # Never more than are read for news: a request pays at most double for what it finds.
            due = self.outdated.due
            rest = max(reshaped, due if self.at_once is None else min(due, self.at_once))
        return len(touched) + self._renew(rest)

    def _renew(self, most: int) -> int:
        """Read anew, of at most so many nodes, what rests on something shared that changed."""
        begun, done = self.builder.work, 0
        whole = self.at_once is None  # nobody waits: all that is due is read
        while done < most and (whole or self.builder.work - begun <= machines.TURN):
            taken = self.outdated.take(1, self.details)
            for name, hardware in taken.items():
                self._read(name, reshape=hardware, reuse=False)
            done, most = done + len(taken), most if taken else 0
        self.generation += bool(done)
        return done

    def _read(self, name: str, *, reshape: bool, reuse: bool) -> None:
        if reshape or not reuse:
            self.outdated.was_read(name, hardware=reshape)
        try:
            self._refresh(name, reshape=reshape or name in self.unreadable, reuse=reuse)
            self.unreadable.pop(name, None)
        except Exception as error:  # noqa: BLE001 - whatever one node holds, the others count
            # Counted as unknown, and named, until something of it changes and it is read.
            self.unreadable[name] = f"{type(error).__name__}: {error}"
            self._drop(name)

    def _refresh(self, name: str, *, reshape: bool, reuse: bool) -> None:
        node = self.store.nodes.get(name)
        if node is None:
            self._drop(name)
            return
        row = self.rows.get(name)
        row = self._row_for(name) if row is None else row
        detail = self.details[row]
        if detail is None or reshape:
            machine = self.builder.machine(node, self.store)
            self._pools.see(name, detail.machine if detail else None, machine)
            if detail is not None and not machine.is_like(detail.machine):
                self._release(name)
            cpu, memory = machines.allocatable(node)
            offers = machine.shape, cpu, memory
            if detail is None or (detail.machine.shape, detail.cpu, detail.memory) != offers:
                self.hardware += 1
            detail = Row(name, node, machine, states.NOTHING, cpu=cpu, memory=memory)
            self.details[row] = detail
            self.expected[row] = -1
            self.read[row] = self.writes + 1  # which the row's version is about to be
            reuse = False
        if not reuse:
            bound = self.store.tenants_on.get(name, {}).values()
            doubted: list[tuple[str, str]] = []
            detail.doubted = doubted
            detail.usage = machines.usage(
                detail.machine,
                self.store.allocated,
                bound,
                features=self.builder.features,
                topology=self.store.topologies.get(name),
                doubted=doubted,
            )
            detail.cpu_asked = sum([each.asked.cpu for each in bound])
            detail.memory_asked = sum([each.asked.memory for each in bound])
        self.write(row, detail)

    def write(self, row: int, detail: Row) -> None:
        """Number the row's states by what is kept of it, and say so if they are others."""
        shape = detail.machine.shape
        self.state[row] = self.states.number(shape, detail.usage)
        usage, cpu, memory = detail.usage, detail.cpu_asked, detail.memory_asked
        for held in self.reservations.on(detail.name):
            usage = machines.with_reservation(shape, usage, held)
            cpu += held.cpu
            memory += held.memory
        now = self.states.number(shape, usage), detail.cpu - cpu, detail.memory - memory
        # Most pods go where they were expected, and then nothing is news.
        if now != (self.expected[row], self.cpu[row], self.memory[row]):
            self.expected[row], self.cpu[row], self.memory[row] = now
            self._stamp(row)

    def _stamp(self, row: int) -> None:
        """Say that the row is not what it was."""
        self.writes += 1
        self.version[row] = self.writes
        self.changed.add(row)

    def compact(self) -> None:
        """Number the states anew, without those that no row is in; tables notice the new object."""
        rows = self.in_use()
        live = np.unique(np.concatenate([self.state[rows], self.expected[rows]]))
        self.states, moved = self.states.compacted(live)
        self.state[rows], self.expected[rows] = moved[self.state[rows]], moved[self.expected[rows]]
        self.writes += 1
        self.version[rows] = self.writes
        self.changed.update(rows.tolist())
        self.generation += 1

    def _release(self, name: str) -> None:
        """Forget reservations that were made on other hardware: their devices mean nothing now."""
        for held in list(self.reservations.on(name)):
            self.reservations.forget(held.pod)

    def _row_for(self, name: str) -> int:
        if self._free:
            row = self._free.pop()
        else:
            row = len(self.details)
            self.details.append(None)
            if row >= len(self.state):
                self._grow()
        self.rows[name] = row
        self.order[row] = name_order.order_of(name)
        self.layout += 1
        return row

    def _grow(self) -> None:
        size = len(self.state)
        for column in ("state", "expected", "version", "read", "order", "cpu", "memory"):
            known, empty = getattr(self, column), -1 if column in {"state", "expected"} else 0
            grown = np.concatenate([known, np.full(size, empty, dtype=known.dtype)])
            setattr(self, column, grown)

    def _drop(self, name: str) -> None:
        row = self.rows.pop(name, None)
        if row is None:
            return
        self.listed.drop(row)
        detail = self.details[row]
        self._pools.see(name, detail.machine if detail else None, None)
        self._release(name)
        self.details[row] = None
        self.hardware += 1
        self.state[row] = self.expected[row] = -1
        self.cpu[row] = self.memory[row] = 0
        self._free.append(row)
        self.layout += 1
        self._stamp(row)

    # ------------------------------------------------------------ truth

    def frozen(self) -> TopologyIndex:
        """The index as it is now, for reading in turns while this one goes on."""
        other = copy.copy(self)
        other.rows, other.details = dict(self.rows), list(self.details)
        other.listed, other.reservations = name_order.NameOrder(), self.reservations.copy()
        other.state, other.expected = self.state.copy(), self.expected.copy()
        other.cpu, other.memory = self.cpu.copy(), self.memory.copy()
        return other

    def verify(self) -> list[str]:
        """Compare with an index made anew; every difference in words, [] is true."""
        problems: list[str] = []
        list(self.verifying(problems))
        return problems

    def verifying(self, problems: list[str]) -> Iterator[None]:
        """`verify` in turns, between which the index may go on: it is compared as it was."""
        self.settle()
        while self._renew(1):
            yield
        mine, contents = self.frozen(), self.store.contents()
        source = store.ClusterStore()
        for kind, item in ((kind, item) for kind, items in contents for item in items):
            source.apply(kind, "ADDED", item)
            yield
        fresh = TopologyIndex(source, self.builder.anew(), mine.reservations)
        for name in stale_nodes.all_news(source):
            source.marked.dirty_shapes.add(name)
            fresh.settle(most=1)
            yield
        while fresh.settle(most=1):
            yield
        same = machines.ShapeComparison()
        for name in fresh.rows.keys() ^ mine.rows.keys():
            problems += [f"{name}: not in the {'index' if name in fresh.rows else 'store'}"]
        for name in fresh.rows.keys() & mine.rows.keys():
            was, now = mine.describe(name), fresh.describe(name)
            wrong = (p for p in was if not same(was[p], now[p]))
            problems += [f"{name}: {p} is {was[p]!r}, made anew {now[p]!r}" for p in wrong]
            yield

    def describe(self, name: str) -> Mapping[str, object]:
        """A node's row, however its states were numbered."""
        row, detail = self.rows[name], self.detail(name)
        if detail is None:
            raise KeyError(name)
        return {
            "shape": detail.machine.shape,
            "usage": self.states[int(self.state[row])].usage,
            "expected": self.states[int(self.expected[row])].usage,
            "pools": detail.machine.pool_names,
            "cpu": float(self.cpu[row]),
            "memory": float(self.memory[row]),
        }
