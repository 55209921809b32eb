"""The structure of uncompressed MATLAB files, checked before scipy reads them.

scipy trusts the tags of a file and crashes the process on damaged ones. Compressed variables carry a checksum; those
saved without compression are walked here, element by element (MAT-File Format, MathWorks: level 5). An element is a tag
(type, bytes) and its content, padded to 8 bytes; up to 4 bytes of content may sit in the tag itself.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from trueflow.pipeline.errors import TrueflowError

__all__ = ["check_structure"]

HEADER_BYTES = 128
MATRIX, COMPRESSED = 14, 15
NUMBER_BYTES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}
TEXT_TYPES = (16, 17, 18)
CELL, STRUCT, CHAR, SPARSE, NUMERIC = 1, 2, 4, 5, range(6, 16)
COMPLEX = 0x08
DEEPEST = 32


@dataclass(frozen=True, slots=True)
class _Element:
    kind: int
    start: int
    n_bytes: int
    end: int


class _DamageError(Exception):
    """Where, and what is wrong there."""


def check_structure(path: Path) -> None:
    """Walk a file's uncompressed variables.

    Raises
    ------
    TrueflowError
        Where a tag, a size or a type does not fit, or a struct holds a sparse array.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(HEADER_BYTES - 2)
        order = "<" if file.read(2) == b"IM" else ">"
        walk = _Walk(file, order)
        at = HEADER_BYTES
        try:
            while at < size:
                element = walk.element(at, size)
                if element.kind == MATRIX:
                    walk.matrix(element, 0)
                elif element.kind != COMPRESSED:
                    raise _DamageError(f"type {element.kind} at byte {at}")
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


class _Walk:
    def __init__(self, file: BinaryIO, order: str) -> None:
        self.file, self.order = file, order

    def numbers(self, at: int, count: int, code: str) -> tuple[int, ...]:
        """Unpack `count` integers."""
        layout = f"{self.order}{count}{code}"
        self.file.seek(at)
        content = self.file.read(struct.calcsize(layout))
        if len(content) < struct.calcsize(layout):
            raise _DamageError(f"end of file at byte {at}")
        return struct.unpack(layout, content)

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
        if depth > DEEPEST:
            raise _DamageError(f"structs deeper than {DEEPEST} at byte {outer.start}")
        if outer.n_bytes == 0:  # how an empty cell or field is stored
            return
        limit = outer.start + outer.n_bytes
        flags = self._expect(outer.start, limit, (6,))
        if flags.n_bytes != 8:
            raise _DamageError(f"array flags of {flags.n_bytes} bytes at byte {outer.start}")
        word = self.numbers(flags.start, 1, "I")[0]
        dimensions = self._expect(flags.end, limit, (5,))
        if dimensions.n_bytes < 8 or dimensions.n_bytes % 4:
            raise _DamageError(f"dimensions of {dimensions.n_bytes} bytes at byte {flags.end}")
        shape = self.numbers(dimensions.start, dimensions.n_bytes // 4, "i")
        if min(shape) < 0:
            raise _DamageError(f"shape {shape} at byte {flags.end}")
        name = self._expect(dimensions.end, limit, (1, 2))
        self._content(word & 0xFF, word >> 8 & 0xFF, math.prod(shape), name.end, limit, depth)

    def _content(self, kind: int, flags: int, count: int, at: int, limit: int, depth: int) -> None:
        if kind in NUMERIC:
            for _ in range(2 if flags & COMPLEX else 1):
                part = self._expect(at, limit, tuple(NUMBER_BYTES))
                if part.n_bytes != count * NUMBER_BYTES[part.kind]:
                    raise _DamageError(f"{part.n_bytes} bytes for {count} numbers at byte {at}")
                at = part.end
        elif kind == CHAR:
            self._expect(at, limit, (*NUMBER_BYTES, *TEXT_TYPES))
        elif kind == CELL:
            self._members(count, at, limit, depth)
        elif kind == STRUCT:
            width = self._expect(at, limit, (5,))
            length = self.numbers(width.start, 1, "i")[0] if width.n_bytes == 4 else 0
            names = self._expect(width.end, limit, (1,))
            if length < 1 or names.n_bytes % length:
                raise _DamageError(f"field names at byte {at}")
            self._members(count * (names.n_bytes // length), names.end, limit, depth)
        elif (kind == SPARSE and depth > 0) or not 3 <= kind <= 17:
            raise _DamageError(f"array class {kind} before byte {at}")

    def _members(self, count: int, at: int, limit: int, depth: int) -> None:
        for _ in range(count):
            member = self._expect(at, limit, (MATRIX,))
            self.matrix(member, depth + 1)
            at = member.end

    def _expect(self, at: int, limit: int, kinds: tuple[int, ...]) -> _Element:
        found = self.element(at, limit)
        if found.kind not in kinds:
            raise _DamageError(f"type {found.kind} at byte {at}")
        return found
