"""The command line: quick to answer, one line for bad input, nothing half-written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from trueflow.pipeline import cli
from trueflow.pipeline.cli.run import run
from trueflow.pipeline.download import on_cpu
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import ColorFrame
from trueflow.pipeline.sources import Framing, Truth

HEAVY = {"numpy", "scipy", "h5py", "rich", "PIL", "av", "openvino"}


@pytest.fixture
def trueflow(capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs the command line in this process: (arguments) -> exit code, stdout, stderr."""

    def trueflow(*arguments: object) -> tuple[int, str, str]:
        handler = signal.getsignal(signal.SIGTERM)
        try:
            with pytest.raises(SystemExit) as exit_info:
                cli.main([str(argument) for argument in arguments])
        finally:
            signal.signal(signal.SIGTERM, handler)
        code = exit_info.value.code
        assert isinstance(code, int)
        return code, *capsys.readouterr()

    return trueflow


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, make_recording: Any, make_flow: Any) -> Any:
    """Puts a toy recording of 96 pulses and a toy chain in place of the real ones: (**options of the chain)."""

    def toy(n_slow_time: int = 96, **options: Any) -> Any:
        recording = make_recording(n_slow_time)
        monkeypatch.setattr("trueflow.pipeline.sources.open_source", lambda path: recording)
        monkeypatch.setattr("trueflow.pipeline.chain.ColorFlow", lambda *args, **kwargs: make_flow(**options))
        return recording

    return toy


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["replay", "--help"], ["info", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = textwrap.dedent(f"""
        import sys
        from trueflow.pipeline.cli import main
        try:
            main({arguments!r})
        finally:
            print({HEAVY!r} & set(sys.modules), file=sys.stderr)
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert done.stderr.strip() == "set()"
    assert "trueflow" in done.stdout


def test_every_command_is_listed_and_can_be_imported(trueflow: Any) -> None:
    code, out, _ = trueflow("--help")
    assert code == 0
    for name, (_, summary) in cli.COMMANDS.items():
        assert name in out
        assert summary.split(":")[0] in out
        code, out_of_command, _ = trueflow(name, "--help")
        assert code == 0
        assert "Usage: trueflow " + name in out_of_command


def test_an_unknown_command_names_the_nearest(trueflow: Any) -> None:
    code, _, err = trueflow("repaly")
    assert code == 2
    assert "did you mean 'replay'?" in err


def test_bad_input_is_one_line_and_code_2(trueflow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> None:
        raise TrueflowError("not a recording", where=str(path), found="two\nlines")

    monkeypatch.setattr("trueflow.pipeline.sources.open_source", fail)
    assert trueflow("info", "x.mat") == (2, "", "trueflow: error: x.mat: not a recording; found two lines\n")


def test_other_errors_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("trueflow.pipeline.sources.open_source", fail)
    with pytest.raises(ZeroDivisionError):
        cli.cli.main(["info", "x.mat"], standalone_mode=False)


def test_info_shows_clinical_units_and_json_si(trueflow: Any, toy: Any) -> None:
    toy()
    code, out, _ = trueflow("info", "x.raw")
    assert code == 0
    for text in ("5.00 MHz", "4 kHz", "30.0 cm/s", "5.7 degrees", "1500 m/s", "Toy 64", "int16"):
        assert text in out
    code, out, _ = trueflow("info", "x.raw", "--json")
    facts = json.loads(out)
    assert code == 0
    assert facts["format"] == "toy"
    assert facts["nyquist_velocity_m_s"] == pytest.approx(1500 * 4000 / (4 * 5e6))
    assert facts["transmits"] == [{"kind": "plane", "angle_rad": 0.1}]
    assert facts["n_slow_time"] == 96
    assert facts["size_bytes"] == 6
    assert facts["sample_dtype"] == "int16"


def test_replay_needs_something_to_write(trueflow: Any, toy: Any) -> None:
    toy()
    code, _, err = trueflow("replay", "x.raw")
    assert code == 2
    assert "at least one of" in err


def test_replay_writes_everything_and_says_so(trueflow: Any, toy: Any, tmp_path: Path) -> None:
    toy()
    out = tmp_path / "out"
    out.mkdir()
    result, png, mp4 = out / "r.h5", out / "p.png", out / "m.mp4"
    code, text, _ = trueflow("replay", tmp_path / "recording.raw", "-o", result, "--png", png, "--mp4", mp4)
    assert code == 0
    assert sorted(out.iterdir()) == [mp4, png, result]
    assert "6 frames" in text
    assert "±30.0 cm/s" in text
    assert str(result) in text
    assert len(text.splitlines()) == 1
    with h5py.File(result) as file:
        assert file["flow/velocity_m_s"].shape == (6, 40, 30)
        assert np.abs(file["flow/velocity_m_s"][:]).max() > 0.45
    with Image.open(png) as picture:
        assert picture.mode == "RGB"


def test_replay_summary_as_json(trueflow: Any, toy: Any, tmp_path: Path) -> None:
    toy()
    code, text, err = trueflow(
        "replay", tmp_path / "recording.raw", "-o", tmp_path / "r.h5", "--frames", 2, "--hop", 8, "--json"
    )
    summary = json.loads(text)
    assert (code, err) == (0, "")
    assert summary["n_frames"] == 2
    assert summary["nyquist_velocity_m_s"] == pytest.approx(0.3)
    assert 0 <= summary["median_s"] <= summary["p95_s"] <= summary["wall_s"]
    assert summary["outputs"] == {"result": str(tmp_path / "r.h5")}


@pytest.mark.parametrize(("number", "counter"), [("0", 0), ("2", 2), ("-1", 5)])
def test_png_frame_counts_from_either_end(
    trueflow: Any, toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: str, counter: int
) -> None:
    toy()
    drawn = []
    monkeypatch.setattr(
        "trueflow.pipeline.picture.draw.Painter.__call__",
        lambda self, frame: drawn.append(frame.stamp.index) or np.zeros((4, 4, 3), np.uint8),
    )
    args = "replay", tmp_path / "recording.raw", "--png", tmp_path / "p.png", "--png-frame", number
    assert trueflow(*args)[0] == 0
    assert drawn == [counter]


def test_a_frame_that_is_not_there_is_refused(trueflow: Any, toy: Any, tmp_path: Path) -> None:
    toy()
    args = "replay", tmp_path / "recording.raw", "--png", tmp_path / "p.png", "--png-frame", 6
    code, _, err = trueflow(*args)
    assert code == 2
    assert "expected -6 to 5" in err


def test_settings_reach_the_result(trueflow: Any, toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy()
    seen: list[Any] = []
    from trueflow.pipeline import chain

    toy_chain = chain.ColorFlow
    monkeypatch.setattr(
        "trueflow.pipeline.chain.ColorFlow", lambda *args, **kwargs: seen.append((args, kwargs)) or toy_chain()
    )
    (tmp_path / "c.toml").write_text("[clutter]\norder = 3\n[dealias]\nname = 'none'\n")
    code, _, err = trueflow(
        "replay",
        tmp_path / "recording.raw",
        "-o",
        tmp_path / "r.h5",
        "--config",
        tmp_path / "c.toml",
        "--set",
        "beamform.f_number=2",
        "--dealiaser",
        "skimage",
        "--decimate-slow-time",
        2,
        "--ensemble",
        8,
        "--threads",
        1,
    )
    assert code == 0, err
    (acquisition, config), options = seen[0]
    assert (config.clutter.order, config.beamform.f_number, config.dealias.name) == (3, 2.0, "skimage")
    assert (acquisition.n_ensemble, acquisition.slow_time_decimation) == (8, 2)
    assert options == {"grid": None, "device": "cpu", "n_threads": 1}


def test_bad_settings_are_one_line(trueflow: Any, toy: Any, tmp_path: Path) -> None:
    toy()
    code, _, err = trueflow("replay", "x.raw", "-o", tmp_path / "r.h5", "--set", "clutter.ordre=2")
    assert code == 2
    assert "did you mean 'order'?" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(("error", "code"), [(TrueflowError, 2), (KeyboardInterrupt, 130)])
def test_nothing_half_written_remains(
    trueflow: Any, toy: Any, tmp_path: Path, error: type[BaseException], code: int
) -> None:
    toy(fail_at=3, error=(lambda: TrueflowError("truncated")) if error is TrueflowError else error)
    (tmp_path / "r.h5").write_text("an older result")
    before = sorted(tmp_path.iterdir())
    arguments = ["-o", tmp_path / "r.h5", "--png", tmp_path / "p.png", "--mp4", tmp_path / "m.mp4"]
    assert trueflow("replay", tmp_path / "recording.raw", *arguments)[0] == code
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "r.h5").read_text() == "an older result"


def test_the_recording_is_never_overwritten(trueflow: Any, toy: Any, source_file: Path) -> None:
    toy()
    code, _, err = trueflow("replay", source_file, "-o", source_file)
    assert code == 2
    assert "is an input" in err
    assert source_file.read_bytes() == b"echoes"


@pytest.mark.parametrize("option", ["-o", "--png", "--mp4"])
def test_a_folder_that_is_not_there_is_one_line(trueflow: Any, toy: Any, tmp_path: Path, option: str) -> None:
    toy()
    code, _, err = trueflow("replay", tmp_path / "recording.raw", option, tmp_path / "nowhere" / "file")
    assert code == 2
    assert "make the folder" in err
    assert len(err.splitlines()) == 1


def test_a_terminated_process_leaves_nothing(tmp_path: Path) -> None:
    code = textwrap.dedent(f"""
        import os, signal, sys
        from pathlib import Path
        from trueflow.pipeline import cli
        from trueflow.pipeline.output import Outputs
        import click

        @click.command()
        def hang():
            with Outputs() as outputs:
                outputs.add({str(tmp_path / "r.h5")!r})
                assert len(os.listdir({str(tmp_path)!r})) == 1
                os.kill(os.getpid(), signal.SIGTERM)

        sys.modules["hanging"] = sys.modules["__main__"]
        cli.COMMANDS["hang"] = ("hanging:hang", "")
        cli.main(["hang"])
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    assert done.returncode == 143, done.stderr
    assert os.listdir(tmp_path) == []


def test_doctor_says_what_is_there_and_what_to_install(trueflow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda *name, **options: (_ for _ in ()).throw(OSError(*name)))
    code, out, _ = trueflow("doctor", "--json")
    facts = {fact["name"]: fact for fact in json.loads(out)["facts"]}
    assert code == 0
    assert facts["NumPy"]["ok"]
    assert np.__version__ in facts["NumPy"]["found"]
    assert not facts["GPU"]["ok"]
    assert "driver" in facts["GPU"]["advice"]
    assert all(fact["ok"] or fact["advice"] for fact in facts.values())
    code, out, _ = trueflow("doctor")
    assert code == 0
    assert "missing" in out


class Recorder:
    def __init__(self) -> None:
        self.taken: list[tuple[int, Truth | None]] = []

    def write(self, frame: ColorFrame, truth: Truth | None) -> None:
        self.taken.append((frame.stamp.index, truth))


def test_run_feeds_each_packet_once_and_reads_no_further(make_recording: Any, make_flow: Any) -> None:
    recording, flow, sink, steps = make_recording(100), make_flow(), Recorder(), []
    summary = run(
        recording, Framing(8, 16, 2), flow, [sink], limit=2, advance=lambda done, total: steps.append((done, total))
    )
    assert [packet.samples[:, 0, 0, 0].tolist() for packet in flow.packets] == [
        list(range(0, 16, 2)),
        list(range(32, 48, 2)),
    ]
    assert recording.reads == [(0, 15), (32, 47)]
    assert steps == [(1, 2), (2, 2)]
    assert [index for index, _ in sink.taken] == [0, 1]
    assert summary.n_frames == 2
    assert summary.nyquist_velocity_m_s == 0.3


def test_run_takes_the_truth_of_the_pulses_it_used(make_recording: Any, make_flow: Any) -> None:
    sink = Recorder()
    run(make_recording(64, has_truth=True), Framing(8, 8, 3), make_flow(), [sink])
    truths = [truth for _, truth in sink.taken if truth is not None]
    assert [int(truth.velocity_m_s[0, 0]) for truth in truths] == [0, 24]  # starts; both span 22 pulses
    assert all(truth.mask.all() for truth in truths)


def test_frames_from_another_device_are_fetched_whole(vessel: Any) -> None:
    class Remote:
        dtype = np.dtype(np.float32)

        def __init__(self, array: Any) -> None:
            self.array = array

    import dataclasses

    here = vessel.frame()

    def sent(message: Any) -> Any:
        arrays = {
            f.name: Remote(getattr(message, f.name))
            for f in dataclasses.fields(message)
            if isinstance(getattr(message, f.name), np.ndarray)
        }
        return dataclasses.replace(message, **arrays)

    there = ColorFrame(sent(here.bmode), sent(here.doppler), None, sent(here.velocity), {"das": 1.0})
    back = on_cpu(there, lambda remote: remote.array)
    assert back.velocity.velocity_m_s is here.velocity.velocity_m_s
    assert back.velocity.mask is here.velocity.mask
    assert back.doppler.r1 is here.doppler.r1
    assert back.bmode.envelope is here.bmode.envelope
    assert back.velocity.nyquist_velocity_m_s == 0.3
    assert back.timings_s == {"das": 1.0}
    assert on_cpu(here, lambda array: pytest.fail("was here already")) is here
