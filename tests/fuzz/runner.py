"""Starts the process under test, looks on, and keeps what it finds."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from .engine import HARD_MEMORY_BYTES, MOST_WALL_S, STATE, Finding, every_target

ROOT = Path(__file__).resolve().parents[2]
LOOK_S = 0.05
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Outcome:
    """Of one target's run: inputs run, how many were valid, time, processor time, findings with what shows them."""

    target: str
    executions: int = 0
    valid: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0
    findings: dict[str, tuple[Finding, bytes]] = field(default_factory=dict)

    def add(self, finding: Finding, data: bytes) -> None:
        self.findings.setdefault(finding.signature, (finding, data))


def fuzz(
    target: str, *, seed: int = 0, executions: int = 1 << 62, seconds: float = 1e9, coverage: bool = True
) -> Outcome:
    """Run a target until either limit; the process under test is started again where it dies or has to be ended."""
    outcome, began, n_idle = Outcome(target), time.monotonic(), 0
    used_before_s = _used_by_children_s()
    while outcome.executions < executions and (left_s := began + seconds - time.monotonic()) > 0:
        before = outcome.executions
        with tempfile.TemporaryDirectory(prefix="trueflow-fuzz-") as folder:
            _run_once(outcome, Path(folder), seed, executions - before, left_s, coverage)
        seed += 1_000_003
        n_idle = n_idle + 1 if outcome.executions == before else 0
        if n_idle == 3:
            raise RuntimeError(f"{target}: the process under test does not get to its first input")
        if len(outcome.findings) > 200:
            break
    outcome.seconds, outcome.cpu_s = time.monotonic() - began, _used_by_children_s() - used_before_s
    return outcome


def _used_by_children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _run_once(outcome: Outcome, folder: Path, seed: int, executions: int, seconds: float, coverage: bool) -> None:
    (folder / "state").write_bytes(bytes(STATE.size))
    command = [
        sys.executable, "-m", "tests.fuzz.worker", outcome.target, str(folder), str(seed), str(executions),
        str(seconds), str(int(coverage)),
    ]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1"}
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        lines, errors = list[str](), list[str]()
        readers = [
            threading.Thread(target=lambda pipe, into: into.extend(pipe), args=pair, daemon=True)
            for pair in ((process.stdout, lines), (process.stderr, errors))
        ]
        for reader in readers:
            reader.start()
        ended = _look_on(process, folder, every_target()[outcome.target].cpu_s)
        for reader in readers:
            reader.join()
    n_run, n_valid, began_s = STATE.unpack((folder / "state").read_bytes()[: STATE.size])
    if ended is not None or process.returncode != 0:  # faulthandler has said where it was
        where = next((e.split(" in ")[-1].strip() for e in errors if "/pipeline/" in e or "/models/" in e), "?")
        kind, detail = (ended.kind, ended.detail) if ended is not None else ("crash", f"signal {-process.returncode}")
        ended = Finding(kind, f"{kind} {where}", f"{detail}\n{''.join(errors)[-3000:]}")
    if ended is not None and began_s > 0.0:  # else a mutator crashed or hung, in the libraries that it uses
        outcome.add(ended, (folder / "input").read_bytes())
        n_run += 1
    outcome.executions += n_run
    outcome.valid += n_valid
    for line in lines:
        kind, signature, detail, kept = json.loads(line)
        outcome.add(Finding(kind, signature, detail), Path(kept).read_bytes())


def _look_on(process: subprocess.Popen[str], folder: Path, most_cpu_s: float) -> Finding | None:
    """Wait for the end; end it where one input takes too long or too much memory.

    Waiting is counted in looks at a process that runs or sleeps: somebody may stop it, and us, for a while.
    """
    last, cpu_s, n_looks = -1, 0.0, 0
    while process.poll() is None:
        time.sleep(LOOK_S)
        with contextlib.suppress(OSError, IndexError):
            n_run, _, began_s = STATE.unpack((folder / "state").read_bytes()[: STATE.size])
            now_cpu_s, bytes_now, is_stopped = _usage(process.pid)
            n_looks += not is_stopped
            if n_run != last or began_s == 0.0:
                last, cpu_s, n_looks = n_run, now_cpu_s, 0
            found = None
            if now_cpu_s - cpu_s > most_cpu_s or n_looks * LOOK_S > MOST_WALL_S:
                used = f"{now_cpu_s - cpu_s:.0f} s of processor time in {n_looks * LOOK_S:.0f} s"
                found = Finding("hang", "hang", used)
            elif bytes_now > HARD_MEMORY_BYTES:
                found = Finding("memory", "memory, seen from outside", f"{bytes_now >> 20} MB")
            if found is not None and began_s:
                process.send_signal(signal.SIGABRT)  # faulthandler says where it was
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(5)
                process.kill()
                return found
    return None


def _usage(pid: int) -> tuple[float, int, bool]:
    """Processor time (s), resident memory (bytes), whether it is stopped."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    used_s = (int(words[11]) + int(words[12])) / TICKS
    return used_s, int(words[21]) * os.sysconf("SC_PAGE_SIZE"), words[0] in "Tt"
