"""The message: what is sent comes back, and nothing else is believed."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from live_packets import describe

from trueflow.pipeline import Acquisition, DivergingWave, ImageGrid, PlaneWave, Probe
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.live.description import Description
from trueflow.pipeline.live.message import (
    ANNOUNCEMENT,
    DESCRIPTION,
    END,
    HEADER_BYTES,
    LARGEST_PACKET_BYTES,
    PACKET,
    BadMessageError,
    Header,
)
from trueflow.pipeline.live.source import PacketLayout

LAYOUT = PacketLayout((16, 1, 128, 1040), np.dtype(np.int16))
HEADER = Header(PACKET, 1 << 62, 12345, LAYOUT, 1.5, 1e6, LAYOUT.n_bytes, 0xDEADBEEF, True)

layouts = st.builds(
    PacketLayout,
    st.lists(st.integers(1, 60), min_size=3, max_size=4).map(tuple),
    st.sampled_from([np.dtype(np.int16), np.dtype(np.float32), np.dtype(np.complex64)]),
)
numbers = st.integers(0, (1 << 62) - 1)
times = st.floats(-1e12, 1e12)


checks = st.integers(0, 2**32 - 1)


@given(st.sampled_from([ANNOUNCEMENT, PACKET]), layouts, numbers, numbers, times, checks, st.booleans())
def test_a_packet_header_comes_back(
    kind: bytes, layout: PacketLayout, stream: int, sequence: int, time_s: float, check: int, continuous: bool
) -> None:
    header = Header(kind, stream, sequence, layout, time_s, time_s / 2, layout.n_bytes, check, continuous)
    assert len(header.pack()) == HEADER_BYTES == 96
    assert Header.unpack(header.pack()) == header


@pytest.mark.parametrize("kind", [DESCRIPTION, END])
def test_other_headers_come_back(kind: bytes) -> None:
    header = Header(kind, 5, 7, payload_bytes=9, payload_check=11)
    assert Header.unpack(header.pack()) == header


def test_the_header_is_laid_out_as_documented() -> None:
    data = HEADER.pack()
    assert data[:8] == b"TRUFLOWP"
    assert data[8:12] == bytes([1, 0, 1, 4])  # version, int16, 4 axes
    assert [int.from_bytes(data[12 + 4 * i : 16 + 4 * i], "little") for i in range(4)] == [16, 1, 128, 1040]
    assert int.from_bytes(data[28:36], "little") == 1 << 62
    assert int.from_bytes(data[36:44], "little") == 12345
    assert np.frombuffer(data, "<f8", 2, 44).tolist() == [1.5, 1e6]
    assert int.from_bytes(data[60:68], "little") == LAYOUT.n_bytes
    assert int.from_bytes(data[68:72], "little") == 1
    assert int.from_bytes(data[72:76], "little") == 0xDEADBEEF
    assert data[76:92] == bytes(16)
    assert int.from_bytes(data[92:], "little") == zlib.crc32(data[:92])


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_no_header(data: bytes) -> None:
    with pytest.raises(BadMessageError):
        Header.unpack(data)


@given(st.integers(0, 8 * HEADER_BYTES - 1))
def test_a_header_with_a_flipped_bit_is_not_believed(bit: int) -> None:
    data = bytearray(HEADER.pack())
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BadMessageError):
        Header.unpack(data)


def signed(body: bytes) -> bytes:
    """With the right checksum: from somebody who means it."""
    return body + zlib.crc32(body).to_bytes(4, "little")


@given(st.integers(0, 91), st.binary(min_size=1, max_size=16))
def test_hostile_headers_are_refused_or_harmless(place: int, junk: bytes) -> None:
    body = bytearray(HEADER.pack()[:92])
    body[place : place + len(junk)] = junk
    try:
        header = Header.unpack(signed(bytes(body[:92])))
    except BadMessageError:
        return
    if header.layout is not None:
        assert 0 < header.layout.n_bytes == header.payload_bytes <= LARGEST_PACKET_BYTES
    assert header.kind in (DESCRIPTION, ANNOUNCEMENT, PACKET, END)
    assert np.isfinite([header.acquisition_time_s, header.sent_s]).all()


@pytest.mark.parametrize(
    ("offset", "junk", "told"),
    [
        (0, b"XX", "not a message"),
        (7, b"Z", "mean nothing"),
        (8, b"\x02", "version 2"),
        (10, b"\x09", "shape or type"),
        (11, b"\x02", "shape or type"),
        (12, b"\xff\xff\xff\xff", "too large"),
        (12, bytes(4), "shape or type"),
        (36, (1 << 62).to_bytes(8, "little"), "mean nothing"),
        (44, b"\x00\x00\x00\x00\x00\x00\xf0\x7f", "times that cannot be"),
        (44, b"\x00\x00\x00\x00\x00\x00\xf8\x7f", "times that cannot be"),
        (44, np.float64(1.1e12).tobytes(), "times that cannot be"),
        (52, np.float64(-1.1e12).tobytes(), "times that cannot be"),
        (60, b"\xff" * 8, "bytes for a packet"),
        (68, b"\x80", "mean nothing"),
    ],
)
def test_each_field_is_looked_at(offset: int, junk: bytes, told: str) -> None:
    body = bytearray(HEADER.pack()[:92])
    body[offset : offset + len(junk)] = junk
    with pytest.raises(BadMessageError, match=told):
        Header.unpack(signed(bytes(body)))


# The description


def beamformed(acquisition: Acquisition) -> Description:
    grid = ImageGrid.polar(np.linspace(-0.4, 0.4, 7), np.linspace(0.01, 0.04, 9), apex_z_m=-0.02)
    return Description(replace(acquisition, sample_kind="beamformed"), np.dtype(np.complex64), grid, 25.0, "lines")


def staggered(acquisition: Acquisition) -> Description:
    convex = Probe.convex(9, pitch_m=0.4e-3, radius_m=0.06, bandwidth_fraction=0.5, name="C9")
    waves = PlaneWave(0.1, 1e-6), DivergingWave(0.0, -0.01)
    return Description(replace(acquisition, probe=convex, transmits=waves, stagger=(2, 3)), np.dtype(np.float32))


@pytest.mark.parametrize("make", [describe, beamformed, staggered])
def test_a_description_comes_back_exactly(acquisition: Acquisition, make: Any) -> None:
    sent = make(acquisition)
    came = Description.unpack(sent.pack())
    assert came.pack() == sent.pack()
    assert came.same_as(sent)
    assert came.layout == sent.layout
    np.testing.assert_array_equal(
        came.acquisition.probe.element_positions_m, sent.acquisition.probe.element_positions_m
    )
    for field in ("transmits", "prf_hz", "rx_start_s", "stagger", "sample_kind", "demodulation_frequency_hz"):
        assert getattr(came.acquisition, field) == getattr(sent.acquisition, field)


def test_only_what_matters_makes_a_description_another_one(acquisition: Acquisition) -> None:
    one = describe(acquisition)
    assert one.same_as(replace(one, name="other", frame_rate_hz=1.0))
    assert not one.same_as(replace(one, acquisition=replace(acquisition, prf_hz=3999.0)))


@pytest.mark.parametrize(
    "harm",
    [
        {"format": "trueflow-live/2"},
        {"dtype": "object"},
        {"dtype": ["int16"]},
        {"dtype": "complex64"},
        {"transmits": []},
        {"transmits": [{"kind": "focused"}]},
        {"transmits": [{"kind": "plane", "angle_rad": "0", "origin_time_s": 0}]},
        {"transmits": [{"kind": "plane", "angle_rad": float("nan"), "origin_time_s": 0}]},
        {"probe": None},
        {"probe": {"element_positions_m": [[0, 0]]}},
        {"grid": {"axis_0": [0, 1], "axis_1": [0, 1], "kind": "cartesian", "apex_z_m": 0}},
        {"frame_rate_hz": True},
        {"acquisition": {}},
    ],
)
def test_a_description_that_says_what_cannot_be_is_refused(acquisition: Acquisition, harm: dict[str, Any]) -> None:
    document = json.loads(describe(acquisition).pack()) | harm
    with pytest.raises(TrueflowError):
        Description.unpack(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n_samples", 1 << 24),
        ("n_samples", 1.5),
        ("n_samples", 1 << 70),
        ("prf_hz", None),
        ("prf_hz", 10**400),
        ("stagger", [1, 2, 3]),
        ("stagger", [2, 4]),
        ("sample_kind", "beamformed"),
    ],
)
def test_an_acquisition_that_cannot_be_is_refused(acquisition: Acquisition, field: str, value: Any) -> None:
    document = json.loads(describe(acquisition).pack())
    document["acquisition"][field] = value
    with pytest.raises(TrueflowError):
        Description.unpack(json.dumps(document).encode())


@given(st.binary(max_size=300) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(
        ["format", "acquisition", "probe", "transmits", "grid", "dtype", "name"]), inner, max_size=7),
    max_leaves=12,
).map(lambda document: json.dumps(document).encode()))  # fmt: skip
def test_arbitrary_documents_are_refused_with_a_word_of_why(data: bytes) -> None:
    with pytest.raises(TrueflowError, match="description"):
        Description.unpack(data)


def test_nesting_without_end_is_refused() -> None:
    with pytest.raises(TrueflowError):
        Description.unpack(b"[" * 100_000)
