"""Makes the input of a finding smaller as long as it leads to the same finding."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .engine import Finding
from .runner import ROOT

MOST_S = 30.0


def minimised(target: str, data: bytes, finding: Finding, *, seconds: float) -> bytes:
    """Ever smaller pieces are left out or zeroed. Hangs are left as they are: each trial would take its time."""
    if finding.kind in ("hang", "memory"):
        return data
    end_s, size = time.monotonic() + seconds, len(data) // 2
    while size >= 1 and time.monotonic() < end_s:
        start = 0
        while start < len(data) and time.monotonic() < end_s:
            smaller = data[:start] + data[start + size :]
            if verdict(target, smaller) == finding.signature:
                data = smaller
            else:
                start += size
        size //= 2
    return data


def verdict(target: str, data: bytes) -> str | None:
    """What one input leads to, in a process of its own; None where all is well."""
    with tempfile.TemporaryDirectory(prefix="trueflow-fuzz-") as folder:
        path = Path(folder) / "data"
        path.write_bytes(data)
        command = [sys.executable, "-m", "tests.fuzz.worker", target, folder, str(path)]
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=MOST_S,
                env=os.environ | {"PYTHONFAULTHANDLER": "1"},
            )
        except subprocess.TimeoutExpired:
            return "hang"
    if done.returncode:
        return f"crash {done.returncode}"
    found = json.loads(done.stdout)
    return None if found is None else str(found[1])
