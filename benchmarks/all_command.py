"""`trueflow bench all`: every figure and picture of README and docs anew, part by part."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import click

from trueflow.benchmarks.refresh import refresh

__all__ = ["Outcome", "Part", "every_part", "parts", "run_parts"]

ROOT = Path(__file__).resolve().parents[1]
LOGS = ROOT / "build" / "bench"
BUDGET_S = 15 * 60.0
TRUEFLOW = (sys.executable, "-c", "from trueflow.pipeline.cli import main; main()")
XVFB = ("xvfb-run", "-a", "-s", "-screen 0 1400x900x24")
SAID_LINES = 12  # of a part that failed


@dataclass(frozen=True, slots=True)
class Part:
    """One command.

    Parameters
    ----------
    name : str
        Also that of its log.
    command : tuple of str
    environment : tuple of (str, str)
        On top of ours.
    lacking : callable
        Why it cannot be run here; empty where it can.
    timed : bool
        Whether it measures times, and so wants the machine to itself.
    """

    name: str
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    lacking: Callable[[], str] = str
    timed: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a part went: "made", "failed" or "skipped", why, and the seconds it took."""

    part: str
    verdict: str
    why: str
    seconds: float


def parts() -> list[Part]:
    """All parts: times first, while nothing else has warmed the machine up; dealiasing last, it takes longest."""
    return [
        _bench("whole"),
        _bench("limits"),
        _bench("latency", "--quick"),
        _bench("compare", "--seconds", "25", lacking=_no_peers),
        Part("viewer", (*_window(), *TRUEFLOW, "bench", "viewer", "--seconds", "4", "--update"), lacking=_no_window),
        _bench("segmentation"),
        _bench("dealias", "--rounds", "40"),
        _bench("simulation", lacking=_no_matplotlib),
        Part("demo", (sys.executable, "-m", "trueflow.benchmarks.demo_picture", "docs/pictures/demo.png"), timed=False),
        Part("pictures", (sys.executable, "-m", "trueflow.benchmarks.evidence_pictures", "docs/pictures"), timed=False),
        Part(
            "screenshots",
            (sys.executable, "-m", "pytest", "-q", "tests/viewer/test_page.py"),  # not the tests' own references
            (("TRUEFLOW_SCREENSHOTS", "write"),),
            _no_page_tests,
            timed=False,
        ),
    ]


def _bench(name: str, *options: str, lacking: Callable[[], str] = str) -> Part:
    return Part(name, (*TRUEFLOW, "bench", name, *options, "--update"), lacking=lacking)


def _window() -> tuple[str, ...]:
    return () if _has_display() else XVFB


def _has_display() -> bool:
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _no_window() -> str:
    if _has_display() or (shutil.which("xvfb-run") and shutil.which("xauth")):
        return ""
    return "there is no display, nor Xvfb: the figures that are there keep their date"


def _no_peers() -> str:
    from importlib.util import find_spec

    missing = [name for name in ("pymust", "skimage") if find_spec(name) is None]
    return f"{', '.join(missing)} not installed: pip install 'trueflow[bench]'" if missing else ""


def _no_matplotlib() -> str:
    from importlib.util import find_spec

    return "" if find_spec("matplotlib") else "matplotlib is not installed: pip install 'trueflow[bench]'"


def _no_page_tests() -> str:
    if not (ROOT / "tests" / "viewer").is_dir():
        return "this is no checkout"
    if shutil.which("Xvfb"):
        return ""
    return "there is no Xvfb: the pictures that are there stay"


def run_parts(chosen: Sequence[Part], say: Callable[[str], None]) -> list[Outcome]:
    """Run parts one after another, and those that time nothing side by side at the end; a failure stops no other.

    Parameters
    ----------
    chosen : sequence of Part
    say : callable
        Takes a line as each part ends.
    """
    LOGS.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    last = [part for part in chosen if not part.timed]
    outcomes = []
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for outcome in chain((_run(part) for part in chosen if part.timed), _together(pool, last)):
            outcomes.append(outcome)
            why = f": {outcome.why}" if outcome.why else ""
            total = time.monotonic() - began
            say(f"{outcome.part:12s} {outcome.verdict:8s} {outcome.seconds:6.1f} s, {total:6.1f} s in all{why}")
    return outcomes


def _together(pool: ThreadPoolExecutor, last: Sequence[Part]) -> Iterator[Outcome]:
    """Begun only when this is asked for its first: after all that was timed."""
    yield from pool.map(_run, last)


def _run(part: Part) -> Outcome:
    if why := part.lacking():
        return Outcome(part.name, "skipped", why, 0.0)
    began, log = time.monotonic(), LOGS / f"{part.name}.log"
    with log.open("w") as out:
        done = subprocess.run(
            part.command, stdout=out, stderr=subprocess.STDOUT, env=dict(os.environ) | dict(part.environment),
            cwd=ROOT, check=False,
        )  # fmt: skip
    seconds = time.monotonic() - began
    if done.returncode == 0:
        return Outcome(part.name, "made", "", seconds)
    lines = log.read_text(errors="replace").strip().splitlines()[-SAID_LINES:]
    return Outcome(part.name, "failed", "\n  ".join([f"exit code {done.returncode}", *lines]), seconds)


@click.command("all")
@click.option("--part", "names", multiple=True, metavar="NAME", help="May be repeated. Default: all.")
@click.option("--pages", is_flag=True, help="Measure nothing: write pages anew from the figures there are.")
@click.option("--update", is_flag=True, help="Write figures, pages and pictures where the project keeps them.")
def every_part(names: Sequence[str], pages: bool, update: bool) -> None:
    """Make every figure and picture of README and docs anew: a quarter of an hour on two cores.

    Each part is a command of its own, whose output goes to build/bench. A part that fails or cannot run here leaves
    what was there before, and is told of. Where one failed, or all took longer than the budget, the exit code is 1.
    """
    from trueflow.pipeline.errors import TrueflowError, nearest

    if not update:
        raise click.UsageError("writes into the checkout: say --update")
    if pages and names:
        raise click.UsageError("--pages measures nothing: not with --part")
    if pages:
        refresh()
        return
    known = {part.name: part for part in parts()}
    for name in names:
        if name not in known:
            raise TrueflowError("unknown part", found=repr(name), advice=nearest(name, known))
    began = time.monotonic()
    outcomes = run_parts([known[name] for name in names] or list(known.values()), click.echo)
    refresh()
    seconds = time.monotonic() - began
    click.echo(f"{seconds / 60:.1f} minutes; the budget is {BUDGET_S / 60:g}")
    if seconds > BUDGET_S:
        click.echo("over the budget", err=True)
    if seconds > BUDGET_S or any(outcome.verdict == "failed" for outcome in outcomes):
        raise click.exceptions.Exit(1)
