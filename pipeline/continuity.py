"""What the chain may carry from one packet to the next when packets are missing between them."""

from __future__ import annotations

import math
from dataclasses import replace

from trueflow.pipeline.frames import RfPacket

__all__ = ["Continuity"]

LEAST_GAP_S = 0.25  # of the heart: flow is another one after that
GAP_INTERVALS = 4.0  # fewer packets lost in a row leave an average over frames one


class Continuity:
    """Says of each packet of a stream what it still has to do with the one before.

    * A filter in slow time keeps its state only from one packet to the very next one: where one between them was lost
      or dropped, the stamp no longer says `continuous`.
    * What is averaged or compared over frames (persistence, the previous frame's folds) lives through a few lost
      packets, but not through a gap of more than 0.25 s and 4 of the stream's intervals, nor when time runs backwards:
      then the chain has to forget. (The first interval of a stream is taken for its usual one.)

    Both follow from the stamps alone, so that packets with the same stamps meet the same chain again.
    """

    def __init__(self) -> None:
        self._index: int | None = None
        self._time_s = self._interval_s = math.nan

    def follow(self, packet: RfPacket) -> tuple[RfPacket, bool]:
        """Take the next packet that is processed.

        Returns
        -------
        packet : RfPacket
            The same, its stamp corrected.
        forget : bool
            Whether the chain has to forget the past first.
        """
        stamp = packet.stamp
        if stamp.continuous and stamp.index - 1 != self._index:
            packet = RfPacket(packet.samples, replace(stamp, continuous=False))
        interval_s, usual_s = stamp.acquisition_time_s - self._time_s, self._interval_s
        longest_s = math.inf if math.isnan(usual_s) else max(LEAST_GAP_S, GAP_INTERVALS * usual_s)
        forget = interval_s < 0 or interval_s > longest_s
        self._index, self._time_s = stamp.index, stamp.acquisition_time_s
        self._interval_s = interval_s if interval_s > 0 else math.nan
        return packet, forget

    def reset(self) -> None:
        """The next packet follows nothing."""
        self._index = None
        self._time_s = self._interval_s = math.nan
