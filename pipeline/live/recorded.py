"""A recording as a source: its packets in order, as fast as they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.acquisition import Acquisition
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import RfPacket, Stamp
from trueflow.pipeline.grid import ImageGrid
from trueflow.pipeline.live.source import PacketLayout, SourceCounters
from trueflow.pipeline.sources import Framing, Recording, packets

__all__ = ["RecordingSource"]


class RecordingSource:
    """Plays a recording once; a `LiveSource`.

    Parameters
    ----------
    recording : Recording
        Stays open, and the caller's to close.
    framing : Framing, optional
    limit : int, optional
        Packets to play.

    Raises
    ------
    TrueflowError
        Where the recording has no packet.
    """

    def __init__(self, recording: Recording, framing: Framing | None = None, *, limit: int | None = None) -> None:
        framing = framing or Framing()
        self._recording = recording
        self._acquisition, n_packets, self._packets = packets(recording, framing)
        self.n_packets = n_packets if limit is None else min(limit, n_packets)
        if self.n_packets == 0:
            raise TrueflowError("no complete burst", where=str(recording.path))
        starts = framing.resolve(recording)[2]
        self._times_s = [recording.slow_time_s(start) for start in starts[: min(len(starts), 1000)]]
        self._first: RfPacket | None = next(self._packets)
        self._layout = PacketLayout(self._first.samples.shape, self._first.samples.dtype)
        self._n_given = 0

    @property
    def name(self) -> str:
        """The recording's."""
        return self._recording.path.name

    @property
    def acquisition(self) -> Acquisition:
        """As framed."""
        return self._acquisition

    @property
    def grid(self) -> ImageGrid | None:
        """Of beamformed recordings."""
        return self._recording.grid

    @property
    def layout(self) -> PacketLayout:
        """Of the packets."""
        return self._layout

    @property
    def frame_rate_hz(self) -> float | None:
        """As it was recorded."""
        if len(self._times_s) < 2:
            return 1.0 / self._acquisition.packet_s
        return 1.0 / float(np.median(np.diff(self._times_s)))

    @property
    def ended(self) -> bool:
        """Whether all packets have been given."""
        return self._n_given >= self.n_packets

    @property
    def counters(self) -> SourceCounters:
        """Nothing is lost."""
        return SourceCounters(n_received=self._n_given)

    def receive(self, into: NDArray[Any], timeout_s: float) -> Stamp | None:
        """The next packet, at once."""
        if self.ended:
            return None
        packet = self._next()
        np.copyto(into, packet.samples)
        self._n_given += 1
        return packet.stamp

    def packets(self) -> Iterator[RfPacket]:
        """What has not been given yet, without a copy."""
        while not self.ended:
            packet = self._next()
            self._n_given += 1
            yield packet

    def _next(self) -> RfPacket:
        first, self._first = self._first, None
        return first if first is not None else next(self._packets)

    def close(self) -> None:
        """Leaves the recording to whoever opened it."""
