"""What the previous frame is worth: consecutive bursts of a few pulsating scenes, at two frame rates."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.benchmarks.dealias_tally import Tally, tally
from trueflow.benchmarks.validation import BANDWIDTH, set_version
from trueflow.kernels.device import Device
from trueflow.pipeline.chain import ColorFlow
from trueflow.pipeline.clutter import Clutter
from trueflow.pipeline.config import Config, DealiasConfig
from trueflow.pipeline.dealias import Dealias
from trueflow.pipeline.frames import DopplerFrame, RfPacket, SecondPhase, Stamp
from trueflow.pipeline.geometry import make_grid
from trueflow.pipeline.sim.options import parse_url
from trueflow.pipeline.sim.recording import SimRecording
from trueflow.pipeline.sources.base import Truth

__all__ = [
    "RATES_HZ", "SETTINGS", "FlowSequence", "SequenceResult", "all_sequences", "keep_sequence", "run_sequences",
    "sequence_path",
]  # fmt: skip

FAMILIES = ("plug", "femoral", "bifurcation", "cropped")
PEAKS = (3.0, 5.0)
RATES_HZ = (25, 100)
LENGTH = 6  # frames
CYCLE_S = 0.88
FORMAT = 2

# The previous frame with all other evidence, with continuity only, and alone.
SETTINGS = {
    "all evidence, previous frame off": DealiasConfig(previous_frame="off"),
    "all evidence, previous frame auto": DealiasConfig(previous_frame="auto"),
    "all evidence, previous frame on": DealiasConfig(previous_frame="on"),
    "continuity alone": DealiasConfig(second_phase=False, wall=False, previous_frame="off"),
    "continuity and previous frame": DealiasConfig(second_phase=False, wall=False, previous_frame="on"),
    "previous frame alone": DealiasConfig(continuity=False, second_phase=False, wall=False, previous_frame="on"),
}


@dataclass(frozen=True, slots=True)
class FlowSequence:
    """Consecutive frames of systole, from the last one without aliasing on; all vessels pulsate alike.

    Parameters
    ----------
    family : str
    peak : float
        Of the scene over its cycle, in multiples of v_N.
    rate_hz : int
        Frames per second.
    """

    family: str
    peak: float
    rate_hz: int

    @property
    def name(self) -> str:
        """Unique among them."""
        return f"{self.family}-{self.peak:g}vN-{self.rate_hz}Hz"

    @property
    def n_bursts(self) -> int:
        """Of a cycle."""
        return round(CYCLE_S * self.rate_hz)

    @property
    def url(self) -> str:
        """The simulation."""
        seed = zlib.crc32(self.name.encode()) & 0xFFFF
        return (
            f"sim://{self.family}?peak={self.peak:g}vN&pulses=16&snr=15&seed={seed}&fps={self.rate_hz}"
            f"&frames={self.n_bursts}&waveform=femoral&bandwidth={BANDWIDTH:g}&mode=fast"
        )


@dataclass(frozen=True, slots=True, eq=False)
class SequenceResult:
    """One setting on one sequence; the first frame, which has no predecessor, is not counted."""

    sequence: FlowSequence
    setting: str
    tally: Tally


def all_sequences() -> tuple[FlowSequence, ...]:
    """The sequences, in their order."""
    return tuple(FlowSequence(family, peak, rate) for rate in RATES_HZ for peak in PEAKS for family in FAMILIES)


def run_sequences(
    sequences: Sequence[FlowSequence],
    *,
    folder: Path,
    device: Device,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> list[SequenceResult]:
    """Every one of `SETTINGS` on every sequence."""
    results = []
    for index, sequence in enumerate(sequences):
        arrays = _load(sequence, folder, device)
        for setting, config in SETTINGS.items():
            results.append(SequenceResult(sequence, setting, _score(sequence, arrays, config, device)))
        advance(index + 1, len(sequences))
    return results


def _score(sequence: FlowSequence, arrays: dict[str, NDArray[Any]], config: DealiasConfig, device: Device) -> Tally:
    acquisition, settings = parse_url(sequence.url)[1].acquisition(), Config()
    grid = make_grid(acquisition, settings.grid)
    clutter = Clutter(device, shape=grid.shape, n_ensemble=acquisition.n_ensemble, config=settings.clutter)
    stage = Dealias(
        device, acquisition, grid, doppler=settings.doppler, mask=settings.mask, config=config,
        noise_filter=clutter.noise_filter,
    )  # fmt: skip
    nyquist, tallies = acquisition.nyquist_velocity_m_s(), []
    for i in range(LENGTH):
        second = None
        if "table" in arrays:
            second = SecondPhase(device.upload(arrays["phasor"][i]), arrays["table"])
        stamp = Stamp(i, acquisition_time_s=float(arrays["time_s"][i]))
        doppler = DopplerFrame(
            device.upload(arrays["r1"][i]), device.upload(arrays["r0"][i]), nyquist, stamp, second
        )  # fmt: skip
        frame = stage(doppler)
        tallies.append(tally(frame, Truth(arrays["velocity_m_s"][i], arrays["mask"][i])))
    return reduce(add, tallies[1:])


def _load(sequence: FlowSequence, folder: Path, device: Device) -> dict[str, NDArray[Any]]:
    keep_sequence(sequence, folder, device)
    with np.load(sequence_path(sequence, folder), allow_pickle=False) as kept:
        return dict(kept)


def sequence_path(sequence: FlowSequence, folder: Path) -> Path:
    """Where a sequence is kept."""
    version = hashlib.sha256(repr((FORMAT, set_version(), LENGTH, sequence.url)).encode()).hexdigest()[:12]
    return folder / f"sequence-{sequence.name}-{version}.npz"


def keep_sequence(sequence: FlowSequence, folder: Path, device: Device) -> None:
    """Make a sequence and put it into the folder, unless it is there."""
    path = sequence_path(sequence, folder)
    if path.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part.npz")
    np.savez(part, **_make(sequence, device))  # type: ignore[arg-type]
    part.replace(path)


def _make(sequence: FlowSequence, device: Device) -> dict[str, NDArray[Any]]:
    recording = SimRecording.from_url(sequence.url, device=device)
    n, grid = recording.burst_length, recording.grid
    assert grid is not None  # beamformed
    flow = ColorFlow(recording.acquisition, Config(), grid=grid, device=device)
    first = _first_burst(sequence, recording)
    frames: dict[str, list[Any]] = {}
    table = None
    for i in range(LENGTH):
        span = (first + i) * n, (first + i + 1) * n
        time_s = recording.slow_time_s(span[0])
        doppler = flow(RfPacket(recording.read(*span), Stamp(i, acquisition_time_s=time_s))).doppler
        truth = recording.truth(*span, grid)
        made = {
            "r0": device.download(doppler.r0), "r1": device.download(doppler.r1), "time_s": time_s,
            "velocity_m_s": truth.velocity_m_s, "mask": truth.mask,
        }  # fmt: skip
        if doppler.second is not None:
            made["phasor"], table = device.download(doppler.second.phasor), doppler.second.table
        for name, value in made.items():
            frames.setdefault(name, []).append(np.array(value))
    arrays = {name: np.stack(values) for name, values in frames.items()}
    return arrays | ({} if table is None else {"table": table})


def _first_burst(sequence: FlowSequence, recording: SimRecording) -> int:
    """The last burst without aliasing before the fastest; the slowest before that where all are aliased."""
    n, grid = recording.burst_length, recording.grid
    nyquist = recording.acquisition.nyquist_velocity_m_s()
    assert grid is not None

    def speed_v_n(burst: int) -> float:
        truth = recording.truth(burst * n, (burst + 1) * n, grid)
        return float(np.abs(truth.velocity_m_s[truth.mask]).max(initial=0.0)) / nyquist

    fastest = max(range(0, sequence.n_bursts, sequence.rate_hz // min(RATES_HZ)), key=speed_v_n)
    before = {burst: speed_v_n(burst) for burst in range(fastest, -1, -1)}
    slow = next((burst for burst, speed in before.items() if speed <= 1), min(before, key=lambda b: before[b]))
    return min(slow, sequence.n_bursts - LENGTH)
