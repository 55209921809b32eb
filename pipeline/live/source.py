"""What a front end offers to the live chain, and what the live chain offers to whoever records it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.acquisition import Acquisition
from trueflow.pipeline.config import Config
from trueflow.pipeline.frames import ColorFrame, RfPacket, Stamp
from trueflow.pipeline.grid import ImageGrid

__all__ = ["FrameSink", "LiveSource", "PacketLayout", "PacketTap", "SourceCounters", "packet_layout"]


@dataclass(frozen=True, slots=True)
class PacketLayout:
    """What the samples of every packet look like.

    Parameters
    ----------
    shape : tuple of int
        (n_ensemble, n_transmits, n_elements, n_samples); beamformed IQ: (n_ensemble, n_z, n_x).
    dtype : np.dtype
        int16, float32 or complex64.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def n_bytes(self) -> int:
        """Of one packet."""
        return math.prod(self.shape) * self.dtype.itemsize

    def empty(self) -> NDArray[Any]:
        """A C-ordered array for one packet, its memory touched, so that the first packet does not pay for that."""
        made = np.empty(self.shape, self.dtype)
        made.fill(0)
        return made


@dataclass(frozen=True, slots=True)
class SourceCounters:
    """What has arrived since the source was opened, and what has not.

    Parameters
    ----------
    n_received : int
        Packets handed on, whole and in order.
    n_lost : int
        Packets that the front end sent, or had to send, and that never came whole: gaps in its numbers.
    n_late : int
        Of the lost ones, those that came after a younger packet, and were dropped.
    n_corrupt : int
        Of the lost ones, those whose checksum was wrong, and that were dropped.
    n_rejected : int
        Messages that were no packets of this stream: unreadable, of another size, too large.
    n_restarts : int
        How often the front end began anew: its numbers start again.
    """

    n_received: int = 0
    n_lost: int = 0
    n_late: int = 0
    n_corrupt: int = 0
    n_rejected: int = 0
    n_restarts: int = 0


class LiveSource(Protocol):
    """A front end: packets at its own pace. Opened by `registry.open_live`; used by one thread, but for `counters`.

    What goes wrong for good (the device is gone, the acquisition has changed) is raised by `receive` as a
    `TrueflowError`; what a next packet may put right (nothing came, a packet was damaged) is counted.
    """

    @property
    def name(self) -> str:
        """What it is, in a few words, as in its URL."""

    @property
    def acquisition(self) -> Acquisition:
        """The facts of the stream; they hold until it ends."""

    @property
    def grid(self) -> ImageGrid | None:
        """Pixels of beamformed packets; None for channel data."""

    @property
    def layout(self) -> PacketLayout:
        """Of every packet."""

    @property
    def frame_rate_hz(self) -> float | None:
        """Packets per second that the front end means to send; None where it does not say."""

    @property
    def ended(self) -> bool:
        """Whether the front end has said that nothing will follow."""

    @property
    def counters(self) -> SourceCounters:
        """Since it was opened; may be read from any thread."""

    def receive(self, into: NDArray[Any], timeout_s: float) -> Stamp | None:
        """Wait for the next packet and copy its samples into an array.

        Parameters
        ----------
        into : array of `layout`
            C-ordered, preallocated. What is in it after None means nothing.
        timeout_s : float
            How long to wait at most; 0 looks and returns.

        Returns
        -------
        Stamp or None
            None where no packet came in time. `index` is the front end's number: it grows, by more than 1 where packets
            were lost. `acquisition_time_s` counts from the stream's beginning. `receive_time_s` is `time.monotonic()`
            at the packet's first byte. `continuous` says that slow time runs on from the packet numbered one less.

        Raises
        ------
        TrueflowError
            Where nothing can follow.
        """

    def close(self) -> None:
        """Let go of the front end; more than once does no harm."""


class PacketTap(Protocol):
    """Sees every packet that arrives, also what is dropped before the chain; called by the thread that receives."""

    def raw(self, packet: RfPacket) -> None:
        """Take a packet. Its samples are overwritten once this returns: copy what is to be kept, and be quick.

        An exception ends the run: a tap that only wants to end itself (its disk is full) says so elsewhere.
        """


class FrameSink(Protocol):
    """Takes finished frames, with arrays on the CPU, in the thread of the chain; frames come in order."""

    def result(self, frame: ColorFrame) -> None:
        """Take a frame. Its arrays are nobody else's to write to; its stamp is that of the packet as processed.

        `stamp.continuous` is then also False where the packet before was dropped, so that the same packets with the
        stamps of the frames give the same frames again.
        """

    def changed(self, config: Config, *, anew: bool, made_with: int | None) -> None:
        """Settings, as asked for, are in force from the next frame on; called before the first frame too.

        `anew`: the chain begins anew with that frame, and remembers none before; else only the display has changed.
        `made_with`: number of the packet from which the chain has taken what the settings leave open ("auto", the bands
        of the echo); None where that will be the next frame's.
        """


def packet_layout(acquisition: Acquisition, dtype: Any, grid: ImageGrid | None = None) -> PacketLayout:
    """The layout that follows from an acquisition."""
    a = acquisition
    if a.sample_kind == "beamformed":
        assert grid is not None, "beamformed packets come with a grid"
        return PacketLayout((a.n_ensemble, *grid.shape), np.dtype(dtype))
    return PacketLayout((a.n_ensemble, a.n_transmits, a.probe.n_elements, a.n_samples), np.dtype(dtype))
