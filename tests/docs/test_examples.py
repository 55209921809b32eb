"""The code on README.md, docs/own-recording.md and docs/formats.md runs as it stands, and does what the text says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from trueflow.pipeline import ColorFlow, Config, Framing, open_source, packets
from trueflow.pipeline.cli import cli
from trueflow.pipeline.cli.info import describe

ROOT = Path(__file__).resolve().parents[2]
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def run_page(path: Path) -> dict[str, Any]:
    """Execute a page's Python blocks one after the other; returns their names."""
    text = path.read_text(encoding="utf-8")
    names: dict[str, Any] = {"__name__": "example"}
    for block in PYTHON.finditer(text):
        blank = "\n" * text.count("\n", 0, block.start(1))  # errors then name the page's own lines
        exec(compile(blank + block[1], str(path), "exec"), names)
    return names


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with README's recording: two small frames of it."""
    monkeypatch.chdir(tmp_path)
    run = CliRunner().invoke(cli, ["simulate", "straight", "--frames", "2", "-o", "recording.hdf5"])
    assert run.exit_code == 0, run.output
    return tmp_path


def test_readmes_python_runs_on_a_recording(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = run_page(ROOT / "README.md")
    lines = capsys.readouterr().out.splitlines()
    assert names["n_frames"] == len(lines) == 2
    velocity = names["velocity"]
    folds = 2 * velocity.fold * np.float32(velocity.nyquist_velocity_m_s)
    assert velocity.mask.any()
    np.testing.assert_allclose(velocity.velocity_m_s, velocity.wrapped_velocity_m_s + folds, atol=1e-6)


def test_the_formats_page_reads_what_replay_writes(recorded: Path) -> None:
    run = CliRunner().invoke(cli, ["replay", "recording.hdf5", "-o", "result.h5"])
    assert run.exit_code == 0, run.output
    names = run_page(ROOT / "docs" / "formats.md")
    assert names["velocity_m_s"].ndim == 2
    config = recorded / "config.toml"
    config.write_text(names["settings"])
    assert Config.load(config).clutter.name != "auto"


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("own")
        patch.chdir(folder)
        return run_page(ROOT / "docs" / "own-recording.md") | {"folder": folder}


def test_the_recipe_sees_the_flow_of_the_scan(recipe: dict[str, Any]) -> None:
    frame, grid = recipe["frames"][0].velocity, recipe["flow"].grid
    with open_source("sim://straight?peak=1.5vN&frames=2&seed=4") as scan:
        truth = scan.truth(0, 16, grid)
    assert truth is not None
    seen = frame.mask & truth.mask
    assert len(recipe["frames"]) == 2
    assert seen.sum() > 0.95 * truth.mask.sum()
    assert np.median(np.abs(frame.velocity_m_s - truth.velocity_m_s)[seen]) < 0.1 * frame.nyquist_velocity_m_s
    assert np.abs(frame.velocity_m_s[seen]).max() > 1.3 * frame.nyquist_velocity_m_s


def test_the_recipe_draws_a_picture(recipe: dict[str, Any]) -> None:
    with Image.open(recipe["folder"] / "first.png") as picture:
        assert min(picture.size) > 400


def test_iq_gives_the_velocities_of_rf(recipe: dict[str, Any]) -> None:
    rf, iq = recipe["frames"][0].velocity, recipe["iq_frame"].velocity
    both = rf.mask & iq.mask
    assert both.sum() > 0.8 * rf.mask.sum()
    assert np.median(np.abs(rf.velocity_m_s - iq.velocity_m_s)[both]) < 0.05 * rf.nyquist_velocity_m_s


def test_little_of_noise_is_shown_as_flow(recipe: dict[str, Any]) -> None:
    assert recipe["noise_frame"].velocity.mask.mean() < 0.1


def test_the_file_holds_the_facts_and_replays_to_the_same_velocities(recipe: dict[str, Any]) -> None:
    with open_source(recipe["folder"] / "mine.hdf5") as recording:
        facts = describe(recording)
        acquisition, n_frames, stream = packets(recording, Framing())
        flow = ColorFlow(acquisition, Config(), grid=recipe["flow"].grid)
        frames = [flow(packet).velocity for packet in stream]
    assert (facts["n_bursts"], facts["burst_length"], n_frames) == (2, 16, 2)
    assert facts["nyquist_velocity_m_s"] == pytest.approx(0.308)
    assert acquisition.rx_start_s - acquisition.transmits[0].origin_time_s == pytest.approx(0, abs=1e-12)
    for frame, expected in zip(frames, recipe["frames"], strict=True):
        np.testing.assert_array_equal(frame.fold, expected.velocity.fold)
        seen = frame.mask & expected.velocity.mask
        assert seen.sum() > 0.99 * frame.mask.sum()
        difference = np.abs(frame.velocity_m_s - expected.velocity.velocity_m_s)[seen]
        assert difference.max() < 1e-3 * frame.nyquist_velocity_m_s
