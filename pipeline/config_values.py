"""What the sections of the config share: ranges, and values as TOML has them, held against the settings' types."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from dataclasses import dataclass, field
from typing import Any, Literal

from trueflow.pipeline.errors import TrueflowError, nearest

__all__ = ["Section", "bounded", "parse_section"]


def bounded(default: Any, low: float, high: float) -> Any:
    """A setting with a range: what lies outside is a slip of the unit or the keyboard."""
    return field(default=default, metadata={"range": (low, high)})


@dataclass(frozen=True, slots=True)
class Section:
    """One table of the config; refuses numbers that are not finite or out of their range."""

    def __post_init__(self) -> None:
        name = type(self).__name__.removesuffix("Config").lower()
        for setting in dataclasses.fields(self):
            value = getattr(self, setting.name)
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                continue
            low, high = setting.metadata.get("range", (-math.inf, math.inf))
            if not math.isfinite(value) or not low <= value <= high:
                raise TrueflowError(
                    "out of range",
                    where=f"config [{name}] {setting.name}",
                    found=value,
                    expected=f"{low:g} to {high:g}",
                )

def parse_section(section: type[Any], table: dict[str, Any], *, where: str) -> Any:
    """A section from its table.

    Raises
    ------
    TrueflowError
        Unknown settings, answered with the nearest known one; values of another type.
    """
    hints = typing.get_type_hints(section)
    values = {}
    for key, value in table.items():
        if key not in hints:
            raise TrueflowError("unknown setting", where=f"{where} {key}", advice=nearest(key, hints))
        values[key] = _checked(value, hints[key], where=f"{where} {key}")
    return section(**values)


def _checked(value: Any, hint: Any, *, where: str) -> Any:
    origin, choices = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        if value not in choices:
            raise TrueflowError(
                "unknown choice", where=where, found=repr(value), advice=nearest(str(value), map(str, choices))
            )
        return value
    accepted = [c for c in choices if c is not type(None)] if origin in (types.UnionType, typing.Union) else [hint]
    for kind in accepted:
        if kind is float and isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
        if kind is bool and isinstance(value, bool):
            return value
        if kind is int and isinstance(value, int) and not isinstance(value, bool):
            return value
        if kind is str and isinstance(value, str):
            return value
    names = " or ".join(kind.__name__ for kind in accepted)
    raise TrueflowError("wrong type", where=where, found=repr(value), expected=names)
