"""Packets that hold their number, a chain that does not compute, and front ends to connect to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from live_packets import FRAME_S, ToyFrontEnd, describe

from trueflow.pipeline.acquisition import Acquisition
from trueflow.pipeline.config import Config
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import ColorFrame, RfPacket, Stamp
from trueflow.pipeline.live.network import NetworkSource
from trueflow.pipeline.live.publisher import Publisher
from trueflow.pipeline.live.runner import Runner

PATIENCE_S = 20.0


def numbered(
    acquisition: Acquisition, index: int, *, time_s: float | None = None, continuous: bool = False
) -> RfPacket:
    """A packet full of its own number, received now."""
    a = acquisition
    samples = np.full((a.n_ensemble, a.n_transmits, a.probe.n_elements, a.n_samples), index, np.int16)
    acquired_s = index * FRAME_S if time_s is None else time_s
    return RfPacket(samples, Stamp(index, acquired_s, time.monotonic(), continuous))


class ToyChain:
    """Draws the vessel under the packet's stamp; remembers the packets it got, and waits or fails when told to."""

    def __init__(self, vessel: Any, config: Config) -> None:
        self.grid, self.config, self.device = vessel.grid, config, self
        self.vessel = vessel
        self.numbers: list[int] = []
        self.n_resets = 0
        self.fail_at: set[int] = set()
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.began = threading.Event()

    def download(self, array: Any) -> Any:
        return array

    def reset(self, *, keep_plan: bool = False) -> None:
        self.n_resets += 1

    def __call__(self, packet: RfPacket) -> ColorFrame:
        self.began.set()
        assert self.may_go_on.wait(PATIENCE_S)
        if packet.stamp.index in self.fail_at:
            raise ValueError("this one does not compute")
        values = set(np.unique(packet.samples).tolist())
        assert len(values) == 1, "the packet changed while it was processed"
        self.numbers.append(values.pop())
        frame = self.vessel.frame(packet.stamp.index)
        velocity = replace(frame.velocity, stamp=packet.stamp)
        return replace(frame, velocity=velocity, timings_s={"beamform": 1e-3, "dealias": 2e-3})


class Heard:
    """A display, a sink and a tap: writes down what it gets."""

    def __init__(self) -> None:
        self.shown: list[int] = []
        self.tapped: list[int] = []
        self.results: list[int] = []
        self.configs: list[tuple[Config, bool]] = []
        self.log: list[str] = []
        self._changed = threading.Condition()

    def deliver(self, frame: ColorFrame, began_s: float, on_device: ColorFrame | None) -> None:
        assert on_device is None
        with self._changed:
            self.shown.append(frame.stamp.index)
            self.log.append(f"show {frame.stamp.index}")
            self._changed.notify_all()

    def raw(self, packet: RfPacket) -> None:
        assert packet.samples.flat[0] == packet.stamp.index
        self.tapped.append(packet.stamp.index)

    def result(self, frame: ColorFrame) -> None:
        self.results.append(frame.stamp.index)
        self.log.append(f"result {frame.stamp.index}")

    def changed(self, config: Config, *, anew: bool, made_with: int | None) -> None:
        self.configs.append((config, anew))
        self.log.append(f"changed {config.dealias.name}{' anew' if anew else ''}")

    def wait(self, until: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(until, PATIENCE_S)


class Run:
    """A run of a toy front end through toy chains."""

    def __init__(self, acquisition: Acquisition, vessel: Any, **options: Any) -> None:
        self.acquisition = acquisition
        self.source = ToyFrontEnd(acquisition)
        self.heard = Heard()
        self.chains: list[ToyChain] = []

        def make_chain(config: Config) -> ToyChain:
            if config.dealias.name == "nonsense":
                raise TrueflowError("unknown dealiaser")
            self.chains.append(ToyChain(vessel, config))
            return self.chains[-1]

        options = {"sinks": [self.heard], "taps": [self.heard], "deliver": self.heard.deliver, **options}
        self.runner = Runner(self.source, make_chain, Config(), **options)

    @property
    def chain(self) -> ToyChain:
        return self.chains[-1]

    def send(self, *indices: int, **options: Any) -> None:
        for index in indices:
            self.source.waiting.append(numbered(self.acquisition, index, **options))

    def messages(self) -> list[str]:
        return list(iter(self.runner.take_message, None))


@pytest.fixture
def make_run(acquisition: Acquisition, vessel: Any) -> Iterator[Callable[..., Run]]:
    """A run that is stopped at the end of the test: (**options of the runner) -> Run."""
    runs: list[Run] = []

    def make(**options: Any) -> Run:
        runs.append(Run(acquisition, vessel, **options))
        return runs[-1]

    yield make
    for run in runs:
        for chain in run.chains:
            chain.may_go_on.set()
        run.runner.stop()


class Wire:
    """A publisher and a listener, in one thread."""

    def __init__(self, publisher: Publisher, source: NetworkSource) -> None:
        self.publisher, self.source = publisher, source
        self.samples = source.layout.empty()

    def settle(self) -> None:
        """Until the listener has been seen and knows where the numbers stand."""
        end_s = time.monotonic() + PATIENCE_S
        while self.publisher.n_listeners == 0:
            assert time.monotonic() < end_s
            self.publisher.tend(0.01)
            assert self.receive(0.01) is None  # a listener that does not look does not subscribe anew either
        assert self.receive(0.05) is None

    def receive(self, timeout_s: float = 5.0) -> Stamp | None:
        return self.source.receive(self.samples, timeout_s)

    def receive_all(self, at_least: int = 0, *, quiet_s: float = 0.2) -> list[int]:
        """Numbers of the packets that come; so many are waited for, and then whether more come."""
        numbers, end_s = list[int](), time.monotonic() + PATIENCE_S
        while True:
            stamp = self.receive(quiet_s)
            if stamp is not None:
                numbers.append(stamp.index)
            elif len(numbers) >= at_least or time.monotonic() > end_s:
                return numbers

    def await_end(self) -> list[int]:
        """Until the source has heard of its end; numbers of what comes before it."""
        numbers, end_s = list[int](), time.monotonic() + PATIENCE_S
        while not self.source.ended:
            assert time.monotonic() < end_s
            if (stamp := self.receive(0.05)) is not None:
                numbers.append(stamp.index)
        return numbers


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"ipc://{tmp_path}/scanner"


@pytest.fixture
def wire(url: str, acquisition: Acquisition) -> Iterator[Wire]:
    """A publisher whose listener is connected."""
    pytest.importorskip("zmq")
    with Publisher(url, describe(acquisition)) as publisher:
        tending = threading.Event()

        def tend() -> None:
            while not tending.is_set():
                publisher.tend(0.01)

        thread = threading.Thread(target=tend)
        thread.start()
        try:
            source = NetworkSource(url)
        finally:
            tending.set()
            thread.join()
        wire = Wire(publisher, source)
        wire.settle()
        yield wire
        source.close()
