"""Packets of channel RF with something that flows in them, and a front end that hands them out when it is told to."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.acquisition import Acquisition, PlaneWave
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import RfPacket, Stamp
from trueflow.pipeline.live.description import Description
from trueflow.pipeline.live.source import PacketLayout, SourceCounters, packet_layout
from trueflow.pipeline.probe import Probe

FRAME_S = 0.02


def small_acquisition() -> Acquisition:
    probe = Probe.linear(32, pitch_m=0.3e-3, center_frequency_hz=5e6, bandwidth_fraction=0.6)
    return Acquisition(
        probe,
        (PlaneWave(0.0),),
        sampling_frequency_hz=20e6,
        center_frequency_hz=5e6,
        prf_hz=4e3,
        n_samples=400,
        n_ensemble=8,
    )


def moving_rf(acquisition: Acquisition, index: int) -> NDArray[np.int16]:
    """One packet: noise that stands still, and amid the depth noise whose phase turns 0.3 to 0.6 times a pulse."""
    a = acquisition
    rng = np.random.default_rng(7)  # the same echoes in every packet
    times_s = np.arange(a.n_samples) / a.sampling_frequency_hz
    shape = (a.n_transmits, a.probe.n_elements, a.n_samples)
    echoes = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    echoes = np.cumsum(echoes, axis=-1) - np.cumsum(np.roll(echoes, 6, axis=-1), axis=-1)  # a band around 0 Hz
    middle = np.abs(np.arange(a.n_samples) / a.n_samples - 0.5) < 0.2
    turns = np.where(middle, 0.3 + 0.3 * np.sin(0.3 * index), 0.0)
    pulses = np.arange(a.n_ensemble)[:, None, None, None]
    carrier = np.exp(2j * np.pi * (a.center_frequency_hz * times_s + turns * pulses))
    noise = np.random.default_rng(index).standard_normal((a.n_ensemble, *shape))
    return np.asarray(np.rint(60 * (echoes * carrier).real + 10 * noise), np.int16)


def live_packet(acquisition: Acquisition, index: int, *, continuous: bool = False) -> RfPacket:
    stamp = Stamp(index, acquisition_time_s=index * FRAME_S, receive_time_s=100.0 + index, continuous=continuous)
    return RfPacket(moving_rf(acquisition, index), stamp)


def describe(acquisition: Acquisition) -> Description:
    return Description(acquisition, np.dtype(np.int16), frame_rate_hz=1 / FRAME_S, name="toy front end")


class ToyFrontEnd:
    """A `LiveSource` that gives what was put into it."""

    name = "toy front end"
    grid = None
    frame_rate_hz = 1 / FRAME_S

    def __init__(self, acquisition: Acquisition) -> None:
        self.acquisition = acquisition
        self.layout: PacketLayout = packet_layout(acquisition, np.int16)
        self.waiting: deque[RfPacket] = deque()
        self.failure: TrueflowError | None = None
        self.ended = False
        self.n_received = 0

    @property
    def counters(self) -> SourceCounters:
        return SourceCounters(n_received=self.n_received)

    def receive(self, into: NDArray[Any], timeout_s: float) -> Stamp | None:
        if not self.waiting:
            return None
        packet = self.waiting.popleft()
        np.copyto(into, packet.samples)
        self.n_received += 1
        return packet.stamp

    def close(self) -> None:
        self.ended = True
