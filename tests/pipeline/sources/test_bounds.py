"""Small files that would take much time or memory: an end to packets, waves, arrays and parts."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from trueflow.pipeline.acquisition import DivergingWave, PlaneWave
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.probe import Probe
from trueflow.pipeline.sim.options import parse_url
from trueflow.pipeline.sim.scene import MOST_VESSELS, Scene
from trueflow.pipeline.sim.vessels import MOST_POINTS, Tube
from trueflow.pipeline.sources import Framing
from trueflow.pipeline.sources.mat5_check import MOST_ARRAYS, check_structure
from trueflow.pipeline.sources.pulse_order import arrange
from trueflow.pipeline.sources.transmits import MOST_WAVES, transmit_from_delays, waves_from_delays

Write = Callable[..., Path]
PROBE = Probe.linear(8, pitch_m=0.3e-3)


def test_packets_that_no_memory_holds_are_refused_before_they_are_read(make_recording: Any) -> None:
    recording = make_recording(64)
    recording.acquisition = replace(recording.acquisition, n_samples=1 << 22)  # 64 elements: 512 MiB a pulse
    with pytest.raises(TrueflowError, match=r"packets are too large; found 8 GiB for 16 pulses; expected <= 4 GiB"):
        Framing(16).resolve(recording)
    with pytest.raises(TrueflowError, match=r"found 7.5 GiB for 15 pulses"):  # as many are read
        Framing(8, decimate=2).resolve(recording)
    assert len(Framing(8).resolve(recording)[2]) == 8


def test_packets_that_no_list_holds_are_refused(make_recording: Any) -> None:
    recording = make_recording(1 << 40)
    with pytest.raises(TrueflowError, match="implausibly many packets; found 68719476736"):
        Framing(16).resolve(recording)


def test_waves_have_an_end() -> None:
    rows = np.linspace(0, 1e-6, MOST_WAVES + 1)[:, None] * np.arange(8)[None] / 8
    options: dict[str, Any] = {"center_frequency_hz": 5e6, "where": "delays"}
    assert len(waves_from_delays(np.repeat(rows[:3], 1000, axis=0), PROBE, 1540.0, **options)) == 3000
    with pytest.raises(TrueflowError, match="delays: implausibly many different transmits"):
        waves_from_delays(rows, PROBE, 1540.0, **options)
    many = [PlaneWave(angle) for angle in np.linspace(-0.5, 0.5, MOST_WAVES + 1)]
    with pytest.raises(TrueflowError, match="implausibly many different transmits"):
        arrange(many, 1, 1e-4, where="x")
    assert len(arrange(many[:-1], 2, 1e-4, where="x").transmits) == MOST_WAVES


def test_the_order_of_many_pulses_takes_no_long_time() -> None:
    """55,440 has 120 divisors: a comparison of pulse with pulse for each of them would take seconds."""
    pulses = [PlaneWave(0.0)] * 55_439 + [PlaneWave(0.1)]
    with pytest.raises(TrueflowError, match=r"cannot be compounded"):
        arrange(pulses, 1, 1e-4, where="x")
    order = arrange([PlaneWave(0.0), DivergingWave(0.0, -0.01)] * 20_000, 1, 1e-4, where="x")
    assert (len(order.transmits), order.n_repeats) == (2, 20_000)


@pytest.mark.parametrize(
    ("probe", "speed_m_s", "frequency_hz"),
    [(PROBE, 1540.0, 0.0), (PROBE, 0.0, 5e6), (PROBE, float("nan"), 5e6), (Probe.linear(8, pitch_m=1e-9), 1540.0, 5e6)],
)
def test_no_wave_is_fitted_to_what_cannot_be(probe: Probe, speed_m_s: float, frequency_hz: float) -> None:
    with pytest.raises(TrueflowError, match=r"out of range|elements in one place"):
        transmit_from_delays(np.zeros(8), probe, speed_m_s, center_frequency_hz=frequency_hz)


def test_scenes_have_an_end() -> None:
    tube = Tube(((0.0, 0.01), (0.01, 0.02)))
    with pytest.raises(TrueflowError, match="found 17 vessels"):
        Scene("x", (tube,) * (MOST_VESSELS + 1))
    with pytest.raises(TrueflowError, match="too many points"):
        Tube(tuple((i * 1e-4, 0.01) for i in range(MOST_POINTS + 1)))
    with pytest.raises(TrueflowError, match="up to 128 within"):
        parse_url("sim://femoral?angle=" + ",".join(["1"] * 129))


# MATLAB files whose variables are compressed: their checksums are right.


def packed(content: bytes) -> bytes:
    """A file of one compressed variable."""
    memory = io.BytesIO()
    savemat(memory, {})
    body = zlib.compress(content, 9)
    return memory.getvalue()[:128] + struct.pack("<II", 15, len(body)) + body


def matrix(kind: int, shape: tuple[int, ...], content: bytes) -> bytes:
    sides = struct.pack(f"<{len(shape)}i", *shape)
    body = struct.pack("<IIII", 6, 8, kind, 0) + struct.pack("<II", 5, len(sides)) + sides + bytes(-len(sides) % 8)
    body += struct.pack("<HH4s", 1, 2, b"RF\0\0") + content
    return struct.pack("<II", 14, len(body)) + body


EMPTY_CELL = struct.pack("<II", 14, 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (matrix(10, (3, 2, 2), struct.pack("<II", 3, 8) + bytes(8)), "8 bytes for 12 numbers at byte"),
        (matrix(4, (1 << 30, 1), struct.pack("<II", 16, 0)), "0 bytes for 1073741824 characters"),
        (matrix(1, (1 << 30, 1), EMPTY_CELL), "the end at byte|0 left"),
        (matrix(1, (MOST_ARRAYS + 1, 1), EMPTY_CELL * (MOST_ARRAYS + 1)), f"more than {MOST_ARRAYS} arrays"),
        (matrix(2, (1, 1), struct.pack("<HHI", 5, 4, 0) + struct.pack("<II", 1, 0)), "field names"),
        (matrix(0, (1, 1), b""), "array class 0"),
        (matrix(18, (1, 1), b""), "array class 18"),
        (struct.pack("<II", 14, 64) + bytes(8), "end at byte|array flags|type 0"),
        (struct.pack("<II", 9, 8) + bytes(8), "type 9"),
        (matrix(10, (1,) * 40, b""), "dimensions of 160 bytes"),
    ],
)
def test_compressed_variables_are_walked_before_scipy_sees_them(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.mat"
    path.write_bytes(packed(content))
    with pytest.raises(TrueflowError, match=message):
        check_structure(path)


def test_function_handles_and_objects_may_lie_beside_the_data(tmp_path: Path) -> None:
    """Workspaces have them, in structs too; nobody reads them."""
    inner = matrix(10, (1, 1), struct.pack("<II", 9, 8) + bytes(8))
    small = struct.pack("<HH4s", 1, 1, b"x\0\0\0")
    opaque = struct.pack("<IIII", 6, 8, 17, 0) + small * 3 + inner
    path = tmp_path / "x.mat"
    for content in (matrix(16, (1, 1), inner), struct.pack("<II", 14, len(opaque)) + opaque):
        path.write_bytes(packed(content))
        check_structure(path)
        path.write_bytes(packed(matrix(1, (1, 1), content)))
        check_structure(path)
