"""The chain on the GPU's own kernels, launch shapes and seam gives what the CPU device gives.

The kernels run the text that NVRTC compiles, thread by thread on the CPU; CuPy and the GPU itself are stood in for.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from trueflow.kernels.cuda import RING
from trueflow.pipeline import (
    ColorFlow,
    ColorFrame,
    Config,
    RfPacket,
    Stamp,
    TrueflowError,
)

from .foreign import Foreign
from .world import World

CONFIGS = {
    "default": (),
    "iir with state, persistence": (
        "clutter.name=iir", "clutter.keep_state=true", "persistence.factor=0.4", "dealias.previous_frame=on",
    ),
    "svd": ("clutter.name=svd",),
    "no specks taken out": ("clutter.name=fir", "mask.speck_radius=0", "mask.least_area_wavelengths2=0"),
}  # fmt: skip


def maps(flow: ColorFlow, frame: ColorFrame) -> dict[str, Any]:
    fetch = flow.device.download
    return {
        "envelope": fetch(frame.bmode.envelope),
        "r0": fetch(frame.doppler.r0),
        "r1": fetch(frame.doppler.r1),
        "wrapped": fetch(frame.velocity.wrapped_velocity_m_s),
        "velocity": fetch(frame.velocity.velocity_m_s),
        "mask": fetch(frame.velocity.mask),
        "fold": fetch(frame.velocity.fold),
        "confidence": fetch(frame.velocity.confidence),
    }


def check_same(got: dict[str, Any], want: dict[str, Any]) -> None:
    """Sums in another order differ in the last bits; where they decide (a gate, a border), a few pixels may."""
    assert want["mask"].mean() > 0.05, "the scene shows nothing"
    assert (want["fold"] != 0).any(), "the scene does not alias"
    for name in ("envelope", "r0", "r1"):
        scale = np.abs(want[name]).max()
        np.testing.assert_allclose(got[name], want[name], rtol=0, atol=2e-5 * scale, err_msg=name)
    differing = {name: np.mean(got[name] != want[name]) for name in ("mask", "fold")}
    assert max(differing.values()) < 2e-3, differing
    both = got["mask"] & want["mask"] & (got["fold"] == want["fold"])
    assert np.quantile(np.abs(got["velocity"] - want["velocity"])[both], 0.99) < 1e-3
    assert np.abs(got["confidence"] - want["confidence"])[both].mean() < 5e-3


@pytest.mark.parametrize(("name", "capability"), [*((name, "75") for name in CONFIGS), ("default", "87")])
def test_the_chain_gives_what_the_cpu_gives(open_cuda, acquisition, packets, name, capability):
    config = Config().override(list(CONFIGS[name]))
    device, _ = open_cuda(World(capability=capability))
    on_cpu, on_cuda = ColorFlow(acquisition, config), ColorFlow(acquisition, config, device=device)
    for packet in packets[:3]:
        packet = replace(packet, stamp=replace(packet.stamp, continuous=packet.stamp.index > 0))
        check_same(maps(on_cuda, on_cuda(packet)), maps(on_cpu, on_cpu(packet)))


@pytest.mark.parametrize("order", ["backward", "scattered"])
def test_the_order_of_threads_does_not_matter(open_cuda, acquisition, packets, order):
    """No GPU runs a launch's threads in the order of their numbers."""
    frames = []
    for world in (World(), World(order=order)):
        device, _ = open_cuda(world)
        flow = ColorFlow(acquisition, device=device)
        frames.append([maps(flow, flow(packet)) for packet in packets[:2]])
    for forward, other in zip(*frames, strict=True):
        for name, values in forward.items():
            np.testing.assert_array_equal(values, other[name], err_msg=name)


@pytest.mark.parametrize("late", ["computation", "copies"])
@pytest.mark.parametrize("integrated", [False, True])
def test_copies_and_computation_wait_for_each_other(open_cuda, acquisition, packets, late, integrated, monkeypatch):
    """Six packets in a row, no result looked at meanwhile, on a GPU that puts off one or the other."""
    monkeypatch.setattr("trueflow.kernels.cuda.SHARED_FROM_BYTES", 1)
    frames = []
    for world in (World(), World(late=late, integrated=integrated)):
        device, _ = open_cuda(world)
        flow = ColorFlow(acquisition, device=device)
        flow(packets[0])
        kept = [flow(packet) for packet in (*packets, *packets[::-1])]
        frames.append([maps(flow, frame) for frame in kept])
    for at_once, other in zip(*frames, strict=True):
        for name, values in at_once.items():
            np.testing.assert_array_equal(values, other[name], err_msg=name)


def test_packets_that_are_on_the_gpu_already_give_the_same(open_cuda, acquisition, packets):
    """As PyCUDA's arrays come in."""
    device, world = open_cuda()
    flows = [ColorFlow(acquisition, device=device) for _ in range(2)]
    for packet in (*packets, *packets):
        theirs = Foreign(device.upload(packet.samples))
        want, got = maps(flows[0], flows[0](packet)), maps(flows[1], flows[1](replace(packet, samples=theirs)))
        for name, values in want.items():
            np.testing.assert_array_equal(got[name], values, err_msg=name)
    assert world.graphs > 8
    with pytest.raises(TrueflowError, match="packet 3: samples on a GPU; found Foreign; expected a NumPy array"):
        ColorFlow(acquisition)(replace(packet, samples=theirs))


@pytest.mark.parametrize("limit_bytes", [10_000, 1_000_000])
def test_a_gpu_without_enough_memory_is_told_as_any_other_mistake(open_cuda, acquisition, packets, limit_bytes):
    """While planning, and while the first frame is made."""
    device, _ = open_cuda(memory_limit_bytes=limit_bytes)
    with pytest.raises(TrueflowError, match=r"device: an array of \d+ bytes: out of GPU memory"):
        ColorFlow(acquisition, device=device)(packets[0])


def test_beamformed_samples_on_the_gpu_are_refused(open_cuda, acquisition):
    device, _ = open_cuda()
    grid = ColorFlow(acquisition).grid
    flow = ColorFlow(replace(acquisition, sample_kind="beamformed"), grid=grid, device=device)
    samples = Foreign(device.zeros((acquisition.n_ensemble, *grid.shape), np.complex64))
    with pytest.raises(TrueflowError, match="samples on a GPU"):
        flow(RfPacket(samples, Stamp(0)))


def test_a_frame_never_waits_on_the_host(open_cuda, acquisition, packets):
    device, world = open_cuda(World(late="computation"))
    flow = ColorFlow(acquisition, device=device)
    flow(packets[0])  # plans: which clutter filter, which sub-bands
    before = world.host_waits
    launched = len(world.launches)
    for packet in packets[1:3]:
        flow(packet)
    assert len(world.launches) > launched + 50
    assert world.host_waits == before


def test_the_host_runs_no_further_ahead_than_the_ring(open_cuda, acquisition, packets):
    device, world = open_cuda(World(late="computation"))
    flow = ColorFlow(acquisition, device=device)
    flow(packets[0])
    queued = []
    for _ in range(3 * RING):
        flow(packets[1])
        queued.append(len(world.streams[0].queue))
    assert queued[0] < max(queued) <= (RING + 1) * queued[0]
