"""Texts of variable length, read from an HDF5 file without the HDF5 library; and what it must not open.

Such texts lie in "global heaps", and so does what a virtual dataset is made of. The library (seen with 2.0) trusts what
a file says of them: damaged ones crash the process, let it run for ever, or make it take gigabytes. Here they are found
in the file's bytes (HDF5 File Format Specification, version 3: IV.A object headers, III.E global heap), where nothing
is larger than a text may be.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import h5py

__all__ = ["attribute_text", "dataset_text", "is_virtual"]

LONGEST_TEXT = 1 << 16
LARGEST_HEADER = 1 << 16
MOST_BLOCKS = 64  # of a header
MOST_OBJECTS = 1 << 17  # of all heaps of a file; their numbers have 16 bits
LAYOUT, ATTRIBUTE, CONTINUATION = 0x08, 0x0C, 0x10
VIRTUAL = 3  # class of a layout, from its version 4 on
REFERENCE = struct.Struct("<IQI")  # length, address of the heap, number in it


def attribute_text(node: Any, name: str) -> str | None:
    """An attribute that holds one text of variable length; None where it is not in the object's header, or damaged.

    Parameters
    ----------
    node : h5py.Group or h5py.Dataset
    name : str
    """
    raw = _Raw(node)
    for message in raw.messages(h5py.h5o.get_info(node.id).addr, ATTRIBUTE):
        found = _attribute(message)
        if found is not None and found[0] == name.encode():
            return raw.text(found[1])
    return None


def dataset_text(dataset: h5py.Dataset) -> str | None:
    """A dataset that holds one text of variable length; None where it is not stored in one piece, or damaged."""
    offset = dataset.id.get_offset()  # counts from the file's first byte
    if offset is None or dataset.shape != ():
        return None
    raw = _Raw(dataset)
    return raw.text(raw.read(offset - raw.base, REFERENCE.size))


def is_virtual(node: Any, address: int) -> bool:
    """Whether a virtual dataset is at an address, by its header alone: to open one is to read its heap.

    True, too, where addresses are not of 8 bytes, as everybody's are: headers cannot be read here then.

    Parameters
    ----------
    node : h5py.Group or h5py.Dataset
        Of the same file.
    address : int
        What a hard link or a reference holds.
    """
    raw = _Raw(node)
    layouts = raw.messages(address, LAYOUT)
    return not raw.usual or any(len(layout) > 1 and layout[0] >= 4 and layout[1] == VIRTUAL for layout in layouts)


class _Heaps:
    """Where the objects of a file's global heaps are; each heap is walked once, and all together not for long."""

    def __init__(self) -> None:
        self._found: dict[int, dict[int, tuple[int, int]]] = {}
        self._left = MOST_OBJECTS

    def objects(self, raw: _Raw, address: int) -> dict[int, tuple[int, int]]:
        """Address and bytes of each object of the heap at an address, by its number."""
        if address not in self._found:
            self._found[address] = dict(self._walk(raw, address)) if self._left > 0 else {}
            self._left -= 1
        return self._found[address]

    def _walk(self, raw: _Raw, address: int) -> Iterator[tuple[int, tuple[int, int]]]:
        signature, version, size = struct.unpack("<4sB3xQ", raw.read(address, 16).ljust(16, b"\0"))
        if signature != b"GCOL" or version != 1:
            return
        at = 16
        while self._left > 0 and at + 16 <= size:
            self._left -= 1
            head = raw.read(address + at, 16)
            if len(head) < 16:
                return
            number, n_bytes = struct.unpack("<H6xQ", head)
            if number == 0:  # what is free: the rest
                return
            yield number, (address + at + 16, n_bytes)
            at += 16 + -(-n_bytes // 8) * 8


@lru_cache(maxsize=2)
def _heaps(*file: int) -> _Heaps:
    """Of a file, by its device, number, size and time of change."""
    return _Heaps()


class _Raw:
    """The bytes of the file that a node is in."""

    def __init__(self, node: Any) -> None:
        self._descriptor = node.file.id.get_vfd_handle()
        self.base = node.file.userblock_size  # addresses count from here
        self.usual = node.file.id.get_create_plist().get_sizes() == (8, 8)

    def read(self, address: int, n_bytes: int) -> bytes:
        """Fewer bytes where the file ends."""
        if not 0 <= address < 1 << 62:
            return b""
        return os.pread(self._descriptor, n_bytes, address + self.base)

    def messages(self, address: int, kind: int) -> Iterator[bytes]:
        """The messages of a kind in an object's header."""
        head = self.read(address, 64)
        if not self.usual or len(head) < 16:
            return
        if head[:4] == b"OHDR":
            at = 6 + (16 if head[5] & 0x20 else 0) + (4 if head[5] & 0x10 else 0)
            width = 1 << (head[5] & 3)
            size = int.from_bytes(head[at : at + width], "little")
            blocks, fixed = [(address + at + width, size)], 6 if head[5] & 0x04 else 4
        else:
            blocks, fixed = [(address + 16, struct.unpack_from("<I", head, 8)[0])], 8
        for number in range(MOST_BLOCKS):
            if number == len(blocks):
                return
            begin, size = blocks[number]
            yield from self._messages_of(kind, self.read(begin, min(size, LARGEST_HEADER)), fixed, blocks)

    def _messages_of(
        self, wanted: int, block: bytes, fixed: int, blocks: list[tuple[int, int]]
    ) -> Iterator[bytes]:
        at = 4 if fixed < 8 and block[:4] == b"OCHK" else 0
        while at + fixed <= len(block):
            kind, size = struct.unpack_from("<HH" if fixed == 8 else "<BH", block, at)
            content = block[at + fixed : at + fixed + size]
            if kind == CONTINUATION and len(content) >= 16:
                blocks.append(struct.unpack_from("<QQ", content))
            elif kind == wanted:
                yield content
            at += fixed + size

    def text(self, reference: bytes) -> str | None:
        """What a reference into a global heap stands for."""
        if len(reference) < REFERENCE.size:
            return None
        length, address, number = REFERENCE.unpack_from(reference)
        if length > LONGEST_TEXT:
            return None
        if length == 0:
            return ""
        status = os.fstat(self._descriptor)
        heaps = _heaps(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        at, n_bytes = heaps.objects(self, address).get(number, (0, 0))
        content = self.read(at, min(n_bytes, length))
        return content.decode("utf-8", "replace").rstrip("\0") if len(content) == length else None


def _attribute(message: bytes) -> tuple[bytes, bytes] | None:
    """Name and content of an attribute."""
    if len(message) < 8 or message[0] not in (1, 2, 3):
        return None
    version = message[0]
    sizes = struct.unpack_from("<HHH", message, 2)
    at = 9 if version == 3 else 8
    name = message[at : at + sizes[0]].rstrip(b"\0")
    for size in sizes:  # name, type, shape; padded to 8 bytes in the first version only
        at += -(-size // 8) * 8 if version == 1 else size
    return name, message[at:]
