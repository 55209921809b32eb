"""UFF recordings: channel data, IQ, waves, beamformed data, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from trueflow.pipeline.acquisition import DivergingWave, PlaneWave
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.sources.must import MustRecording
from trueflow.pipeline.sources.uff import UffRecording

Write = Callable[..., Path]
Counted = Callable[..., np.ndarray]


def wave(azimuth: float = 0.0, distance: float = np.inf, wavefront: int = 0, **more: Any) -> dict[str, Any]:
    return {"wavefront": [[wavefront]], "source": {"distance": distance, "azimuth": azimuth, "elevation": 0.0}, **more}


def scan(kind: str = "uff.linear_scan", **axes: Any) -> dict[str, Any]:
    grid = {"x_axis": np.arange(3.0)[None] * 1e-3, "z_axis": np.arange(1, 5.0)[None] * 1e-3}
    return {"class": kind, **(axes or grid)}


def beamformed(data: np.ndarray, **more: Any) -> dict[str, Any]:
    return {
        "class": "uff.beamformed_data", "data": data, "scan": scan(), "PRF": 4e3,
        "pulse": {"class": "uff.pulse", "center_frequency": 5e6}, **more,
    }


def test_channel_rf(write_uff: Write, counted: Counted, elements_m: np.ndarray) -> None:
    data = counted(6, 1, 17, 23).astype(np.float32)
    with UffRecording(write_uff(data)) as recording:
        acquisition, read = recording.acquisition, recording.read(2, 5)
    assert read.dtype == np.float32
    assert read.flags.c_contiguous
    np.testing.assert_array_equal(read, data[2:5])
    assert (recording.n_slow_time, recording.burst_length, acquisition.sample_kind) == (6, 6, "rf")
    assert (acquisition.prf_hz, acquisition.rx_start_s, acquisition.sound_speed_m_s) == (8e3, 2e-6, 1500.0)
    assert acquisition.transmits == (PlaneWave(0.0, 0.0),)
    np.testing.assert_allclose(acquisition.probe.element_positions_m[:, 0], elements_m, atol=1e-9)
    assert acquisition.probe.element_width_m == pytest.approx(0.25e-3)


def test_the_object_may_have_any_name(write_uff: Write, counted: Counted) -> None:
    path = write_uff()
    with h5py.File(path, "a") as file:
        file.move("channel_data", "my recording")
        file["my recording"].attrs["class"] = np.bytes_("uff.channel_data")
        file["phantom/points"] = np.zeros(3)
    assert UffRecording(path).n_slow_time == 6
    with pytest.raises(TrueflowError, match=r"recording1: no such object; did you mean 'my recording'"):
        UffRecording(path, name="my recording1")


def test_complex_samples_are_iq(write_uff: Write, counted: Counted) -> None:
    data = counted(4, 2, 17, 23) * np.complex64(1 + 2j)
    path = write_uff(data, waves=[wave(-0.1), wave(0.1)], modulation_frequency=4.5e6)
    recording = UffRecording(path)
    assert (recording.acquisition.sample_kind, recording.acquisition.mixing_frequency_hz) == ("iq", 4.5e6)
    assert recording.read(0, 4).dtype == np.complex64
    np.testing.assert_array_equal(recording.read(1, 4), data[1:])


def test_without_a_pulse_iq_is_taken_to_be_centered(write_uff: Write, counted: Counted, gone: object) -> None:
    path = write_uff(counted(4, 1, 17, 23) * 1j, pulse=gone, modulation_frequency=4.5e6)
    assert UffRecording(path).acquisition.center_frequency_hz == 4.5e6


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (wave(0.2), PlaneWave(0.2)),
        (wave(0.2, wavefront=1), PlaneWave(0.2)),
        (wave(0.2, distance=1e9, wavefront=1), PlaneWave(0.2)),
        (wave(0.2, distance=-np.inf, wavefront=1), PlaneWave(0.2)),
        (wave(0.2, distance=-0.01, wavefront=1), DivergingWave(-0.01 * np.sin(0.2), -0.01 * np.cos(0.2))),
        (wave(np.pi - 0.2, distance=0.01, wavefront=1), DivergingWave(0.01 * np.sin(0.2), -0.01 * np.cos(0.2))),
        (wave(0.1, delay=-3e-6), PlaneWave(0.1, 3e-6)),
    ],
)
def test_waves(write_uff: Write, stored: dict[str, Any], expected: PlaneWave | DivergingWave) -> None:
    found = UffRecording(write_uff(waves=[stored])).acquisition.transmits[0]
    assert type(found) is type(expected)
    places = ["angle_rad"] if isinstance(expected, PlaneWave) else ["source_x_m", "source_z_m"]
    for name in ("origin_time_s", *places):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), abs=1e-9)


def test_a_single_wave_may_stand_without_a_list(write_uff: Write) -> None:
    path = write_uff(sequence={"class": "uff.wave", **wave(0.2)})
    assert UffRecording(path).acquisition.transmits == (PlaneWave(0.2),)


def test_waves_are_taken_in_order_beyond_ten_thousand_names(write_uff: Write, counted: Counted) -> None:
    path = write_uff(counted(2, 2, 17, 23).astype(np.float32), sequence={
        "sequence_10000": wave(0.2), "sequence_9999": wave(0.1),
    })
    assert [t.angle_rad for t in UffRecording(path).acquisition.transmits] == [0.1, 0.2]  # type: ignore[union-attr]


@pytest.mark.parametrize(("shape", "n_waves"), [((5, 17, 23), 5), ((17, 23), 1)])
def test_axes_that_matlab_dropped(write_uff: Write, counted: Counted, shape: tuple[int, ...], n_waves: int) -> None:
    data = counted(*shape).astype(np.float32)
    recording = UffRecording(write_uff(data, waves=[wave()] * n_waves))
    assert recording.n_slow_time == n_waves
    np.testing.assert_array_equal(recording.read(0, n_waves), data.reshape(n_waves, 1, 17, 23))


def test_equal_waves_are_slow_time_and_frames_bursts(write_uff: Write, counted: Counted) -> None:
    data = counted(3, 4, 17, 23).astype(np.float32)
    recording = UffRecording(write_uff(data, waves=[wave(0.1)] * 4))
    assert (recording.n_slow_time, recording.burst_length, recording.acquisition.n_transmits) == (12, 4, 1)
    np.testing.assert_array_equal(recording.read(3, 9), data.reshape(12, 1, 17, 23)[3:9])


def test_curved_arrays_look_where_their_elements_do(write_uff: Write) -> None:
    theta = np.linspace(-0.4, 0.4, 17)
    geometry = np.zeros((7, 17))
    geometry[0], geometry[2], geometry[3] = 0.05 * np.sin(theta), 0.05 * (np.cos(theta) - 1), theta
    probe = UffRecording(write_uff(probe={"class": "uff.curvilinear_array", "geometry": geometry})).acquisition.probe
    assert (probe.kind, probe.element_width_m) == ("convex", None)
    np.testing.assert_allclose(probe.element_angles_rad, theta)


@pytest.mark.parametrize("with_channels", [False, True])
def test_beamformed_iq_with_depth_running_fastest(write_uff: Write, gone: object, with_channels: bool) -> None:
    image = np.random.default_rng(0).standard_normal((5, 4, 3, 2)).astype(np.float32).view(np.complex64)[..., 0]
    pixels = image.swapaxes(1, 2).reshape(5, 1, 1, 12)
    group = beamformed(pixels)
    if with_channels:  # PRF, sequence and pulse then come from the channel data beside it
        del group["PRF"], group["pulse"]
        path = write_uff(waves=[wave(-0.1), wave(0.1)], data=np.zeros((2, 2, 17, 23), np.float32), others={"b": group})
        recording = UffRecording(path, name="b")
    else:
        recording = UffRecording(write_uff(others={"b": group, "channel_data": {}}))
    assert recording.acquisition.sample_kind == "beamformed"
    assert recording.acquisition.slow_time_rate_hz == 4e3  # 8 kHz over two waves, or the object's own 4 kHz
    assert recording.grid is not None
    np.testing.assert_allclose(recording.grid.axis_1, np.arange(3) * 1e-3)
    np.testing.assert_array_equal(recording.read(1, 4), image[1:4])


def test_beamformed_waves_are_compounded(write_uff: Write) -> None:
    pixels = (np.arange(2 * 2 * 12) * (1 + 1j)).astype(np.complex64).reshape(2, 2, 1, 12)
    sequence = {"sequence_0001": wave(-0.1), "sequence_0002": wave(0.1)}
    recording = UffRecording(write_uff(others={"channel_data": beamformed(pixels, sequence=sequence)}))
    assert recording.acquisition.slow_time_rate_hz == 2e3
    np.testing.assert_array_equal(recording.read(0, 2), pixels.sum((1, 2)).reshape(2, 3, 4).swapaxes(1, 2))


@pytest.mark.parametrize("point", ["apex", "origin"])
def test_sector_scans_have_an_apex(write_uff: Write, point: str) -> None:
    sector = scan(
        "uff.sector_scan", azimuth_axis=np.linspace(-0.3, 0.3, 3), depth_axis=0.05 + np.arange(4) * 1e-3,
        **{point: {"distance": -0.04, "azimuth": 0.0, "elevation": 0.0}},
    )
    group = beamformed(np.zeros((5, 1, 1, 12), np.complex64), scan=sector)
    grid = UffRecording(write_uff(others={"channel_data": group})).grid
    assert grid is not None
    assert (grid.kind, grid.apex_z_m, grid.shape) == ("polar", -0.04, (4, 3))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": np.zeros((5, 1, 1, 12), np.float32)}, "data: not IQ; found real numbers"),
        ({"data": np.zeros((5, 1, 1, 13), np.complex64)}, "data: does not fit the scan; found 1 channels, 13 pixels"),
        ({"scan": scan("uff.linear_3D_scan")}, "scan: not an image; found uff.linear_3D_scan"),
        ({"scan": scan(x_axis=np.arange(3.0))}, "scan z_axis: missing field"),
        ({"scan": scan(x_axis=[0, np.nan, 1], z_axis=np.arange(4.0))}, "grid.axis_1: not an axis"),
        ({"PRF": np.nan}, "PRF: not finite"),
    ],
)
def test_bad_beamformed_data_is_refused(write_uff: Write, change: dict[str, Any], message: str) -> None:
    path = write_uff(others={"channel_data": {**beamformed(np.zeros((5, 1, 1, 12), np.complex64)), **change}})
    with pytest.raises(TrueflowError, match=message) as caught:
        UffRecording(path)
    assert str(path) in str(caught.value)


def test_a_missing_prf_says_what_to_do(write_uff: Write, gone: object) -> None:
    path = write_uff(PRF=gone)
    with pytest.raises(TrueflowError, match=r"c\.uff channel_data PRF: missing field.*write it, in Hz"):
        UffRecording(path)


@pytest.mark.parametrize("field", ["data", "probe", "sampling_frequency", "sequence", "pulse"])
def test_missing_field_is_refused(write_uff: Write, gone: object, field: str) -> None:
    path = write_uff(**{field: gone})
    with pytest.raises(TrueflowError, match=rf"c\.uff channel_data[ /]{field}"):
        UffRecording(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": np.zeros(23, np.float32)}, r"data: wrong rank; found shape \(23,\)"),
        ({"data": np.zeros((0, 1, 17, 23), np.float32)}, r"data: no samples; found frames = 0"),
        ({"data": np.zeros((6, 1, 16, 23), np.float32)}, r"probe: does not fit the samples; found 17 elements"),
        ({"data": np.zeros((6, 2, 17, 23), np.float32)}, r"sequence: does not fit the samples; found 1 waves"),
        ({"data": np.zeros((6, 1, 17, 23), np.int64)}, r"data: wrong type; found int64"),
        ({"modulation_frequency": 5e6}, r"modulation_frequency: neither RF nor IQ; found 5e\+06 Hz with real"),
        ({"sampling_frequency": np.inf}, r"sampling_frequency: not finite"),
        ({"probe": {"geometry": np.full((7, 17), np.nan)}}, r"geometry: not finite"),
        ({"probe": {"geometry": np.zeros((3, 17))}}, r"geometry: wrong shape; found \(3, 17\); expected \(7, n\)"),
        ({"waves": [wave(wavefront=2)]}, r"wavefront: unsupported wave; found 2"),
        ({"waves": [wave(distance=0.03, wavefront=1)]}, r"source: the virtual source must lie behind the array"),
        ({"waves": [wave(distance=np.nan, wavefront=1)]}, r"distance: no distance"),
        ({"waves": [{"wavefront": 0}]}, r"source: missing field"),
        ({"waves": [wave(delay=np.nan)]}, r"delay: not finite"),
    ],
)
def test_bad_fields_are_refused(write_uff: Write, changes: dict[str, Any], message: str) -> None:
    path = write_uff(**changes)
    with pytest.raises(TrueflowError, match=message) as caught:
        UffRecording(path)
    assert str(path) in str(caught.value)


def test_elevated_waves_are_refused(write_uff: Write) -> None:
    tilted = {"wavefront": 0, "source": {"distance": np.inf, "azimuth": 0.0, "elevation": 0.1}}
    path = write_uff(waves=[tilted])
    with pytest.raises(TrueflowError, match="elevation: off the imaging plane"):
        UffRecording(path)


def test_parts_of_different_shape_are_refused(write_uff: Write) -> None:
    path = write_uff(np.ones((6, 1, 17, 23), np.complex64), modulation_frequency=5e6)
    with h5py.File(path, "a") as file:
        del file["channel_data/data/imag"]
        file["channel_data/data/imag"] = np.zeros((6, 1, 17, 22), np.float32)
    with pytest.raises(TrueflowError, match="data: parts do not match"):
        UffRecording(path)


@pytest.mark.parametrize("kept", [0.3, 0.99])
def test_truncated_file_is_refused(write_uff: Write, kept: float) -> None:
    path = write_uff()
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(TrueflowError, match=r"c\.uff: cannot be read.*truncated"):
        UffRecording(path)


@pytest.mark.recordings
def test_the_real_disk_is_the_one_in_the_must_file(recordings: Path) -> None:
    must, uff = MustRecording(recordings / "PWI_disk.mat"), UffRecording(recordings / "rotating_disk.uff")
    one, other = must.acquisition, uff.acquisition
    np.testing.assert_allclose(other.probe.element_positions_m, one.probe.element_positions_m, atol=1e-7)
    for name in ("prf_hz", "sampling_frequency_hz", "rx_start_s", "sound_speed_m_s", "center_frequency_hz"):
        assert getattr(other, name) == pytest.approx(getattr(one, name), rel=1e-9)
    assert (other.transmits, other.n_samples, other.n_ensemble) == (one.transmits, one.n_samples, one.n_ensemble)
    read = uff.read(0, 32)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, must.read(0, 32))


def test_an_arc_whose_elements_look_one_way_is_refused(write_uff: Write) -> None:
    geometry = np.zeros((7, 17), np.float32)
    geometry[0], geometry[5] = np.linspace(-2e-3, 2e-3, 17), 0.2e-3
    with pytest.raises(TrueflowError, match="a curved probe whose elements look one way"):
        UffRecording(write_uff(probe={"class": "uff.curvilinear_array", "geometry": geometry}))
