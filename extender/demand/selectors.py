"""CEL device selectors: compiled once, remembered per device, judged as the scheduler judges them."""

from __future__ import annotations

import re
from typing import Any

from cel_expr_python import cel

from extender import errors
from extender.hardware import shape

_PROGRAMS = 1000
_MEMO = 4096
_QUANTITY = "$q"
_SEMVER = "$v"
_DOMAIN = re.compile(r"device\.(?:attributes|capacity)\s*\[\s*(['\"])([^'\"]*)\1\s*\]")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _number(text: str) -> int:
    from extender.kube import quantity

    return quantity.nano(text)


def _version(text: str) -> tuple[int, int, int, int, tuple[tuple[int, int, str], ...]]:
    core, _, pre = text.partition("+")[0].partition("-")
    major, minor, patch = (int(part) for part in core.split("."))
    parts = tuple(
        (0, int(p), "") if p.isdigit() else (1, 0, p) for p in (pre.split(".") if pre else ())
    )
    return (major, minor, patch, 0 if pre else 1, parts)


def _order(left: dict[str, str], right: dict[str, str]) -> int:
    if left.keys() != right.keys() or len(left) != 1:
        raise ValueError("no such overload")
    if _QUANTITY in left:
        a, b = int(left[_QUANTITY]), int(right[_QUANTITY])
        return (a > b) - (a < b)
    c, d = _version(left[_SEMVER]), _version(right[_SEMVER])
    return (c > d) - (c < d)


def _environment() -> cel.Env:
    kind = cel.Type
    any_map = kind.Map(kind.STRING, kind.STRING)
    config = cel.NewEnvConfigFromYaml(
        "extensions:\n- name: lists\n- name: sets\n- name: optional\n- name: bindings\n"
        "- name: strings\n  version: 2\n"
    )

    def function(name: str, result: Any, *overloads: tuple[list[Any], bool, Any]) -> Any:
        return cel.FunctionDecl(name, [
            cel.Overload(f"{name}_{i}", result, parameters, member, call)
            for i, (parameters, member, call) in enumerate(overloads)
        ])  # fmt: skip

    return cel.NewEnv(
        config=config,
        variables={
            "device.driver": kind.STRING,
            "device.attributes": kind.Map(kind.STRING, kind.Map(kind.STRING, kind.DYN)),
            "device.capacity": kind.Map(kind.STRING, kind.Map(kind.STRING, any_map)),
            "device.allowMultipleAllocations": kind.BOOL,
        },
        functions=[
            function("quantity", any_map, (
                [kind.STRING], False, lambda text: {_QUANTITY: str(_number(text))})),
            function("semver", any_map, (
                [kind.STRING], False, lambda text: {_SEMVER: text})),
            function("isGreaterThan", kind.BOOL, (
                [any_map, any_map], True, lambda a, b: _order(a, b) > 0)),
            function("isLessThan", kind.BOOL, (
                [any_map, any_map], True, lambda a, b: _order(a, b) < 0)),
            function("compareTo", kind.INT, ([any_map, any_map], True, _order)),
        ],
    )  # fmt: skip


class Selectors:
    """Judges CEL device selectors against devices, with every cache bounded."""

    def __init__(
        self,
        *,
        list_attributes: bool = False,
        consumable_capacity: bool = True,
        programs: int = _PROGRAMS,
        memo: int = _MEMO,
    ) -> None:
        self._limits = (programs, memo)
        self._list_attributes = list_attributes
        self._consumable_capacity = consumable_capacity
        self._env = _environment()
        self._programs: dict[str, Any] = {}  # expression → program or the error it gives
        self._memo: dict[str, dict[shape.Device, bool | Exception]] = {}  # expression → device →

    def matches(self, expression: str, device: shape.Device) -> bool:
        """Whether the device satisfies the expression.

        Raises SelectorError where upstream fails, UnknownSelectorError where we cannot tell.
        """
        memo = self._memo.get(expression)
        if memo is None:
            if len(self._memo) >= self._limits[0]:
                self._memo.clear()
            memo = self._memo[expression] = {}
        found = memo.get(device)
        if found is None:
            if len(memo) >= self._limits[1]:
                memo.clear()
            found = memo[device] = self._evaluate(expression, device)
        if isinstance(found, bool):
            return found
        raise type(found)(*found.args)

    def _program(self, expression: str) -> Any:
        program = self._programs.get(expression)
        if program is None:
            if len(self._programs) >= self._limits[0]:
                self._programs.clear()
            try:
                program = self._env.compile(expression)
            except Exception as problem:  # noqa: BLE001 (the engine raises RuntimeError and more)
                program = errors.SelectorError(f"compilation failed: {problem}")
            self._programs[expression] = program
        return program

    def _evaluate(self, expression: str, device: shape.Device) -> bool | Exception:
        program = self._program(expression)
        if isinstance(program, Exception):
            return program
        domains = {match[2] for match in _DOMAIN.finditer(expression)} | {device.driver}
        attributes: dict[str, dict[str, Any]] = {domain: {} for domain in domains}
        capacity: dict[str, dict[str, Any]] = {domain: {} for domain in domains}
        for name, (kind, value) in device.attributes.items():
            domain, _, identifier = name.rpartition("/")
            if kind.endswith("s") and not self._list_attributes:
                return errors.SelectorError(f"attribute {name}: unsupported attribute value")
            attributes.setdefault(domain or device.driver, {})[identifier] = (
                {_SEMVER: value}
                if kind == "version"
                else list(value)
                if isinstance(value, tuple)
                else value
            )
        for name, amount in device.capacity.items():
            domain, _, identifier = name.rpartition("/")
            capacity.setdefault(domain or device.driver, {})[identifier] = {
                _QUANTITY: str(amount.value)
            }
        try:
            value = program.eval(data={
                "device.driver": device.driver, "device.attributes": attributes,
                "device.capacity": capacity,
                "device.allowMultipleAllocations": device.allow_multiple_allocations,
            }).value()  # fmt: skip
        except Exception as problem:  # noqa: BLE001 (the engine raises RuntimeError and more)
            return errors.SelectorError(str(problem))
        return value if isinstance(value, bool) else errors.SelectorError(str(value))

    def attributes(self, expression: str) -> frozenset[str] | None:
        """Names of the attributes and capacities the text can read; None if any."""
        return frozenset(_NAME.findall(expression)) if "exists" not in expression else None
