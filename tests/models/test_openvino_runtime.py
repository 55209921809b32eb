"""OpenVINO runs networks, and tells nobody that it does."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import os, sys
from pathlib import Path

seen = []


def hear(event, arguments):
    if event.startswith("socket.") or (event == "open" and "intel" in Path(str(arguments[0])).parts):
        seen.append((event, str(arguments)))


sys.addaudithook(hear)
from trueflow.models.openvino_runtime import import_openvino

assert import_openvino().Core().available_devices
assert import_openvino() is sys.modules["openvino"]
loaded = [name for name in sys.modules if name.startswith("openvino_telemetry")]
sys.exit(str(seen + loaded) if seen or loaded else 0)
"""


def test_nothing_is_sent_and_nothing_kept_in_the_home_folder() -> None:
    done = subprocess.run([sys.executable, "-I", "-c", PROGRAM], capture_output=True, text=True, timeout=120)
    assert done.stderr.strip() == ""
    assert done.returncode == 0
