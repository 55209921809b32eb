"""Fuzz targets: `python -m tests.fuzz [--target NAME] [--seconds S] [--seed N]`.

What leads to a finding is kept under tests/fuzz/crashes/TARGET, made small; it then is part of the corpus, and the
tests read it again. Exits with 1 where something was found.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from .engine import say
from .minimise import minimised
from .runner import ROOT, Outcome, fuzz
from .targets import CRASHES, TARGETS


def keep(outcome: Outcome, seconds: float) -> list[Path]:
    """The inputs of an outcome's findings, made small, as files."""
    kept = []
    for finding, data in outcome.findings.values():
        folder = CRASHES / outcome.target
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{finding.kind}-{finding.name}"
        path.write_bytes(minimised(outcome.target, data, finding, seconds=seconds))
        kept.append(path)
    return kept


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz", description="Fuzz the readers.")
    parser.add_argument("--target", choices=list(TARGETS), action="append", help="may be repeated; default: all")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each target")
    parser.add_argument("--seed", type=int, default=None, help="default: the time, so that each run tries other inputs")
    parser.add_argument("--minimise", type=float, default=20.0, metavar="SECONDS", help="for each finding")
    parser.add_argument("--json", type=Path, help="append one line for each target")
    given = parser.parse_args()
    seed = time.time_ns() % (1 << 32) if given.seed is None else given.seed
    bad = False
    for name in given.target or TARGETS:
        outcome = fuzz(name, seed=seed, seconds=given.seconds)
        line = {
            "target": name,
            "seed": seed,
            "executions": outcome.executions,
            "valid": outcome.valid,
            "seconds": round(outcome.seconds),
            "cpu_s": round(outcome.cpu_s),
            "findings": sorted(outcome.findings),
        }
        say(json.dumps(line))
        if given.json is not None:
            with given.json.open("a") as file:
                file.write(json.dumps(line) + "\n")
        for (finding, _), path in zip(outcome.findings.values(), keep(outcome, given.minimise), strict=True):
            say(f"{path.relative_to(ROOT)}: {finding.signature}\n{finding.detail}\n")
        bad |= bool(outcome.findings)
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
