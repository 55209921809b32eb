"""`make gpu-check`: all that can only be known on a machine with an NVIDIA GPU, in one go, and a report of it.

Exit code 0: all held. 1: something failed; the report says what. 2: there is no GPU to be used here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from trueflow.kernels.cuda_setup import missing

__all__ = ["Outcome", "Step", "main", "report", "steps"]

FOLDER = Path("build") / "gpu-check"
PYTEST = (sys.executable, "-m", "pytest", "-q", "--device", "cuda")
TRUEFLOW = (sys.executable, "-c", "from trueflow.pipeline.cli import main; main()")
NOT_RUN = (
    "not run: the tests with --device cuda, every kernel and the chain against the CPU, compute-sanitizer, "
    "the TensorRT engine against OpenVINO, the benchmarks"
)


@dataclass(frozen=True)
class Step:
    """One command of the check.

    Parameters
    ----------
    name : str
        Also that of its log.
    command : tuple of str
    lacking : callable, optional
        Why it cannot be run here; empty where it can.
    """

    name: str
    command: tuple[str, ...]
    lacking: Callable[[], str] = str


@dataclass(frozen=True)
class Outcome:
    """How a step went: "ok", "failed" or "skipped", and its last line or why it was skipped."""

    step: str
    verdict: str
    said: str
    duration_s: float = 0.0


def _no_sanitizer() -> str:
    found = shutil.which("compute-sanitizer")
    return "" if found else "compute-sanitizer is not on the PATH (it comes with the CUDA toolkit)"


def _no_tensorrt() -> str:
    found = any(find_spec(name) for name in ("tensorrt", "tensorrt_rtx"))
    return "" if found else "TensorRT is not installed: pip install 'trueflow[tensorrt-rtx]' or 'trueflow[tensorrt]'"


def _no_peers() -> str:
    return "" if find_spec("ultraspy") else "the peers are not installed: pip install 'trueflow[bench]'"


def _no_display() -> str:
    return "" if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") else "there is no display"


def steps() -> list[Step]:
    """The check, in its order: what is quick and tells most comes first."""
    return [
        Step("doctor", (*TRUEFLOW, "doctor")),
        Step("device", (*PYTEST, "tests/cuda")),
        Step("kernels", (*PYTEST, "tests/kernels")),
        Step("chain", (*PYTEST, "tests/pipeline", "tests/physics", "tests/models", "tests/compare")),
        Step(
            "sanitizer",
            ("compute-sanitizer", "--error-exitcode", "3", *PYTEST, "tests/kernels", "--ignore=tests/kernels/nvrtc"),
            _no_sanitizer,
        ),
        Step("engine", (*PYTEST, "tests/models", "tests/cuda/test_gpu.py", "-k", "tensorrt"), _no_tensorrt),
        Step("kernel times", (sys.executable, "-m", "trueflow.benchmarks.gpu_kernels", str(FOLDER / "kernels.json"))),
        Step("chain times", _bench("chain", "--device", "cuda")),
        Step("chain times on the CPU", _bench("chain")),
        Step("das times on the CPU", _bench("das"), _no_peers),
        Step("doppler times on the CPU", _bench("doppler"), _no_peers),
        Step("viewer", _bench("viewer"), _no_display),
    ]


def _bench(name: str, *options: str) -> tuple[str, ...]:
    """A benchmark whose figures are kept."""
    return (*TRUEFLOW, "bench", name, *options, "--json", str(FOLDER / f"{'-'.join((name, *options[1:]))}.json"))


def run(step: Step) -> Outcome:
    """Run a step; what it prints goes to its log."""
    why = step.lacking()
    if why:
        return Outcome(step.name, "skipped", why)
    began = time.monotonic()
    with (FOLDER / f"{step.name.replace(' ', '-')}.log").open("w") as log:
        done = subprocess.run(step.command, stdout=log, stderr=subprocess.STDOUT, check=False)
    lines = [line for line in Path(log.name).read_text().splitlines() if line.strip()]
    verdict = "ok" if done.returncode == 0 else "failed"
    return Outcome(step.name, verdict, lines[-1].strip() if lines else "", time.monotonic() - began)


def report(outcomes: list[Outcome], machine: dict[str, object]) -> str:
    """The report, Markdown."""
    lines = ["# GPU check", "", *(f"* {key}: {value}" for key, value in machine.items()), ""]
    lines += ["| step | outcome | s | last line |", "|---|---|---|---|"]
    for o in outcomes:
        said = o.said.replace("|", "/")
        lines.append(f"| {o.step} | {o.verdict} | {o.duration_s:.0f} | {said} |")
    times = FOLDER / "kernels.json"
    if times.exists():
        lines += ["", "| kernel | launches | median us a frame |", "|---|---|---|"]
        lines += [f"| {r['kernel']} | {r['launches']} | {r['median_us']:.1f} |" for r in json.loads(times.read_text())]
    return "\n".join([*lines, ""])


def main() -> int:
    """Run all steps and write the report."""
    lacking = missing()
    if lacking:
        sys.stderr.write(f"gpu-check: no NVIDIA GPU can be used here. Missing: {'; '.join(lacking)}. {NOT_RUN}\n")
        return 2
    from trueflow.benchmarks.provenance import provenance

    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    outcomes = []
    for step in steps():
        outcomes.append(run(step))
        sys.stdout.write(f"{step.name}: {outcomes[-1].verdict}: {outcomes[-1].said}\n")
        sys.stdout.flush()
    (FOLDER / "report.md").write_text(report(outcomes, provenance()))
    sys.stdout.write(f"{FOLDER / 'report.md'}\n")
    return 1 if any(o.verdict == "failed" for o in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
