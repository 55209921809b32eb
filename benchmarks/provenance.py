"""Where and when figures were made: without it they are hearsay."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

from trueflow.kernels.library import describe

__all__ = ["busy", "provenance"]

PACKAGES = (
    "numpy", "scipy", "PyMUST", "ustb", "ultraspy", "numba", "vbeam", "jax", "zea", "keras", "scikit-image",
    "region-dealias", "kamui", "rapidphase", "torch", "threadpoolctl", "cupy-cuda12x", "cupy-cuda13x",
)  # fmt: skip

# What a run writes says nothing about the code that made it.
WRITTEN = ("benchmarks/results", "docs", "README.md", "CHANGELOG.md", "tests/screenshots")


def provenance() -> dict[str, object]:
    """Machine, versions, commit and time, ready for JSON."""
    from trueflow import __version__
    from trueflow.pipeline.machine import facts

    found = {fact.name: fact.found for fact in facts()}
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "trueflow": __version__,
        "commit": _commit(),
        "processor": found["Processor"],
        "cores": found["Cores"],
        "gpu": found["GPU"],
        "library_level": describe().get("level"),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "load_average": list(os.getloadavg()),
    }


def busy() -> str | None:
    """What to say where others use the processor too, or None. The load is the last minute's average."""
    load, cores = os.getloadavg()[0], len(os.sched_getaffinity(0))
    if load < 0.25 * cores:
        return None
    return f"the load average was {load:.1f} on {cores} cores before the run: figures of a busy machine are too high"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit this code is from, "+" where its files differ (not those that runs write); None outside a checkout."""
    other = (":/", *(f":(top,exclude){path}" for path in WRITTEN))
    folder = Path(__file__).resolve().parent
    try:
        done = [
            subprocess.run(["git", *command], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()
            for command in (
                ("ls-files", "--error-unmatch", "__init__.py"),  # else it is the checkout of something around us
                ("rev-parse", "HEAD"),
                ("status", "--porcelain", "--untracked-files=no", "--", *other),
            )
        ]
    except (OSError, subprocess.CalledProcessError):
        return None
    return done[1] + ("+" if done[2] else "")
