"""Simulated frames with known folds, taken through the chain as a live frame is, in files a trainer can read."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.kernels.device import Device
from trueflow.models.features import features
from trueflow.pipeline.chain import ColorFlow
from trueflow.pipeline.config import Config, GridConfig
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import ColorFrame, RfPacket, Stamp
from trueflow.pipeline.geometry import make_grid
from trueflow.pipeline.output import write_errors
from trueflow.pipeline.sim.options import Options
from trueflow.pipeline.sim.recording import SimRecording, view_of
from trueflow.pipeline.sources.base import Truth
from trueflow.pipeline.training.scenes import TRAINED, random_scene

__all__ = ["SceneFrames", "frame_arrays", "make_frames", "simulate_scene"]

BURSTS_PER_SCENE = 4
TRIED_BURSTS = 3  # for each one taken, the one with the fastest flow: most of a cycle is diastole
CHANNEL_SHARE = 0.08  # of scenes whose channel RF is simulated and beamformed: fifty times the work
ATTEMPTS = 30
WITHOUT_FOLDS = Config().override(["dealias.name=none", "dealias.previous_frame=off"])


@dataclass(frozen=True, slots=True, eq=False)
class SceneFrames:
    """Frames of one scene.

    Parameters
    ----------
    family, url : str
        Of the library; how the scene was imaged.
    inputs : (n, 10, n_z, n_x) float16
        See `trueflow.models.features`.
    true_turns : (n, n_z, n_x) float16
        True velocity over 2 v_N.
    flow, truth : (n, n_z, n_x) bool
        Flow mask of the chain, true flow.
    """

    family: str
    url: str
    inputs: NDArray[np.float16]
    true_turns: NDArray[np.float16]
    flow: NDArray[np.bool_]
    truth: NDArray[np.bool_]

    def save(self, path: Path) -> None:
        """Write one file, or none."""
        part = path.with_suffix(".part.npz")
        np.savez_compressed(part, **asdict(self))
        part.replace(path)


def frame_arrays(frame: ColorFrame, truth: Truth, device: Device) -> dict[str, NDArray[Any]]:
    """What a trainer needs of one frame: the fields of `SceneFrames` but the names."""
    r0, r1 = device.download(frame.doppler.r0), device.download(frame.doppler.r1)
    second = frame.doppler.second
    nyquist = frame.doppler.nyquist_velocity_m_s
    coherence = np.minimum(np.abs(r1) / np.maximum(r0, 1e-30), 1.0).astype(np.float32)
    return {
        "inputs": features(
            r0,
            (np.angle(r1) / (2 * np.pi)).astype(np.float32),
            coherence,
            device.download(frame.bmode.envelope),
            None if second is None else (device.download(second.phasor), second.table),
        ).astype(np.float16),
        "true_turns": (truth.velocity_m_s / (2 * nyquist)).astype(np.float16),
        "flow": device.download(frame.velocity.mask),
        "truth": truth.mask,
    }


def simulate_scene(seed: int, index: int, device: Device, families: Sequence[str] = TRAINED) -> SceneFrames:
    """Scene number `index` of a set, drawn, simulated and taken through the chain; families take turns.

    Raises
    ------
    TrueflowError
        No scene that can be simulated in many attempts.
    """
    random = np.random.default_rng([seed, index])
    family = families[index % len(families)]
    for _ in range(ATTEMPTS):
        with contextlib.suppress(TrueflowError):  # vessels that overlap, blood that travels too far
            return _frames_of(family, _recording(family, random, device), random, device)
    raise TrueflowError("no scene could be simulated", where=f"training scene {index}", found=f"{ATTEMPTS} attempts")


def _recording(family: str, random: np.random.Generator, device: Device) -> SimRecording:
    options = Options(
        peak=f"{random.choice([-1, 1]) * np.exp(random.uniform(np.log(0.7), np.log(5.2))):.3f}vN",
        frames=64,
        fps=12.0,
        pulses=int(np.exp(random.uniform(np.log(6), np.log(33)))),
        seed=int(random.integers(1 << 31)),
        snr=float(random.uniform(4.0, 26.0)),
        prf=float(np.exp(random.uniform(np.log(2500), np.log(8000)))),
        angle=(float(random.choice([10.0, random.uniform(-16, 16)])),),
        f_number=float(random.uniform(1.0, 2.4)),
        bandwidth=float(random.uniform(0.15, 0.6)),
        mode="rf" if random.random() < CHANNEL_SHARE else "fast",
    )
    view = view_of(make_grid(options.acquisition(), GridConfig()))
    scene = random_scene(family, view, random)
    return SimRecording(options.apply(scene), options, device=device)


def _frames_of(family: str, recording: SimRecording, random: np.random.Generator, device: Device) -> SceneFrames:
    flow = ColorFlow(recording.acquisition, WITHOUT_FOLDS, grid=recording.grid, device=device)
    n, n_bursts = recording.burst_length, recording.options.frames
    collected: dict[str, list[NDArray[Any]]] = {}
    wanted = BURSTS_PER_SCENE if recording.options.mode == "fast" else 2
    for tried in random.permutation(n_bursts)[: wanted * TRIED_BURSTS].reshape(wanted, -1):
        truths = [recording.truth(b * n, (b + 1) * n, flow.grid) for b in tried]
        best = int(np.argmax([np.abs(t.velocity_m_s[t.mask]).max(initial=0.0) for t in truths]))
        burst = int(tried[best]) if random.random() < 0.8 else int(tried[0])
        truth = truths[best] if burst == int(tried[best]) else truths[0]
        frame = flow(RfPacket(recording.read(burst * n, (burst + 1) * n), Stamp(burst)))
        for name, array in frame_arrays(frame, truth, device).items():
            collected.setdefault(name, []).append(array)
    url = json.dumps(asdict(recording.options))
    return SceneFrames(family, url, **{name: np.stack(arrays) for name, arrays in collected.items()})


def make_frames(
    folder: Path,
    *,
    n_scenes: int,
    seed: int,
    device: Device,
    families: Sequence[str] = TRAINED,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """The files of a set of scenes; those that are in the folder already are kept.

    Raises
    ------
    TrueflowError
        The folder cannot be written.
    """
    with write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(n_scenes):
            path = folder / f"{seed}-{index:05d}-{families[index % len(families)]}.npz"
            if not path.exists():
                simulate_scene(seed, index, device, families).save(path)
            advance(index + 1, n_scenes)
