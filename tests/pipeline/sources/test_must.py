"""MUST recordings: what is read, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy.io import loadmat, savemat
from scipy.sparse import csc_matrix

from trueflow.pipeline.acquisition import DivergingWave, PlaneWave
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.sources.must import MustRecording

Write = Callable[..., Path]


def test_narrow_integers_become_floats_before_anything_is_multiplied(write_must: Write) -> None:
    with MustRecording(write_must()) as recording:
        acquisition = recording.acquisition
    assert acquisition.nyquist_velocity_m_s() == pytest.approx(1500 * 8000 / (4 * 5e6))
    for name in ("sound_speed_m_s", "prf_hz", "center_frequency_hz", "sampling_frequency_hz", "rx_start_s"):
        assert type(getattr(acquisition, name)) is float


def test_samples_arrive_as_pulses_elements_samples_of_int16(
    write_must: Write, counted: Callable[..., np.ndarray]
) -> None:
    rf = counted(23, 17, 6)
    recording = MustRecording(write_must(rf))
    read = recording.read(1, 5)
    assert read.dtype == np.int16
    assert read.flags.c_contiguous
    assert (recording.n_slow_time, recording.burst_length) == (6, 6)
    np.testing.assert_array_equal(read, rf.transpose(2, 1, 0)[1:5, None])
    assert recording.read(2, 2).shape == (0, 1, 17, 23)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [(np.uint8, np.int16), (np.float64, np.float32), (np.float32, np.float32), (np.complex128, np.complex64)],
)
def test_sample_types(write_must: Write, stored: type, expected: type) -> None:
    rf = (np.arange(23 * 17 * 6) % 200).reshape(23, 17, 6).astype(stored)
    recording = MustRecording(write_must(rf))
    assert recording.read(0, 2).dtype == expected
    np.testing.assert_array_equal(recording.read(0, 6)[:, 0], rf.transpose(2, 1, 0))
    iq = np.dtype(stored).kind == "c"
    assert recording.acquisition.sample_kind == ("iq" if iq else "rf")
    assert recording.acquisition.mixing_frequency_hz == 5e6


def test_integers_beyond_int16_become_floats(write_must: Write) -> None:
    rf = np.full((23, 17, 6), 70_000, np.int32)
    assert (MustRecording(write_must(rf)).read(0, 1) == 70_000).all()


def test_defaults_are_those_of_must(write_must: Write, gone: object) -> None:
    optional = dict.fromkeys(("c", "t0", "width", "bandwidth", "Nelements"), gone)
    acquisition = MustRecording(write_must(**optional)).acquisition
    assert (acquisition.sound_speed_m_s, acquisition.rx_start_s) == (1540.0, 0.0)
    assert acquisition.probe.bandwidth_fraction is None
    assert acquisition.probe.element_width_m is None


def test_probe_is_linear_unless_it_has_a_radius(write_must: Write) -> None:
    flat = MustRecording(write_must(radius=np.inf)).acquisition.probe
    assert (flat.kind, flat.bandwidth_fraction, flat.element_width_m) == ("linear", 0.6, 0.25e-3)
    # unit delays on a curved array make a wave that diverges from the center of curvature
    recording = MustRecording(write_must(radius=0.04))
    assert recording.acquisition.probe.kind == "convex"
    wave = recording.acquisition.transmits[0]
    assert isinstance(wave, DivergingWave)
    assert (wave.source_x_m, wave.source_z_m) == pytest.approx((0.0, -0.04), abs=1e-6)
    assert wave.origin_time_s == pytest.approx(0.0, abs=1e-11)


def test_delays_tell_the_wave(write_must: Write, elements_m: np.ndarray) -> None:
    steered = elements_m * np.sin(0.2) / 1500.0
    wave = MustRecording(write_must(TXdelay=steered[None] - steered.min())).acquisition.transmits[0]
    assert isinstance(wave, PlaneWave)
    assert wave.angle_rad == pytest.approx(0.2, abs=1e-6)
    assert wave.origin_time_s == pytest.approx(-steered.min(), abs=1e-11)


def test_several_transmits_make_one_slow_time_sample(
    write_must: Write, counted: Callable[..., np.ndarray], elements_m: np.ndarray
) -> None:
    rf = counted(23, 17, 2, 5)
    delays = np.outer([np.sin(-0.1), np.sin(0.1)], elements_m) / 1500.0
    recording = MustRecording(write_must(rf, TXdelay=delays))
    assert [t.angle_rad for t in recording.acquisition.transmits] == pytest.approx([-0.1, 0.1], abs=1e-6)
    assert recording.n_slow_time == 5
    assert recording.acquisition.slow_time_rate_hz == 4000.0
    np.testing.assert_array_equal(recording.read(3, 5), rf.transpose(3, 2, 1, 0)[3:5])


def test_equal_transmits_are_slow_time_themselves(write_must: Write, counted: Callable[..., np.ndarray]) -> None:
    rf = counted(23, 17, 4, 3)
    recording = MustRecording(write_must(rf, TXdelay=np.zeros((4, 17))))
    assert (recording.n_slow_time, recording.burst_length) == (12, 4)
    assert recording.acquisition.slow_time_rate_hz == 8000.0
    np.testing.assert_array_equal(recording.read(3, 9), rf.transpose(3, 2, 1, 0).reshape(12, 1, 17, 23)[3:9])


@pytest.mark.parametrize("complex_samples", [False, True])
def test_version_73_files_are_read_pulse_by_pulse(
    tmp_path: Path, counted: Callable[..., np.ndarray], complex_samples: bool
) -> None:
    rf = counted(6, 17, 23)
    stored: Any = rf
    if complex_samples:
        stored = np.zeros(rf.shape, [("real", "f8"), ("imag", "f8")])
        stored["real"], stored["imag"] = rf, 2 * rf
    with h5py.File(tmp_path / "v73.mat", "w", userblock_size=512) as file:
        file["RF"] = stored
        param = {"fs": 20e6, "fc": 5e6, "PRF": 8e3, "pitch": 0.3e-3, "TXdelay": np.zeros((1, 17)).T}
        for name, value in param.items():
            file[f"param/{name}"] = np.atleast_2d(value)
    with MustRecording(tmp_path / "v73.mat") as recording:
        read = recording.read(2, 4)
    np.testing.assert_array_equal(read[:, 0], rf[2:4] * (1 + 2j) if complex_samples else rf[2:4])


@pytest.mark.parametrize("field", ["fs", "fc", "PRF", "pitch", "TXdelay"])
def test_missing_field_is_named(write_must: Write, gone: object, field: str) -> None:
    path = write_must(**{field: gone})
    with pytest.raises(TrueflowError, match=rf"must\.mat param {field}: missing field; found nothing; expected"):
        MustRecording(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"PRF": np.nan}, r"param PRF: not finite; found nan"),
        ({"PRF": 0}, r"param PRF: not positive; found 0"),
        ({"fs": 1e15}, r"must\.mat: acquisition\.sampling_frequency_hz: out of range"),
        ({"fc": [5e6, 6e6]}, r"param fc: wrong shape; found \(1, 2\)"),
        ({"fc": "5 MHz"}, r"param fc: not a number"),
        ({"pitch": np.nan}, r"param pitch: not finite"),
        ({"radius": np.nan}, r"param radius: not finite"),
        ({"Nelements": 64}, r"param Nelements: does not fit the samples; found 64; expected 17"),
        ({"TXdelay": np.zeros((1, 16))}, r"param TXdelay: wrong shape; found \(1, 16\); expected \(n, 17\)"),
        ({"TXdelay": np.zeros((2, 17))}, r"param TXdelay: does not fit the samples; found 2 transmits; expected 1"),
        ({"TXdelay": np.full((1, 17), np.nan)}, r"param TXdelay: too few elements fire; found 0"),
        ({"param": 3.0}, r"must\.mat param: not a struct"),
    ],
)
def test_bad_parameters_are_refused(write_must: Write, changes: dict[str, Any], message: str) -> None:
    path = write_must(**changes)
    with pytest.raises(TrueflowError, match=message):
        MustRecording(path)


@pytest.mark.parametrize(
    ("rf", "message"),
    [
        (np.zeros((23, 17), np.int16), r"RF: wrong rank; found shape \(23, 17\); expected \(samples, elements, pulses"),
        (np.zeros((23, 17, 0), np.int16), r"RF: no samples; found shape \(23, 17, 0\)"),
        (np.array(["echo"]), r"RF: wrong type"),
    ],
)
def test_bad_samples_are_refused(write_must: Write, rf: np.ndarray, message: str) -> None:
    path = write_must(rf)
    with pytest.raises(TrueflowError, match=message):
        MustRecording(path)


def test_nan_among_the_samples_is_refused_when_read(write_must: Write) -> None:
    rf = np.zeros((23, 17, 6))
    rf[3, 4, 5] = np.nan
    recording = MustRecording(write_must(rf))
    recording.read(0, 5)
    with pytest.raises(TrueflowError, match=r"RF: not finite"):
        recording.read(5, 6)


@pytest.mark.parametrize("kept", [100, 140, 0.5, 0.95])
def test_truncated_file_is_refused(write_must: Write, kept: float) -> None:
    path = write_must(np.random.default_rng(1).integers(-999, 999, (23, 17, 6), np.int16))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept if kept > 1 else kept * len(whole))])
    with pytest.raises(TrueflowError, match=r"must\.mat"):
        MustRecording(path)


def test_missing_samples_are_named(write_must: Write, gone: object) -> None:
    path = write_must(gone)
    with pytest.raises(TrueflowError, match=r"must\.mat RF: missing variable; found param; expected RF and param"):
        MustRecording(path)


@pytest.mark.recordings
def test_the_real_disk(recordings: Path) -> None:
    with MustRecording(recordings / "PWI_disk.mat") as recording:
        acquisition = recording.acquisition
        assert recording.read(0, 32).shape == (32, 1, 128, 334)
    assert acquisition.nyquist_velocity_m_s() == pytest.approx(0.74)
    assert acquisition.transmits == (PlaneWave(0.0, 0.0),)
    assert acquisition.probe.n_elements == 128


def test_a_small_file_of_very_many_numbers_is_refused(write_must: Write) -> None:
    path = write_must(np.zeros((1 << 19, 4, 2)))
    assert path.stat().st_size < 1 << 16
    with pytest.raises(TrueflowError, match="declares more than the file can hold"):
        MustRecording(path)


def test_sparse_samples_are_refused(write_must: Write) -> None:
    path = write_must(csc_matrix(np.eye(5)))
    with pytest.raises(TrueflowError, match=r"must\.mat RF: sparse array"):
        MustRecording(path)


@pytest.mark.parametrize("value", [0, 1, 5, 14, 255])
def test_no_damaged_byte_of_an_uncompressed_header_crashes(tmp_path: Path, write_must: Write, value: int) -> None:
    variables = loadmat(write_must())
    savemat(tmp_path / "plain.mat", {name: variables[name] for name in ("RF", "param")}, do_compression=False)
    whole = (tmp_path / "plain.mat").read_bytes()
    headers = [*range(124, 196), *range(whole.index(b"param") - 48, whole.index(b"param") + 8)]
    for at in headers:  # each of these bytes, and what it says, is read by scipy without a check
        damaged = bytearray(whole)
        damaged[at] = value
        (tmp_path / "damaged.mat").write_bytes(damaged)
        with suppress(TrueflowError):
            MustRecording(tmp_path / "damaged.mat").read(0, 1)
