"""The receiving side of a run: from the source, past the taps, into the ring."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence

from trueflow.pipeline.frames import RfPacket
from trueflow.pipeline.live.ring import PacketRing
from trueflow.pipeline.live.source import LiveSource, PacketTap

__all__ = ["Intake", "Messages"]

SLICE_S = 0.05  # between looks at whether the run is to end


class Messages:
    """What the user should read, from any thread to whoever shows it; old ones go when nobody reads."""

    def __init__(self, most: int = 100) -> None:
        self._texts: deque[str] = deque(maxlen=most)

    def say(self, text: str) -> None:
        """Leave a line."""
        self._texts.append(text)

    def take(self) -> str | None:
        """The oldest line, once."""
        try:
            return self._texts.popleft()
        except IndexError:
            return None


class Intake:
    """Moves packets from a source to a ring.

    Parameters
    ----------
    source : LiveSource
    ring : PacketRing
    taps : sequence of PacketTap
    messages : Messages
    silent_s : float
        How long nothing may come before that is reported.
    """

    def __init__(
        self,
        source: LiveSource,
        ring: PacketRing,
        taps: Sequence[PacketTap],
        messages: Messages,
        *,
        silent_s: float,
    ) -> None:
        self._source, self._ring, self._taps, self._messages = source, ring, taps, messages
        self._allowed_s = silent_s
        self._last_s = time.monotonic()
        self._is_silent = self._finished = False
        self.n_silences = 0

    @property
    def silent_s(self) -> float:
        """Since the last packet came, or since the beginning."""
        return time.monotonic() - self._last_s

    @property
    def is_silent(self) -> bool:
        """Whether nothing has come for longer than it may; asked of the clock, so a source that hangs is seen too."""
        return self.silent_s > self._allowed_s

    def step(self, timeout_s: float) -> bool:
        """Move one packet if one comes in time; whether one did."""
        samples = self._ring.lend(timeout_s)
        if samples is None:
            self._last_s = time.monotonic()  # it is we who do not listen
            return False
        stamp = self._source.receive(samples, timeout_s)
        if stamp is None:
            self._watch()
            if self._source.ended:
                self._finished = True
                self._ring.end()
            return False
        now_s = time.monotonic()
        if self._is_silent:
            self._is_silent = False
            self._messages.say(f"{self._source.name} is back after {now_s - self._last_s:.1f} s")
        self._last_s = now_s
        for tap in self._taps:
            tap.raw(RfPacket(samples, stamp))
        self._ring.commit(stamp)
        return True

    def run(self, ending: threading.Event) -> None:
        """Move packets until the run ends or the source does."""
        self._last_s = time.monotonic()
        while not ending.is_set() and not self._finished:
            self.step(SLICE_S)

    def _watch(self) -> None:
        if self.is_silent and not self._is_silent:
            self._is_silent = True
            self.n_silences += 1
            self._messages.say(f"nothing from {self._source.name} for {self._allowed_s:g} s")
