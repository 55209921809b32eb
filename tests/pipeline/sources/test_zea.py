"""zea recordings: layouts, slow time, beamformed data, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest

from trueflow.pipeline.acquisition import DivergingWave, PlaneWave
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.sources.must import MustRecording
from trueflow.pipeline.sources.zea import ZeaRecording

Write = Callable[..., Path]
Counted = Callable[..., np.ndarray]


def beamformed(n_frames: int = 5, n_z: int = 4, n_x: int = 3, **changes: Any) -> dict[str, Any]:
    x, z = np.meshgrid(np.arange(n_x) * 1e-3, 5e-3 + np.arange(n_z) * 2e-3)
    values = np.random.default_rng(3).standard_normal((n_frames, n_z, n_x, 2)).astype(np.float32)
    return {
        "values": values, "coordinates": np.stack([x, 0 * x, z], -1).astype(np.float32),
        "timestamps": np.arange(n_frames) / 2e3, **changes,
    }


@pytest.mark.parametrize("legacy", [False, True])
def test_channel_rf(write_zea: Write, counted: Counted, elements_m: np.ndarray, legacy: bool) -> None:
    raw = counted(6, 1, 23, 17, 1)
    with ZeaRecording(write_zea(raw, legacy=legacy)) as recording:
        acquisition, read = recording.acquisition, recording.read(1, 4)
    assert read.dtype == np.int16
    assert read.flags.c_contiguous
    np.testing.assert_array_equal(read, raw[1:4, ..., 0].swapaxes(2, 3))
    assert (recording.n_slow_time, recording.burst_length, acquisition.sample_kind) == (6, 6, "rf")
    assert acquisition.prf_hz == pytest.approx(8e3)
    assert acquisition.rx_start_s == pytest.approx(2e-6)
    np.testing.assert_allclose(acquisition.probe.element_positions_m[:, 0], elements_m, atol=1e-9)


def test_channel_iq(write_zea: Write, counted: Counted) -> None:
    raw = counted(3, 2, 23, 17, 2)
    angles = np.array([-0.1, 0.1], np.float32)
    path = write_zea(raw, t0_delays=np.zeros((0,)), polar_angles=angles, demodulation_frequency=np.float32(4e6))
    recording = ZeaRecording(path)
    assert recording.acquisition.sample_kind == "iq"
    assert recording.acquisition.mixing_frequency_hz == 4e6
    read = recording.read(0, 3)
    assert read.dtype == np.complex64
    np.testing.assert_array_equal(read, (raw[..., 0] + 1j * raw[..., 1].astype(float)).swapaxes(2, 3))


def test_blosc_compressed_samples_are_read(write_zea: Write, counted: Counted) -> None:
    path, raw = write_zea(), counted(4, 1, 23, 17, 1)
    with h5py.File(path, "a") as file:
        data = file["tracks/track_0/data"]
        del data["raw_data"], file["tracks/track_0/scan/time_to_next_transmit"]
        data.create_dataset("raw_data", data=raw, chunks=(1, 1, 23, 17, 1), **hdf5plugin.Blosc(cname="zstd"))
        file["tracks/track_0/scan/time_to_next_transmit"] = np.full((4, 1), 1e-4)
    np.testing.assert_array_equal(ZeaRecording(path).read(2, 3), raw[2:3, ..., 0].swapaxes(2, 3))


def test_delays_and_angles_say_the_same(
    write_zea: Write, counted: Counted, elements_m: np.ndarray, gone: object
) -> None:
    raw = counted(2, 3, 23, 17, 1)
    source = 0.004 * np.array([np.sin(0.3), np.cos(0.3)])
    paths = [elements_m * np.sin(-0.2), elements_m * 0.0, np.hypot(elements_m + source[0], source[1])]
    delays = np.array([(path - path.min()) / 1500.0 for path in paths])
    by_delays = ZeaRecording(write_zea(raw, t0_delays=delays, name="a.hdf5")).acquisition.transmits
    by_angles = ZeaRecording(write_zea(
        raw, t0_delays=gone, polar_angles=np.array([-0.2, 0.0, 0.3]), name="b.hdf5",
        focus_distances=np.array([np.inf, 0.0, -0.004]),
    )).acquisition.transmits
    assert [type(t) for t in by_delays] == [PlaneWave, PlaneWave, DivergingWave]
    for one, other in zip(by_delays, by_angles, strict=True):
        assert type(one) is type(other)
        assert one.origin_time_s == pytest.approx(other.origin_time_s, abs=1e-10)
    assert by_delays[0].angle_rad == pytest.approx(by_angles[0].angle_rad, abs=1e-6)
    assert by_delays[2].source_x_m == pytest.approx(by_angles[2].source_x_m, abs=1e-6)
    assert by_delays[2].source_z_m == pytest.approx(by_angles[2].source_z_m, abs=1e-6)


def test_start_times_that_differ_move_to_the_transmits(write_zea: Write, counted: Counted) -> None:
    raw = counted(2, 2, 23, 17, 1)
    path = write_zea(
        raw, t0_delays=np.zeros((0,)), polar_angles=np.array([-0.1, 0.1]), initial_times=np.array([2e-6, 3e-6])
    )
    acquisition = ZeaRecording(path).acquisition
    assert acquisition.rx_start_s == pytest.approx(2e-6)
    first, second = (t.origin_time_s for t in acquisition.transmits)
    assert second - first == pytest.approx(-1e-6, abs=1e-12)


def test_unapodized_elements_do_not_fire(write_zea: Write, elements_m: np.ndarray) -> None:
    delays, weights = (elements_m * np.sin(0.2) / 1500.0)[None], np.ones((1, 17))
    delays[0, :5], weights[0, :5] = 0.0, 0.0
    wave = ZeaRecording(write_zea(t0_delays=delays - delays.min(), tx_apodizations=weights)).acquisition.transmits[0]
    assert isinstance(wave, PlaneWave)
    assert wave.angle_rad == pytest.approx(0.2, abs=1e-6)


@pytest.mark.parametrize(("pause", "burst"), [(1 / 8e3, 24), (1e-2, 8)])
def test_equal_transmits_are_slow_time(write_zea: Write, counted: Counted, pause: float, burst: int) -> None:
    raw = counted(3, 8, 23, 17, 1)
    steps = np.full((3, 8), 1 / 8e3)
    steps[:, -1] = pause
    recording = ZeaRecording(write_zea(raw, time_to_next_transmit=steps))
    assert (recording.n_slow_time, recording.burst_length) == (24, burst)
    assert recording.acquisition.slow_time_rate_hz == pytest.approx(8e3)
    np.testing.assert_array_equal(recording.read(5, 19), raw[..., 0].swapaxes(2, 3).reshape(24, 1, 17, 23)[5:19])


def test_round_robin_angles_are_compounded(write_zea: Write, counted: Counted) -> None:
    raw = counted(2, 6, 23, 17, 1)
    angles = np.tile([-0.1, 0.0, 0.1], 2)
    recording = ZeaRecording(write_zea(raw, t0_delays=np.zeros((0,)), polar_angles=angles))
    assert recording.acquisition.n_transmits == 3
    assert recording.n_slow_time == 4
    assert recording.acquisition.slow_time_rate_hz == pytest.approx(8e3 / 3)
    np.testing.assert_array_equal(recording.read(1, 4), raw[..., 0].swapaxes(2, 3).reshape(4, 3, 17, 23)[1:])


@pytest.mark.parametrize("shape", [(5,), (6,), (1,), ()])
def test_times_between_pulses_may_be_flat(write_zea: Write, shape: tuple[int, ...]) -> None:
    assert ZeaRecording(write_zea(time_to_next_transmit=np.full(shape, 2e-4))).acquisition.prf_hz == pytest.approx(5e3)


def test_the_doppler_track_is_chosen_unless_another_is_named(write_zea: Write, counted: Counted) -> None:
    shapes = [(2, 3, 23, 17, 1), (2, 9, 23, 17, 1)]
    raws = [counted(*shape) for shape in shapes]
    changes: list[dict[str, Any]] = [
        {"t0_delays": np.zeros((0,)), "polar_angles": np.array([-0.1, 0.0, 0.1])}, {},
    ]
    tracks = [
        {"data": {"raw_data": raw}, "scan": write_zea.scan_of(raw.shape, change)}  # type: ignore[attr-defined]
        for raw, change in zip(raws, changes, strict=True)
    ]
    path = write_zea(tracks=tracks)
    assert ZeaRecording(path).n_slow_time == 18
    assert ZeaRecording(path, track=0).acquisition.n_transmits == 3
    assert ZeaRecording(path, track="track_1").n_slow_time == 18
    with pytest.raises(TrueflowError, match=r"track_7: no such track.*choices: track_0, track_1"):
        ZeaRecording(path, track=7)


@pytest.mark.parametrize("stored_complex", [False, True])
@pytest.mark.parametrize("per_frame", [False, True])
def test_beamformed_iq_enters_with_its_grid(write_zea: Write, stored_complex: bool, per_frame: bool) -> None:
    group = beamformed()
    expected = group["values"][..., 0] + 1j * group["values"][..., 1]
    if stored_complex:
        group["values"] = expected.astype(np.complex64)
    if per_frame:
        group["coordinates"] = np.broadcast_to(group["coordinates"], (5, 4, 3, 3))
    recording = ZeaRecording(write_zea(data={"beamformed_data": group}))
    acquisition, grid = recording.acquisition, recording.grid
    assert acquisition.sample_kind == "beamformed"
    assert grid is not None
    np.testing.assert_allclose(grid.axis_1, np.arange(3) * 1e-3, atol=1e-9)
    np.testing.assert_allclose(grid.axis_0, 5e-3 + np.arange(4) * 2e-3, atol=1e-9)
    assert (recording.n_slow_time, recording.burst_length) == (5, 5)
    assert acquisition.slow_time_rate_hz == pytest.approx(2e3)
    read = recording.read(1, 4)
    assert read.dtype == np.complex64
    np.testing.assert_array_equal(read, expected[1:4])


def test_beamformed_polar_pixels_are_recognised(write_zea: Write) -> None:
    angles, radii = np.linspace(-0.5, 0.6, 3), 0.04 + np.arange(4) * 2e-3
    coordinates = np.stack(
        [radii[:, None] * np.sin(angles), np.zeros((4, 3)), -0.04 + radii[:, None] * np.cos(angles)], -1
    )
    group = beamformed(coordinates=coordinates.astype(np.float32))
    grid = ZeaRecording(write_zea(data={"beamformed_data": group})).grid
    assert grid is not None
    assert (grid.kind, grid.apex_z_m) == ("polar", pytest.approx(-0.04, abs=1e-6))
    np.testing.assert_allclose(grid.axis_0, radii, atol=1e-6)
    np.testing.assert_allclose(grid.axis_1, angles, atol=1e-5)


def test_beamformed_without_timestamps_goes_by_its_pulses(write_zea: Write) -> None:
    group = beamformed()
    del group["timestamps"]
    path = write_zea(data={"beamformed_data": group}, time_to_next_transmit=np.full((5, 4), 1e-4))
    assert ZeaRecording(path).acquisition.slow_time_rate_hz == pytest.approx(2.5e3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"values": np.zeros((5, 4, 3, 1), np.float32)}, r"values: not IQ; found last axis 1"),
        ({"values": np.zeros((5, 4, 3), np.float32)}, r"values: wrong rank; found shape \(5, 4, 3\)"),
        ({"coordinates": np.zeros((4, 2, 3))}, r"coordinates: wrong shape; found \(4, 2, 3\)"),
        ({"coordinates": np.full((4, 3, 3), np.nan)}, r"coordinates: not finite"),
        ({"coordinates": np.random.default_rng(0).random((4, 3, 3))}, r"coordinates: pixels off the imaging plane"),
        ({"coordinates": np.random.default_rng(0).random((4, 3, 3)) * [1, 0, 1]}, r"coordinates: not a pixel grid"),
        ({"timestamps": np.zeros(5)}, r"timestamps: not positive"),
        ({"timestamps": np.arange(4.0)}, r"timestamps: wrong shape; found \(4,\)"),
    ],
)
def test_bad_beamformed_data_is_refused(write_zea: Write, changes: dict[str, Any], message: str) -> None:
    path = write_zea(data={"beamformed_data": beamformed(**changes)})
    with pytest.raises(TrueflowError, match=message):
        ZeaRecording(path)


@pytest.mark.parametrize(
    "field", ["sampling_frequency", "center_frequency", "initial_times", "time_to_next_transmit"]
)
def test_missing_field_is_named(write_zea: Write, gone: object, field: str) -> None:
    path = write_zea(**{field: gone})
    with pytest.raises(TrueflowError, match=rf"zea\.hdf5 tracks/track_0/scan {field}: missing field"):
        ZeaRecording(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"raw": np.zeros((6, 23, 17, 1), np.int16)}, r"raw_data: wrong rank; found shape \(6, 23, 17, 1\)"),
        ({"raw": np.zeros((0, 1, 23, 17, 1), np.int16)}, r"raw_data: no samples; found frames = 0"),
        ({"raw": np.zeros((6, 1, 23, 17, 3), np.int16)}, r"raw_data: neither RF nor IQ"),
        ({"raw": np.zeros((6, 1, 23, 17, 1), np.int64)}, r"raw_data: wrong type; found int64"),
        ({"raw": np.zeros((6, 1, 23, 16, 1), np.int16)}, r"probe_geometry: does not fit the samples; found 17"),
        ({"probe": {"name": "L"}}, r"probe/probe_geometry: missing field"),
        ({"probe": {"probe_geometry": np.full((17, 3), np.nan)}}, r"probe probe_geometry: not finite"),
        ({"probe": {"probe_geometry": np.zeros((17, 2))}}, r"probe probe_geometry: wrong shape; found \(17, 2\)"),
        ({"center_frequency": np.nan}, r"scan center_frequency: not finite"),
        ({"center_frequency": np.array([4e6, 5e6])}, r"scan center_frequency: differs between transmits"),
        ({"sampling_frequency": -1.0}, r"scan sampling_frequency: not positive"),
        ({"sampling_frequency": "fast"}, r"scan sampling_frequency: not a number"),
        ({"initial_times": np.zeros(3)}, r"scan initial_times: wrong shape; found \(3,\); expected \(1\) seconds"),
        ({"t0_delays": np.full((1, 17), np.nan)}, r"scan t0_delays: not finite"),
        ({"time_to_next_transmit": np.zeros((6, 1))}, r"scan time_to_next_transmit: not positive"),
        ({"time_to_next_transmit": np.ones((4, 1))}, r"scan time_to_next_transmit: wrong shape"),
        ({"t0_delays": np.zeros((0,)), "focus_distances": np.array([0.03])}, r"focus_distances: the virtual source"),
        ({"t0_delays": np.zeros((0,)), "focus_distances": np.array([np.nan])}, r"focus_distances: not finite"),
        ({"rx_aperture_indices": np.arange(16)[None]}, r"rx_aperture_indices: receive apertures are not supported"),
        ({"data": {"image": np.zeros((2, 3))}}, r"no channel data and no beamformed IQ"),
        ({"data": {"beamformed_data": np.zeros((2, 3, 4))}}, r"beamformed_data: no pixel positions"),
    ],
)
def test_bad_fields_are_refused(write_zea: Write, changes: dict[str, Any], message: str) -> None:
    path = write_zea(**changes)
    with pytest.raises(TrueflowError, match=message) as caught:
        ZeaRecording(path)
    assert str(path) in str(caught.value)


def test_huge_declared_dimensions_are_refused_before_anything_is_allocated(write_zea: Write) -> None:
    path = write_zea()
    for shape in ((6, 1, 1 << 22, 17, 1), (6, 1 << 40, 23, 17, 1)):
        with h5py.File(path, "a") as file:
            del file["tracks/track_0/data/raw_data"]
            file["tracks/track_0/data"].create_dataset("raw_data", shape, np.int16, chunks=(1, 1, 23, 17, 1))
        with pytest.raises(TrueflowError, match=r"raw_data: (implausibly large|nothing stored)"):
            ZeaRecording(path)


@pytest.mark.parametrize("kept", [0.1, 0.6, 0.99])
def test_truncated_file_is_refused(write_zea: Write, kept: float) -> None:
    path = write_zea()
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(TrueflowError, match=r"zea\.hdf5: cannot be read.*truncated"):
        ZeaRecording(path)


def test_damaged_samples_are_refused_when_read(write_zea: Write, counted: Counted) -> None:
    path = write_zea()
    with h5py.File(path, "a") as file:
        data = file["tracks/track_0/data"]
        del data["raw_data"]
        data.create_dataset("raw_data", data=counted(6, 1, 23, 17, 1), chunks=(1, 1, 23, 17, 1), compression="gzip")
        damaged = data["raw_data"].id.get_chunk_info(2)
    content = bytearray(path.read_bytes())
    content[damaged.byte_offset : damaged.byte_offset + damaged.size] = b"\xff" * damaged.size
    path.write_bytes(content)
    recording = ZeaRecording(path)
    recording.read(0, 2)
    with pytest.raises(TrueflowError, match=r"raw_data: cannot be read"):
        recording.read(2, 3)


def test_only_the_frames_asked_for_are_read(write_zea: Write) -> None:
    raw = np.zeros((6, 1, 23, 17, 1), np.float32)
    raw[4] = np.nan
    recording = ZeaRecording(write_zea(raw))
    assert recording.read(0, 4).dtype == np.float32
    with pytest.raises(TrueflowError, match="raw_data: not finite"):
        recording.read(4, 5)


@pytest.mark.recordings
def test_the_real_disk_is_the_one_in_the_must_file(recordings: Path) -> None:
    must, zea = MustRecording(recordings / "PWI_disk.mat"), ZeaRecording(recordings / "rotating_disk_zea.hdf5")
    one, other = must.acquisition, zea.acquisition
    np.testing.assert_allclose(other.probe.element_positions_m, one.probe.element_positions_m, atol=1e-7)
    for name in ("prf_hz", "sampling_frequency_hz", "rx_start_s", "sound_speed_m_s", "center_frequency_hz"):
        assert getattr(other, name) == pytest.approx(getattr(one, name), rel=1e-7)  # float32 in the file
    assert (other.transmits, other.n_samples, other.n_ensemble) == (one.transmits, one.n_samples, one.n_ensemble)
    np.testing.assert_array_equal(zea.read(0, 32), must.read(0, 32))
