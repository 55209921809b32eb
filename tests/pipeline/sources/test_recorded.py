"""Recordings of live streams that are cut, damaged or made to do harm: one clear error, or what can be read."""

from __future__ import annotations

import json
import logging
import os
import tracemalloc
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from live_packets import describe, live_packet, small_acquisition

from trueflow.pipeline.config import Config
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import ColorFrame, Stamp
from trueflow.pipeline.live.recorder import Recorder
from trueflow.pipeline.live.recorder_format import (
    ALIGNMENT,
    ANEW,
    CONFIG,
    END,
    FRAME,
    HEAD,
    PACKET,
    PREAMBLE,
    SYNCED,
    RecordHeader,
    padding,
)
from trueflow.pipeline.sources import Framing, open_source, packets
from trueflow.pipeline.sources.recorded import LiveRecording

N_PACKETS = 4
PACKET_BYTES = 2 * 8 * 32 * 400


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A recording of four packets."""
    path, acquisition = tmp_path_factory.mktemp("whole") / "live.tfr", small_acquisition()
    with Recorder(path, describe(acquisition)) as recorder:
        recorder.changed(Config(), anew=True, made_with=None)
        for index in range(N_PACKETS):
            recorder.raw(live_packet(acquisition, index))
    return path.read_bytes()


@pytest.fixture
def write(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(content: bytes) -> Path:
        path = tmp_path / "damaged.tfr"
        path.write_bytes(content)
        return path

    return write


def records(content: bytes) -> list[tuple[int, RecordHeader]]:
    """Offsets and headers."""
    found, offset = [], len(PREAMBLE)
    while offset + ALIGNMENT <= len(content):
        header = RecordHeader.unpack(content[offset : offset + ALIGNMENT])
        assert header is not None
        found.append((offset, header))
        offset += header.extent
    return found


def record(kind: bytes, sequence: int, payload: bytes = b"", **fields: Any) -> bytes:
    header = RecordHeader(kind, sequence, len(payload), check=zlib.crc32(payload), **fields)
    return header.pack() + payload + bytes(padding(len(payload)))


def readable(path: Path) -> int:
    """How many packets are read, all of them as they were written."""
    acquisition = small_acquisition()
    with open_source(path) as recording:
        for packet in packets(recording, Framing())[2]:
            number = round(packet.stamp.acquisition_time_s / 0.02)
            np.testing.assert_array_equal(packet.samples, live_packet(acquisition, number).samples)
        return recording.n_slow_time // 8


def test_a_record_begins_where_the_one_before_ends(whole: bytes) -> None:
    kinds = [header.kind for _, header in records(whole)]
    assert [kind for kind in kinds if kind != SYNCED] == [HEAD, CONFIG, *[PACKET] * N_PACKETS, END]
    assert [header.sequence for _, header in records(whole)] == list(range(len(kinds)))
    assert kinds[-1] == SYNCED
    assert len(whole) % ALIGNMENT == 0


def test_a_file_cut_anywhere_holds_the_packets_that_are_whole(whole: bytes, write: Any) -> None:
    ends = [offset + ALIGNMENT + header.n_bytes for offset, header in records(whole) if header.kind == PACKET]
    cuts = {len(whole) - 1, *ends, *(end - 1 for end in ends), *(end + 70 for end in ends), *range(1, 9000, 321)}
    for cut in sorted(cuts):
        n_whole = sum(end <= cut for end in ends)
        path = write(whole[:cut])
        if n_whole:
            assert readable(path) == n_whole
        else:
            with pytest.raises(TrueflowError, match=r"damaged\.tfr"):
                readable(path)


def test_what_is_cut_off_is_said(whole: bytes, write: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), LiveRecording(write(whole[:-PACKET_BYTES])) as recording:
        assert any("cut off at its end" in remark for remark in recording.remarks)
    assert "cut off at its end" in caplog.text


def test_flipped_bits_cost_no_more_than_their_record(whole: bytes, write: Any) -> None:
    """In a header the packet is missing; in the samples it is an error that names its place, when it is read."""
    rng = np.random.default_rng(3)
    (first, _), *_ = [pair for pair in records(whole) if pair[1].kind == PACKET]
    for position in [*rng.integers(0, len(whole), 40), *rng.integers(0, 5000, 40), first + 3, first + 20, first + 63]:
        damaged = bytearray(whole)
        damaged[position] ^= 1 << int(rng.integers(8))
        path = write(bytes(damaged))
        try:
            n_read = readable(path)
        except TrueflowError as error:
            assert str(path) in str(error)  # noqa: PT017
            continue
        assert n_read >= N_PACKETS - 1


def test_a_damaged_header_costs_one_packet(whole: bytes, write: Any) -> None:
    places = [offset for offset, header in records(whole) if header.kind == PACKET]
    damaged = bytearray(whole)
    damaged[places[1] + 30] ^= 0x10
    path = write(bytes(damaged))
    assert readable(path) == N_PACKETS - 1
    with LiveRecording(path) as recording:
        assert "1 records damaged or missing" in recording.remarks


def test_damaged_samples_are_an_error_that_says_where(whole: bytes, write: Any) -> None:
    places = [offset for offset, header in records(whole) if header.kind == PACKET]
    damaged = bytearray(whole)
    damaged[places[2] + ALIGNMENT + 1000] ^= 0x10
    with LiveRecording(write(bytes(damaged))) as recording:
        recording.read(0, 16)
        recording.read(24, 32)
        with pytest.raises(TrueflowError, match=f"damaged; found record .*, at byte {places[2]}, does not fit its"):
            recording.read(20, 21)


def test_samples_that_never_reached_the_disk_are_cut_off(whole: bytes, write: Any) -> None:
    """A loss of power leaves the file's length, but not what was written after the last word that it is there."""
    kept = [(offset, header) for offset, header in records(whole) if header.kind != SYNCED]
    places = [offset for offset, header in kept if header.kind == PACKET]
    unsynced = bytearray(PREAMBLE)
    for offset, header in kept:
        if header.kind == END:
            break
        if offset == places[2]:
            unsynced += record(SYNCED, len(kept), index=len(unsynced))
        sequence = header.sequence if offset < places[2] else 100 + header.sequence
        payload = whole[offset + ALIGNMENT : offset + ALIGNMENT + header.n_bytes]
        unsynced += replace(header, sequence=sequence).pack() + payload + bytes(padding(len(payload)))
    assert readable(write(bytes(unsynced))) == N_PACKETS
    unsynced[-PACKET_BYTES:] = bytes(PACKET_BYTES)
    path = write(bytes(unsynced))
    assert readable(path) == N_PACKETS - 1
    path = write(bytes(unsynced) + bytes(100_000))
    assert readable(path) == N_PACKETS - 1


