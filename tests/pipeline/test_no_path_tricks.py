"""Files are written where the user says and nowhere else, whatever a recording or a scene calls itself."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from live_packets import describe, live_packet, small_acquisition

from trueflow.pipeline.cli import main
from trueflow.pipeline.config import Config
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.live.recorder import Recorder
from trueflow.pipeline.live.recorder_file import RecordFile
from trueflow.pipeline.sources import Framing, files_of, open_source
from trueflow.pipeline.sources.recorded import LiveRecording
from trueflow.pipeline.sources.recorded_flow import RecordedFlow

ELSEWHERE = "../../elsewhere"
SCENE = f"""
name = "{ELSEWHERE}"
[[vessels]]
kind = "tube"
points_m = [[-0.02, 0.01], [0.02, 0.02]]
"""


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def run(*arguments: object) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    assert ended.value.code == 0


def test_names_inside_files_name_no_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "a" / "b"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    (here / "scene.toml").write_text(SCENE)
    run("simulate", "scene.toml", "--frames", 1, "--set", "pulses=4", "-o", "made.h5")
    with h5py.File("made.h5", "a") as file:
        del file["probe/name"]
        file["probe/name"] = ELSEWHERE
        file.attrs["description"] = ELSEWHERE
    run("replay", "made.h5", "-o", "result.h5", "--png", "result.png", "--set", "grid.n_x=32", "--set", "grid.n_z=48")
    assert files(tmp_path) == {f"a/b/{name}" for name in ("scene.toml", "made.h5", "result.h5", "result.png")}


@pytest.mark.parametrize("address", ["{}", "tfr://{}?packets=all"])
def test_what_an_address_names_is_not_overwritten(
    tmp_path: Path, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path, acquisition = tmp_path / "a recording.tfr", small_acquisition()
    with Recorder(path, describe(acquisition)) as recorder:
        recorder.raw(live_packet(acquisition, 0))
    content = path.read_bytes()
    with pytest.raises(SystemExit) as ended:
        main(["replay", address.format(path), "-o", str(path)])
    assert ended.value.code == 2
    assert "is an input" in capsys.readouterr().err
    assert path.read_bytes() == content
    assert files_of(address.format(path)) == [path]
    assert files_of("sim://femoral?frames=2") == []


@pytest.mark.parametrize("there", [True, False], ids=["a file", "nothing"])
def test_a_recording_is_not_written_through_a_link(tmp_path: Path, there: bool) -> None:
    elsewhere, target = tmp_path / "elsewhere", tmp_path / "live.tfr"
    if there:
        elsewhere.write_text("not ours")
    target.symlink_to(elsewhere)
    with pytest.raises(TrueflowError, match="exists already"):
        Recorder(target, describe(small_acquisition()))
    assert files(tmp_path) == ({"elsewhere", "live.tfr"} if there else set())
    assert not there or elsewhere.read_text() == "not ours"


@pytest.mark.parametrize("n_written", [0, 1], ids=["nothing", "only the beginning"])
def test_a_recording_that_cannot_begin_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_written: int
) -> None:
    write, n_calls = RecordFile._write, 0

    def fail(self: RecordFile, parts: object) -> None:
        nonlocal n_calls
        n_calls += 1
        if n_calls > n_written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(self, parts)  # type: ignore[arg-type]

    monkeypatch.setattr(RecordFile, "_write", fail)
    with pytest.raises(TrueflowError, match="No space left"):
        Recorder(tmp_path / "live.tfr", describe(small_acquisition()))
    assert files(tmp_path) == set()


@pytest.fixture
def with_network(tmp_path: Path) -> Path:
    """A recording whose settings ask for a network at a path."""
    config = Config().override(["segment.enabled=on", f"segment.network={tmp_path / 'somewhere.onnx'}"])
    acquisition = small_acquisition()
    with Recorder(tmp_path / "live.tfr", describe(acquisition)) as recorder:
        recorder.changed(config, anew=True, made_with=None)
        recorder.raw(live_packet(acquisition, 0))
    return tmp_path / "live.tfr"


def test_a_recording_names_no_file_for_others_to_open(with_network: Path) -> None:
    os.mkfifo(with_network.parent / "somewhere.onnx")  # opened, it would be waited for
    with open_source(with_network) as recording:
        assert isinstance(recording, LiveRecording)
        with pytest.raises(TrueflowError, match=r"made with a network of its own; found .*somewhere.onnx"):
            RecordedFlow(recording, Framing())


def test_but_its_user_does(with_network: Path) -> None:
    def adapt(*settings: str) -> RecordedFlow:
        return RecordedFlow(recording, Framing(), adapt=lambda config: config.override(settings))

    with open_source(with_network) as recording:
        assert isinstance(recording, LiveRecording)
        assert adapt("segment.enabled=off").config.segment.network is None
        assert adapt("segment.network=mine.onnx").config.segment.network == "mine.onnx"


def test_a_beginning_of_zeros_is_no_recording(tmp_path: Path) -> None:
    (tmp_path / "live.tfr").write_bytes(np.zeros(4096, np.uint8).tobytes())
    with pytest.raises(TrueflowError, match="not a recording"):
        open_source(tmp_path / "live.tfr")
