"""Reads pickled captures without running anything in them.

A pickle is a program for a small stack machine; Python's own reader lets that program import and call what it likes,
and allocate what it says it needs. This module interprets the part of the machine's instructions that captures use
and nothing more: no class is ever imported and no callable ever called. NumPy arrays become `FileArray`, a place in
the file that is mapped when asked for; objects of ARRUS' metadata classes become `Inert`, a name and attributes. All
other names are refused. (Instruction set: `pickletools` in the standard library, protocols 2 to 5.)
"""

from __future__ import annotations

import mmap
import os
import pickle
import pickletools
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.sources.us4us_objects import ClassName, FileArray, FileBytes, Inert, call, set_state

__all__ = ["FileArray", "Inert", "is_pickle", "read_pickle"]

MAX_OPERATIONS = 2_000_000  # some 300 per transmit of a sequence, 60 per captured array; about 150 MB at worst
MAX_TEXT_BYTES = 1 << 20
MAX_INTEGER_BYTES = 16
MAX_NAME_BYTES = 256

_MARK = object()
_INSTRUCTIONS = {instruction.code: instruction.name for instruction in pickletools.opcodes}


def is_pickle(head: bytes) -> bool:
    """Whether a file that starts like this is a pickle of protocol 2 or later."""
    return len(head) >= 2 and head[0] == pickle.PROTO[0] and head[1] <= pickle.HIGHEST_PROTOCOL


def read_pickle(path: Path) -> Any:
    """The object in a pickle, built of dicts, lists, tuples, scalars, `FileArray` and `Inert`.

    Raises
    ------
    TrueflowError
        For a file that is truncated, too large in instructions, or asks for anything else.
    """
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise TrueflowError("empty file", where=str(path), expected="a pickled capture")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                if not is_pickle(data[:2]):
                    raise TrueflowError("not a pickle of protocol 2 or later", where=str(path))
                return _Machine(path, data).run()
    except OSError as error:
        raise TrueflowError("cannot be read", where=str(path), found=error.strerror) from error


