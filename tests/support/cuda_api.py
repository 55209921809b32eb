"""Holds calls against an installed package's own surface: names that exist, arguments that bind.

Compiled functions tell their signatures only in the first line of their documentation; that is read where Python's own
inspection knows nothing.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from typing import Any

_OPAQUE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class ApiError(AssertionError):
    """A call that the real package would refuse."""


def check_call(package: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Whether `package.<name>(*args, **kwargs)` binds.

    Raises
    ------
    ApiError
        Where there is no such name, or it takes other arguments.
    """
    owner, found = package, package
    for part in name.split("."):
        if not hasattr(found, part):
            raise ApiError(f"{package.__name__} has no {name}")
        owner, found = found, getattr(found, part)
    signature = signature_of(found)
    if inspect.isclass(owner) and next(iter(signature.parameters), "") == "self":
        args = (None, *args)
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise ApiError(f"{package.__name__}.{name}{signature}: {error}") from error


def signature_of(found: Any) -> inspect.Signature:
    """The signature, from the documentation where inspection gives none that says anything."""
    told: inspect.Signature | None
    try:
        told = inspect.signature(found)
    except (TypeError, ValueError):
        told = None
    if told is not None and not any(p.kind in _OPAQUE for p in told.parameters.values()):
        return told
    document = inspect.getdoc(found) or ""
    # `__init__(...)` and `__call__(...)` further down say more than a first line with **kwargs.
    lines = [line for line in document.splitlines() if re.match(r"(\w|\.)+\(.*\)", line)]
    better = [line for line in lines if "*args" not in line and "**kwargs" not in line]
    for line in better or lines:
        return _parsed(line[line.index("(") + 1 : line.rindex(")")])
    if told is None:
        raise ApiError(f"{found!r} does not say what it takes")
    return told


def _parsed(text: str) -> inspect.Signature:
    """From Cython's spelling: `self, size_t size, stream=None, *, bool flag=False`."""
    parameters, kind = [], inspect.Parameter.POSITIONAL_OR_KEYWORD
    for piece in filter(None, (p.strip() for p in text.replace("\\", "").split(","))):
        if piece in ("*", "/"):
            kind = inspect.Parameter.KEYWORD_ONLY if piece == "*" else kind
            continue
        declaration, equals, _ = piece.partition("=")
        name = declaration.split(":")[0].split()[-1]
        if name.startswith("**"):
            parameters.append(inspect.Parameter(name[2:], inspect.Parameter.VAR_KEYWORD))
            continue
        parameters.append(inspect.Parameter(name, kind, default=None if equals else inspect.Parameter.empty))
    return inspect.Signature(_defaults_last(parameters))


def _defaults_last(parameters: Iterable[inspect.Parameter]) -> list[inspect.Parameter]:
    """Where a default is followed by none, Python's own rule is broken by the documentation: all are then optional."""
    seen, fixed = False, []
    for p in parameters:
        seen = seen or p.default is not inspect.Parameter.empty
        plain = p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        fixed.append(p.replace(default=None) if seen and plain and p.default is inspect.Parameter.empty else p)
    return fixed
