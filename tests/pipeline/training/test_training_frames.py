"""Training frames: drawn at random but by their seed, of the trained families only, with exact folds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from trueflow.kernels import Device, get_device
from trueflow.models.data import Frame, Frames
from trueflow.pipeline.config import GridConfig
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.geometry import make_grid
from trueflow.pipeline.sim.library import SCENES
from trueflow.pipeline.sim.options import Options
from trueflow.pipeline.sim.recording import view_of
from trueflow.pipeline.training import frames as module
from trueflow.pipeline.training.frames import make_frames, simulate_scene
from trueflow.pipeline.training.scenes import HELD_OUT, TRAINED, random_scene


@pytest.fixture(scope="module")
def device() -> Device:
    return get_device("cpu", n_threads=2)


def test_families_held_out_are_not_trained_on():
    assert not set(HELD_OUT) & set(TRAINED)
    assert set(HELD_OUT) | set(TRAINED) == set(SCENES)


@pytest.mark.parametrize("family", TRAINED)
def test_scenes_are_drawn_by_their_seed(family):
    view = view_of(make_grid(Options().acquisition(), GridConfig()))
    same, again, other = (random_scene(family, view, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert same == again
    assert same.vessels != other.vessels


def test_a_frame_has_the_folds_of_its_truth(device):
    scene = simulate_scene(11, 3, device)
    assert scene.family == TRAINED[3]
    assert scene.inputs.shape[1] == 10
    for arrays in zip(scene.inputs, scene.true_turns, scene.flow, scene.truth, strict=True):
        frame = Frame(*arrays)
        both = frame.flow & frame.truth
        turns = frame.phase_turns + frame.folds
        near = np.abs(frame.true_turns.astype(np.float32)) < 2.3  # beyond, folds are limited
        miss = np.abs(turns - frame.true_turns.astype(np.float32))[both & near]
        assert np.median(miss) < 0.12  # turns: noise and clutter filter


def test_files_are_made_once_and_whole(device, tmp_path, monkeypatch):
    scene = simulate_scene(11, 0, device)
    calls = []

    def simulate(seed: int, index: int, device: Device, families: tuple[str, ...]) -> module.SceneFrames:
        calls.append((seed, index))
        return scene

    monkeypatch.setattr(module, "simulate_scene", simulate)
    make_frames(tmp_path, n_scenes=2, seed=5, device=device)
    make_frames(tmp_path, n_scenes=3, seed=5, device=device)
    assert calls == [(5, 0), (5, 1), (5, 2)]
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"5-0000{i}-{TRAINED[i]}.npz" for i in range(3)]
    frames = Frames(tmp_path)
    assert len(frames) == 3 * len(scene.inputs)
    np.testing.assert_array_equal(frames.frames[0].inputs, scene.inputs[0])


def test_a_folder_that_cannot_be_written_says_so(device, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(TrueflowError, match="cannot be written"):
        make_frames(Path(blocked) / "frames", n_scenes=1, seed=1, device=device)
