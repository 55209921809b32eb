"""The viewer's benchmark counts distinct pictures, in a real window."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGES = ("OpenGL", "glfw", "imgui_bundle")


def test_the_benchmark_counts_distinct_frames_in_a_window(tmp_path: Path) -> None:
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    missing += [name for name in ("xvfb-run", "xauth") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"a window needs {', '.join(missing)}: see tests/prerequisites.sh")
    figures = tmp_path / "figures.json"
    program = (
        "import sys\n"
        "import trueflow.benchmarks.viewer as viewer\n"
        "from trueflow.pipeline.cli import main\n"
        "viewer.SOURCE = 'sim://plug?mode=fast&pulses=8&frames={frames}'\n"
        "viewer.SETTINGS = ()\n"
        "main(sys.argv[1:])\n"
    )
    command = ["xvfb-run", "-a", "-s", "-screen 0 800x600x24", sys.executable, "-c", program]
    options = ["--frames", "3", "--rate", "20", "--seconds", "0.6", "--size", "320", "240", "--json", str(figures)]
    done = subprocess.run(
        [*command, "bench", "viewer", *options], capture_output=True, text=True, timeout=120, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(figures.read_text())
    rows = {row["row"]: row for row in document["results"]}
    assert set(rows) == {"empty window", "same frame again", "distinct frames"}
    assert 0 < rows["distinct frames"]["frames_per_s"] < 21  # no more than arrive, however often it draws
    assert rows["empty window"]["process_s"] < rows["distinct frames"]["process_s"]
    assert "OpenGL" in done.stdout
