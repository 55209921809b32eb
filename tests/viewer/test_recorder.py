"""Movies run at the pace of the clock whatever the rate of the pictures, and half a movie is none."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from screens import StillPlayer

from trueflow.pipeline.picture import movie
from trueflow.viewer import recorder as module
from trueflow.viewer.desk import Desk
from trueflow.viewer.recorder import LONGEST_GAP, MOVIE_FPS, Recorder, new_path


def picture(size: tuple[int, int]) -> np.ndarray:
    return np.full((size[1], size[0], 3), 128, np.uint8)


def test_a_movie_runs_at_the_pace_of_the_clock(tmp_path: Path) -> None:
    desk = Desk(StillPlayer(), folder=tmp_path)
    recorder = Recorder.begin(desk, (65, 49))
    assert recorder is not None
    drawn = []

    def draw(size: tuple[int, int]) -> np.ndarray:
        drawn.append(size)
        return picture(size)

    for now_s in (5.0, 5.001, 5.125, 5.126, 5.5):  # two of them come before the movie asks for a picture
        recorder.capture(draw, now_s)
    recorder.capture(draw, 65.5)  # a minute of stillness is cut short
    recorder.end()
    assert drawn == [(64, 48)] * 4, "of six"
    (path,) = tmp_path.glob("*.mp4")
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate == MOVIE_FPS == 30
        times_s = [frame.time for frame in container.decode(video=0)]
    assert len(times_s) == 1 + 3 + 12 + LONGEST_GAP
    assert np.diff(times_s) == pytest.approx(1 / 30, abs=1e-4)


def test_half_a_movie_is_thrown_away_and_the_reason_told(tmp_path: Path, monkeypatch: Any) -> None:
    def fail(*args: Any) -> None:
        raise RuntimeError("no encoder")

    monkeypatch.setattr(movie.MovieWriter, "write", fail)
    desk = Desk(StillPlayer(), folder=tmp_path)
    recorder = Recorder.begin(desk, (64, 48))
    assert recorder is not None
    recorder.capture(picture, 0.0)
    recorder.end()
    assert not desk.recording
    assert "no encoder" in desk._message
    assert not list(tmp_path.iterdir())


def test_a_window_without_room_gives_no_movie(tmp_path: Path) -> None:
    desk = Desk(StillPlayer(), folder=tmp_path)
    assert Recorder.begin(desk, (1, 1)) is None
    assert not desk.recording
    assert "too small" in desk._message
    assert not list(tmp_path.iterdir())


def test_no_file_is_overwritten(tmp_path: Path, monkeypatch: Any) -> None:
    noon = datetime(2025, 1, 1, 12)
    monkeypatch.setattr(module, "datetime", SimpleNamespace(now=lambda: noon))
    names = []
    for _ in range(3):
        path = new_path(tmp_path, ".png")
        path.touch()
        names.append(path.name)
    assert names == ["trueflow_20250101_120000.png", "trueflow_20250101_120000_2.png", "trueflow_20250101_120000_3.png"]
