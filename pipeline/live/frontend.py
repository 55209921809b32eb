"""Plays packets as a live scanner would: at a pace, over and over, with or without trouble on the way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.live.faults import Faults, Tally
from trueflow.pipeline.live.publisher import Prepared

__all__ = ["Sender", "looped", "play"]


class Sender(Protocol):
    """What packets are sent with: `Publisher`, or `SharedMemoryPublisher`."""

    def tend(self, timeout_s: float = 0.0) -> None:
        """Wait this long, and meanwhile do what there is to do."""

    def send(self, packet: Prepared, *, samples: NDArray[Any] | None = None) -> None:
        """Send a packet under the next number, or other samples under its checksum."""

    def send_as(self, sequence: int, packet: Prepared, *, samples: NDArray[Any] | None = None) -> None:
        """The same under a given number: also one that was left out before."""

    def skip(self) -> int:
        """Leave the next number out; which that was."""


def looped(read: Callable[[], Iterator[Prepared]], *, interval_s: float) -> Iterator[Prepared]:
    """Packets over and over; time goes on.

    Parameters
    ----------
    read : callable
        Gives the packets, each time from the first one.
    interval_s : float
        From the last one to the first one of the next round.
    """
    offset_s = 0.0
    while True:
        first_s = last_s = None
        for packet in read():
            stamp = packet.stamp
            if first_s is None:
                first_s, stamp = stamp.acquisition_time_s, replace(stamp, continuous=False)
            last_s = stamp.acquisition_time_s
            yield replace(packet, stamp=replace(stamp, acquisition_time_s=last_s + offset_s))
        if first_s is None or last_s is None:
            return
        offset_s += last_s - first_s + interval_s


def play(
    publisher: Sender,
    packets: Iterator[Prepared],
    *,
    rate_hz: float | None,
    faults: Faults | None = None,
    seconds: float | None = None,
    alive: Callable[[], bool] = lambda: True,
) -> Tally:
    """Publish packets until there are none left.

    Parameters
    ----------
    publisher : Sender
    packets : iterator of Prepared
    rate_hz : float, optional
        Packets per second; 0 is as many as go through. Default: as they were acquired.
    faults : Faults, optional
    seconds : float, optional
        End after this time.
    alive : callable
        Asked before each packet: False ends.

    Returns
    -------
    Tally
        What was sent, and what was done to it.
    """
    player = _Player(publisher, faults or Faults(), rate_hz)
    end_s = time.monotonic() + seconds if seconds is not None else float("inf")
    for packet in packets:
        if not alive() or time.monotonic() >= end_s:
            break
        player.wait(packet)
        player.send(packet)
    player.flush()
    return player.tally


class _Player:
    """The clock, and what is held back."""

    def __init__(self, publisher: Sender, faults: Faults, rate_hz: float | None) -> None:
        self._publisher, self._faults, self._rate_hz = publisher, faults, rate_hz
        self._draws = faults.generator()
        self._began_s = self._stalled_s = time.monotonic()
        self._first_s: float | None = None
        self._lag_s = 0.0
        self._held: tuple[int, Prepared] | None = None
        self.tally = Tally()

    def wait(self, packet: Prepared) -> None:
        """Until the packet is due. Who is late does not hurry: what was not acquired then will not be."""
        if self._first_s is None:
            self._first_s = packet.stamp.acquisition_time_s
        faults, now_s = self._faults, time.monotonic()
        if faults.stall_s and now_s - self._stalled_s > faults.stall_every_s:
            self._publisher.tend(faults.stall_s)
            self._lag_s += faults.stall_s
            self._stalled_s = now_s = time.monotonic()
            self.tally.n_stalls += 1
        if self._rate_hz == 0:
            self._publisher.tend(0.0)
            return
        if self._rate_hz is None:
            due_s = packet.stamp.acquisition_time_s - self._first_s
        else:
            due_s = self.tally.n_packets / self._rate_hz
        left_s = self._began_s + self._lag_s + due_s - now_s
        if left_s < 0:
            self._began_s -= left_s
        self._publisher.tend(max(left_s, 0.0) + faults.delay_s(self._draws))

    def send(self, packet: Prepared) -> None:
        """Send a packet, or do to it what the draw says."""
        tally, publisher = self.tally, self._publisher
        tally.n_packets += 1
        if self._lag_s:
            stamp = packet.stamp
            packet = replace(
                packet, stamp=replace(stamp, acquisition_time_s=stamp.acquisition_time_s + self._lag_s)
            )
        fate = self._faults.fate(self._draws)
        if fate == "lost":
            publisher.skip()
            tally.n_lost += 1
        elif fate == "reordered" and self._held is None:
            self._held = publisher.skip(), packet
        else:
            damaged = fate == "corrupted"
            publisher.send(packet, samples=_damaged(packet, self._draws) if damaged else None)
            tally.n_corrupted += damaged
            if self._held is not None:
                self._release(late=True)

    def flush(self) -> None:
        """Send what is held back: with nothing sent after it, it is not late."""
        if self._held is not None:
            self._release(late=False)

    def _release(self, *, late: bool) -> None:
        assert self._held is not None
        self._publisher.send_as(*self._held)
        self._held = None
        self.tally.n_reordered += late


def _damaged(packet: Prepared, draws: np.random.Generator) -> NDArray[Any]:
    damaged: NDArray[Any] = packet.samples.copy()
    flat = damaged.reshape(-1).view(np.uint8)
    flat[int(draws.integers(flat.size))] ^= 1 << int(draws.integers(8))
    return damaged
