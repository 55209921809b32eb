"""The message of the network front end: a header of 96 bytes, and behind it, as a second part, what it announces.

docs/live.md has the table. Everything is little-endian. Nothing here trusts what arrives: a header is believed when its
own checksum is right and its fields agree with each other, a payload when its checksum is the one in the header.
"""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.live.source import PacketLayout

__all__ = [
    "ANNOUNCEMENT",
    "DESCRIPTION",
    "END",
    "HEADER_BYTES",
    "KINDS",
    "LARGEST_DESCRIPTION_BYTES",
    "LARGEST_PACKET_BYTES",
    "MAGIC",
    "PACKET",
    "BadMessageError",
    "Header",
    "check_sendable",
    "checksum",
]

MAGIC = b"TRUFLOW"
VERSION = 1
# Kinds are the byte behind the magic, so that a subscriber can choose among them by prefix.
DESCRIPTION, ANNOUNCEMENT, PACKET, END = b"D", b"A", b"P", b"E"
KINDS = (DESCRIPTION, ANNOUNCEMENT, PACKET, END)

# Magic, kind, version, dtype, n_dims, shape, stream, sequence, acquisition time, sent, payload bytes, flags, payload's
# checksum, 16 bytes to spare, the header's checksum.
_BODY = struct.Struct("<7scHBB4IQQddQII16x")
_CHECK = struct.Struct("<I")
HEADER_BYTES = _BODY.size + _CHECK.size

DTYPES: dict[int, np.dtype[Any]] = {1: np.dtype("<i2"), 2: np.dtype("<f4"), 3: np.dtype("<c8")}
CODES = {dtype: code for code, dtype in DTYPES.items()}
CONTINUOUS = 1

LARGEST_DESCRIPTION_BYTES = 1 << 20
LARGEST_PACKET_BYTES = 1 << 28  # 1,024 channels x 8,192 samples x 16 pulses of int16
LARGEST_NUMBER = (1 << 62) - 1  # room for runs that go on where a front end begins anew
LARGEST_TIME_S = 1e12  # as in recordings: what a recorder could not keep is not taken in


class BadMessageError(Exception):
    """What arrived is no message of ours, in a few words why."""


@dataclass(frozen=True, slots=True)
class Header:
    """What precedes a payload.

    Parameters
    ----------
    kind : bytes
        One of `KINDS`.
    stream : int
        Drawn by the front end when it starts: another number is another run of it.
    sequence : int
        Number of the packet, from 0 and without gaps; of the packet to come, for descriptions.
    layout : PacketLayout, optional
        Of a packet's samples.
    acquisition_time_s : float
        Since the stream began.
    sent_s : float
        `time.monotonic()` of the front end's machine just before the first byte left.
    payload_bytes, payload_check : int
        Length and CRC-32 of the second part.
    continuous : bool
        As in `Stamp`.
    """

    kind: bytes
    stream: int
    sequence: int = 0
    layout: PacketLayout | None = None
    acquisition_time_s: float = 0.0
    sent_s: float = 0.0
    payload_bytes: int = 0
    payload_check: int = 0
    continuous: bool = False

    def pack(self) -> bytes:
        """As it goes over the wire."""
        shape = self.layout.shape if self.layout is not None else ()
        body = _BODY.pack(
            MAGIC,
            self.kind,
            VERSION,
            CODES[self.layout.dtype] if self.layout is not None else 0,
            len(shape),
            *shape,
            *(0,) * (4 - len(shape)),
            self.stream,
            self.sequence,
            self.acquisition_time_s,
            self.sent_s,
            self.payload_bytes,
            CONTINUOUS if self.continuous else 0,
            self.payload_check,
        )
        return body + _CHECK.pack(zlib.crc32(body))

    @classmethod
    def unpack(cls, data: Any) -> Header:
        """Read a header.

        Parameters
        ----------
        data : bytes-like

        Raises
        ------
        BadMessageError
            Where anything about it is not as it should be.
        """
        view = memoryview(data)
        if view.nbytes != HEADER_BYTES:
            raise BadMessageError(f"a header of {view.nbytes} bytes, not {HEADER_BYTES}")
        body = view[: _BODY.size]
        magic, kind, version, code, n_dims, *rest = _BODY.unpack(body)
        shape, (stream, sequence, acquired_s, sent_s, n_bytes, flags, check) = rest[:4], rest[4:]
        if magic != MAGIC:
            raise BadMessageError("not a message of a Trueflow front end")
        if version != VERSION:
            raise BadMessageError(f"version {version} of the message, not {VERSION}")
        if _CHECK.unpack(view[_BODY.size :])[0] != zlib.crc32(body):
            raise BadMessageError("the header's checksum is wrong")
        if kind not in KINDS or flags & ~CONTINUOUS or sequence > LARGEST_NUMBER:
            raise BadMessageError("a header with fields that mean nothing")
        if not (abs(acquired_s) <= LARGEST_TIME_S and abs(sent_s) <= LARGEST_TIME_S):  # NaN neither
            raise BadMessageError("times that cannot be")
        layout = _layout(code, n_dims, shape)
        expected = layout.n_bytes if layout is not None else None
        if (expected is None) == (kind in (ANNOUNCEMENT, PACKET)):
            raise BadMessageError("a shape where there is none, or none where there should be one")
        if expected is not None and n_bytes != expected:
            raise BadMessageError(f"{n_bytes} bytes for a packet of {expected}")
        return cls(kind, stream, sequence, layout, acquired_s, sent_s, n_bytes, check, bool(flags & CONTINUOUS))


def _layout(code: int, n_dims: int, shape: list[int]) -> PacketLayout | None:
    if code == 0 and n_dims == 0 and not any(shape):
        return None
    if code not in DTYPES or n_dims not in (3, 4) or any(shape[n_dims:]) or not all(shape[:n_dims]):
        raise BadMessageError("a shape or type of samples that does not exist")
    if math.prod(shape[:n_dims]) * DTYPES[code].itemsize > LARGEST_PACKET_BYTES:
        raise BadMessageError("a packet that is too large")
    return PacketLayout(tuple(shape[:n_dims]), DTYPES[code])


def checksum(payload: Any) -> int:
    """CRC-32 of a payload, as in zlib and Ethernet."""
    return zlib.crc32(payload)


def check_sendable(layout: PacketLayout) -> None:
    """Refuse packets that the message has no room for.

    Raises
    ------
    TrueflowError
    """
    if layout.dtype not in CODES or len(layout.shape) not in (3, 4) or layout.n_bytes > LARGEST_PACKET_BYTES:
        raise TrueflowError(
            "cannot be sent",
            where="packet",
            found=f"{layout.dtype} {layout.shape}, {layout.n_bytes >> 20} MB",
            expected=f"int16, float32 or complex64 of 3 or 4 axes, at most {LARGEST_PACKET_BYTES >> 20} MB",
        )
