"""CEL device selectors: compiled once, answered from memory for devices that look the same.

A result depends on the expression and on what it can read of the device, so it is remembered by
those values; the device itself, which is interned, is a short cut to them.
"""

from __future__ import annotations

import collections
import inspect
from collections.abc import Callable, Iterator
from typing import TypeAlias

from extender import bounded_cache, errors
from extender.demand import work
from extender.demand.cel.library import quantities, versions
from extender.demand.cel.runtime import compiler, field_reads, meter, values
from extender.demand.cel.typecheck import environment
from extender.hardware import shape

# How many expressions are kept, as in kube-scheduler's own cache of one per class and claim.
PROGRAMS = 1000
# Bytes of all programs kept; one takes up to a hundred for each character of its text.
_MOST_PROGRAMS = 6 * bounded_cache.MIB
# How many results are kept over all expressions; one takes about 100 bytes.
RESULTS = 100_000

Result: TypeAlias = bool | errors.SelectorError | errors.UnknownSelectorError

# Bytes: of a program for each character, and of what a text reads beside its names.
_CHARACTER, _READS = 100, 300
_MOST_READS = 2 * bounded_cache.MIB
# Texts of which part is compiled: a tree of the longest takes a megabyte.
_MOST_BEGUN = 8
_TURNS = 4  # that `compiler.selector_in_turns` takes, of about the same length

# Units of work: to compile, with so much for a character; to show a device to a program, with so
# much for one of its attributes; and the CEL steps that make one.
_COMPILING, _SHOWING, _ATTRIBUTE, _STEPS = 500, 10, 2, 4

_SCALARS = frozenset({"int", "bool", "string"})
_LISTS = frozenset({"ints", "bools", "strings"})


class _Expression:
    """One expression: its program or why there is none, what it reads, and its results so far."""

    __slots__ = ("by_device", "by_values", "fault", "names", "program")

    def __init__(
        self,
        program: compiler.Program | None,
        fault: errors.SelectorError | errors.UnknownSelectorError | None,
    ) -> None:
        self.program = program
        self.fault = fault
        self.names = frozenset[str]() if program is None else field_reads.names(program.tree)
        self.by_device: dict[shape.Device, Result] = {}
        self.by_values: dict[object, Result] = {}  # what `_key` makes of a device → result

    def size(self) -> int:
        return len(self.by_device) + len(self.by_values)


