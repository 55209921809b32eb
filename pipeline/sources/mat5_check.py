"""The structure of MATLAB files up to version 7, checked before scipy reads them.

scipy trusts the tags of a file and crashes the process on damaged ones. So all variables are walked here, element by
element (MAT-File Format, MathWorks: level 5), compressed ones as they are unpacked: their checksum is right in a file
that was made to do harm. An element is a tag (type, bytes) and its content, padded to 8 bytes; up to 4 bytes of content
may sit in the tag itself.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Container
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, NamedTuple

from trueflow.pipeline.errors import TrueflowError

__all__ = ["check_structure"]

HEADER_BYTES = 128
MATRIX, COMPRESSED = 14, 15
NUMBER_BYTES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}
NUMBER_TYPES = frozenset(NUMBER_BYTES)
TEXT_TYPES = NUMBER_TYPES | {16, 17, 18}
CELL, STRUCT, OBJECT, CHAR, SPARSE, NUMERIC, FUNCTION, OPAQUE = 1, 2, 3, 4, 5, range(6, 16), 16, 17
COMPLEX = 0x08
DEEPEST = 32
MOST_ARRAYS = 1 << 20  # in a file, cells and fields counted; 20,000 receives of 30 fields are 600,000
MOST_DIMENSIONS = 32  # NumPy has no more before version 2
LARGEST_VARIABLE_BYTES = (1 << 32) + 8  # what a tag can say
CHUNK_BYTES = 1 << 18


class _Element(NamedTuple):
    kind: int
    start: int
    n_bytes: int
    end: int


class _DamageError(Exception):
    """Where, and what is wrong there."""


def check_structure(path: Path, *, headers_only: bool = False) -> None:
    """Walk a file's variables.

    Parameters
    ----------
    path : Path
    headers_only : bool
        Only as far as their names and shapes: what is behind them takes as long as to read it.

    Raises
    ------
    TrueflowError
        Where a tag, a size or a type does not fit, a struct holds a sparse array, or there are too many arrays.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(HEADER_BYTES - 2)
        order = "<" if file.read(2) == b"IM" else ">"
        walk = _Walk(_Stored(file), order, headers_only=headers_only)
        at = HEADER_BYTES
        try:
            while at < size:
                element = walk.element(at, size)
                if element.kind == MATRIX:
                    walk.matrix(element, 0)
                elif element.kind != COMPRESSED:
                    raise _DamageError(f"type {element.kind} at byte {at}")
                else:
                    walk.n_arrays += _check_compressed(file, element, order, headers_only=headers_only)
                # compressed variables are the one kind that is not padded
                at = element.start + element.n_bytes if element.kind == COMPRESSED else element.end
        except _DamageError as damage:
            raise TrueflowError(
                "cannot be read",
                where=str(path),
                found=str(damage),
                expected="a complete MATLAB file",
                advice="is the file truncated or damaged?",
            ) from damage


def _check_compressed(file: BinaryIO, packed: _Element, order: str, *, headers_only: bool) -> int:
    """Walk a compressed variable; returns how many arrays are in it."""
    unpacked = _Unpacked(file, packed)
    walk = _Walk(unpacked, order, headers_only=headers_only)
    try:
        element = walk.element(0, LARGEST_VARIABLE_BYTES)
        if element.kind != MATRIX or element.n_bytes == 0:
            raise _DamageError(f"type {element.kind}")
        walk.matrix(element, 0)
        if not headers_only and not unpacked.read(element.start + element.n_bytes - 1, 1):
            raise _DamageError("too short")
    except (_DamageError, zlib.error) as damage:
        raise _DamageError(f"{damage}, in the variable compressed at byte {packed.start}") from damage
    return walk.n_arrays


