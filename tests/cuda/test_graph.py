"""A frame recorded as a CUDA graph and replayed gives what running it gives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from trueflow.kernels.autocorrelate import Blend
from trueflow.kernels.velocity import PhaseCoherence
from trueflow.pipeline import ColorFlow, Config, RfPacket, Stamp

from .test_chain import CONFIGS, acquisition, maps, packets  # noqa: F401
from .world import World

SHAPE = (6, 5)


class Smoothed:
    """A frame with a memory: what `Persistence` does."""

    def __init__(self, device: Any) -> None:
        self.device = device
        self.blend = Blend(device, shape=SHAPE, factor=0.5)
        self.phase = PhaseCoherence(device, shape=SHAPE, nyquist_velocity_m_s=0.3)
        self.before: Any = None

    def __call__(self, r0: Any, r1: Any) -> Any:
        now = self.device.upload(r0), self.device.upload(r1)
        if self.before is not None:
            now = self.blend(*now, *self.before)
        self.before = now
        return self.phase(*now)

    def carried(self) -> list[Any]:
        return [None, None] if self.before is None else list(self.before)


def inputs(n: int) -> list[tuple[Any, Any]]:
    random = np.random.default_rng(3)
    return [
        (
            random.uniform(1, 2, SHAPE).astype(np.float32),
            (random.standard_normal(SHAPE) + 1j * random.standard_normal(SHAPE)).astype(np.complex64),
        )
        for _ in range(n)
    ]


@pytest.mark.parametrize("late", ["", "computation", "copies"])
def test_a_frame_with_a_memory_replays_as_it_runs(open_cuda, late):
    device, world = open_cuda(World(late=late))
    plain, replayed = Smoothed(device), Smoothed(device)
    graph = device.capture(replayed, carried=replayed.carried)
    graph(*inputs(1)[0], key="first")
    plain(*inputs(1)[0])
    for pair in inputs(8)[1:]:
        want = [device.download(a) for a in plain(*pair)]
        got = [device.download(a) for a in graph(*pair, key="later")]
        for a, b in zip(got, want, strict=True):
            np.testing.assert_array_equal(a, b)
    assert graph.recorded
    assert world.graphs == 6


def test_another_key_shape_or_reset_records_anew(open_cuda):
    device, world = open_cuda()
    phase = PhaseCoherence(device, shape=SHAPE, nyquist_velocity_m_s=0.3)
    graph = device.capture(lambda r0, r1: phase(device.upload(r0), device.upload(r1)))
    pair = inputs(1)[0]
    for _ in range(3):
        graph(*pair)
    assert world.graphs == 2
    graph(*pair, key="another")
    assert (world.graphs, graph.recorded) == (2, False)
    graph(*pair, key="another")
    assert (world.graphs, graph.recorded) == (3, True)
    graph.reset()
    assert not graph.recorded
    graph(pair[0].reshape(-1), pair[1].reshape(-1), key="another")
    assert not graph.recorded


def test_a_frame_that_waits_on_the_host_is_not_recorded(open_cuda):
    device, _ = open_cuda()
    graph = device.capture(lambda r0: device.download(device.upload(r0)))
    r0 = inputs(1)[0][0]
    graph(r0)
    with pytest.raises(RuntimeError, match="not permitted"):
        graph(r0)
    np.testing.assert_array_equal(device.download(device.upload(r0)), r0)  # and the device is as before


def test_a_memory_that_appears_while_recording_is_refused(open_cuda):
    device, _ = open_cuda()
    smoothed = Smoothed(device)
    graph = device.capture(lambda *pair: smoothed(*pair)[0], carried=smoothed.carried)
    graph(*inputs(1)[0])
    smoothed.before = None
    with pytest.raises(RuntimeError, match="another key"):
        graph(*inputs(1)[0])


@pytest.mark.parametrize("name", ["default", "iir with state, persistence"])
def test_the_whole_chain_replays_as_it_runs(open_cuda, acquisition, packets, name):  # noqa: F811
    config = Config().override(list(CONFIGS[name]))
    device, world = open_cuda(World(late="computation"))
    plain, replayed = (ColorFlow(acquisition, config, device=device) for _ in range(2))
    stream = [steady(i, p.samples) for i, p in enumerate([*packets, *packets[::-1]])]
    at = iter(stream)  # a replay asks for no packet: stamps are the caller's
    graph = device.capture(
        lambda samples: replayed(replace(next(at), samples=samples)), carried=lambda: memory(replayed)
    )
    for i, packet in enumerate(stream):
        # The first frame has nothing before it, the second something: those are two kinds of frame.
        want, got = plain(packet), graph(packet.samples, key=i > 0)
        wanted, there = maps(plain, want), maps(replayed, got)
        for name_of_map, values in wanted.items():
            np.testing.assert_array_equal(there[name_of_map], values, err_msg=f"{name_of_map} of packet {i}")
    assert world.graphs == 6


def steady(index: int, samples: Any) -> RfPacket:
    """A packet of continuous slow time."""
    return RfPacket(samples, Stamp(index, acquisition_time_s=index * 11 / 4e3, continuous=index > 0))


def memory(flow: ColorFlow) -> list[Any]:
    """What a frame leaves for the next, wherever a stage keeps it."""
    held: list[Any] = []
    before = flow._persistence._before
    held += [None, None] if before is None else [before.r0, before.r1]
    then = flow._dealias._memory._before
    held.append(None if then is None else then[0])
    held.append(getattr(flow._clutter._filter, "_state", None))
    return held
