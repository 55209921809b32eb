"""Values of the config as TOML has them, held against the types of the settings."""

from __future__ import annotations

import types
import typing
from typing import Any, Literal

from trueflow.pipeline.errors import TrueflowError, nearest

__all__ = ["parse_section"]


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
