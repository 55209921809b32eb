"""Times of the segmentation network, of the engine with it, and of the whole chain, in the same rounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from trueflow.benchmarks.cases import CASES
from trueflow.benchmarks.dealias import ENGINE
from trueflow.benchmarks.dealias_timing import SCENES, WARMUP_ROUNDS, TimedFrame, TimedRow, _burst, _frame, _timed
from trueflow.benchmarks.timing import Budget, Timing, interleave
from trueflow.kernels.device import Device
from trueflow.models.segmenter import Segmenter
from trueflow.pipeline.chain import ColorFlow
from trueflow.pipeline.config import DealiasConfig, SegmentConfig
from trueflow.pipeline.dealias import DEALIASERS
from trueflow.pipeline.frames import RfPacket
from trueflow.pipeline.segment import Segment

__all__ = ["BOTH_ROW", "CHAIN_ROW", "SIZE", "run_timing"]

SIZE = (192, 256)  # pixels across and down
NETWORK_ROW, SEGMENT_ROW, ENGINE_ROW = "network alone", "segment stage", "engine without it"
BOTH_ROW, CHAIN_ROW, BARE_CHAIN_ROW = "segment stage and engine", "whole chain, femoral", "whole chain without it"
PACKETS = 4  # more samples than the caches near a core hold


def run_timing(
    precisions: tuple[str, ...],
    *,
    device: Device,
    rounds: int,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> list[TimedRow]:
    """Durations on ready maps of three scenes at 3 v_N, and of whole frames from channel RF.

    Parameters
    ----------
    precisions : tuple of str
        Of the network; engine and chain use the first.
    device : Device
    rounds : int
    advance : callable, optional
        Called with (done, total) in rounds.
    """
    frames = [_frame(*_burst(name, device), SIZE, device) for name in SCENES]
    runs = [*_parts(frames, precisions, device), *_chains(precisions[0], device)]
    durations = interleave(runs, Budget(rounds=rounds, warmup_rounds=WARMUP_ROUNDS), advance)
    return [TimedRow(SIZE, name, Timing.of(values)) for name, values in durations.items()]


def _parts(frames: list[TimedFrame], precisions: tuple[str, ...], device: Device) -> Iterator[Any]:
    shape = (SIZE[1], SIZE[0])
    for precision in precisions:
        segmenter = Segmenter(device, shape=shape, precision=precision)
        tensors = [_features(segmenter, frame) for frame in frames]
        yield _timed(f"{NETWORK_ROW}, {precision}", [partial(segmenter.engine, t) for t in tensors], device)
    segment = Segment(device, shape=shape, config=SegmentConfig(precision=precisions[0]))  # type: ignore[arg-type]
    engine = DEALIASERS[ENGINE](device, shape, DealiasConfig())

    def both(frame: TimedFrame) -> None:
        engine(frame.phase, segment(frame.scene.bmode, frame.scene.doppler, frame.phase))

    yield _timed(
        SEGMENT_ROW, [partial(segment, f.scene.bmode, f.scene.doppler, f.phase) for f in frames], device
    )  # fmt: skip
    yield _timed(ENGINE_ROW, [partial(engine, f.phase, None) for f in frames], device)
    yield _timed(BOTH_ROW, [partial(both, f) for f in frames], device)


def _features(segmenter: Segmenter, frame: TimedFrame) -> Any:
    """A copy: the segmenter has one tensor for all frames."""
    doppler, phase = frame.scene.doppler, frame.phase
    second = None if doppler.second is None else (doppler.second.phasor, doppler.second.table)
    maps = (doppler.r0, phase.phase_turns, phase.coherence, frame.scene.bmode.envelope)
    return segmenter.features(*maps, second).copy()


def _chains(precision: str, device: Device) -> Iterator[Any]:
    case = CASES["femoral"]().override(f"dealias.name={ENGINE}", f"segment.precision={precision}")
    packets = case.packets(PACKETS)
    for name, enabled in ((CHAIN_ROW, "on"), (BARE_CHAIN_ROW, "off")):
        flow = ColorFlow(case.acquisition, case.config.override([f"segment.enabled={enabled}"]), device=device)

        def run(packet: RfPacket, flow: ColorFlow = flow) -> None:
            flow(packet)

        yield _timed(name, [partial(run, packet) for packet in packets], device)
