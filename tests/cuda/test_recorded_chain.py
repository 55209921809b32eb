"""The chain replays recorded frames on its own, and they are what it makes without, to the bit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from trueflow.kernels.cuda import CudaDevice
from trueflow.models import segmenter
from trueflow.pipeline import ColorFlow, Config, RfPacket, Stamp
from trueflow.pipeline.clutter import CLUTTER_FILTERS
from trueflow.pipeline.dealias import DEALIASERS

from .test_chain import CONFIGS, maps
from .world import World

INTERVAL_S = 11 / 4e3
WAITING = {"clutter.name=svd", "dealias.name=skimage"}  # which fetch something from the device in every frame
SETTINGS = [
    *(pytest.param(settings, id=name) for name, settings in CONFIGS.items()),
    *(pytest.param((f"clutter.name={name}",), id=f"clutter {name}") for name in CLUTTER_FILTERS),
    *(pytest.param((f"dealias.name={name}",), id=f"dealiaser {name}") for name in DEALIASERS),
    pytest.param(("dealias.previous_frame=off", "dealias.second_phase=false"), id="as little as may be"),
]


def stream(samples: Iterable[Any]) -> Iterator[RfPacket]:
    """Packets of continuous slow time."""
    for i, values in enumerate(samples):
        yield RfPacket(values, Stamp(i, acquisition_time_s=i * INTERVAL_S, continuous=i > 0))


def both(open_cuda: Any, acquisition: Any, settings: Iterable[str], world: World | None = None) -> Any:
    """A chain that runs its frames as they are, one that replays them, and the second one's machine."""
    config = Config().override(settings)
    plain, _ = open_cuda(record_frames=False)
    recording, world = open_cuda(world)
    return ColorFlow(acquisition, config, device=plain), ColorFlow(acquisition, config, device=recording), world


def check_equal(got: dict[str, Any], want: dict[str, Any], what: object) -> None:
    for name, values in want.items():
        np.testing.assert_array_equal(got[name], values, err_msg=f"{name} of {what}")


@pytest.mark.parametrize("settings", SETTINGS)
def test_replayed_frames_are_those_that_run_to_the_bit(open_cuda, acquisition, packets, settings):
    plain, recorded, world = both(open_cuda, acquisition, settings, World(late="computation"))
    given = list(stream(p.samples for p in (*packets, *packets[::-1])))
    want = [maps(plain, plain(packet)) for packet in given]
    got = [recorded(packet) for packet in given]  # kept: what a frame holds is its own
    for packet, frame, expected in zip(given, got, want, strict=True):
        assert frame.stamp == frame.doppler.stamp == packet.stamp
        check_equal(maps(recorded, frame), expected, packet.stamp)
    assert (want[-1]["velocity"] != want[1]["velocity"]).any()  # frames differ
    assert (world.graphs > 0) == (not WAITING & set(settings))
    if world.graphs:
        assert world.graphs >= len(given) - 4  # plans, a second kind, its first run


def test_a_replayed_frame_launches_nothing_else_and_never_waits(open_cuda, acquisition, packets):
    device, world = open_cuda(World(late="computation"))
    flow = ColorFlow(acquisition, device=device)
    given = list(stream(p.samples for p in (*packets, *packets)))
    for packet in given[:6]:
        flow(packet)
    device.synchronize()
    before = world.graphs, len(world.launches), world.host_waits
    laps = [tuple(flow(packet).timings_s) for packet in given[6:]]  # as many as the ring of host buffers always holds
    assert laps == [("replay",)] * 2
    assert (world.graphs, len(world.launches), world.host_waits) == (before[0] + 2, *before[1:])


def test_streams_with_gaps_replay_as_they_run(open_cuda, acquisition, packets):
    """Bursts, a lost packet, a long pause and time that runs backwards: the branches that frames take on the host."""
    settings = (*CONFIGS["iir with state, persistence"], "dealias.previous_frame=auto")
    times = [0, 1, 2, 3, 4, 6, 7, 8, 2000, 2001, 2002, 2003, 2, 3, 4, 5]
    given = [
        RfPacket(packets[i % 4].samples, Stamp(time, acquisition_time_s=time * INTERVAL_S, continuous=i % 3 != 0))
        for i, time in enumerate(times)
    ]
    plain, recorded, world = both(open_cuda, acquisition, settings)
    for packet in given:
        check_equal(maps(recorded, recorded(packet)), maps(plain, plain(packet)), packet.stamp)
    assert recorded._graph is not None
    assert recorded._graph.n_recorded >= 2
    assert world.graphs >= 6