class _Stored:
    """Bytes of the file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, at: int, n_bytes: int) -> bytes:
        """From a byte on; fewer where there are no more."""
        self._file.seek(at)
        return self._file.read(n_bytes)


class _Unpacked:
    """Bytes of a compressed variable, from the front to the back; no more than a piece of them is in memory."""

    def __init__(self, file: BinaryIO, packed: _Element) -> None:
        self._file, self._next, self._end = file, packed.start, packed.start + packed.n_bytes
        self._zlib = zlib.decompressobj()
        self._held, self._begin = b"", 0

    def read(self, at: int, n_bytes: int) -> bytes:
        """From a byte on, at most 8 before what was read last; fewer where there are no more."""
        while self._begin + len(self._held) < at + n_bytes:
            more = self._more()
            if not more:
                break
            kept = self._held[max(0, min(len(self._held), at - self._begin) - 8) :]
            self._begin += len(self._held) - len(kept)
            self._held = kept + more
        start = at - self._begin
        return self._held[start : start + n_bytes] if start >= 0 else b""

    def _more(self) -> bytes:
        while not self._zlib.eof:
            packed = self._zlib.unconsumed_tail
            if not packed:
                self._file.seek(self._next)
                packed = self._file.read(min(CHUNK_BYTES, self._end - self._next))
                self._next += len(packed)
            unpacked = self._zlib.decompress(packed, CHUNK_BYTES)
            if unpacked or not packed:
                return unpacked
        return b""


@lru_cache(256)
def _layout(order: str, count: int, code: str) -> struct.Struct:
    return struct.Struct(f"{order}{count}{code}")


class _Walk:
    def __init__(self, source: _Stored | _Unpacked, order: str, *, headers_only: bool) -> None:
        self.source, self.order, self.n_arrays, self.headers_only = source, order, 0, headers_only

    def numbers(self, at: int, count: int, code: str) -> tuple[int, ...]:
        """Unpack `count` integers."""
        layout = _layout(self.order, count, code)
        content = self.source.read(at, layout.size)
        if len(content) < layout.size:
            raise _DamageError(f"the end at byte {at}")
        return layout.unpack(content)

    def element(self, at: int, limit: int) -> _Element:
        """The element at a byte, which may not reach beyond the limit."""
        word, n_bytes = self.numbers(at, 2, "I")
        if word >> 16:
            small = _Element(word & 0xFFFF, at + 4, word >> 16, at + 8)
            if small.n_bytes > 4:
                raise _DamageError(f"{small.n_bytes} bytes in the tag at byte {at}")
            return small
        end = at + 8 + -(-n_bytes // 8) * 8
        if at + 8 + n_bytes > limit:
            raise _DamageError(f"{n_bytes} bytes at byte {at}, {max(limit - at - 8, 0)} left")
        return _Element(word, at + 8, n_bytes, end)

    def matrix(self, outer: _Element, depth: int) -> None:
        """Check an array: flags, dimensions, name, content."""
        self.n_arrays += 1
        if depth > DEEPEST or self.n_arrays > MOST_ARRAYS:
            raise _DamageError(f"structs deeper than {DEEPEST}, or more than {MOST_ARRAYS} arrays")
        if outer.n_bytes == 0:  # how an empty cell or field is stored
            return
        limit = outer.start + outer.n_bytes
        flags = self._expect(outer.start, limit, (6,))
        if flags.n_bytes != 8:
            raise _DamageError(f"array flags of {flags.n_bytes} bytes at byte {outer.start}")
        word = self.numbers(flags.start, 1, "I")[0]
        if word & 0xFF == OPAQUE:  # has neither dimensions nor a name
            if not self.headers_only:
                self._opaque(flags.end, limit, depth)
            return
        dimensions = self._expect(flags.end, limit, (5,))
        if not 8 <= dimensions.n_bytes <= 4 * MOST_DIMENSIONS or dimensions.n_bytes % 4:
            raise _DamageError(f"dimensions of {dimensions.n_bytes} bytes at byte {flags.end}")
        shape = self.numbers(dimensions.start, dimensions.n_bytes // 4, "i")
        if min(shape) < 0:
            raise _DamageError(f"shape {shape} at byte {flags.end}")
        name = self._expect(dimensions.end, limit, (1, 2))
        if self.headers_only:
            return
        self._content(word & 0xFF, word >> 8 & 0xFF, math.prod(shape), name.end, limit, depth)

    def _content(self, kind: int, flags: int, count: int, at: int, limit: int, depth: int) -> None:
        if kind in NUMERIC:
            for _ in range(2 if flags & COMPLEX else 1):
                part = self._expect(at, limit, NUMBER_TYPES)
                if part.n_bytes != count * NUMBER_BYTES[part.kind]:
                    raise _DamageError(f"{part.n_bytes} bytes for {count} numbers at byte {at}")
                at = part.end
        elif kind == CHAR:
            text = self._expect(at, limit, TEXT_TYPES)
            if count > text.n_bytes:
                raise _DamageError(f"{text.n_bytes} bytes for {count} characters at byte {at}")
        elif kind == CELL:
            self._members(count, at, limit, depth)
        elif kind in (STRUCT, OBJECT):
            self._struct(count, at if kind == STRUCT else self._expect(at, limit, (1,)).end, limit, depth)
        elif kind == FUNCTION:
            self._members(1, at, limit, depth)
        elif (kind == SPARSE and depth > 0) or kind != SPARSE:
            raise _DamageError(f"array class {kind} before byte {at}")

    def _struct(self, count: int, at: int, limit: int, depth: int) -> None:
        width = self._expect(at, limit, (5,))
        length = self.numbers(width.start, 1, "i")[0] if width.n_bytes == 4 else 0
        names = self._expect(width.end, limit, (1,))
        if length < 1 or names.n_bytes % length:
            raise _DamageError(f"field names at byte {at}")
        self._members(count * (names.n_bytes // length), names.end, limit, depth)

    def _opaque(self, at: int, limit: int, depth: int) -> None:
        for _ in range(3):
            at = self._expect(at, limit, (1,)).end
        self._members(1, at, limit, depth)

    def _members(self, count: int, at: int, limit: int, depth: int) -> None:
        for _ in range(count):
            member = self._expect(at, limit, (MATRIX,))
            self.matrix(member, depth + 1)
            at = member.end

    def _expect(self, at: int, limit: int, kinds: Container[int]) -> _Element:
        found = self.element(at, limit)
        if found.kind not in kinds:
            raise _DamageError(f"type {found.kind} at byte {at}")
        return found
