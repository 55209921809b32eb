"""The replay loop: packets from a recording through the chain into sinks, one frame at a time."""

from __future__ import annotations

import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from trueflow.pipeline.cli.common import Advance
from trueflow.pipeline.download import on_cpu
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import ColorFrame, RfPacket
from trueflow.pipeline.grid import ImageGrid
from trueflow.pipeline.sources import Framing, Recording, Truth, packets

__all__ = ["Flow", "Sink", "Summary", "count_frames", "on_cpu", "run"]


class Downloads(Protocol):
    """A device, as far as the loop needs it."""

    def download(self, array: Any, /) -> Any:
        """The array as a NumPy array."""


class Flow(Protocol):
    """The chain, as far as the loop needs it."""

    @property
    def device(self) -> Downloads:
        """Where its arrays are."""

    @property
    def grid(self) -> ImageGrid:
        """The pixels of its frames."""

    def __call__(self, packet: RfPacket, /) -> ColorFrame:
        """One frame from one packet."""


class Sink(Protocol):
    """Takes finished frames, with arrays on the CPU."""

    def write(self, frame: ColorFrame, truth: Truth | None) -> None:
        """Take one frame; frames come in order."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a replay did.

    Parameters
    ----------
    n_frames : int
    median_s, p95_s : float
        Time from a packet in memory to its frame in memory.
    wall_s : float
        Everything: reading, processing, writing.
    nyquist_velocity_m_s : float
    """

    n_frames: int
    median_s: float
    p95_s: float
    wall_s: float
    nyquist_velocity_m_s: float


def count_frames(recording: Recording, framing: Framing, limit: int | None = None) -> int:
    """How many frames a replay makes.

    Raises
    ------
    TrueflowError
        Where it would make none.
    """
    n_packets = len(framing.resolve(recording)[2])
    if n_packets == 0:
        raise TrueflowError("no complete burst", where=str(recording.path), found=f"{recording.n_slow_time} pulses")
    return n_packets if limit is None else min(limit, n_packets)


def run(
    recording: Recording,
    framing: Framing,
    flow: Flow,
    sinks: Sequence[Sink],
    *,
    limit: int | None = None,
    advance: Advance | None = None,
) -> Summary:
    """Replay a recording as fast as the chain goes; memory does not depend on its length.

    Parameters
    ----------
    recording : Recording
    framing : Framing
    flow : Flow
    sinks : sequence of Sink
    limit : int, optional
        Stop after this many frames.
    advance : callable, optional
        Called with (frames done, frames in all) after each frame.
    """
    n_frames = count_frames(recording, framing, limit)
    starts = framing.resolve(recording)[2][:n_frames]
    acquisition, _, stream = packets(recording, framing)
    span = (acquisition.n_ensemble - 1) * framing.decimate + 1
    durations_s = array("d")
    began = time.perf_counter()
    nyquist_m_s = float("nan")
    for start, packet in zip(starts, stream, strict=False):  # the stream is longer where there is a limit
        entered = time.perf_counter()
        frame = on_cpu(flow(packet), flow.device.download)
        durations_s.append(time.perf_counter() - entered)
        nyquist_m_s = frame.velocity.nyquist_velocity_m_s
        truth = recording.truth(start, start + span, flow.grid)
        for sink in sinks:
            sink.write(frame, truth)
        if advance is not None:
            advance(len(durations_s), n_frames)
    median_s, p95_s = np.quantile(durations_s, [0.5, 0.95])
    return Summary(len(durations_s), float(median_s), float(p95_s), time.perf_counter() - began, float(nyquist_m_s))
