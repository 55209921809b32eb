"""Five minutes at the bedside: `trueflow frontend` and `trueflow view --live --headless` side by side."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from typing import Any

from trueflow.pipeline.errors import TrueflowError

__all__ = ["SOURCE", "run_soak"]

SOURCE = "sim://femoral?frames={frames}&fps={fps}&seed=1"
RATE_HZ = 30.0
PATIENCE_S = 180.0
MAIN = "from trueflow.pipeline.cli import main; main()"


def run_soak(*, seconds: float, n_packets: int) -> dict[str, Any]:
    """The report of the view, and what the front end has sent.

    Parameters
    ----------
    seconds : float
    n_packets : int
        Simulated beforehand, and sent over and over.

    Raises
    ------
    TrueflowError
        Where one of the two processes fails.
    """
    source = SOURCE.format(frames=n_packets, fps=int(RATE_HZ))
    with tempfile.TemporaryDirectory(prefix="trueflow-") as folder:
        url = f"ipc://{folder}/scanner"
        front = _start(
            "frontend", source, "--bind", url, "--precompute", str(n_packets), "--loop", "--rate", f"{RATE_HZ:g}",
            "--seconds", str(seconds + 10), "--json",
        )  # fmt: skip
        try:
            assert front.stderr is not None
            if "listening" not in front.stderr.readline():
                raise TrueflowError("the front end did not begin", found=front.stderr.read())
            view = _start("view", "--live", url, "--headless", "--seconds", str(seconds), "--json")
            report = _document(view, seconds + PATIENCE_S)
            front.terminate()
            front.communicate(timeout=PATIENCE_S)
        finally:
            if front.poll() is None:
                front.kill()
    return {"source": source, "rate_hz": RATE_HZ, "seconds": seconds, "report": report}


def _start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", MAIN, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _document(process: subprocess.Popen[str], patience_s: float) -> dict[str, Any]:
    try:
        out, err = process.communicate(timeout=patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    if process.returncode != 0:
        raise TrueflowError("the view failed", found=err.strip())
    made: dict[str, Any] = json.loads(out)
    return made
