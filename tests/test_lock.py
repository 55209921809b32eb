"""The locked versions are what pyproject.toml asks for, and nothing but names and versions."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from .lock import LEFT_OUT, lock_text

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
LINE = re.compile(r"[a-z0-9][a-z0-9.-]*==[A-Za-z0-9.+!]+")


def pinned(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    assert all(LINE.fullmatch(line) for line in lines)
    return {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines)}


def asked_for(path: Path) -> list[Requirement]:
    """Requirements of the package, [dev] and [bench] on a lock's Python and platform."""
    _, python, platform, machine = path.stem.split("-", 3)
    where = {"python_version": python, "sys_platform": platform, "platform_machine": machine}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    found, left = [], [*project["dependencies"], *extras["dev"], *extras["bench"]]
    while left:
        requirement = Requirement(left.pop())
        if requirement.marker is not None and not requirement.marker.evaluate(where):
            continue
        if requirement.name == "trueflow":
            left += [text for extra in requirement.extras for text in extras[extra]]
        else:
            found.append(requirement)
    return found


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_everything_is_locked_within_its_range(path: Path) -> None:
    versions = pinned(path)
    for requirement in asked_for(path):
        version = versions.get(canonicalize_name(requirement.name), "nothing")
        assert version != "nothing", f"{requirement}: make lock"
        assert requirement.specifier.contains(version, prereleases=True), f"{requirement}: {version}; make lock"


def test_there_is_a_lock_for_ci() -> None:
    assert LOCKS


def test_a_lock_has_names_and_versions_and_no_addresses() -> None:
    def item(name: str, version: str) -> dict[str, object]:
        return {"metadata": {"name": name, "version": version}, "download_info": {"url": "https://example.org/x"}}

    where = {
        "implementation_name": "cpython",
        "python_version": "3.11",
        "sys_platform": "linux",
        "platform_machine": "x",
    }
    items = [item("tomli_W", "1.2.0"), item("numpy", "2.4"), *(item(name, "1") for name in LEFT_OUT)]
    assert lock_text({"environment": where, "install": items}).splitlines()[1:] == ["numpy==2.4", "tomli-w==1.2.0"]
