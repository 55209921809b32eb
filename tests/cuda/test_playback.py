"""A recording that plays on the GPU: what the viewer gets there, and settings that change between frames."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trueflow.kernels import cuda_setup
from trueflow.kernels.cuda import CudaDevice
from trueflow.pipeline import ColorFrame, Config, Framing, Recording
from trueflow.pipeline.cli.playback import FilePlayer

from .standin import standin
from .world import World

PATIENCE_S = 60.0
MAPS = ("velocity_m_s", "wrapped_velocity_m_s", "fold", "confidence", "mask")


class Bursts(Recording):
    """Packets after one another."""

    format_name = "bursts"

    def __init__(self, acquisition: Any, samples: Any) -> None:
        self.path, self.acquisition, self._samples = Path("bursts"), acquisition, samples
        self.n_slow_time = self.burst_length = len(samples)
        self.has_truth = False

    def read(self, start: int, stop: int) -> Any:
        return self._samples[start:stop]


class Viewer:
    """Takes what a window would, and looks at the GPU's memory long after; asks for other settings meanwhile."""

    def __init__(self, player: FilePlayer, changes: dict[int, list[str]], n_frames: int) -> None:
        self.got: list[tuple[ColorFrame, ColorFrame]] = []
        self.done = threading.Event()
        self._player, self._changes, self._n_frames = player, changes, n_frames

    def __call__(self, frame: ColorFrame, began_s: float, on_device: ColorFrame | None) -> None:
        assert on_device is not None
        self.got.append((frame, on_device))
        self._player.change(self._changes.get(len(self.got), []))
        if len(self.got) == self._n_frames:
            self._player.play(False)
            self.done.set()


def play(monkeypatch: pytest.MonkeyPatch, recording: Recording, world: World) -> Any:
    """Two rounds of a recording, other settings in the second one."""
    cupy = standin(world)
    monkeypatch.setattr(cuda_setup, "import_cupy", lambda: cupy)
    monkeypatch.setattr(cuda_setup, "missing", list)
    with FilePlayer(recording, Framing(11), Config(), device="cuda") as player:
        player.pace(1e6, True)
        viewer = Viewer(player, {8: ["doppler.average_z=5", "persistence.factor=0.5"]}, 16)
        player.start(viewer)
        assert viewer.done.wait(PATIENCE_S), player.take_message()
    return viewer.got


def test_frames_on_the_gpu_are_whole_when_delivered_and_stay_as_they_are(monkeypatch, acquisition, packets):
    """And another config is recorded anew: what is replayed is what runs, to the bit."""
    recording = Bursts(acquisition, np.concatenate([p.samples for p in (*packets, *packets)]))
    world = World(late="computation")
    got = play(monkeypatch, recording, world)
    replayed = [tuple(frame.timings_s) == ("replay",) for frame, _ in got]
    assert replayed[4:8] == replayed[12:] == [True] * 4
    assert not any(replayed[8:10])  # of the other config: plans, and runs once
    for on_host, on_device in got:
        for name in MAPS:  # of the memory itself: nothing is waited for
            there: Any = getattr(on_device.velocity, name)
            np.testing.assert_array_equal(there.host, getattr(on_host.velocity, name), err_msg=name)
    monkeypatch.setattr(CudaDevice, "frame_graph", lambda device: None)
    for (frame, _), (wanted, _) in zip(got, play(monkeypatch, recording, World()), strict=True):
        assert frame.stamp == wanted.stamp
        for name in MAPS:
            np.testing.assert_array_equal(getattr(frame.velocity, name), getattr(wanted.velocity, name), err_msg=name)