class Selectors:
    """Judges CEL device selectors as the scheduler does; every cache is bounded.

    `list_attributes` and `consumable_capacity` are the cluster's feature gates: without the first,
    a list-valued attribute fails every selector on its device; without the second,
    `device.allowMultipleAllocations` does not compile. `minor` is that of Kubernetes 1.x, whose CEL
    changed in 1.36 and 1.37.
    """

    def __init__(
        self,
        *,
        list_attributes: bool = False,
        consumable_capacity: bool = True,
        minor: int = 36,
        programs: int = PROGRAMS,
        results: int = RESULTS,
        spending: work.Work | None = None,
    ) -> None:
        self._work = spending or work.Work()
        self._list_attributes = list_attributes
        self._dialect = environment.Dialect(
            minor=minor, shares=consumable_capacity, dynamic=list_attributes or minor >= 37
        )
        self._most_programs = programs
        self._most_results = results
        self._results = 0
        self._characters = 0  # of all texts
        # text → expression, least recently used first
        self._expressions: collections.OrderedDict[str, _Expression] = collections.OrderedDict()
        # text → its compiling, which an allowance ended in the middle of
        self._begun: dict[str, compiler.Turns] = {}
        # text → what it reads
        self._reads: bounded_cache.BoundedCache[str, tuple[frozenset[str] | None]] = (
            bounded_cache.BoundedCache("selector-reads", _MOST_READS)
        )

    def matches(self, expression: str, device: shape.Device) -> bool:
        """Whether the device satisfies the expression.

        Raises SelectorError where upstream fails (it says whether the expression compiled), and
        UnknownSelectorError where we refuse to judge.
        """
        entry = self._entry(expression)
        result = entry.by_device.get(device)
        if result is None:
            self._work.check()
            result = self._judge(entry, device)
        if isinstance(result, bool):
            return result
        raise again(result)

    def outcome(self, expression: str, device: shape.Device) -> Result:
        """What `matches` says or raises, found afresh and not remembered."""
        return self._evaluate(self._entry(expression), device)

    def attributes(self, expression: str) -> frozenset[str] | None:
        """Ids of the attributes and capacities the expression can read; None if it could be any.

        An expression that cannot be judged reads none. Known for longer than the program is.
        """
        known = self._reads.get(expression)
        if known is None:
            names = self._entry(expression).names
            size = _READS + len(expression) + sum(map(len, names or ()))
            self._reads.put(expression, (names,), size)
            return names
        return known[0]

    def caches(self) -> Iterator[bounded_cache.Figures]:
        """How full its caches are."""
        used = _CHARACTER * self._characters
        yield bounded_cache.Figures("selector-programs", used, _MOST_PROGRAMS)
        yield bounded_cache.Figures(
            "selector-results", self._results, self._most_results, bounded_cache.ENTRIES
        )
        yield self._reads.figures

    def _entry(self, text: str) -> _Expression:
        entry = self._expressions.get(text)
        if entry is None:
            entry = self._expressions[text] = self._compiled(text)
            self._characters += len(text)
            while len(self._expressions) > 1 and (
                len(self._expressions) > self._most_programs
                or _CHARACTER * self._characters > _MOST_PROGRAMS
            ):
                old, dropped = self._expressions.popitem(last=False)
                self._results -= dropped.size()
                self._characters -= len(old)
        else:
            self._expressions.move_to_end(text)
        return entry

    def _compiled(self, text: str) -> _Expression:
        """Compile, as far as the allowance goes; SpentError, and the next call goes on."""
        turns = self._begun.get(text)
        if turns is None:
            self._work.check()
            if len(self._begun) >= _MOST_BEGUN:
                del self._begun[next(iter(self._begun))]
            turns = self._begun[text] = compiler.selector_in_turns(text, self._dialect)
        try:
            while True:
                self._work.check()
                self._work.spend((_COMPILING + len(text)) // _TURNS)
                next(turns)
        except StopIteration as end:
            return _Expression(end.value, None)
        except meter.InvalidError as problem:
            return _Expression(None, errors.SelectorError(str(problem), compiled=False))
        except (meter.UnansweredError, RecursionError) as problem:
            return _Expression(None, errors.UnknownSelectorError(str(problem)))
        finally:
            if (
                inspect.getgeneratorstate(turns) == inspect.GEN_CLOSED
            ):  # it has come to its end, one way or the other
                self._begun.pop(text, None)

    def _judge(self, entry: _Expression, device: shape.Device) -> Result:
        if entry.program is None or entry.names is None:
            result = self._evaluate(entry, device)
        else:
            key = _key(entry.names, device)
            known = entry.by_values.get(key)
            result = self._evaluate(entry, device) if known is None else known
            if known is None:
                entry.by_values[key] = result
                self._results += 1
        entry.by_device[device] = result
        self._results += 1
        if self._results > self._most_results:
            self._forget()
        return result

    def _forget(self) -> None:
        """Drop the results of expressions, least recently used first, down to half."""
        for entry in self._expressions.values():
            self._results -= entry.size()
            entry.by_device.clear()
            entry.by_values.clear()
            if self._results <= self._most_results // 2:
                return

    def _evaluate(self, entry: _Expression, device: shape.Device) -> Result:
        if entry.program is None:
            return entry.fault or errors.UnknownSelectorError("no program")
        self._work.spend(_SHOWING + _ATTRIBUTE * (len(device.attributes) + len(device.capacity)))
        try:
            return entry.program.evaluate(self._presented(device))
        except meter.EvaluationError as problem:
            return errors.SelectorError(str(problem))
        except (meter.UnansweredError, RecursionError) as problem:
            # The levels are limited, but not how much of the stack the caller has used up.
            return errors.UnknownSelectorError(str(problem))
        finally:
            self._work.spend(entry.program.steps // _STEPS)

    def _presented(self, device: shape.Device) -> dict[str, values.Value]:
        """The device's fields as values of CEL; EvaluationError if an attribute has no value."""
        nothing = values.Map()
        attributes, capacity = values.Map(default=nothing), values.Map(default=nothing)
        for name, value in device.attributes.items():
            _put(attributes, device.driver, name, self._value(name, value))
        for name, amount in device.capacity.items():
            _put(capacity, device.driver, name, quantities.of_nanos(amount.value))
        return {
            "driver": device.driver,
            "attributes": attributes,
            "capacity": capacity,
            "allowMultipleAllocations": device.allow_multiple_allocations,
        }

    def _value(self, name: str, value: shape.Value) -> values.Value:
        kind, content = value
        if kind in _SCALARS:
            return content
        if kind == "version":
            return versions.parse(str(content))
        if self._list_attributes and isinstance(content, tuple):
            if kind in _LISTS:
                return list(content)
            if kind == "versions":
                return [versions.parse(str(one)) for one in content]
        raise meter.EvaluationError(f"attribute {name}: unsupported attribute value")


def _put(maps: values.Map, driver: str, name: str, value: values.Value) -> None:
    domain, slash, identifier = name.partition("/")
    if not slash:
        domain, identifier = driver, name
    if not maps.holds(domain):
        maps.put(domain, values.Map())
    maps.find(domain)[1].put(identifier, value)


def _key(names: frozenset[str], device: shape.Device) -> object:
    """All of the device that an expression reading only these names can depend on."""
    read = [
        (name, value)
        for name, value in device.attributes.items()
        # Lists and versions can fail by being there; the latter where they are malformed.
        if value[0] not in _SCALARS or name.rpartition("/")[2] in names
    ]
    amounts = [
        (name, amount.value)
        for name, amount in device.capacity.items()
        if name.rpartition("/")[2] in names
    ]
    return (device.driver, device.allow_multiple_allocations, tuple(read), tuple(amounts))


class Shared:
    """Judges devices of shapes, which lack the values of attributes that are apart.

    `apart` has the identifiers of these. An expression that reads one is judged by `each`, on
    devices as published; here it is refused with UnknownSelectorError.
    """

    def __init__(self, each: Selectors, apart: Callable[[], frozenset[str]]) -> None:
        self.each = each
        self._apart = apart

    @property
    def apart(self) -> frozenset[str]:
        return self._apart()

    def reads_apart(self, expression: str) -> bool:
        """Whether the expression can read an attribute that is apart."""
        apart = self._apart()
        if not apart:
            return False
        names = self.each.attributes(expression)
        return names is None or not names.isdisjoint(apart)

    def matches(self, expression: str, device: shape.Device) -> bool:
        """As `Selectors.matches`, but for expressions that read what is apart."""
        if self.reads_apart(expression):
            raise errors.UnknownSelectorError("reads what tells equal machines apart")
        return self.each.matches(expression, device)

    def admits(self, expression: str, device: shape.Device) -> bool:
        """Whether it matches; false where it fails."""
        try:
            return self.matches(expression, device)
        except (errors.SelectorError, errors.UnknownSelectorError):
            return False


def again(
    problem: errors.SelectorError | errors.UnknownSelectorError,
) -> errors.SelectorError | errors.UnknownSelectorError:
    """A fresh exception: a remembered one would gather tracebacks."""
    if isinstance(problem, errors.SelectorError):
        return errors.SelectorError(str(problem), compiled=problem.compiled)
    return errors.UnknownSelectorError(str(problem))
