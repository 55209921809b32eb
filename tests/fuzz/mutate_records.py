"""Changes to formats of our own, whose checksums are made to fit again: recordings, messages, shared memory, plans."""

from __future__ import annotations

import struct
import zlib
from random import Random

from .mutate import FLOATS, INTEGERS, mutate_bytes, mutate_text

ALIGNMENT = 64
RECORD_FIELDS = (
    (4, "4s"),
    (8, "<Q"),
    (16, "<Q"),
    (24, "<Q"),
    (32, "<d"),
    (40, "<d"),
    (48, "<I"),
    (52, "<I"),
    (56, "<I"),
)
KINDS = (b"HEAD", b"CONF", b"PCKT", b"FRAM", b"SYNC", b"LAST", b"XXXX")
MESSAGE_FIELDS = (
    (7, "c"), (8, "<H"), (10, "B"), (11, "B"), (12, "<I"), (16, "<I"), (20, "<I"), (24, "<I"), (28, "<Q"), (36, "<Q"),
    (44, "<d"),
    (52, "<d"), (60, "<Q"), (68, "<I"), (72, "<I"),
)  # fmt: skip
MESSAGE_BYTES = 96
SEGMENT_FIELDS = tuple((8 * i, "<Q") for i in range(10))
WORDS = (
    "acquisition", "probe", "grid", "stream", "null", "true", "rf", "iq", "beamformed", "complex64", "int16", "plane",
    "diverging", "stagger", "n_samples", "n_ensemble", "polar", "[", "]", "{", "}", ",", "1e400", "NaN", "Infinity",
    "[3, 4]",
    "network", "[segment]\n", 'network = "/etc/passwd"\n', "[grid]\n", "n_x = 4096\n",
)  # fmt: skip


def _put(random: Random, data: bytearray, fields: tuple[tuple[int, str], ...], start: int) -> None:
    at, layout = random.choice(fields)
    place = start + at
    if place + struct.calcsize(layout) > len(data):
        return
    if layout == "4s":
        value: object = random.choice(KINDS)
    elif layout == "c":
        value = random.choice((b"D", b"A", b"P", b"E", b"x"))
    elif layout == "<d":
        value = random.choice(FLOATS)
    else:
        bits = 8 * struct.calcsize(layout)
        before = struct.unpack_from(layout, data, place)[0]
        value = random.choice((random.choice(INTEGERS), before + 1, before - 1, before ^ 1)) & ((1 << bits) - 1)
    struct.pack_into(layout, data, place, value)


# Recordings


