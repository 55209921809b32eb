"""A small acquisition, and a vessel that never was: frames, a recording and a chain with known content."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from trueflow.pipeline import Acquisition, ColorFrame, Config, ImageGrid, PlaneWave, Probe, Recording, RfPacket, Stamp
from trueflow.pipeline.frames import BmodeFrame, DopplerFrame, VelocityFrame
from trueflow.pipeline.sources import Truth

NYQUIST_M_S = 0.3
PEAK_M_S = 0.5  # folds once


@pytest.fixture
def acquisition() -> Acquisition:
    probe = Probe.linear(32, pitch_m=0.3e-3, center_frequency_hz=5e6, bandwidth_fraction=0.6)
    return Acquisition(
        probe,
        (PlaneWave(0.0),),
        sampling_frequency_hz=20e6,
        center_frequency_hz=5e6,
        prf_hz=4e3,
        n_samples=400,
        n_ensemble=8,
    )


@dataclass(frozen=True)
class Vessel:
    """Parabolic flow towards the probe in a tube along x at 10 mm, radius 4 mm; peak 0.5 m/s, v_N 0.3 m/s."""

    acquisition: Acquisition
    grid: ImageGrid

    def frame(self, index: int = 0, *, peak_m_s: float = PEAK_M_S) -> ColorFrame:
        depth = np.abs(self.grid.z_m - 10e-3) / 4e-3
        mask = depth < 0.9
        true = np.where(depth < 1, peak_m_s * (1 - depth**2), 0.0)
        fold = np.round(true / (2 * NYQUIST_M_S)).astype(np.int8)
        wrapped = (true - 2 * NYQUIST_M_S * fold).astype(np.float32)
        velocity = wrapped + (2 * NYQUIST_M_S * fold).astype(np.float32)
        stamp = Stamp(index, acquisition_time_s=index * 4e-3)
        envelope = np.random.default_rng(index).rayleigh(size=mask.shape) * np.where(depth < 1, 0.01, 1.0)
        r0 = np.full(mask.shape, 2.0, np.float32)
        r1 = (r0 * 0.75 * np.exp(1j * np.pi * wrapped / NYQUIST_M_S)).astype(np.complex64)
        confidence = np.full(mask.shape, 0.5, np.float32)
        return ColorFrame(
            BmodeFrame(envelope.astype(np.float32), stamp),
            DopplerFrame(r1, r0, NYQUIST_M_S, stamp),
            None,
            VelocityFrame(velocity, wrapped, fold, confidence, mask, NYQUIST_M_S, stamp),
        )


class ToyRecording(Recording):
    """Slow-time samples that hold their own number."""

    format_name = "toy"

    def __init__(self, path: Path, acquisition: Acquisition, n_slow_time: int, *, has_truth: bool = False) -> None:
        self.path = path
        self.acquisition = acquisition
        self.n_slow_time = self.burst_length = n_slow_time
        self.has_truth = has_truth
        self.reads: list[tuple[int, int]] = []

    def read(self, start: int, stop: int) -> NDArray[Any]:
        self.reads.append((start, stop))
        numbers = np.arange(start, stop, dtype=np.int16)[:, None, None, None]
        return np.broadcast_to(numbers, (stop - start, 1, 4, 8)).copy()

    def truth(self, start: int, stop: int, grid: ImageGrid) -> Truth | None:
        if not self.has_truth:
            return None
        return Truth(np.full((40, 30), start, np.float32), np.full((40, 30), stop % 2 == 0))


class ToyFlow:
    """A chain that draws the vessel whatever comes in, remembers what came, and fails where it is told to."""

    def __init__(self, vessel: Vessel, *, fail_at: int | None = None, error: Callable[[], BaseException] = OSError):
        self.grid = vessel.grid
        self.config = Config()
        self.device = self
        self.packets: list[RfPacket] = []
        self._vessel, self._fail_at, self._error = vessel, fail_at, error

    def download(self, array: Any) -> Any:
        return array

    def __call__(self, packet: RfPacket) -> ColorFrame:
        if packet.stamp.index == self._fail_at:
            raise self._error()
        self.packets.append(packet)
        return self._vessel.frame(packet.stamp.index)


@pytest.fixture(scope="session")
def vessel() -> Vessel:
    probe = Probe.linear(64, pitch_m=0.3e-3, name="Toy 64", center_frequency_hz=5e6)
    acquisition = Acquisition(
        probe,
        (PlaneWave(0.1),),
        sampling_frequency_hz=20e6,
        center_frequency_hz=5e6,
        prf_hz=4000.0,
        n_samples=8,
        n_ensemble=16,
        sound_speed_m_s=1500.0,
    )
    grid = ImageGrid.cartesian(np.linspace(-7.5e-3, 7.5e-3, 30), np.linspace(1e-3, 20e-3, 40))
    return Vessel(acquisition, grid)


@pytest.fixture(scope="session")
def sector(vessel: Vessel) -> Vessel:
    """The same tube on a polar grid."""
    grid = ImageGrid.polar(np.linspace(-0.5, 0.5, 31), np.linspace(20e-3, 40e-3, 40), apex_z_m=-19e-3)
    return Vessel(vessel.acquisition, grid)


@pytest.fixture
def source_file(tmp_path: Path) -> Path:
    path = tmp_path / "recording.raw"
    path.write_bytes(b"echoes")
    return path


@pytest.fixture
def make_recording(source_file: Path, vessel: Vessel) -> Any:
    """A recording of some slow-time samples: (n_slow_time, has_truth=False) -> ToyRecording."""
    return lambda n, **options: ToyRecording(source_file, vessel.acquisition, n, **options)


@pytest.fixture
def make_flow(vessel: Vessel) -> Any:
    """A chain that never computes: (fail_at=None, error=OSError) -> ToyFlow."""
    return lambda **options: ToyFlow(vessel, **options)
