"""Changes to MATLAB files up to version 7: inside compressed variables, their checksums made right, and by content."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from random import Random
from typing import Any

import numpy as np
from scipy.io import loadmat, savemat

from .mutate import FLOATS, INTEGERS, mutate_bytes, put_integer

HEADER_TEXT_BYTES, HEADER_BYTES, COMPRESSED, MATRIX = 116, 128, 15, 14


def mutate_mat5(random: Random, data: bytes) -> bytes:
    """A change to one variable's bytes, or to its content."""
    if not data.startswith(b"MATLAB 5.0"):
        return data
    try:
        return random.choice((change_inside, change_inside, change_content, deflate_bomb))(random, data)
    except Exception:
        return data


def _elements(data: bytes) -> list[tuple[int, bytes]]:
    """Kind and content of the variables."""
    at, found = HEADER_BYTES, []
    while at + 8 <= len(data):
        kind, n_bytes = struct.unpack_from("<II", data, at)
        found.append((kind, data[at + 8 : at + 8 + n_bytes]))
        at += 8 + n_bytes
    return found


def _joined(head: bytes, elements: list[tuple[int, bytes]]) -> bytes:
    return head + b"".join(struct.pack("<II", kind, len(content)) + content for kind, content in elements)


def change_inside(random: Random, data: bytes) -> bytes:
    """Bytes of a variable as it is before compression; half of the time it is then stored as it is."""
    elements = _elements(data)
    at = random.randrange(len(elements))
    kind, content = elements[at]
    inner = zlib.decompress(content) if kind == COMPRESSED else struct.pack("<II", kind, len(content)) + content
    for _ in range(random.choice((1, 1, 2, 4))):
        inner = put_integer(random, inner) if random.random() < 0.6 else mutate_bytes(random, inner)
    if random.random() < 0.5 or len(inner) < 8:
        elements[at] = (COMPRESSED, zlib.compress(inner))
    else:
        elements[at] = (MATRIX, inner[8:])
    if random.random() < 0.1:
        elements.append(random.choice(elements))
    return _joined(data[:HEADER_BYTES], elements)


def deflate_bomb(random: Random, data: bytes) -> bytes:
    """A variable that is nothing but zeros, many of them, or says that it is far larger than it is."""
    n_bytes = random.choice((1 << 20, 1 << 24, 1 << 26))
    sides = random.choice(((n_bytes // 2, 1, 1), (64, 64, n_bytes >> 13), (1 << 30, 1 << 30, 1 << 30)))
    name = random.choice((b"RF", b"param", b"RcvData", b"Trans", b"x"))
    claimed = random.choice((n_bytes, n_bytes, (1 << 32) - 64))
    body = struct.pack("<IIII", 6, 8, 10, 0) + struct.pack("<II3i4x", 5, 12, *(min(s, (1 << 31) - 1) for s in sides))
    body += (
        struct.pack("<HH4s", 1, len(name), name.ljust(4, b"\0"))
        if len(name) <= 4
        else (struct.pack("<II8s", 1, len(name), name.ljust(8, b"\0")))
    )
    body += struct.pack("<II", 3, claimed & 0xFFFFFFFF)
    head = struct.pack("<II", MATRIX, (len(body) + claimed) & 0xFFFFFFFF)
    packer = zlib.compressobj(9)
    packed = packer.compress(head + body) + packer.compress(bytes(n_bytes)) + packer.flush()
    elements = _elements(data)
    if random.random() < 0.5:
        elements = [(k, c) for k, c in elements if name not in (zlib.decompress(c) if k == COMPRESSED else c)[:64]]
    elements.insert(random.randrange(len(elements) + 1), (COMPRESSED, packed))
    return _joined(data[:HEADER_BYTES], elements)


def change_content(random: Random, data: bytes) -> bytes:
    """A value of the file, or one within its structs, becomes another one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        variables = {k: v for k, v in loadmat(io.BytesIO(data)).items() if not k.startswith("__")}
        name = random.choice(list(variables))
        variables[name] = _changed(random, variables[name])
        if variables[name] is None or random.random() < 0.03:
            del variables[name]
        memory = io.BytesIO()
        savemat(memory, variables, do_compression=random.random() < 0.7)
    return data[:HEADER_TEXT_BYTES] + memory.getvalue()[HEADER_TEXT_BYTES:]  # the text has the date


def _changed(random: Random, value: Any) -> Any:
    value = np.asarray(value)
    if value.dtype.names is not None and value.size and random.random() < 0.9:
        value = value.copy()
        field = random.choice(value.dtype.names)
        for record in value.reshape(-1)[: random.choice((1, 1, value.size))]:
            record[field] = _changed(random, record[field])
        return value
    if value.dtype == object and value.size and random.random() < 0.8:
        value = value.copy()
        flat = value.reshape(-1)
        at = random.randrange(value.size)
        flat[at] = _changed(random, flat[at])
        return flat.reshape(value.shape)
    return random.choice((_number, _number, _resized, _other_kind))(random, value)


def _number(random: Random, value: np.ndarray) -> Any:
    if value.dtype.kind not in "iufc" or not value.size:
        return np.array([[random.choice(FLOATS)]])
    with np.errstate(all="ignore"):
        changed = value.astype(np.float64 if value.dtype.kind != "c" else value.dtype).copy()
        flat = changed.reshape(-1)
        start = random.randrange(flat.size)
        flat[start : start + random.choice((1, 1, flat.size))] = random.choice((*FLOATS, *map(float, INTEGERS)))
        return flat.reshape(value.shape)


def _resized(random: Random, value: np.ndarray) -> Any:
    shape = list(value.shape) or [1]
    shape[random.randrange(len(shape))] = random.choice((0, 1, 2, 3, 5, 100))
    if random.random() < 0.3:
        shape.append(random.choice((1, 2)))
    return np.resize(value, shape) if value.size and np.prod(shape) < 1 << 16 else np.zeros((0, 0))


def _other_kind(random: Random, value: np.ndarray) -> Any:
    cell = np.empty((1, 2), object)
    cell[0, 0], cell[0, 1] = value, "text"
    return random.choice(
        (
            "text",
            "\u202e\x1b[2Jx",
            "",
            cell,
            {"a": 1.0},
            np.ones((2, 2), bool),
            np.zeros((0, 0)),
            value * 1j if value.dtype.kind in "iuf" else value,
            value.astype("u1") if value.dtype.kind in "iuf" else value,
            "x" * 5000,
        )
    )
