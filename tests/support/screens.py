"""Frames that never change, and a player of them: what screenshots are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np

from trueflow.pipeline.acquisition import Acquisition, PlaneWave
from trueflow.pipeline.config import Config, DisplayConfig
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import BmodeFrame, ColorFrame, DopplerFrame, Stamp, VelocityFrame
from trueflow.pipeline.grid import ImageGrid
from trueflow.pipeline.probe import Probe

NYQUIST_M_S = 0.3
PEAK_M_S = 1.1  # folds twice
CYCLE = 12  # frames of a heartbeat
INTERVAL_S = 0.04

LINEAR = ImageGrid.cartesian(np.linspace(-19e-3, 19e-3, 96), np.linspace(2e-3, 38e-3, 128))
SECTOR = ImageGrid.polar(np.linspace(-0.6, 0.6, 80), np.linspace(40e-3, 100e-3, 128), apex_z_m=-40e-3)
UNEVEN = ImageGrid.cartesian(19e-3 * np.linspace(-1, 1, 96) ** 3, np.geomspace(4e-3, 38e-3, 128))

ACQUISITION = Acquisition(
    Probe.linear(128, pitch_m=0.3e-3, center_frequency_hz=5e6, bandwidth_fraction=0.6),
    (PlaneWave(0.1),),
    sampling_frequency_hz=20e6,
    center_frequency_hz=5e6,
    prf_hz=4e3,
    n_samples=1040,
    n_ensemble=16,
)


def smooth_noise(shape: tuple[int, int], seed: int) -> np.ndarray:
    """Speckle with the size of a resolution cell: Rayleigh magnitudes of blurred complex noise."""
    random = np.random.default_rng(seed)
    noise = random.standard_normal((2, *shape))
    for axis in (1, 2):
        noise = noise + 0.7 * (np.roll(noise, 1, axis) + np.roll(noise, -1, axis))
    return np.hypot(noise[0], noise[1])


def make_frame(grid: ImageGrid, index: int = 0) -> ColorFrame:
    """A slanting vessel with pulsatile parabolic flow towards the probe, and a vein below it with flow away."""
    x, z = grid.x_m, grid.z_m
    depth = float(z.mean())
    artery = np.abs(z - depth + 4e-3 - 0.25 * x) / 4e-3
    vein = np.abs(z - depth - 7e-3 - 0.1 * x) / 3e-3
    pulse = 0.35 + 0.65 * np.sin(np.pi * (index % CYCLE) / CYCLE) ** 2
    true = np.where(artery < 1, PEAK_M_S * pulse * (1 - artery**2), 0) - np.where(vein < 1, 0.2 * (1 - vein**2), 0)
    fold = np.round(true / (2 * NYQUIST_M_S)).astype(np.int8)
    wrapped = (true - 2 * NYQUIST_M_S * fold).astype(np.float32)
    velocity = wrapped + (2 * NYQUIST_M_S * fold).astype(np.float32)
    mask = (artery < 0.95) | (vein < 0.9)
    brightness = np.where((artery < 1) | (vein < 1), 0.02, 0.3) + np.exp(-(((artery - 1.1) / 0.12) ** 2))
    stamp = Stamp(index, acquisition_time_s=index * INTERVAL_S)
    r0 = np.where(mask, 2.0 - np.minimum(artery, 1.5), 0.01).astype(np.float32)
    coherence = np.clip(0.95 - 0.5 * np.minimum(artery, vein) ** 2, 0.1, 1.0)
    r1 = (r0 * coherence * np.exp(1j * np.pi * wrapped / NYQUIST_M_S)).astype(np.complex64)
    confidence = np.where(mask, np.clip(1.2 - 0.8 * artery * (artery < 1), 0, 1), 0).astype(np.float32)
    return ColorFrame(
        BmodeFrame((smooth_noise(grid.shape, index) * brightness).astype(np.float32), stamp),
        DopplerFrame(r1, r0, NYQUIST_M_S, stamp),
        None,
        VelocityFrame(velocity, wrapped, fold, confidence, mask, NYQUIST_M_S, stamp),
        {"beamform": 0.012, "dealias": 0.004},
    )


class StillPlayer:
    """A player without a thread: it delivers what it is told to, and remembers what it was asked for."""

    name = "still"
    frame_rate_hz = 1 / INTERVAL_S
    n_dropped, is_stale = 0, False
    choices: ClassVar[dict[str, list[str]]] = {
        "clutter.name": ["auto", "fir", "none", "polynomial"],
        "dealias.name": ["none", "regions", "skimage"],
    }

    def __init__(self, grid: ImageGrid = LINEAR, *, n_frames: int = CYCLE) -> None:
        self.grid, self.n_frames, self.position = grid, n_frames, 0
        self.acquisition = ACQUISITION
        self.config = Config(display=DisplayConfig(dynamic_range_db=50.0, gain_db=-6.0))
        self.asked: list[object] = []
        self.message: str | None = None
        self.closed = False

    def start(self, deliver: Callable[[ColorFrame, float], None]) -> None:
        self.deliver = deliver

    def frame(self, index: int) -> ColorFrame:
        return make_frame(self.grid, index)

    def play(self, going: bool) -> None:
        self.asked.append(("play", going))

    def seek(self, index: int) -> None:
        self.asked.append(("seek", index))
        self.position = index

    def pace(self, speed: float, loop: bool) -> None:
        self.asked.append(("pace", speed, loop))

    def change(self, settings: Sequence[str]) -> None:
        self.asked.append(("change", *settings))
        try:
            self.config = self.config.override(settings)
        except TrueflowError as error:
            self.message = str(error)

    def take_message(self) -> str | None:
        message, self.message = self.message, None
        return message

    def close(self) -> None:
        self.closed = True
