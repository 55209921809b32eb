"""Packet numbers on their way: what is missing, late, twice there, or begins anew."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

from trueflow.pipeline.live.source import SourceCounters

__all__ = ["Numbers"]

Verdict = Literal["next", "late", "repeated"]

LARGEST_GAP = 1 << 20  # 9.7 hours at 30 frames/s: who jumps further has begun anew
REMEMBERED = 4096  # missing numbers that may still come late


class Numbers:
    """Follows the numbers of a stream, and counts."""

    def __init__(self) -> None:
        self._expected: int | None = None
        self._base = 0
        self._missing: OrderedDict[int, None] = OrderedDict()
        self._n_received = self._n_lost = self._n_late = self._n_corrupt = 0
        self._n_rejected = self._n_restarts = 0

    @property
    def counters(self) -> SourceCounters:
        """So far."""
        return SourceCounters(
            self._n_received, self._n_lost, self._n_late, self._n_corrupt, self._n_rejected, self._n_restarts
        )

    def judge(self, number: int) -> Verdict:
        """What a packet with this number is; it is not counted yet."""
        if self._expected is None or number >= self._expected or self._expected - number > LARGEST_GAP:
            return "next"
        return "late" if number in self._missing else "repeated"

    def received(self, number: int) -> int:
        """A packet that is "next" came whole; its number in this run, which goes on where the front end restarts."""
        self._advance(number)
        self._n_received += 1
        return self._base + number

    def corrupt(self, number: int) -> None:
        """A packet came with a wrong checksum: it is lost."""
        verdict = self.judge(number)
        if verdict == "repeated":
            self._n_rejected += 1
            return
        self._n_corrupt += 1
        if verdict == "next":
            self._advance(number)
            self._n_lost += 1
        else:
            del self._missing[number]

    def late(self, number: int) -> None:
        """A packet came after a younger one: it stays lost."""
        del self._missing[number]
        self._n_late += 1

    def rejected(self) -> None:
        """Something came that is no packet of this stream, or the same one again."""
        self._n_rejected += 1

    def begin(self, number: int) -> None:
        """The front end says that we shall get what it sends from this number on; what came before is not lost."""
        if self._expected is None:
            self._expected = number

    def end(self, number: int) -> None:
        """The front end says that it has sent what comes before this number, and nothing else."""
        if self._expected is not None and 0 < number - self._expected <= LARGEST_GAP:
            self._advance(number - 1)
            self._n_lost += 1

    def restart(self) -> None:
        """The front end began anew."""
        if self._expected is not None:
            self._base += self._expected
            self._expected = 0
            self._missing.clear()
            self._n_restarts += 1

    def _advance(self, number: int) -> None:
        """The next number expected is the one behind this one; those between are missing."""
        if self._expected is None:
            self._expected = number
        gap = number - self._expected
        if abs(gap) > LARGEST_GAP:
            self._base += self._expected - number
            self._missing.clear()
            self._n_restarts += 1
        else:
            self._n_lost += gap
            for missing in range(max(self._expected, number - REMEMBERED), number):
                self._missing[missing] = None
            while len(self._missing) > REMEMBERED:
                self._missing.popitem(last=False)
        self._expected = number + 1
