"""Whether everything Trueflow installs comes as a wheel for an aarch64 host (Jetson, Grace): nothing is built there.

`python tests/aarch64/wheels.py [EXTRA ...]` asks pip, for the registry it is set up with, what it would install;
nothing is installed. Exit code 1 names what has no wheel.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"
# The TensorRT extras are left out: their packages are recipes (sdists) that fetch the libraries when installed.
EXTRAS = ("cuda", "cuda13", "viewer")
# JetPack 6 is Ubuntu 22.04, glibc 2.35; a wheel for an older glibc serves as well.
PLATFORMS = ("manylinux2014_aarch64", *(f"manylinux_2_{minor}_aarch64" for minor in range(17, 36)))


@dataclass(frozen=True)
class Wheel:
    """A file pip would install."""

    name: str
    version: str
    file: str

    @property
    def fits(self) -> bool:
        """Whether it is a wheel, for this processor or for any."""
        return self.file.endswith(".whl") and (self.file.endswith("-any.whl") or "aarch64" in self.file)


def requirements(project: dict[str, Any], extra: str | None) -> list[str]:
    """What the base install (None) or an extra asks for."""
    table = project["project"]
    found = table["dependencies"] if extra is None else table["optional-dependencies"][extra]
    return [str(requirement) for requirement in found]


def wheels(report: dict[str, Any]) -> list[Wheel]:
    """The files of an installation report (pip install --report), by name."""
    found = []
    for item in report["install"]:
        about, url = item["metadata"], item["download_info"]["url"]
        found.append(Wheel(about["name"], about["version"], url.rpartition("/")[2]))
    return sorted(found, key=lambda wheel: wheel.name.lower())


def complaint(output: str) -> str:
    """The line of pip's own output that says what has no wheel."""
    lines = [line.removeprefix("ERROR: ") for line in output.splitlines() if line.startswith("ERROR: ")]
    wanted = [line for line in lines if "No matching distribution" in line or "conflict" in line.lower()]
    return (wanted or lines or ["pip failed without a word"])[0]


def ask(wanted: list[str]) -> list[Wheel] | str:
    """What pip would install on an aarch64 host of this Python, or what it complains of."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [
            sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--no-cache-dir",
            "--report", str(report), "--only-binary=:all:", "--implementation", "cp", "--target", folder,
            "--python-version", f"{sys.version_info.major}.{sys.version_info.minor}",
            *(option for platform in PLATFORMS for option in ("--platform", platform)), *wanted,
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return complaint(done.stderr)
        return wheels(json.loads(report.read_text()))


def main(extras: list[str]) -> int:
    """Ask for the base install and each extra."""
    project = tomllib.loads(PROJECT.read_text())
    failed = 0
    for extra in (None, *(extras or EXTRAS)):
        title = "base install" if extra is None else f"extra {extra}"
        found = ask(requirements(project, extra))
        bad = [found] if isinstance(found, str) else [w.file for w in found if not w.fits]
        failed += bool(bad)
        said = f"NOT for aarch64: {'; '.join(bad)}" if bad else f"{len(found)} wheels for aarch64"
        sys.stdout.write(f"{title}: {said}\n")
        if not isinstance(found, str):
            sys.stdout.write("".join(f"  {wheel.file}\n" for wheel in found if "aarch64" in wheel.file))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
