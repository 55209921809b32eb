"""ARRUS' file device: the .bin, what describes it, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trueflow.pipeline.acquisition import DivergingWave, PlaneWave
from trueflow.pipeline.cli import main
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.sources.arrus_bin import ArrusBinRecording
from trueflow.pipeline.sources.prototxt import read_prototxt

N_FRAMES, N_REPEATS, N_TRANSMITS, N_ELEMENTS, N_SAMPLES = 3, 5, 2, 7, 19
PROBE = {"kind": '"linear"', "n_elements": N_ELEMENTS, "pitch_m": 0.2e-3}
SEQUENCE = {
    "angles_rad": "[-0.1, 0.1]", "n_repeats": N_REPEATS, "center_frequency_hz": 6e6, "prf_hz": 10e3,
    "n_samples": N_SAMPLES,
}
PROTOTXT = """# a comment { with braces
file: {
  filepath: "NAME.bin"   # beside this file
  n_frames: 3
  probe_id { manufacturer: 'us4us' name: "SL1543" }
}
other: [1, 2.5, { a: true }]
"""
Write = Callable[..., Path]


@pytest.fixture
def raw() -> np.ndarray:
    """int16 (frames, 1, firings, elements, samples, 1), all different."""
    shape = (N_FRAMES, 1, N_REPEATS * N_TRANSMITS, N_ELEMENTS, N_SAMPLES, 1)
    return np.arange(np.prod(shape)).reshape(shape).astype("<i2")


@pytest.fixture
def write(tmp_path: Path, raw: np.ndarray) -> Write:
    def build(
        samples: np.ndarray | bytes = raw, *, prototxt: str | None = PROTOTXT.replace("NAME", "x"),
        probe: dict[str, Any] | None = None, **sequence: Any,
    ) -> Path:
        (tmp_path / "x.bin").write_bytes(samples if isinstance(samples, bytes) else samples.tobytes())
        lines = []
        for name, table in (("probe", {**PROBE, **(probe or {})}), ("sequence", {**SEQUENCE, **sequence})):
            lines += [f"[{name}]", *(f"{key} = {value}" for key, value in table.items() if value is not None)]
        (tmp_path / "x.toml").write_text("\n".join(lines))
        if prototxt is not None:
            (tmp_path / "x.prototxt").write_text(prototxt)
        return tmp_path / "x.bin"

    return build


@pytest.mark.parametrize("suffix", [".bin", ".prototxt", ".toml"])
def test_slow_time_comes_from_any_of_the_three_files(write: Write, raw: np.ndarray, suffix: str) -> None:
    recording = ArrusBinRecording(write().with_suffix(suffix))
    expected = raw.reshape(N_FRAMES * N_REPEATS, N_TRANSMITS, N_ELEMENTS, N_SAMPLES).copy()
    expected[..., 0] = 0  # the file device writes metadata over it
    np.testing.assert_array_equal(recording.read(0, 15), expected)
    np.testing.assert_array_equal(recording.read(4, 9), expected[4:9])
    assert recording.read(4, 9).dtype == np.int16
    assert recording.read(3, 3).shape == (0, N_TRANSMITS, N_ELEMENTS, N_SAMPLES)
    assert (recording.n_slow_time, recording.burst_length) == (15, 5)
    acquisition = recording.acquisition
    assert acquisition.transmits == (PlaneWave(-0.1), PlaneWave(0.1))
    assert acquisition.sampling_frequency_hz == 65e6
    assert acquisition.slow_time_rate_hz == pytest.approx(5e3)
    assert (acquisition.n_ensemble, acquisition.sound_speed_m_s, acquisition.rx_start_s) == (5, 1540.0, 0.0)
    assert acquisition.probe.name == "SL1543"


@pytest.mark.parametrize("output", ["x.bin", "x.toml", "x.prototxt"])
def test_none_of_the_three_files_is_overwritten(write: Write, output: str, capsys: pytest.CaptureFixture[str]) -> None:
    source = write().with_suffix(".prototxt")
    before = (source.parent / output).read_bytes()
    with pytest.raises(SystemExit) as ended:
        main(["replay", str(source), "-o", str(source.parent / output), "--set", "grid.z_min_m=1e-4"])
    assert ended.value.code == 2
    assert "is an input" in capsys.readouterr().err
    assert (source.parent / output).read_bytes() == before


def test_frames_are_counted_where_no_prototxt_says(write: Write) -> None:
    assert ArrusBinRecording(write(prototxt=None)).n_slow_time == 15
    assert ArrusBinRecording(write(prototxt=None).with_suffix(".toml")).acquisition.probe.name == "unnamed"


def test_one_slow_time_sample_per_frame_runs_on_through_the_file(write: Write) -> None:
    recording = ArrusBinRecording(write(prototxt=None, n_repeats=None))
    assert (recording.n_slow_time, recording.burst_length) == (15, 15)


def test_iq_pairs(write: Write, raw: np.ndarray) -> None:
    pairs = np.concatenate([raw, -raw[..., ::-1, :]], axis=-1)
    recording = ArrusBinRecording(write(pairs, iq="true", demodulation_frequency_hz=5.5e6, sampling_frequency_hz=13e6))
    read = recording.read(1, 2)
    assert read.dtype == np.complex64
    flat = pairs.reshape(15, N_TRANSMITS, N_ELEMENTS, N_SAMPLES, 2).astype(np.float32)[1:2]
    np.testing.assert_array_equal(read[..., 1:], (flat[..., 0] + 1j * flat[..., 1])[..., 1:])
    assert (recording.acquisition.sample_kind, recording.acquisition.mixing_frequency_hz) == ("iq", 5.5e6)


def test_virtual_sources_and_convex_probe(write: Write) -> None:
    recording = ArrusBinRecording(
        write(angles_rad=None, virtual_sources_m="[[0.0, -0.01], [0.002, -0.01]]", n_receive_firings=2,
              probe={"kind": '"convex"', "radius_m": 0.04, "name": '"mine"'})
    )
    acquisition = recording.acquisition
    assert acquisition.transmits == (DivergingWave(0.0, -0.01), DivergingWave(0.002, -0.01))
    assert (acquisition.probe.kind, acquisition.probe.name) == ("convex", "mine")
    assert acquisition.slow_time_rate_hz == pytest.approx(10e3 / 4)


def test_staggered_pulses(write: Write, raw: np.ndarray) -> None:
    recording = ArrusBinRecording(write(raw[:2], prototxt=None, n_repeats=None, stagger='"3:4"'))
    assert (recording.acquisition.stagger, recording.acquisition.n_ensemble) == ((3, 4), 10)
    for text, message in (("3/4", "no stagger; found '3/4'"), ("4:2", "without a common factor")):
        with pytest.raises(TrueflowError, match=message):
            ArrusBinRecording(write(raw[:2], prototxt=None, n_repeats=None, stagger=f'"{text}"'))


@pytest.mark.parametrize("cut", [-1, 1, -2 * N_SAMPLES])
def test_a_size_that_does_not_fit_names_both_sizes(write: Write, raw: np.ndarray, cut: int) -> None:
    content = raw.tobytes()
    content = content[:cut] if cut < 0 else content + b"x"
    for prototxt in (PROTOTXT.replace("NAME", "x"), None):
        with pytest.raises(TrueflowError, match=f"x.bin.*found {len(content)} bytes; expected [0-9]+ bytes"):
            ArrusBinRecording(write(content, prototxt=prototxt))
    with pytest.raises(TrueflowError, match="expected 7980 bytes: 3 frame"):
        ArrusBinRecording(write(content))


def test_an_empty_bin_is_refused(write: Write) -> None:
    with pytest.raises(TrueflowError, match="found 0 bytes"):
        ArrusBinRecording(write(b"", prototxt=None))


def test_a_file_that_shrinks_while_it_is_read_is_noticed(write: Write) -> None:
    path = write()
    recording = ArrusBinRecording(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(TrueflowError, match="file ends early"):
        recording.read(0, 15)
    path.unlink()
    with pytest.raises(TrueflowError, match="cannot be read"):
        recording.read(0, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prf_hz": None}, r"\[sequence\] prf_hz: missing field"),
        ({"n_samples": None}, "n_samples: missing field"),
        ({"n_samples": 0}, "n_samples: out of range"),
        ({"n_samples": 19.0}, "n_samples: wrong type; found float"),
        ({"prf_hz": '"fast"'}, "prf_hz: wrong type; found str"),
        ({"prf_hz": "true"}, "prf_hz: wrong type; found bool"),
        ({"prf_hz": "nan"}, "acquisition.prf_hz: out of range"),
        ({"prf_hz": 0}, "acquisition.prf_hz: out of range"),
        ({"angles_rad": "[]"}, "no transmits"),
        ({"angles_rad": None}, "transmits are not described"),
        ({"virtual_sources_m": "[[0, -1]]"}, "transmits are not described; found angles_rad and virtual"),
        ({"angles_rad": "[5.0]"}, "angles_rad: out of range"),
        ({"angles_rad": '["a"]'}, "angles_rad: not numbers"),
        ({"angles_rad": "[nan]"}, "angles_rad: wrong shape"),
        ({"angles_rad": "[[1, 2], [3]]"}, "angles_rad: not numbers"),
        ({"angles_rad": None, "virtual_sources_m": "[[0.0, 0.03]]"}, "behind the array"),
        ({"angels_rad": "[0.0]"}, "unknown setting; did you mean 'angles_rad'"),
        ({"probe": {"pitch_m": None}}, r"\[probe\] pitch_m: missing field"),
        ({"probe": {"pitch_m": "-1"}}, "pitch_m: not positive"),
        ({"probe": {"pitch_m": "inf"}}, "pitch_m: not positive"),
        ({"probe": {"kind": '"matrix"'}}, "kind: unknown choice; found 'matrix'"),
        ({"probe": {"kind": '"convex"'}}, "radius_m: missing field"),
        ({"probe": {"n_elements": 10**9}}, "n_elements: out of range"),
    ],
)
def test_a_wrong_sidecar_is_named(write: Write, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TrueflowError, match=message) as refused:
        ArrusBinRecording(write(**changes))
    assert "x.toml" in str(refused.value)


def test_a_missing_or_broken_sidecar(write: Write) -> None:
    path = write()
    path.with_suffix(".toml").write_bytes(b"\xff\xfe = [")
    with pytest.raises(TrueflowError, match="not TOML"):
        ArrusBinRecording(path)
    path.with_suffix(".toml").write_text("[probe]\npitch_m = 1e-3")
    with pytest.raises(TrueflowError, match="missing section"):
        ArrusBinRecording(path)
    path.with_suffix(".toml").write_text("a = " + "[" * 100_000)
    with pytest.raises(TrueflowError, match="not TOML"):
        ArrusBinRecording(path)
    path.with_suffix(".toml").unlink()
    with pytest.raises(TrueflowError, match=r"x\.toml: the acquisition is not described"):
        ArrusBinRecording(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "missing field"), ("file: {}", "file.filepath: missing field"), ("file: 3", "missing field"),
        ('file { filepath: "x.bin" }', "not a frame count"),
        ('file { filepath: "x.bin" n_frames: 0 }', "not a frame count; found 0"),
        ('file { filepath: "x.bin" n_frames: 2.5 }', "not a frame count"),
        ('file { filepath: "x.bin" n_frames: nan }', "not a frame count"),
        ('file { filepath: "x.bin" n_frames: 99 }', "found 7980 bytes; expected 263340 bytes"),
        ('file { filepath: "y.bin" n_frames: 3 }', "not described"),
        ("file {", "not protobuf text; found end of file"), ("file { a }", "not protobuf text"),
        ("file: }", "not protobuf text"), ('file { filepath: "x.bin', "line 1"), ("}", "not protobuf text"),
        ("a {" * 1000, "nested deeper"), ("a: " + "[" * 1000, "nested deeper"), ("a: [1 2]", "not protobuf text"),
        ("#" * 60_000 + "\n\x01", "not protobuf text"), ("a: \x00", "not protobuf text"),
    ],
)
def test_a_wrong_prototxt_is_named(write: Write, text: str, message: str) -> None:
    with pytest.raises(TrueflowError, match=message):
        ArrusBinRecording(write(prototxt=text).with_suffix(".prototxt"))


def test_prototxt_values(tmp_path: Path) -> None:
    path = tmp_path / "a.prototxt"
    path.write_text("a: 'it\\'s' b { c: -1.5e3, d: ON; d: OFF } e: [1, 'x', < f: 2 >] # end")
    assert read_prototxt(path) == {"a": "it's", "b": {"c": -1500.0, "d": "OFF"}, "e": [1.0, "x", {"f": 2.0}]}
    path.write_bytes(b"\xff\xff")
    with pytest.raises(TrueflowError, match="not text"):
        read_prototxt(path)
    path.write_bytes(b" " * ((1 << 20) + 1))
    with pytest.raises(TrueflowError, match="too large"):
        read_prototxt(path)