def test_samples_of_another_type_are_recorded_anew(open_cuda, acquisition, packets):
    plain, recorded, world = both(open_cuda, acquisition, ())
    types = [*[np.int16] * 4, *[np.float32] * 4, *[np.int16] * 4]
    graphs = []
    for packet in stream(packets[i % 4].samples.astype(dtype) for i, dtype in enumerate(types)):
        check_equal(maps(recorded, recorded(packet)), maps(plain, plain(packet)), packet.stamp)
        graphs.append(world.graphs)
    replays = np.diff([0, *graphs])
    assert [replays[i] for i in (3, 4, 6, 8, 10)] == [1, 0, 1, 0, 1]


def test_another_config_is_another_recording(open_cuda, acquisition, packets):
    """A chain is planned for one config; the next one records its own frames, in memory the first has left."""
    device, world = open_cuda()
    plain, _ = open_cuda(record_frames=False)
    for settings in ((), ("doppler.average_z=5", "persistence.factor=0.5"), ()):
        config = Config().override(settings)
        flow, wanted = ColorFlow(acquisition, config, device=device), ColorFlow(acquisition, config, device=plain)
        before = world.graphs
        for packet in stream(p.samples for p in (*packets, *packets)):
            check_equal(maps(flow, flow(packet)), maps(wanted, wanted(packet)), (settings, packet.stamp))
        assert world.graphs - before >= 4
        del flow


def test_staggered_pulses_replay_as_they_run(open_cuda, acquisition, packets):
    even = replace(acquisition, n_ensemble=10, stagger=(2, 3))
    plain, recorded, world = both(open_cuda, even, ("persistence.factor=0.3",))
    for packet in stream(p.samples[:10] for p in (*packets, *packets)):
        check_equal(maps(recorded, recorded(packet)), maps(plain, plain(packet)), packet.stamp)
    assert world.graphs >= 4


def test_beamformed_samples_replay_as_they_run(open_cuda, acquisition, packets):
    entrance = ColorFlow(acquisition)
    given = [np.moveaxis(entrance._beamform(packet).iq, -1, 0) for packet in packets]
    beamformed = replace(acquisition, sample_kind="beamformed")
    config = Config().override(["clutter.name=polynomial"])
    (plain, _), (recording, world) = open_cuda(record_frames=False), open_cuda()
    flows = [ColorFlow(beamformed, config, grid=entrance.grid, device=device) for device in (plain, recording)]
    for packet in stream([*given, *given]):
        want, got = (maps(flow, flow(packet)) for flow in flows)
        check_equal(got, want, packet.stamp)
    assert world.graphs >= 4


class FakeEngine:
    """A network of one weight per class, on the device's stream."""

    name = "tensorrt"

    def __init__(self, device: CudaDevice, padded: tuple[int, int], only_launches: bool) -> None:
        self.only_launches, self._device = only_launches, device
        self._logits = device.empty((1, 6, *padded), np.float32)

    def __call__(self, tensor: Any) -> Any:
        if not self.only_launches:
            self._device.download(tensor)
        weights = np.arange(1, 7, dtype=np.float32)[:, None, None]
        here, there = tensor.host, self._logits.host

        def infer() -> None:
            there[0] = weights * here[0, 0] + 3 * here[0, 2] * (weights == 2)

        tensor.world.stream().do(infer)
        return self._logits


@pytest.mark.parametrize("only_launches", [True, False])
def test_the_network_is_part_of_the_recording_where_its_engine_does_not_wait(
    open_cuda, acquisition, packets, monkeypatch, only_launches
):
    monkeypatch.setattr(
        segmenter, "make_engine", lambda name, device, network, padded: FakeEngine(device, padded, only_launches)
    )
    plain, recorded, world = both(open_cuda, acquisition, ("segment.enabled=on",))
    for packet in stream(p.samples for p in (*packets, *packets)):
        want, got = plain(packet), recorded(packet)
        check_equal(maps(recorded, got), maps(plain, want), packet.stamp)
        assert got.segmentation.stamp == packet.stamp
        for name in ("fold_class", "probability", "fold_probability"):
            a, b = (flow.device.download(getattr(f.segmentation, name)) for flow, f in ((recorded, got), (plain, want)))
            np.testing.assert_array_equal(a, b)
    assert (world.graphs > 0) == only_launches