def head_of(**changes: Any) -> bytes:
    stream = json.loads(describe(small_acquisition()).pack())
    for name, value in changes.items():
        (stream["acquisition"] if name in stream["acquisition"] else stream)[name] = value
    return PREAMBLE + record(HEAD, 0, json.dumps({"stream": stream}).encode())


@pytest.mark.parametrize(
    "changes",
    [
        {"n_samples": 1 << 24, "n_ensemble": 1 << 16},
        {"n_samples": 10**30},
        {"n_ensemble": -1},
        {"n_ensemble": 1e300},
        {"sampling_frequency_hz": "fast"},
        {"transmits": []},
        {"transmits": [[[]]] * 3},
        {"dtype": "object"},
        {"dtype": "float64"},
        {"probe": None},
        {"grid": {"axis_0": [0.0] * 5}},
        {"stagger": [3]},
        {"sample_kind": "beamformed"},
    ],
)
def test_a_head_that_asks_for_the_impossible_is_refused(write: Any, changes: dict[str, Any]) -> None:
    path = write(head_of(**changes) + record(PACKET, 1, bytes(100)))
    tracemalloc.start()
    with pytest.raises(TrueflowError, match=r"damaged\.tfr"):
        open_source(path)
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


@pytest.mark.parametrize(
    "content",
    [
        PREAMBLE[:20],
        PREAMBLE,
        PREAMBLE.replace(b"\x01", b"\x02"),
        PREAMBLE + record(HEAD, 0, b"{"),
        PREAMBLE + record(HEAD, 0, b"[" * 100_000),
        PREAMBLE + record(HEAD, 0, b'{"stream": 3}'),
        PREAMBLE + record(PACKET, 0, b"x"),
        PREAMBLE + RecordHeader(HEAD, 0, 1 << 30).pack(),
        head_of() + record(PACKET, 1 << 40, bytes(PACKET_BYTES)),
    ],
)
def test_what_is_no_recording_is_refused(write: Any, content: bytes) -> None:
    with pytest.raises(TrueflowError, match=r"damaged\.tfr"):
        open_source(write(content))


