"""The demo: a heartbeat simulated, measured and shown."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

SCENE = "straight?peak=1.6vN"  # steady flow, aliased once in the middle of the vessel


def demo(folder: Path, *options: str, scene: str = SCENE) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from trueflow.pipeline.cli import main; main()", "demo", "--scene", scene]
    return subprocess.run([*command, "-o", str(folder), *options], capture_output=True, text=True)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "not" / "there"


@pytest.fixture(scope="module")
def report(out: Path) -> Any:
    done = demo(out, "--frames", "2", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_writes_a_movie_and_a_picture_of_the_same_frames(report: Any, out: Path) -> None:
    assert sorted(path.name for path in out.iterdir()) == ["demo.mp4", "demo.png"]
    assert report["outputs"] == {"mp4": str(out / "demo.mp4"), "png": str(out / "demo.png")}
    picture = np.asarray(Image.open(out / "demo.png")).astype(int)
    assert picture.shape == (900, 1600, 3)
    with av.open(str(out / "demo.mp4")) as movie:
        frames = [frame.to_ndarray(format="rgb24").astype(int) for frame in movie.decode(video=0)]
    assert len(frames) == 3 * report["n_frames"]
    peak = frames[report["peak_frame"]]
    assert np.abs(peak - picture).mean() < 6  # H.264 halves the resolution of color


def test_dealiasing_removes_the_wrong_folds_that_raw_color_has(report: Any) -> None:
    assert report["peak_velocity_m_s"] == pytest.approx(1.6 * report["nyquist_velocity_m_s"], rel=0.02)
    for rates in (report["wrong_fold_rate"], report["wrong_fold_rate_at_peak"]):
        assert 0.2 < rates["raw"] < 0.8
        assert rates["dealiased"] < 0.01
    assert report["rmse_m_s"]["dealiased"] < 0.25 * report["rmse_m_s"]["raw"]
    assert report["flow_shown_rate"] > 0.8
    assert 0 < report["false_color_rate"] < 0.25


def test_times_of_stages_add_up_to_that_of_the_chain(report: Any) -> None:
    stages = ["beamform", "bmode", "clutter", "doppler", "flow", "second_phase", "dealias"]
    assert list(report["stages_median_s"]) == stages
    total_s = sum(report["stages_median_s"].values())
    assert 0.5 * report["frame_median_s"] < total_s < 1.5 * report["frame_median_s"]
    assert report["frames_per_s"] == pytest.approx(1 / report["frame_median_s"])


def test_same_seed_same_files_and_the_figures_are_told_in_words(report: Any, out: Path, tmp_path: Path) -> None:
    again = demo(tmp_path, "--frames", "2")
    assert again.returncode == 0, again.stderr
    for name in ("demo.png", "demo.mp4"):
        assert (tmp_path / name).read_bytes() == (out / name).read_bytes()
    for words in ("Wrong folds", "dealiased (regions)", "frames/s", "no flow under it", "demo.png"):
        assert words in again.stdout
    assert f"{100 * report['wrong_fold_rate']['raw']:.2f} %" in again.stdout


def test_without_dealiasing_the_figures_say_so_and_another_seed_is_other_speckle(report: Any, tmp_path: Path) -> None:
    done = demo(tmp_path, "--frames", "2", "--seed", "2", "--dealiaser", "none", "--json")
    assert done.returncode == 0, done.stderr
    rates = json.loads(done.stdout)["wrong_fold_rate"]
    assert rates["dealiased"] == rates["raw"]
    assert rates["raw"] == pytest.approx(report["wrong_fold_rate"]["raw"], rel=0.1)
    assert rates["raw"] != report["wrong_fold_rate"]["raw"]


@pytest.mark.parametrize(
    ("options", "scene", "hint"),
    [((), "femoral_", "did you mean 'femoral'"), (("--dealiaser", "region"), SCENE, "did you mean 'regions'")],
)
def test_unknown_names_are_answered_in_one_line_and_leave_no_file(
    options: tuple[str, ...], scene: str, hint: str, tmp_path: Path
) -> None:
    done = demo(tmp_path, "--frames", "1", "--json", *options, scene=scene)
    assert done.returncode == 2
    assert hint in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
