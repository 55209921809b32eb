"""The recording format: one record after another, each with a header that says how long it is and whether it is whole.

docs/recording-format.md has the tables. Everything is little-endian, records begin at multiples of 64 bytes.

HDF5, in which results are written, was not taken: what it has cached is lost with the process, and a file that was not
closed may not open at all. Here a process that is killed loses the record it was writing, and nothing else.
"""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import BmodeFrame, ColorFrame, DopplerFrame, Stamp, VelocityFrame

__all__ = [
    "ALIGNMENT", "ANEW", "CONFIG", "CONTINUOUS", "END", "FRAME", "HEAD", "LARGEST_CONFIG_BYTES", "LARGEST_RECORD_BYTES",
    "MADE_WITH", "MAGIC", "MARKER", "PACKET", "PREAMBLE", "SYNCED", "RecordHeader", "padding", "result_from_bytes",
    "result_parts",
]

# As in PNG: a byte above 127, and line ends that a transfer as text would spoil.
MAGIC = b"\x89TFR\r\n\x1a\n"
VERSION = 1
ALIGNMENT = 64
PREAMBLE = struct.pack("<8sI52x", MAGIC, VERSION)

# Kinds of records.
HEAD, CONFIG, PACKET, FRAME, SYNCED, END = b"HEAD", b"CONF", b"PCKT", b"FRAM", b"SYNC", b"LAST"
KINDS = (HEAD, CONFIG, PACKET, FRAME, SYNCED, END)
MARKER = b"TFr1"

LARGEST_RECORD_BYTES = 1 << 30
LARGEST_CONFIG_BYTES = 1 << 20
LARGEST_TIME_S = 1e12

# Flags: of packets and frames, that slow time runs on; of settings, that the chain remembers no frame before, and that
# it has made its tables with the packet of that index.
CONTINUOUS, ANEW, MADE_WITH = 1, 2, 4

_BODY = struct.Struct("<4s4sQQQddIII")
_CHECK = struct.Struct("<I")
assert _BODY.size + _CHECK.size == ALIGNMENT

_RESULT_HEAD = struct.Struct("<IId")
_RESULT_MAPS = (  # of a frame, in this order, (n_z, n_x) each
    ("velocity_m_s", "<f4"), ("wrapped_velocity_m_s", "<f4"), ("confidence", "<f4"), ("r0", "<f4"), ("r1", "<c8"),
    ("envelope", "<f4"), ("fold", "i1"), ("mask", "?"),
)
_PIXEL_BYTES = sum(np.dtype(kind).itemsize for _, kind in _RESULT_MAPS)


@dataclass(frozen=True, slots=True)
class RecordHeader:
    """The 64 bytes before a record's payload.

    Parameters
    ----------
    kind : bytes
        One of `KINDS`.
    sequence : int
        Number of the record in the file, from 0.
    n_bytes : int
        Of the payload, padding not counted.
    index : int
        Number of the packet, for packets, frames and settings; bytes that are on the disk, for `SYNCED`.
    acquisition_time_s, receive_time_s : float
        Of the packet's stamp.
    flags : int
        `CONTINUOUS`, `ANEW`, `MADE_WITH`.
    revision : int
        Number of the settings, for settings and frames.
    check : int
        CRC-32 of the payload.
    """

    kind: bytes
    sequence: int
    n_bytes: int = 0
    index: int = 0
    acquisition_time_s: float = 0.0
    receive_time_s: float = 0.0
    flags: int = 0
    revision: int = 0
    check: int = 0

    def pack(self) -> bytes:
        """As it is in the file."""
        body = _BODY.pack(
            MARKER, self.kind, self.sequence, self.n_bytes, self.index, self.acquisition_time_s, self.receive_time_s,
            self.flags, self.revision, self.check,
        )
        return body + _CHECK.pack(zlib.crc32(body))

    @classmethod
    def unpack(cls, data: bytes) -> RecordHeader | None:
        """The header in these 64 bytes, or None where there is no whole and meaningful one."""
        if len(data) != ALIGNMENT or data[:4] != MARKER or _CHECK.unpack(data[-4:])[0] != zlib.crc32(data[:-4]):
            return None
        header = cls(*_BODY.unpack(data[:-4])[1:])
        known = header.kind in KINDS and header.n_bytes <= LARGEST_RECORD_BYTES and header.index < 1 << 63
        times = header.acquisition_time_s, header.receive_time_s
        return header if known and all(abs(time) <= LARGEST_TIME_S for time in times) else None

    @property
    def stamp(self) -> Stamp:
        """Of a packet or frame."""
        return Stamp(self.index, self.acquisition_time_s, self.receive_time_s, bool(self.flags & CONTINUOUS))

    @property
    def extent(self) -> int:
        """Bytes from this record's beginning to that of the next."""
        return ALIGNMENT + self.n_bytes + padding(self.n_bytes)


def padding(n_bytes: int) -> int:
    """Bytes from the end of a payload to the next record."""
    return -n_bytes % ALIGNMENT


def result_parts(frame: ColorFrame) -> list[NDArray[Any]]:
    """A frame's payload: the size of its maps and v_N, then the maps."""
    velocity, doppler = frame.velocity, frame.doppler
    maps: dict[str, Any] = {
        "velocity_m_s": velocity.velocity_m_s,
        "wrapped_velocity_m_s": velocity.wrapped_velocity_m_s,
        "confidence": velocity.confidence,
        "r0": doppler.r0,
        "r1": doppler.r1,
        "envelope": frame.bmode.envelope,
        "fold": velocity.fold,
        "mask": velocity.mask,
    }
    n_z, n_x = velocity.velocity_m_s.shape
    head = np.frombuffer(_RESULT_HEAD.pack(n_z, n_x, velocity.nyquist_velocity_m_s), np.uint8)
    return [head, *(np.ascontiguousarray(maps[name], dtype) for name, dtype in _RESULT_MAPS)]


def result_from_bytes(payload: bytes, stamp: Stamp, *, where: str) -> ColorFrame:
    """The frame of `result_parts`; its segmentation was not kept.

    Raises
    ------
    TrueflowError
        Where the payload is no frame.
    """
    n_z = n_x = 0
    nyquist_m_s = math.nan
    if len(payload) >= _RESULT_HEAD.size:
        n_z, n_x, nyquist_m_s = _RESULT_HEAD.unpack_from(payload)
    if len(payload) != _RESULT_HEAD.size + n_z * n_x * _PIXEL_BYTES or not nyquist_m_s > 0 or not n_z * n_x:
        raise TrueflowError("not a frame", where=where, found=f"{len(payload)} bytes for {n_z} x {n_x} pixels")
    maps, at = {}, _RESULT_HEAD.size
    for name, dtype in _RESULT_MAPS:
        maps[name] = np.frombuffer(payload, dtype, n_z * n_x, at).reshape(n_z, n_x)
        at += maps[name].nbytes
    return ColorFrame(
        BmodeFrame(maps["envelope"], stamp),
        DopplerFrame(maps["r1"], maps["r0"], nyquist_m_s, stamp),
        None,
        VelocityFrame(
            maps["velocity_m_s"], maps["wrapped_velocity_m_s"], maps["fold"], maps["confidence"], maps["mask"],
            nyquist_m_s, stamp,
        ),
    )