def test_records_that_claim_too_much_are_passed_over(write: Any) -> None:
    """Too long for what they are, beyond the file's end, or numbered backwards."""
    packet = bytes(PACKET_BYTES)
    content = (
        head_of()
        + record(PACKET, 1, packet)
        + RecordHeader(CONFIG, 2, 1 << 29, revision=1).pack()
        + record(PACKET, 2, bytes(64))
        + record(FRAME, 0, index=0)
        + record(PACKET, 3, packet, index=1)
        + RecordHeader(FRAME, 4, 1 << 29, index=1).pack()
    )
    tracemalloc.start()
    with LiveRecording(write(content)) as recording:
        assert recording.n_slow_time == 16
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


def test_a_number_that_cannot_be_reached_by_its_place_is_not_believed(write: Any) -> None:
    """Every record takes 64 bytes at least; else three records could pass for years of them."""
    content = head_of()
    for number in (1, 1 << 40, 2):
        content += record(PACKET, number, bytes(PACKET_BYTES))
    with LiveRecording(write(content)) as recording:
        assert recording.n_slow_time == 16
        assert recording._index.n_damaged == 0
    most = (len(content) - ALIGNMENT - PACKET_BYTES) // ALIGNMENT
    for number, n_packets in ((most, 3), (most + 1, 2)):
        last = record(PACKET, number, bytes(PACKET_BYTES))
        with LiveRecording(write(content[: -len(last)] + last)) as recording:
            assert recording.n_slow_time == 8 * (n_packets - 1)


def test_garbage_between_records_takes_linear_time(write: Any) -> None:
    good = record(PACKET, 1, bytes(PACKET_BYTES))
    junk = RecordHeader(FRAME, 0).pack() + bytes(64)
    path = write(head_of() + good + junk * 20_000 + record(PACKET, 2, bytes(PACKET_BYTES), index=1))
    with LiveRecording(path) as recording:
        assert recording.n_slow_time == 16


@pytest.mark.parametrize(
    ("text", "message"),
    [(b"[clutter]\nname = 3", "settings 1 .clutter. name: wrong type"), (b"\xff", "not TOML"), (b"x = [" * 9, "not T")],
)
def test_settings_that_are_none_are_said_when_they_are_needed(write: Any, text: bytes, message: str) -> None:
    content = head_of() + record(CONFIG, 1, text, revision=1, flags=ANEW) + record(PACKET, 2, bytes(PACKET_BYTES))
    with LiveRecording(write(content)) as recording:
        recording.read(0, 8)
        with pytest.raises(TrueflowError, match=message):
            recording.settings(0)


def test_settings_that_are_missing_are_said(write: Any) -> None:
    content = head_of() + record(PACKET, 1, bytes(PACKET_BYTES)) + record(FRAME, 2, revision=7)
    with (
        LiveRecording(write(content)) as recording,
        pytest.raises(TrueflowError, match="settings 7: settings are missing; give them with --config"),
    ):
        recording.settings(0)


@pytest.mark.parametrize("payload", [b"x", bytes(16), b"\xff" * 16, b"\x10\0\0\0\x10\0\0\0" + bytes(8 + 100)])
def test_a_result_that_is_no_frame_is_refused(write: Any, payload: bytes) -> None:
    content = head_of() + record(PACKET, 1, bytes(PACKET_BYTES)) + record(FRAME, 2, payload)
    with LiveRecording(write(content)) as recording, pytest.raises(TrueflowError, match="not a frame"):
        recording.result(0)


def test_a_file_that_shrinks_while_it_is_read_is_an_error(whole: bytes, write: Any) -> None:
    path = write(whole)
    with LiveRecording(path) as recording:
        os.truncate(path, 5000)
        with pytest.raises(TrueflowError, match=r"damaged\.tfr"):
            recording.read(0, 8)


def test_frames_come_back_exactly(tmp_path: Path, vessel: Any) -> None:
    frame: ColorFrame = vessel.frame(0)
    with Recorder(tmp_path / "live.tfr", describe(small_acquisition()), results=True) as recorder:
        recorder.raw(live_packet(small_acquisition(), 0))
        recorder.result(frame)
    with LiveRecording(tmp_path / "live.tfr") as recording:
        kept = recording.result(0)
        assert recording.settings(0) is None  # nobody said any
    assert kept is not None
    assert kept.stamp == Stamp(0)
    for name in ("velocity_m_s", "wrapped_velocity_m_s", "fold", "confidence", "mask"):
        np.testing.assert_array_equal(getattr(kept.velocity, name), getattr(frame.velocity, name))
        assert getattr(kept.velocity, name).dtype == getattr(frame.velocity, name).dtype
    np.testing.assert_array_equal(kept.doppler.r1, frame.doppler.r1)
    np.testing.assert_array_equal(kept.bmode.envelope, frame.bmode.envelope)
