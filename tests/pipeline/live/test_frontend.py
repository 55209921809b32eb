"""A recording played as a scanner, with trouble on the way: every loss is counted, and the picture recovers."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from live_packets import describe, live_packet

from trueflow.pipeline import Acquisition, ColorFlow, ColorFrame, Config
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import RfPacket, Stamp
from trueflow.pipeline.live.faults import Faults, Tally
from trueflow.pipeline.live.frontend import looped, play
from trueflow.pipeline.live.network import NetworkSource
from trueflow.pipeline.live.publisher import Prepared, Publisher
from trueflow.pipeline.live.runner import Runner

from .conftest import PATIENCE_S, numbered

pytest.importorskip("zmq")

N_PACKETS = 60
SMALL = Config().override(["grid.n_x=16", "grid.n_z=24", "clutter.name=polynomial", "mask.coherence=0.1"])


class Scanner(threading.Thread):
    """A front end in a thread, which begins when somebody listens."""

    def __init__(self, url: str, acquisition: Acquisition, packets: Iterator[Prepared], **options: Any) -> None:
        super().__init__(daemon=True)
        self.tally: Tally | None = None
        self._publisher = Publisher(url, describe(acquisition), waits=options.get("rate_hz") == 0)
        self._packets, self._options = packets, options

    def run(self) -> None:
        with self._publisher as publisher:
            while publisher.n_listeners == 0:
                publisher.tend(0.01)
            self.tally = play(publisher, self._packets, **self._options)


@pytest.fixture
def scan(url: str, acquisition: Acquisition) -> Callable[..., tuple[Any, Tally]]:
    """Plays numbered packets at a listener that takes them all: (count, **options) -> (source, tally)."""

    def scan(count: int = N_PACKETS, *, rate_hz: float = 0.0, **options: Any) -> tuple[Any, Tally]:
        packets = [Prepared.of(numbered(acquisition, index)) for index in range(count)]
        scanner = Scanner(url, acquisition, iter(packets), rate_hz=rate_hz, **options)
        scanner.start()
        source = NetworkSource(url)
        samples, received = source.layout.empty(), []
        end_s = time.monotonic() + PATIENCE_S
        while not source.ended:
            assert time.monotonic() < end_s
            stamp = source.receive(samples, 0.1)
            if stamp is not None:
                assert (samples == stamp.index).all()
                received.append((stamp, time.monotonic()))
        scanner.join(PATIENCE_S)
        source.close()
        source.received = received
        assert scanner.tally is not None
        return source, scanner.tally

    return scan


def test_without_faults_everything_comes(scan: Any) -> None:
    source, tally = scan()
    assert [stamp.index for stamp, _ in source.received] == list(range(N_PACKETS))
    assert tally == Tally(n_packets=N_PACKETS)
    assert source.counters.n_received == N_PACKETS
    assert source.counters.n_lost == 0


@pytest.mark.parametrize("seed", [1, 2])
def test_every_loss_late_packet_and_damage_is_counted_exactly(scan: Any, seed: int) -> None:
    source, tally = scan(150, faults=Faults(loss=0.1, reorder=0.1, corrupt=0.1, seed=seed))
    assert min(tally.n_lost, tally.n_reordered, tally.n_corrupted) > 3
    c = source.counters
    assert c.n_late == tally.n_reordered
    assert c.n_corrupt == tally.n_corrupted
    assert c.n_lost == tally.n_lost + tally.n_reordered + tally.n_corrupted
    assert c.n_received == tally.n_packets - c.n_lost == len(source.received)
    assert c.n_rejected == 0


def test_the_same_seed_does_the_same_damage(scan: Any) -> None:
    faults = Faults(loss=0.2, reorder=0.2, corrupt=0.2, seed=3)
    first, second = (scan(faults=faults) for _ in range(2))
    assert first[1] == second[1]
    assert [stamp.index for stamp, _ in first[0].received] == [stamp.index for stamp, _ in second[0].received]


def test_a_stall_is_a_pause_in_which_time_goes_on(scan: Any) -> None:
    source, tally = scan(30, rate_hz=100.0, faults=Faults(stall_s=0.4, stall_every_s=0.1))
    assert tally.n_stalls >= 1
    assert source.counters.n_lost == 0
    arrived_s = np.array([time_s for _, time_s in source.received])
    acquired_s = np.array([stamp.acquisition_time_s for stamp, _ in source.received])
    assert np.diff(arrived_s).max() >= 0.2
    assert (np.diff(acquired_s) > 0.4).sum() == tally.n_stalls


def test_the_pace_is_the_one_that_was_asked_for(scan: Any) -> None:
    source, _ = scan(21, rate_hz=50.0)
    times_s = [time_s for _, time_s in source.received]
    assert times_s[-1] - times_s[0] >= 0.5 * 20 / 50, "at full speed it takes a tenth of that"


def test_jitter_delays_but_does_not_add_up(scan: Any) -> None:
    source, _ = scan(40, rate_hz=100.0, faults=Faults(jitter_s=0.008))
    times_s = np.array([time_s for _, time_s in source.received])
    assert np.diff(times_s).std() > 5e-4
    assert source.counters.n_lost == 0


def test_a_loop_goes_on_in_time_and_says_where_its_seam_is() -> None:
    samples = np.zeros(1, np.int16)
    packets = [Prepared.of(RfPacket(samples, Stamp(i, 5 + 0.1 * i, continuous=i > 0))) for i in range(3)]
    stamps = [packet.stamp for packet in itertools.islice(looped(lambda: iter(packets), interval_s=0.1), 7)]
    np.testing.assert_allclose([stamp.acquisition_time_s for stamp in stamps], 5 + 0.1 * np.arange(7))
    assert [stamp.continuous for stamp in stamps] == [False, True, True, False, True, True, False]


@pytest.mark.parametrize("harm", [{"loss": 0.6, "corrupt": 0.6}, {"loss": -0.1}, {"jitter_s": -1}, {"stall_s": np.inf}])
def test_faults_that_cannot_be_are_refused(harm: dict[str, float]) -> None:
    with pytest.raises(TrueflowError):
        Faults(**harm)


class Album:
    """Keeps all frames."""

    def __init__(self) -> None:
        self.frames: dict[int, ColorFrame] = {}

    def changed(self, config: Config, **_: Any) -> None: ...

    def result(self, frame: ColorFrame) -> None:
        self.frames[frame.stamp.index] = frame


def test_the_picture_recovers_within_two_frames_of_whatever_goes_wrong(url: str, acquisition: Acquisition) -> None:
    """Two frames after the last packet that was missing, pictures are those of a stream that missed nothing."""
    count, album = 40, Album()
    packets = [live_packet(acquisition, index) for index in range(count)]
    flow = ColorFlow(acquisition, SMALL)
    undisturbed = [flow(packet) for packet in packets]
    faults = Faults(loss=0.05, reorder=0.05, corrupt=0.05, stall_s=0.5, stall_every_s=0.3, seed=5)
    scanner = Scanner(url, acquisition, map(Prepared.of, packets), rate_hz=60.0, faults=faults)
    scanner.start()
    source = NetworkSource(url)

    def make_flow(config: Config) -> ColorFlow:
        return ColorFlow(acquisition, config)

    with Runner(source, make_flow, SMALL, sinks=[album], keep="all", silent_s=0.2) as runner:
        runner.start()
        assert runner.wait(PATIENCE_S)
        report = runner.report()
    scanner.join()
    tally = scanner.tally
    assert tally is not None
    assert tally.n_stalls >= 1
    assert report.n_silences >= 1
    lost = set(range(count)) - set(album.frames)
    assert len(lost) == report.source.n_lost >= tally.n_lost + tally.n_reordered + tally.n_corrupted > 0
    compared = 0
    for index, frame in album.frames.items():
        if {index, index - 1, index - 2} & lost:
            continue
        compared += 1
        np.testing.assert_array_equal(frame.doppler.r1, undisturbed[index].doppler.r1)
        np.testing.assert_array_equal(frame.velocity.velocity_m_s, undisturbed[index].velocity.velocity_m_s)
    assert compared >= 10