def _records(data: bytes) -> list[bytes]:
    """Header, payload and padding of each record."""
    found, at = [], ALIGNMENT
    while at + ALIGNMENT <= len(data) and data[at : at + 4] == b"TFr1":
        n_bytes = struct.unpack_from("<Q", data, at + 16)[0]
        end = at + ALIGNMENT + -(-n_bytes // ALIGNMENT) * ALIGNMENT
        if end > len(data) + ALIGNMENT:
            break
        found.append(data[at:end])
        at = end
    return [*found, data[at:]] if data[at:] else found


def _sealed(record: bytes) -> bytes:
    """With the header's checksum right."""
    return record[:60] + struct.pack("<I", zlib.crc32(record[:60])) + record[64:] if len(record) >= 64 else record


def _with_payload(record: bytes, payload: bytes) -> bytes:
    head = bytearray(record[:64])
    struct.pack_into("<Q", head, 16, len(payload))
    struct.pack_into("<I", head, 56, zlib.crc32(payload))
    return _sealed(bytes(head)) + payload + bytes(-len(payload) % ALIGNMENT)


def mutate_recording(random: Random, data: bytes) -> bytes:
    """Headers and payloads of records, and their order."""
    records = _records(data)
    if not records or len(records[0]) < ALIGNMENT:
        return data
    for _ in range(random.choice((1, 1, 2, 3))):
        at = random.randrange(len(records)) if records else 0
        kind = random.randrange(8)
        if not records or len(records[at]) < ALIGNMENT:
            continue
        if kind <= 2:
            changed = bytearray(records[at])
            _put(random, changed, RECORD_FIELDS, 0)
            records[at] = _sealed(bytes(changed)) if random.random() < 0.9 else bytes(changed)
        elif kind <= 4:
            texts = [i for i, r in enumerate(records) if r[4:8] in (b"HEAD", b"CONF", b"LAST")] or [at]
            at = random.choice(texts)
            n_bytes = min(struct.unpack_from("<Q", records[at], 16)[0], 1 << 20)
            payload = records[at][64 : 64 + n_bytes]
            records[at] = _with_payload(records[at], mutate_text(random, payload, WORDS))
        elif kind == 5:
            n_bytes = min(struct.unpack_from("<Q", records[at], 16)[0], 1 << 20)
            records[at] = _with_payload(records[at], mutate_bytes(random, records[at][64 : 64 + n_bytes]))
        elif kind == 6:
            del records[at]
        else:
            records.insert(random.randrange(len(records) + 1), records[at])
    if random.random() < 0.3:  # numbers in order again
        for number, record in enumerate(records):
            if len(record) >= ALIGNMENT:
                records[number] = _sealed(record[:8] + struct.pack("<Q", number) + record[16:])
    return data[:ALIGNMENT] + b"".join(records)


# Messages: each is a list of parts; an input has 0xFE before each message, and the length before each part.


def split_messages(data: bytes) -> list[list[bytes]]:
    """Messages and their parts; whatever the input, there is at least one part in each."""
    messages: list[list[bytes]] = []
    at = 0
    while at + 5 <= len(data):
        new, n_bytes = data[at] == 0xFE or not messages, struct.unpack_from("<I", data, at + 1)[0] & 0xFFFFF
        part = data[at + 5 : at + 5 + n_bytes]
        if new:
            messages.append([part])
        else:
            messages[-1].append(part)
        at += 5 + n_bytes
    return messages


def join_messages(messages: list[list[bytes]]) -> bytes:
    return b"".join(
        (b"\xfe" if i == 0 else b"\0") + struct.pack("<I", len(part)) + part
        for parts in messages for i, part in enumerate(parts)
    )  # fmt: skip


def _sealed_header(head: bytes) -> bytes:
    return head[:92] + struct.pack("<I", zlib.crc32(head[:92])) if len(head) == MESSAGE_BYTES else head


def mutate_messages(random: Random, data: bytes) -> bytes:
    """Headers, descriptions and the order of messages."""
    messages = split_messages(data)
    for _ in range(random.choice((1, 1, 2, 3))):
        if not messages:
            break
        at = random.randrange(len(messages))
        parts, kind = list(messages[at]), random.randrange(8)
        if kind <= 2:
            head = bytearray(parts[0])
            _put(random, head, MESSAGE_FIELDS, 0)
            parts[0] = _sealed_header(bytes(head)) if random.random() < 0.9 else bytes(head)
        elif kind <= 4:
            described = [i for i, m in enumerate(messages) if len(m) == 2 and m[0][7:8] == b"D"] or [at]
            at = random.choice(described)
            parts = list(messages[at])
            text = mutate_text(random, parts[-1], WORDS)
            head = bytearray(parts[0])
            if len(head) == MESSAGE_BYTES:
                struct.pack_into("<Q", head, 60, len(text))
                struct.pack_into("<I", head, 72, zlib.crc32(text))
                parts = [_sealed_header(bytes(head)), text]
        elif kind == 5:
            parts = random.choice((parts * 2, parts[:1], parts[::-1], [*parts, b"more"], [b"", *parts]))
        elif kind == 6:
            messages.insert(random.randrange(len(messages) + 1), parts)
            continue
        else:
            parts[-1] = mutate_bytes(random, parts[-1])
        messages[at] = parts
    return join_messages(messages)


# Shared memory, plans


def mutate_segment(random: Random, data: bytes) -> bytes:
    """Words of the header, the description, or words of a slot."""
    changed, kind = bytearray(data), random.randrange(4)
    if len(data) < 136:
        return data
    if kind <= 1:
        _put(random, changed, SEGMENT_FIELDS, 0)
    elif kind == 2:
        n_bytes = min(struct.unpack_from("<Q", data, 56)[0], len(data) - 128)
        text = mutate_text(random, data[128 : 128 + n_bytes], WORDS)[:n_bytes].ljust(n_bytes)
        changed[128 : 128 + n_bytes] = text
    else:
        place = random.randrange(0, len(data) - 40, ALIGNMENT)
        _put(random, changed, ((0, "<Q"), (8, "<d"), (16, "<d"), (24, "<Q"), (32, "<Q")), place)
    return bytes(changed)


def mutate_plan(random: Random, data: bytes) -> bytes:
    """Text of the tables, byte changes elsewhere."""
    return mutate_text(random, data, ("files", "unet.onnx", "sha256", "format", "{", "}", "[", "null", '"', ":"))
