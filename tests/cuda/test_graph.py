"""A frame recorded as a CUDA graph and replayed gives what running it gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from trueflow.kernels.autocorrelate import Blend
from trueflow.kernels.cuda_setup import DeviceError
from trueflow.kernels.velocity import PhaseCoherence

from .world import World

SHAPE = (6, 5)


class Smoothed:
    """A frame with a memory: what `Persistence` does."""

    def __init__(self, device: Any) -> None:
        self.device = device
        self.blend = Blend(device, shape=SHAPE, factor=0.5)
        self.phase = PhaseCoherence(device, shape=SHAPE, nyquist_velocity_m_s=0.3)
        self.before = device.zeros(SHAPE, np.float32), device.zeros(SHAPE, np.complex64)

    def __call__(self, r0: Any, r1: Any) -> Any:
        now = self.blend(self.device.upload(r0), self.device.upload(r1), *self.before)
        for array, place in zip(now, self.before, strict=True):
            self.device.copy(array, place)
        return self.phase(*now)


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
    plain, recorded = Smoothed(device), Smoothed(device)
    graph = device.frame_graph()
    for i, pair in enumerate(inputs(8)):
        want = [device.download(a) for a in plain(*pair)]
        made, replayed = graph(lambda pair=pair: recorded(*pair), pair)
        assert replayed == (i > 0)
        for a, b in zip(made, want, strict=True):
            np.testing.assert_array_equal(device.download(a), b)
    assert world.graphs == 7


def test_kinds_are_recorded_apart_and_kept(open_cuda):
    device, world = open_cuda()
    smoothed = Smoothed(device)
    graph = device.frame_graph()
    pair = inputs(1)[0]
    for kind in ("a", "b", "a", "b", "a", "b"):
        graph(lambda: smoothed(*pair), pair, kind=kind)
    assert (world.graphs, graph.n_recorded) == (4, 2)


def test_inputs_of_another_shape_or_type_and_reset_begin_anew(open_cuda):
    device, world = open_cuda()
    phase = PhaseCoherence(device, shape=SHAPE, nyquist_velocity_m_s=0.3)
    graph = device.frame_graph()

    def run(r0: Any, r1: Any) -> bool:
        return graph(lambda: phase(device.upload(r0), device.upload(r1)), (r0, r1))[1]

    r0, r1 = inputs(1)[0]
    assert [run(r0, r1) for _ in range(3)] == [False, True, True]
    assert [run(r0.reshape(-1), r1) for _ in range(2)] == [False, True]
    with pytest.raises(TypeError, match="r0 has dtype float64"):
        run(r0.astype(np.float64), r1)
    assert [run(r0, r1) for _ in range(2)] == [False, True]
    graph.reset()
    assert graph.n_recorded == 0
    assert not run(r0, r1)
    assert world.graphs == 4


def test_a_frame_that_waits_on_the_host_is_not_recorded(open_cuda):
    device, _ = open_cuda()
    graph = device.frame_graph()
    r0 = inputs(1)[0][0]

    def frame() -> Any:
        return device.download(device.upload(r0))

    graph(frame, [r0])
    with pytest.raises(DeviceError, match="downloading is not permitted"):
        graph(frame, [r0])
    np.testing.assert_array_equal(device.download(device.upload(r0)), r0)  # and the device is as before


def test_a_recorded_frame_uploads_its_inputs_and_nothing_else(open_cuda):
    device, _ = open_cuda()
    r0, r1 = inputs(1)[0]
    for frame, complaint in (
        (lambda: (device.upload(r0), device.upload(r0)), "uploads its inputs and nothing else"),
        (lambda: (), "uploaded 0 of 1 arrays"),
        (lambda: device.upload(r1), "uploads its inputs and nothing else"),
    ):
        graph = device.frame_graph()
        graph(frame, [r0])
        with pytest.raises(RuntimeError, match=complaint):
            graph(frame, [r0])


def test_recorded_frames_and_all_else_keep_to_one_limit(open_cuda):
    limit_bytes = 64 << 10
    device, _ = open_cuda(memory_limit_bytes=limit_bytes)
    r0 = np.zeros(1024, np.float32)

    def frame(n_arrays: int) -> Any:
        return [device.upload(r0), *(device.empty(1024, np.float32) for _ in range(n_arrays))]

    graph = device.frame_graph()
    for _ in range(2):
        graph(lambda: frame(3), [r0])
    kept: list[Any] = []
    with pytest.raises(DeviceError, match="out of GPU memory"):
        kept.extend(device.empty(1024, np.float32) for _ in range(100))
    assert device._pool.total_bytes() + device._recorded_pool.total_bytes() == limit_bytes
    kept.clear()
    graph(lambda: frame(8), [r0], kind="larger")
    with pytest.raises(DeviceError, match="out of GPU memory"):
        graph(lambda: frame(8), [r0], kind="larger")


def test_recording_can_be_left_out(open_cuda):
    device, _ = open_cuda(record_frames=False)
    assert device.frame_graph() is None
