"""The check of a machine with a GPU: its order of steps, its report, and its one line where there is none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from trueflow.benchmarks import gpu_check
from trueflow.benchmarks.gpu_check import Outcome, Step, main, report, run, steps


def test_without_a_gpu_it_ends_with_one_line_and_code_2():
    if Path("/dev/nvidia0").exists():
        pytest.skip("this machine has a GPU")
    command = [sys.executable, "-m", "trueflow.benchmarks.gpu_check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "no NVIDIA GPU can be used here" in line
    assert "libcuda.so.1" in line
    assert "not run: the tests with --device cuda" in line


def test_the_command_does_not_install_anything_where_there_is_no_driver():
    if Path("/dev/nvidia0").exists():
        pytest.skip("this machine has a GPU")
    root = Path(__file__).resolve().parents[2]
    command = ["make", "-s", "gpu-check", "MAKE=false"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    said = [line for line in done.stderr.splitlines() if not line.startswith("make")]  # nor "make[1]:"
    assert len(said) == 1
    assert "the driver (libcuda.so.1) is missing" in said[0]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(gpu_check, "FOLDER", tmp_path)
    return tmp_path


def test_a_step_is_run_and_its_last_line_kept(folder):
    good = run(Step("good one", (sys.executable, "-c", "print('first'); print('3 passed')")))
    assert (good.verdict, good.said) == ("ok", "3 passed")
    assert (folder / "good-one.log").read_text().startswith("first")
    assert run(Step("bad", (sys.executable, "-c", "raise SystemExit('1 failed')"))).verdict == "failed"
    left_out = run(Step("left out", ("no such command",), lambda: "it is not there"))
    assert (left_out.verdict, left_out.said) == ("skipped", "it is not there")


def test_the_report_shows_every_step_and_the_kernels_times(folder):
    (folder / "kernels.json").write_text('[{"kernel": "das.das", "launches": 1, "median_us": 123.4}]')
    text = report([Outcome("kernels", "ok", "529 passed", 12.0), Outcome("engine", "skipped", "a|b")], {"gpu": "X"})
    assert "* gpu: X" in text
    for row in ("| kernels | ok | 12 | 529 passed |", "| engine | skipped | 0 | a/b |", "| das.das | 1 | 123.4 |"):
        assert row in text


def test_a_failed_step_fails_the_check_and_the_others_still_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gpu_check, "FOLDER", tmp_path / "gpu-check")
    monkeypatch.setattr(gpu_check, "missing", list)
    python = (sys.executable, "-c")
    order = [Step("one", (*python, "raise SystemExit(1)")), Step("two", (*python, "print(2)"))]
    monkeypatch.setattr(gpu_check, "steps", lambda: order)
    assert main() == 1
    assert "two: ok: 2" in capsys.readouterr().out
    monkeypatch.setattr(gpu_check, "steps", lambda: order[1:])
    assert main() == 0
    assert "| two | ok |" in (tmp_path / "gpu-check" / "report.md").read_text()


def test_the_steps_are_there_in_this_project():
    """Folders that pytest is sent to exist; what else is called is a program of ours or checked for."""
    root = Path(__file__).resolve().parents[2]
    for step in steps():
        for word in step.command:
            if word.startswith(("tests/", "--ignore=")):
                assert (root / word.removeprefix("--ignore=")).exists(), word
