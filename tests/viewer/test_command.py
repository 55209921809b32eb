"""`trueflow view` from the command line: pictures without a window or a display, and one line for what is missing."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from trueflow.pipeline.errors import TrueflowError
from trueflow.viewer import offscreen

SOURCE = "sim://plug?mode=fast&frames=2&pulses=8"


def trueflow(*arguments: str, blocked: tuple[str, ...] = (), **environment: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own: no display, no packages of these names."""
    program = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({blocked!r}))\n"
        "from trueflow.pipeline.cli import main\n"
        "main(sys.argv[1:])\n"
    )
    kept = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True, text=True, timeout=120, env=kept | environment,
    )  # fmt: skip


def needs_egl() -> None:
    pytest.importorskip("OpenGL")
    try:
        ctypes.CDLL("libEGL.so.1")
    except OSError:
        pytest.skip("no libEGL on this machine: see tests/prerequisites.sh")


def test_headless_writes_the_picture_without_a_display(tmp_path: Path) -> None:
    needs_egl()
    shot = tmp_path / "shot.png"
    done = trueflow(
        "view", SOURCE, "--headless", "--frames", "1", "--shot", str(shot), "--size", "800", "450",
        "--layout", "before-after", "--set", "grid.spacing_wavelengths=2",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{shot}\n"
    picture = np.asarray(Image.open(shot)).astype(int)
    assert picture.shape == (450, 800, 3)
    assert (np.ptp(picture, axis=-1) > 80).mean() > 0.01  # color
    assert (picture.min(axis=-1) > 90).mean() > 0.05  # gray
    assert os.listdir(tmp_path) == ["shot.png"]


def test_a_missing_package_is_told_with_what_to_install(tmp_path: Path) -> None:
    for blocked, options in (
        (("glfw",), ()),
        (("OpenGL",), ("--headless", "--shot", str(tmp_path / "shot.png"))),
    ):
        done = trueflow("view", "sim://plug", *options, blocked=blocked)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert "pip install 'trueflow[viewer]'" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_missing_display_is_told_with_what_to_do() -> None:
    for name in ("OpenGL", "glfw", "imgui_bundle"):
        pytest.importorskip(name)
    done = trueflow("view", SOURCE, "--set", "grid.spacing_wavelengths=2")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "--headless" in done.stderr


def test_a_missing_egl_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(offscreen.ctypes, "CDLL", nowhere)
    with pytest.raises(TrueflowError, match="apt-get install libegl1") as told:
        offscreen.Offscreen()
    assert "libEGL.so.1" in str(told.value)


def test_an_egl_without_a_driver_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    results = dict.fromkeys(offscreen.SIGNATURES, 0)
    results |= {"eglQueryString": b"", "eglGetDisplay": 1, "eglGetError": 0x3001}
    library = SimpleNamespace(**{name: Mock(return_value=result) for name, result in results.items()})
    monkeypatch.setattr(offscreen.ctypes, "CDLL", lambda name: library)
    with pytest.raises(TrueflowError, match="libgl1-mesa-dri") as told:
        offscreen.Offscreen()
    assert "0x3001" in str(told.value)


@pytest.mark.parametrize("options", [["--headless"], ["--shot", "x.png"]])
def test_headless_and_shot_belong_together(options: list[str]) -> None:
    done = trueflow("view", "sim://plug", *options)
    assert done.returncode == 2
    assert "belong together" in done.stderr
