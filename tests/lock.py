"""Writes down the versions that a fresh environment would get today: `make lock`, or `python tests/lock.py FILE`.

Ranges are in pyproject.toml; CI, and whoever has the same Python on the same kind of machine, installs what was tested.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
WANTED = ("-e", ".[dev,bench]", "scikit-build-core", "cmake", "ninja", "wheel")
# The package itself; and what an environment comes with: recipes are built with it as it is.
LEFT_OUT = ("trueflow", "pip", "setuptools")


def resolve() -> dict[str, Any]:
    """What pip would install into an empty environment."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [
            sys.executable, "-m", "pip", "install", "-qq", "--dry-run", "--ignore-installed", "--no-build-isolation",
            "--report", str(report), *WANTED,
        ]  # fmt: skip
        subprocess.run(command, cwd=ROOT, check=True)
        found: dict[str, Any] = json.loads(report.read_text())
    return found


def lock_text(report: dict[str, Any]) -> str:
    """One line for each package, in alphabetical order."""
    where = report["environment"]
    versions = {
        item["metadata"]["name"].lower().replace("_", "-"): item["metadata"]["version"] for item in report["install"]
    }
    lines = [f"{name}=={version}" for name, version in sorted(versions.items()) if name not in LEFT_OUT]
    head = (
        f"# Written by `make lock`: Trueflow with [dev] and [bench], {where['implementation_name']} "
        f"{where['python_version']}, {where['sys_platform']} {where['platform_machine']}."
    )
    return "\n".join([head, *lines]) + "\n"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    text = lock_text(resolve())
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
