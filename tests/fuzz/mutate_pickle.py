"""Changes to pickles by their instructions."""

from __future__ import annotations

import pickle
import pickletools
import struct
from random import Random

from .mutate import FLOATS, INTEGERS

NAMES = (
    ("os", "system"), ("builtins", "eval"), ("numpy", "ndarray"), ("numpy", "dtype"), ("collections", "OrderedDict"),
    ("arrus.metadata", "ConstMetadata"), ("arrus", "TxRx"), ("numpy.core.multiarray", "scalar"),
    ("subprocess", "Popen"),
    ("numpy.core.multiarray", "_reconstruct"), ("numpy._core.numeric", "_frombuffer"), ("arrus.x", "\x1b[2J"),
)  # fmt: skip
TEXTS = (
    "f8",
    "i2",
    "O",
    "V8",
    "M8[ns]",
    "?",
    "c16",
    "<",
    ">",
    "|",
    "x" * 300,
    "\x1b[2J",
    "",
    "data",
    "rf",
    "metadata",
    "é",
    "\ud800",
)
MARKS = (pickle.MARK, pickle.TUPLE, pickle.EMPTY_LIST, pickle.APPENDS, pickle.EMPTY_DICT, pickle.SETITEMS,
         pickle.REDUCE,
         pickle.BUILD, pickle.NEWOBJ, pickle.POP, pickle.DUP, pickle.NONE, pickle.EMPTY_TUPLE, pickle.TUPLE1,
         pickle.TUPLE2,
         pickle.MEMOIZE, pickle.BINGET + b"\0", pickle.STACK_GLOBAL, pickle.STOP, pickle.LIST, pickle.SETITEM,
         pickle.PERSID + b"x\n", pickle.NEWTRUE, pickle.NEWFALSE, pickle.NEXT_BUFFER, pickle.EXT1 + b"\1")  # fmt: skip


def mutate_pickle(random: Random, data: bytes) -> bytes:
    """One to four instructions changed, added or taken away."""
    for _ in range(random.choice((1, 1, 2, 4))):
        pieces = _pieces(data)
        if len(pieces) < 3:
            return data
        at = random.randrange(len(pieces))
        kind = random.randrange(7)
        if kind <= 2:
            at = random.choice([i for i, piece in enumerate(pieces) if len(piece) > 1] or [at])
            pieces[at] = _argument(random, pieces[at])
        elif kind == 3:
            del pieces[at : at + random.choice((1, 1, 2, 8))]
        elif kind == 4:
            pieces[at:at] = pieces[at : at + random.choice((1, 2, 8, 40))] * random.choice((1, 1, 50))
        elif kind == 5:
            other = random.randrange(len(pieces))
            pieces[at], pieces[other] = pieces[other], pieces[at]
        else:
            pieces.insert(at, random.choice(MARKS) * random.choice((1, 1, 1, 3, 500)))
        data = b"".join(pieces)
    return data


def _pieces(data: bytes) -> list[bytes]:
    """Instructions with their arguments; what cannot be read any more is the last piece."""
    starts = []
    try:
        for _, _, position in pickletools.genops(data):
            starts.append(position)
    except Exception:
        pass
    ends = [*starts[1:], len(data)]
    return [data[a:b] for a, b in zip(starts, ends, strict=True)]


def _text(value: str) -> bytes:
    encoded = value.encode("utf-8", "surrogatepass")
    return pickle.BINUNICODE + struct.pack("<I", len(encoded)) + encoded


def _argument(random: Random, piece: bytes) -> bytes:
    code = piece[:1]
    if code in (pickle.BINFLOAT,):
        return code + struct.pack(">d", random.choice(FLOATS))
    if code in (pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG1):
        value = random.choice(INTEGERS) * random.choice((1, 1, -1))
        if random.random() < 0.2:
            return pickle.BINFLOAT + struct.pack(">d", random.choice(FLOATS))
        size = (value.bit_length() // 8) + 1
        return pickle.LONG1 + bytes([size]) + value.to_bytes(size, "little", signed=True)
    if code in (pickle.SHORT_BINUNICODE, pickle.BINUNICODE):
        if random.random() < 0.2:
            module, name = random.choice(NAMES)
            return _text(module) + _text(name) + pickle.STACK_GLOBAL
        return _text(random.choice(TEXTS))
    if code == pickle.GLOBAL:
        return code + "\n".join(random.choice(NAMES)).encode("utf-8", "surrogatepass") + b"\n"
    if code in (pickle.BINBYTES, pickle.SHORT_BINBYTES, pickle.BINBYTES8):
        content = random.choice((b"", b"\0" * 8, b"\xff" * 8, random.randbytes(8), piece[5:]))
        return pickle.BINBYTES + struct.pack("<I", random.choice((len(content), len(content), 1 << 31))) + content
    changed = bytearray(piece)
    changed[random.randrange(1, len(changed))] = random.randrange(256)
    return bytes(changed)
