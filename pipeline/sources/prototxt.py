"""A small reader of protobuf's text form, as far as ARRUS' configuration files use it.

`name: value` and `name { ... }` (with or without a colon), lists in square brackets, comments from # to the end of the
line. Of repeated fields the last one counts.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NoReturn

from trueflow.pipeline.errors import TrueflowError

__all__ = ["read_prototxt"]

LARGEST_BYTES = 1 << 20
DEEPEST = 16

_TOKEN = re.compile(
    r"""\s*(?:\#[^\n]*(?:\n|\Z)\s*)*
    (?P<token> "(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*' | [A-Za-z_][\w.]* | [-+]?[\w.][\w.+-]* | [{}<>\[\]:;,] )""",
    re.VERBOSE,
)
_BLANK = re.compile(r"\s*(?:#[^\n]*(?:\n|\Z)\s*)*\Z")


def read_prototxt(path: Path) -> dict[str, Any]:
    """Nested tables of str, float and list.

    Raises
    ------
    TrueflowError
        For text that is not of this form, nested too deep, or too long.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise TrueflowError("cannot be read", where=str(path), found=error.strerror) from error
    if len(content) > LARGEST_BYTES:
        raise TrueflowError("too large", where=str(path), expected=f"<= {LARGEST_BYTES} bytes of protobuf text")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise TrueflowError("not text", where=str(path), expected="protobuf text") from error
    return _Reader(path, text).table(closing="", depth=0)


class _Reader:
    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.text = text
        self.position = 0

    def refuse(self, found: str) -> NoReturn:
        line = self.text.count("\n", 0, self.position) + 1
        raise TrueflowError("not protobuf text", where=f"{self.path} line {line}", found=found or "end of file")

    def peek(self) -> str:
        match = _TOKEN.match(self.text, self.position)
        if match is None:
            if not _BLANK.match(self.text, self.position):
                self.refuse(repr(self.text[self.position : self.position + 20]))
            return ""
        return match["token"]

    def take(self) -> str:
        token = self.peek()
        match = _TOKEN.match(self.text, self.position)
        if match is not None:
            self.position = match.end()
        return token

    def table(self, *, closing: str, depth: int) -> dict[str, Any]:
        if depth > DEEPEST:
            self.refuse(f"tables nested deeper than {DEEPEST}")
        values: dict[str, Any] = {}
        while (name := self.take()) != closing:
            if not re.fullmatch(r"[A-Za-z_][\w.]*", name):
                self.refuse(repr(name) if name else "")
            if self.peek() == ":":
                self.take()
            elif self.peek() not in ("{", "<"):
                self.refuse(repr(self.peek()))
            values[name] = self.value(depth)
            if self.peek() in (",", ";"):
                self.take()
        return values

    def value(self, depth: int) -> Any:
        token = self.take()
        if token in ("{", "<"):
            return self.table(closing="}" if token == "{" else ">", depth=depth + 1)
        if token == "[":
            return self.items(depth + 1)
        if token[:1] in ("'", '"'):
            return re.sub(r"\\(.)", r"\1", token[1:-1])
        if not token or token in "}>]:;,":
            self.refuse(repr(token) if token else "")
        try:
            return float(token)
        except ValueError:
            return token

    def items(self, depth: int) -> list[Any]:
        if depth > DEEPEST:
            self.refuse(f"lists nested deeper than {DEEPEST}")
        values: list[Any] = []
        while self.peek() != "]":
            values.append(self.value(depth))
            if self.peek() == ",":
                self.take()
            elif self.peek() != "]":
                self.refuse(repr(self.peek()))
        self.take()
        return values
