"""Frozen dataclasses to nested tables and back, with tuples and alternatives told apart by `kind`."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from typing import Any, Literal, TypeVar

from trueflow.pipeline.errors import TrueflowError, nearest

__all__ = ["from_table", "to_table"]

T = TypeVar("T")


def to_table(value: Any) -> Any:
    """Nested tables of a dataclass; what is None is left out, alternatives say their `kind`."""
    if isinstance(value, (tuple, list)):
        return [to_table(item) for item in value]
    if not dataclasses.is_dataclass(value):
        return value
    kind = getattr(value, "kind", None)
    table = {} if kind is None else {"kind": kind}
    for field in dataclasses.fields(value):
        item = getattr(value, field.name)
        if item is not None:
            table[field.name] = to_table(item)
    return table


def from_table(kind: type[T], table: Any, *, where: str) -> T:
    """A dataclass from nested tables.

    Raises
    ------
    TrueflowError
        Unknown keys (with the nearest known one), missing keys, values of the wrong type.
    """
    if not isinstance(table, dict):
        raise TrueflowError("not a table", where=where, found=repr(table), expected="key = value lines")
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    values = {}
    for key, value in table.items():
        if key == "kind" and hasattr(kind, "kind"):
            continue
        if key not in fields:
            raise TrueflowError("unknown setting", where=f"{where} {key}", advice=nearest(key, fields))
        values[key] = _value(value, hints[key], where=f"{where} {key}")
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in values:
            raise TrueflowError("missing setting", where=f"{where} {name}", expected="a value")
    return kind(**values)


def _value(value: Any, hint: Any, *, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        if value not in arguments:
            advice = nearest(str(value), map(str, arguments))
            raise TrueflowError("unknown choice", where=where, found=repr(value), advice=advice)
        return value
    if origin is tuple:
        return _tuple(value, arguments, where=where)
    if origin in (types.UnionType, typing.Union):
        return _alternative(value, [a for a in arguments if a is not type(None)], where=where)
    if dataclasses.is_dataclass(hint):
        return from_table(typing.cast("type[Any]", hint), value, where=where)
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    if hint is not float and type(value) is hint:
        return value
    raise TrueflowError("wrong type", where=where, found=repr(value), expected=hint.__name__)


def _tuple(value: Any, arguments: tuple[Any, ...], *, where: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise TrueflowError("wrong type", where=where, found=repr(value), expected="a list")
    if arguments[-1] is Ellipsis:
        arguments = (arguments[0],) * len(value)
    if len(value) != len(arguments):
        raise TrueflowError("wrong length", where=where, found=len(value), expected=len(arguments))
    return tuple(
        _value(item, hint, where=f"{where}[{i}]") for i, (item, hint) in enumerate(zip(value, arguments, strict=True))
    )


def _alternative(value: Any, choices: list[Any], *, where: str) -> Any:
    tagged = {choice.kind: choice for choice in choices if hasattr(choice, "kind")}
    if tagged:
        kind = value.get("kind") if isinstance(value, dict) else None
        if kind not in tagged:
            advice = nearest(str(kind), tagged)
            raise TrueflowError("unknown kind", where=f"{where} kind", found=repr(kind), advice=advice)
        return from_table(tagged[kind], value, where=f"{where} ({kind})")
    first, *others = choices
    if not others:
        return _value(value, first, where=where)
    try:
        return _value(value, first, where=where)
    except TrueflowError:
        return _alternative(value, others, where=where)
