"""Room for a few packets between the thread that receives and the chain: all memory is there from the beginning."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

from trueflow.pipeline.frames import RfPacket, Stamp
from trueflow.pipeline.live.source import PacketLayout

__all__ = ["Keep", "PacketRing"]

Keep = Literal["newest", "all"]


@dataclass(frozen=True, slots=True, eq=False)
class _Slot:
    samples: NDArray[Any]
    stamp: Stamp | None = None


class PacketRing:
    """A queue of packets with a fixed number of buffers, for one thread that fills and one that takes.

    Parameters
    ----------
    layout : PacketLayout
    depth : int
        Packets that may wait.
    keep : {"newest", "all"}
        What happens when one more comes: the one that has waited longest is dropped and counted, or it has to wait
        outside until there is room.

    Notes
    -----
    Besides the `depth` buffers of waiting packets one is being filled and one is being processed.
    """

    def __init__(self, layout: PacketLayout, *, depth: int = 2, keep: Keep = "newest") -> None:
        if depth < 1:
            raise ValueError(f"depth: {depth}, expected at least 1")
        self._depth, self._keep = depth, keep
        self._free = [_Slot(layout.empty()) for _ in range(depth + 2)]
        self._lent: _Slot | None = None
        self._taken: _Slot | None = None
        self._waiting: deque[_Slot] = deque()
        self._changed = threading.Condition()
        self._ended = self._closed = False
        self._n_dropped = self._deepest = 0

    def lend(self, timeout_s: float = 0.0) -> NDArray[Any] | None:
        """The buffer to fill next, the same one until it is committed; None where there is no room in time."""
        end_s = time.monotonic() + timeout_s
        with self._changed:
            while self._lent is None and not self._closed:
                if len(self._waiting) < self._depth or self._keep == "newest":
                    self._lent = self._free.pop()
                elif not self._changed.wait(max(end_s - time.monotonic(), 0)):
                    return None
            return None if self._lent is None or self._closed else self._lent.samples

    def commit(self, stamp: Stamp) -> None:
        """The lent buffer holds a packet now."""
        with self._changed:
            assert self._lent is not None, "nothing was lent"
            if len(self._waiting) == self._depth:
                self._free.append(self._waiting.popleft())
                self._n_dropped += 1
            self._waiting.append(_Slot(self._lent.samples, stamp))
            self._lent = None
            self._deepest = max(self._deepest, len(self._waiting))
            self._changed.notify_all()

    def take(self, timeout_s: float = 0.0) -> RfPacket | None:
        """The packet that has waited longest; its memory holds still until `release`. None where none came in time."""
        assert self._taken is None, "the packet before has not been released"
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended or self._closed, timeout_s)
            if not self._waiting or self._closed:
                return None
            self._taken = slot = self._waiting.popleft()
            self._changed.notify_all()
            assert slot.stamp is not None
            return RfPacket(slot.samples, slot.stamp)

    def release(self) -> None:
        """The packet that was taken is done with."""
        with self._changed:
            assert self._taken is not None, "nothing was taken"
            self._free.append(self._taken)
            self._taken = None
            self._changed.notify_all()

    def end(self) -> None:
        """Nothing will follow what waits."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def close(self) -> None:
        """Nobody waits any longer; what waits is let go of."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def done(self) -> bool:
        """Whether nothing is left to take, and nothing will follow."""
        with self._changed:
            return self._closed or (self._ended and not self._waiting)

    @property
    def n_waiting(self) -> int:
        """Packets that wait."""
        return len(self._waiting)

    @property
    def deepest(self) -> int:
        """The most that have waited at a time."""
        return self._deepest

    @property
    def n_dropped(self) -> int:
        """Packets that nobody has taken."""
        return self._n_dropped
