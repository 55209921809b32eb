"""Changes to inputs: bytes whatever they mean, and text by its tokens; formats with a structure have their own modules.

A mutator takes a seeded `random.Random` and an input, and returns another input. The same seed gives the same bytes.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from random import Random

Mutator = Callable[[Random, bytes], bytes]

MOST_BYTES = 1 << 18
INTEGERS = (
    0,
    1,
    2,
    3,
    7,
    8,
    16,
    127,
    128,
    255,
    256,
    1 << 15,
    (1 << 16) - 1,
    1 << 16,
    1 << 20,
    1 << 24,
    1 << 28,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 1,
    1 << 32,
    1 << 40,
    1 << 60,
    (1 << 63) - 1,
    1 << 63,
    (1 << 64) - 1,
)
FLOATS = (
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    1e-320,
    1e-30,
    1e-9,
    1e-3,
    1e3,
    1e9,
    1e30,
    1e154,
    1.7e308,
    -1e30,
    2.0**31,
    2.0**63,
    float("nan"),
    float("inf"),
    float("-inf"),
)
NUMBERS_AS_TEXT = (
    "0", "1", "-1", "2", "256", "257", "1e9", "-1e9", "1e300", "1e999", "nan", "inf", "-inf", "0.1", "-0.0", "1e-320",
    "2147483648", "9223372036854775807", "18446744073709551616", "9" * 400, "9" * 5000, "0x10", "0b1", "1_0", "true",
    "false", "''", '"x"', "[]", "{}", "[1]", "1979-05-27", "1:2", "99:99", "none", "null",
)  # fmt: skip
ODD_TEXT = (
    "\0",
    "\x1b[31m",
    "\r",
    "\u202e",
    "\ud7ff",
    "%00",
    "%2e%2e%2f",
    "../",
    "/etc/passwd",
    "{0}",
    "%s",
    "=",
    "&",
    "?",
    "#",
    "'''",
    '"""',
    "\\",
    "\\u0000",
    "\\ud800",
    "\n",
    "é",
    "[" * 3000,
    "{" * 200,
    "{'a':" * 50,
    "a." * 2000,
    "x" * 5000,
)
TOKEN = re.compile(r"[A-Za-z_][\w-]*|[-+]?\d[\w.+-]*|\s+|.", re.DOTALL)


def mutate_bytes(random: Random, data: bytes) -> bytes:
    """One to four changes that know nothing of what the bytes mean."""
    for _ in range(random.choice((1, 1, 1, 2, 3, 4))):
        data = random.choice(BYTE_MUTATORS)(random, data)[:MOST_BYTES]
    return data


def truncate(random: Random, data: bytes) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def flip(random: Random, data: bytes) -> bytes:
    if not data:
        return data
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 8))):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def put_integer(random: Random, data: bytes) -> bytes:
    width, layout = random.choice(((1, "B"), (2, "H"), (4, "I"), (8, "Q")))
    if len(data) < width:
        return data
    at = random.randrange(len(data) - width + 1)
    at -= at % width if random.random() < 0.7 else 0
    value = random.choice(INTEGERS)
    if random.random() < 0.3:
        value = struct.unpack_from("<" + layout, data, at)[0] + random.choice((-1, 1, -8, 8))
    order = random.choice("<<<>")
    return data[:at] + struct.pack(order + layout, value & ((1 << 8 * width) - 1)) + data[at + width :]


def put_float(random: Random, data: bytes) -> bytes:
    layout = random.choice(("<d", "<f", ">d"))
    width = struct.calcsize(layout)
    if len(data) < width:
        return data
    at = random.randrange(len(data) - width + 1) // 4 * 4
    value = random.choice(FLOATS)
    if layout == "<f" and 3e38 < abs(value) < float("inf"):
        value = 3e38
    return data[:at] + struct.pack(layout, value) + data[at + width :]


def drop(random: Random, data: bytes) -> bytes:
    start, length = _span(random, data)
    return data[:start] + data[start + length :]


def repeat(random: Random, data: bytes) -> bytes:
    start, length = _span(random, data)
    return data[:start] + data[start : start + length] * random.choice((2, 2, 3, 20)) + data[start + length :]


def move(random: Random, data: bytes) -> bytes:
    start, length = _span(random, data)
    rest = data[:start] + data[start + length :]
    at = random.randrange(len(rest) + 1)
    return rest[:at] + data[start : start + length] + rest[at:]


def fill(random: Random, data: bytes) -> bytes:
    start, length = _span(random, data)
    return data[:start] + random.choice((b"\0", b"\xff", b"A", random.randbytes(1))) * length + data[start + length :]


def _span(random: Random, data: bytes) -> tuple[int, int]:
    if not data:
        return 0, 0
    length = min(random.choice((1, 2, 4, 8, 16, 64, 256, 1024)), len(data))
    return random.randrange(len(data) - length + 1), length


BYTE_MUTATORS: tuple[Mutator, ...] = (
    truncate,
    flip,
    flip,
    put_integer,
    put_integer,
    put_float,
    drop,
    repeat,
    move,
    fill,
)


def mutate_text(random: Random, data: bytes, words: tuple[str, ...] = ()) -> bytes:
    """One to four changes to tokens, numbers and lines; `words` are those that mean something in the format."""
    tokens = TOKEN.findall(data.decode("utf-8", "replace")) or [""]
    for _ in range(random.choice((1, 1, 2, 3, 4))):
        at = random.randrange(len(tokens))
        numbers = [i for i, token in enumerate(tokens) if token[:1].isdigit() or (token[:1] in "+-" and len(token) > 1)]
        names = [i for i, token in enumerate(tokens) if token[:1].isalpha()]
        kind = random.randrange(8)
        if kind <= 1 and numbers:
            tokens[random.choice(numbers)] = random.choice(NUMBERS_AS_TEXT)
        elif kind == 2 and names:
            tokens[random.choice(names)] = random.choice(words or ("x",)) if random.random() < 0.8 else "zzz"
        elif kind == 3:
            tokens.insert(at, random.choice(ODD_TEXT))
        elif kind == 4:
            del tokens[at : at + random.choice((1, 1, 2, 5, 20))]
        elif kind == 5:
            tokens[at:at] = tokens[at : at + random.choice((1, 5, 20))]
        elif kind == 6:
            other = random.randrange(len(tokens))
            tokens[at], tokens[other] = tokens[other], tokens[at]
        else:
            tokens.insert(at, random.choice(words or NUMBERS_AS_TEXT))
        tokens = tokens or [""]
    return "".join(tokens).encode("utf-8", "replace")[:MOST_BYTES]


def mutate_numbers(random: Random, data: bytes) -> bytes:
    """One to three numbers somewhat different: what comes out is mostly still understood."""
    text = data.decode("utf-8", "replace")
    for _ in range(random.choice((1, 1, 2, 3))):
        found = list(re.finditer(r"[-+]?\d+(\.\d+)?([eE][-+]?\d+)?", text))
        if not found:
            break
        match = random.choice(found)
        value = float(match[0]) * random.choice((-1, 0, 0.5, 0.9, 1.1, 2, 10, 0.1)) + random.choice((0, 0, 1, -1, 1e-3))
        shown = str(round(value)) if match[0].lstrip("-+").isdigit() and abs(value) < 1e300 else repr(value)
        text = text[: match.start()] + shown + text[match.end() :]
    return text.encode("utf-8", "replace")


def text_of(*words: str) -> Mutator:
    """`mutate_text` with the words of a format."""
    return lambda random, data: mutate_text(random, data, words)