class _Machine:
    """The stack machine: instructions from `data`, a stack with marks, and a memo."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self.path = path
        self.data = data
        self.position = 0
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        for _ in range(MAX_OPERATIONS):
            code = self.take(1)
            if code == pickle.STOP:
                return self.pop()
            handler = _HANDLERS.get(code)
            if handler is None:
                name = _INSTRUCTIONS.get(code.decode("latin-1"), f"byte {code!r}")
                self.refuse("a pickle instruction that captures do not use", name)
            handler(self)
        return self.refuse("too many pickle instructions", f"more than {MAX_OPERATIONS}")

    def refuse(self, what: str, found: object = None) -> NoReturn:
        raise TrueflowError(
            what, where=f"{self.path} at byte {self.position}", found=found,
            expected="a gui4us / ARRUS capture: NumPy arrays and ARRUS metadata",
        )

    def take(self, size: int) -> bytes:
        start, self.position = self.position, self.position + size
        chunk = self.data[start : self.position]
        if len(chunk) != size:
            self.refuse("truncated pickle: the file ends in the middle of an object", f"{len(self.data)} bytes")
        return chunk

    def unpack(self, layout: str) -> int:
        value: int = struct.unpack(layout, self.take(struct.calcsize(layout)))[0]
        return value

    def pop(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            self.refuse("damaged pickle: an object is missing from the stack")
        return self.stack.pop()

    def pop_to_mark(self) -> list[Any]:
        for index in range(len(self.stack) - 1, -1, -1):
            if self.stack[index] is _MARK:
                values = self.stack[index + 1 :]
                del self.stack[index:]
                return values
        return self.refuse("damaged pickle: a mark is missing from the stack")

    def top(self, kind: type[Any]) -> Any:
        if not self.stack or not isinstance(self.stack[-1], kind):
            self.refuse("damaged pickle: a container is missing from the stack")
        return self.stack[-1]

    def push(self, value: Any) -> None:
        self.stack.append(value)


def _skip(size: int) -> Callable[[_Machine], None]:
    def skip(machine: _Machine) -> None:
        machine.take(size)

    return skip


def _text(layout: str) -> Callable[[_Machine], None]:
    def read(machine: _Machine) -> None:
        size = machine.unpack(layout)
        if size > MAX_TEXT_BYTES:
            machine.refuse("a text too long for a capture", f"{size} bytes")
        try:
            machine.push(machine.take(size).decode("utf-8", "surrogatepass"))
        except UnicodeDecodeError:
            machine.refuse("damaged pickle: a text that is not UTF-8")

    return read


def _bytes(layout: str) -> Callable[[_Machine], None]:
    def skip(machine: _Machine) -> None:
        size = machine.unpack(layout)
        start = machine.position
        if size > len(machine.data) - start:
            machine.refuse(
                "truncated pickle: the file ends in the middle of an array",
                f"{len(machine.data) - start} bytes of {size}",
            )
        machine.position += size
        machine.push(FileBytes(start, size))

    return skip


def _number(layout: str) -> Callable[[_Machine], None]:
    return lambda machine: machine.push(machine.unpack(layout))


def _constant(value: Any) -> Callable[[_Machine], None]:
    return lambda machine: machine.push(value)


def _integer(layout: str) -> Callable[[_Machine], None]:
    def read(machine: _Machine) -> None:
        size = machine.unpack(layout)
        if not 0 <= size <= MAX_INTEGER_BYTES:
            machine.refuse("an integer too long for a capture", f"{size} bytes")
        machine.push(int.from_bytes(machine.take(size), "little", signed=True))

    return read


def _get(layout: str) -> Callable[[_Machine], None]:
    def recall(machine: _Machine) -> None:
        index = machine.unpack(layout)
        if index not in machine.memo:
            machine.refuse("damaged pickle: a reference to an object that was never stored", f"number {index}")
        machine.push(machine.memo[index])

    return recall


def _put(layout: str) -> Callable[[_Machine], None]:
    def store(machine: _Machine) -> None:
        machine.memo[machine.unpack(layout)] = machine.top(object)

    return store


def _memoize(machine: _Machine) -> None:
    machine.memo[len(machine.memo)] = machine.top(object)


def _tuple(size: int) -> Callable[[_Machine], None]:
    def build(machine: _Machine) -> None:
        values = [machine.pop() for _ in range(size)]
        machine.push(tuple(reversed(values)))

    return build


def _append(machine: _Machine, values: list[Any]) -> None:
    machine.top(list).extend(values)


def _store(machine: _Machine, keys_and_values: list[Any]) -> None:
    table = machine.top(dict)
    if len(keys_and_values) % 2:
        machine.refuse("damaged pickle: a key without a value")
    for key, value in zip(keys_and_values[::2], keys_and_values[1::2], strict=True):
        # Hashing a tuple visits everything in it, and shared tuples nested 50 deep hold 2^50 things.
        if key is not None and not isinstance(key, (str, int, float)):
            machine.refuse("a dictionary key that captures do not use", type(key).__name__)
        table[key] = value


def _global(machine: _Machine) -> None:
    end = machine.data.find(b"\n", machine.position, machine.position + MAX_NAME_BYTES)
    end = machine.data.find(b"\n", end + 1, end + MAX_NAME_BYTES) if end >= 0 else -1
    if end < 0:
        machine.refuse("damaged pickle: a class name without an end")
    lines = machine.take(end + 1 - machine.position).decode("utf-8", "replace").splitlines()
    machine.push(ClassName(lines[0], lines[-1], f"{machine.path} at byte {machine.position}"))


def _stack_global(machine: _Machine) -> None:
    name, module = machine.pop(), machine.pop()
    if not (isinstance(name, str) and isinstance(module, str)):
        machine.refuse("damaged pickle: a class name that is not text")
    where = f"{machine.path} at byte {machine.position}"
    machine.push(ClassName(module[:MAX_NAME_BYTES], name[:MAX_NAME_BYTES], where))


def _reduce(machine: _Machine) -> None:
    arguments, target = machine.pop(), machine.pop()
    if not isinstance(target, ClassName) or not isinstance(arguments, tuple):
        machine.refuse("damaged pickle: a call of something that is not a class", type(target).__name__)
    machine.push(call(target, arguments, path=machine.path, data=machine.data))


def _new_object(machine: _Machine) -> None:
    machine.pop()
    target = machine.pop()
    if not isinstance(target, ClassName) or not target.is_metadata:
        machine.refuse("an object that captures do not hold", target.name if isinstance(target, ClassName) else None)
    machine.push(Inert(target.short_name))


def _new_object_with_keywords(machine: _Machine) -> None:
    machine.pop()
    _new_object(machine)


def _build(machine: _Machine) -> None:
    state = machine.pop()
    set_state(machine.top(object), state, path=machine.path, where=f"{machine.path} at byte {machine.position}")


_HANDLERS: dict[bytes, Callable[[_Machine], None]] = {
    pickle.PROTO: _skip(1), pickle.FRAME: _skip(8),
    pickle.MARK: _constant(_MARK),
    pickle.NONE: _constant(None), pickle.NEWTRUE: _constant(True), pickle.NEWFALSE: _constant(False),
    pickle.BININT: _number("<i"), pickle.BININT1: _number("<B"), pickle.BININT2: _number("<H"),
    pickle.BINFLOAT: _number(">d"), pickle.LONG1: _integer("<B"), pickle.LONG4: _integer("<i"),
    pickle.SHORT_BINUNICODE: _text("<B"), pickle.BINUNICODE: _text("<I"), pickle.BINUNICODE8: _text("<Q"),
    pickle.SHORT_BINBYTES: _bytes("<B"), pickle.BINBYTES: _bytes("<I"), pickle.BINBYTES8: _bytes("<Q"),
    pickle.BYTEARRAY8: _bytes("<Q"),
    pickle.BINGET: _get("<B"), pickle.LONG_BINGET: _get("<I"),
    pickle.BINPUT: _put("<B"), pickle.LONG_BINPUT: _put("<I"), pickle.MEMOIZE: _memoize,
    pickle.EMPTY_TUPLE: _constant(()), pickle.TUPLE1: _tuple(1), pickle.TUPLE2: _tuple(2), pickle.TUPLE3: _tuple(3),
    pickle.TUPLE: lambda machine: machine.push(tuple(machine.pop_to_mark())),
    pickle.EMPTY_LIST: lambda machine: machine.push([]),
    pickle.LIST: lambda machine: machine.push(machine.pop_to_mark()),
    pickle.APPEND: lambda machine: _append(machine, [machine.pop()]),
    pickle.APPENDS: lambda machine: _append(machine, machine.pop_to_mark()),
    pickle.EMPTY_DICT: lambda machine: machine.push({}),
    pickle.SETITEM: lambda machine: _store(machine, [machine.pop(), machine.pop()][::-1]),
    pickle.SETITEMS: lambda machine: _store(machine, machine.pop_to_mark()),
    pickle.GLOBAL: _global, pickle.STACK_GLOBAL: _stack_global, pickle.REDUCE: _reduce,
    pickle.NEWOBJ: _new_object, pickle.NEWOBJ_EX: _new_object_with_keywords, pickle.BUILD: _build,
}
