"""Times of the dealiasing engine, of the stages around it and of its peers, on the same frames in the same rounds."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from trueflow.benchmarks.dealias import ENGINE, stage
from trueflow.benchmarks.dealias_peers import Peer, given
from trueflow.benchmarks.timing import Budget, Timing, interleave
from trueflow.benchmarks.validation import BANDWIDTH, Scene
from trueflow.kernels.device import Device
from trueflow.pipeline.chain import ColorFlow
from trueflow.pipeline.config import Config, DealiasConfig
from trueflow.pipeline.dealias import DEALIASERS, PhaseMap
from trueflow.pipeline.frames import IqEnsemble, RfPacket, Stamp, VelocityFrame
from trueflow.pipeline.sim.recording import SimRecording
from trueflow.pipeline.sources.base import Truth
from trueflow.pipeline.sub_bands import SubBands

__all__ = ["ENGINE_ROW", "SIZES", "STAGE_ROW", "TimedRow", "run_timing"]

SIZES = ((192, 256), (512, 512))  # pixels across and down
# Channel RF, so that it can be imaged on any grid; the fourth of 22 bursts is in systole.
SCENES = ("femoral", "bifurcation", "chamber")
PEAK_V_N = 3.0
BURST, BURSTS = 3, 22
ENGINE_ROW, STAGE_ROW, SUB_BANDS_ROW = "engine", "whole dealias stage", "sub-band stage"
SLOW = ("kamui",)
SLOW_ROUNDS = 6
WARMUP_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class TimedRow:
    """Durations of one thing at one size."""

    size: tuple[int, int]
    name: str
    timing: Timing


@dataclass(frozen=True, slots=True, eq=False)
class TimedFrame:
    """One scene on one grid, ready for each of the things that are timed."""

    scene: Scene
    echo: IqEnsemble
    flow: IqEnsemble
    sub_bands: SubBands
    phase: PhaseMap
    raw: VelocityFrame


def run_timing(
    peers: Mapping[str, Peer],
    *,
    device: Device,
    rounds: int,
    sizes: Sequence[tuple[int, int]] = SIZES,
    scenes: Sequence[str] = SCENES,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> list[TimedRow]:
    """Durations of the engine on ready maps, of the stages around it, and of each peer's function on ready arrays.

    Every round takes the next scene, and runs everything on it in turn. Slow peers run in fewer rounds.

    Parameters
    ----------
    peers : mapping
        By name.
    device : Device
    rounds : int
    sizes : sequence of (n_x, n_z)
    scenes : sequence of str
    advance : callable, optional
        Called with (done, total) in rounds over all sizes.
    """
    rows = []
    bursts = [_burst(name, device) for name in scenes]
    for number, size in enumerate(sizes):
        frames = [_frame(*burst, size, device) for burst in bursts]
        fast = {name: unwrap for name, unwrap in peers.items() if name not in SLOW}
        slow = {name: unwrap for name, unwrap in peers.items() if name in SLOW}

        def ahead(done: int, total: int, before: int = number * rounds) -> None:
            advance(before + done, len(sizes) * rounds)

        budget = Budget(rounds=rounds, warmup_rounds=WARMUP_ROUNDS)
        durations = interleave([*_ours(frames, size, device), *_theirs(frames, fast)], budget, ahead)
        if slow:
            budget = Budget(rounds=min(rounds, SLOW_ROUNDS), warmup_rounds=0)
            durations |= interleave(list(_theirs(frames, slow)), budget)
        rows += [TimedRow(size, name, Timing.of(values)) for name, values in durations.items()]
    return rows


def _burst(name: str, device: Device) -> tuple[SimRecording, RfPacket]:
    url = f"sim://{name}?peak={PEAK_V_N:g}vN&frames={BURSTS}&bandwidth={BANDWIDTH:g}"
    recording = SimRecording.from_url(url, device=device)
    n = recording.burst_length
    return recording, RfPacket(recording.read(BURST * n, (BURST + 1) * n), Stamp(0))


def _frame(recording: SimRecording, packet: RfPacket, size: tuple[int, int], device: Device) -> TimedFrame:
    config = Config().override([f"grid.n_x={size[0]}", f"grid.n_z={size[1]}"])
    flow = ColorFlow(recording.acquisition, config, device=device)
    echo = flow._beamform(packet)
    filtered = flow._clutter(echo)
    result = flow(packet)
    a, doppler = recording.acquisition, result.doppler
    nothing = np.zeros(flow.grid.shape, np.float32)  # times need no truth
    truth = Truth(nothing, nothing > 0)
    scene = Scene(a, flow.grid, result.bmode, doppler, truth, PEAK_V_N, flow._clutter.noise_filter)
    sub_bands = SubBands(device, a, flow.grid, flow._clutter, config.doppler)
    sub_bands(echo, filtered)  # its plan is made with the first packet
    none = stage(scene, device, DealiasConfig(name="none"))
    found, raw = none.flow(doppler), none(doppler)
    phase = PhaseMap(found.phase_turns, found.coherence, found.mask, second=doppler.second)
    return TimedFrame(scene, echo, filtered, sub_bands, phase, raw)


def _ours(
    frames: Sequence[TimedFrame], size: tuple[int, int], device: Device
) -> Iterator[Callable[[], dict[str, float]]]:
    engine = DEALIASERS[ENGINE](device, (size[1], size[0]), DealiasConfig())
    whole = [stage(f.scene, device, DealiasConfig(previous_frame="off")) for f in frames]
    yield _timed(ENGINE_ROW, [partial(engine, f.phase, None) for f in frames], device)
    yield _timed(
        STAGE_ROW, [partial(run, f.scene.doppler) for run, f in zip(whole, frames, strict=True)], device
    )  # fmt: skip
    yield _timed(SUB_BANDS_ROW, [partial(f.sub_bands, f.echo, f.flow, f.phase.mask) for f in frames], device)


def _theirs(frames: Sequence[TimedFrame], peers: Mapping[str, Peer]) -> Iterator[Callable[[], dict[str, float]]]:
    for name, peer in peers.items():
        ready = [peer.prepare(*given(f.raw, f.scene.doppler)) for f in frames]
        yield _timed(name, [partial(peer.call, *arguments) for arguments in ready], None)


def _timed(name: str, runs: Sequence[Callable[[], Any]], device: Device | None) -> Callable[[], dict[str, float]]:
    """Runs the next of the scenes, and waits for the device where there is one."""
    turn = itertools.cycle(runs)

    def run() -> dict[str, float]:
        call = next(turn)
        began = time.perf_counter()
        call()
        if device is not None:
            device.synchronize()
        return {name: time.perf_counter() - began}

    return run
