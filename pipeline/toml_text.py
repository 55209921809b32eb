"""TOML from files, recordings and command lines, none of which is trusted: bounded, and with its errors in one form."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from trueflow.pipeline.errors import TrueflowError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["parse_toml", "read_toml", "toml_value"]

LARGEST_BYTES = 1 << 20
LARGEST_INTEGER = 1 << 1000  # Python takes more, and stumbles where it becomes a float or a text


def parse_toml(text: str | bytes, *, where: str) -> dict[str, Any]:
    """Nested tables.

    Raises
    ------
    TrueflowError
        Where it is not TOML, nested too deep, longer than 1 MiB, or has a whole number of more than 300 digits.
    """
    if len(text) > LARGEST_BYTES:
        raise TrueflowError("too large", where=where, expected=f"<= {LARGEST_BYTES} bytes of TOML")
    try:
        tables = tomllib.loads(text if isinstance(text, str) else text.decode())
    except RecursionError as error:
        raise TrueflowError("not TOML", where=where, found="tables or lists nested too deep") from error
    except ValueError as error:  # what it says of a syntax, of bytes that are no text, of a number of 5,000 digits
        raise TrueflowError("not TOML", where=where, found=str(error)[:200]) from error
    _check_integers(tables, where)
    return tables


def read_toml(path: str | Path, *, what: str = "cannot be read", expected: str | None = None) -> dict[str, Any]:
    """Nested tables of a file; `what` and `expected` are for the message where it cannot be opened.

    Raises
    ------
    TrueflowError
        As of `parse_toml`, or where the file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            text = file.read(LARGEST_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        found = getattr(error, "strerror", None) or str(error)
        raise TrueflowError(what, where=str(path), found=found, expected=expected) from error
    return parse_toml(text, where=str(path))


def toml_value(text: str, *, where: str) -> Any:
    """A value as TOML has it, or the text itself: texts may be bare.

    Raises
    ------
    TrueflowError
        For numbers and lists that nothing could have a use for.
    """
    try:
        tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    except (ValueError, RecursionError):
        pass
    return parse_toml(f"value = {text}", where=where)["value"]


def _check_integers(tables: dict[str, Any], where: str) -> None:
    left: list[Any] = [tables]
    while left:
        item = left.pop()
        if isinstance(item, dict):
            left.extend(item.values())
        elif isinstance(item, list):
            left.extend(item)
        elif isinstance(item, int) and not -LARGEST_INTEGER <= item < LARGEST_INTEGER:
            raise TrueflowError("not TOML", where=where, found="a whole number of more than 300 digits")
