"""Finds and loads the CPU library: the build for the best instruction set this machine has."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
from functools import cache
from hashlib import sha256
from importlib import metadata
from pathlib import Path

__all__ = [
    "LEVELS", "available_levels", "describe", "library_path", "load_library", "machine_levels", "sources_hash",
]  # fmt: skip

# Best first. What each needs, as Linux spells it in /proc/cpuinfo.
LEVELS: dict[str, frozenset[str]] = {
    "x86-64-v4": frozenset(
        ["avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"]
    ),
    "x86-64-v3": frozenset(["avx2", "bmi1", "bmi2", "f16c", "fma", "movbe"]),
    "x86-64-v2": frozenset(["cx16", "popcnt", "sse4_1", "sse4_2", "ssse3"]),
    "generic": frozenset(),
}

_INSTALL = (
    "the package was built without a C++ compiler: install g++ (Debian, Ubuntu: apt-get install g++) and reinstall"
)


def available_levels() -> dict[str, Path]:
    """Builds in this installation, by level, best first."""
    folders = [Path(__file__).resolve().parent / "lib"]
    with contextlib.suppress(metadata.PackageNotFoundError):  # an editable install keeps compiled files elsewhere
        folders.append(Path(str(metadata.distribution("trueflow").locate_file("trueflow/kernels/lib"))))
    found: dict[str, Path] = {}
    for level in LEVELS:
        for folder in folders:
            path = folder / f"trueflow_{level}.so"
            if path.is_file():
                found.setdefault(level, path)
    return found


@cache
def machine_levels() -> tuple[str, ...]:
    """Levels this machine can run, best first."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return ("generic",)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        flags = frozenset(next(line for line in lines if line.startswith("flags")).split(":")[1].split())
    except (OSError, StopIteration):
        return ("x86-64-v2",)
    return tuple(level for level, needed in LEVELS.items() if needed <= flags and level != "generic")


def library_path() -> Path:
    """The library to load: TRUEFLOW_LIBRARY if set (a path), TRUEFLOW_LEVEL if set (a level), else the best.

    Raises
    ------
    RuntimeError
        Where no build suits this machine; the message says what to install.
    """
    if chosen := os.environ.get("TRUEFLOW_LIBRARY"):
        return Path(chosen)
    available, usable = available_levels(), machine_levels()
    if not available:
        raise RuntimeError(f"Trueflow's CPU library is missing; {_INSTALL}")
    if wanted := os.environ.get("TRUEFLOW_LEVEL"):
        if wanted not in available or wanted not in usable:
            raise RuntimeError(
                f"TRUEFLOW_LEVEL={wanted}: built are {list(available)}, this machine runs {list(usable)}"
            )
        return available[wanted]
    for level in usable:
        if level in available:
            return available[level]
    raise RuntimeError(f"none of the CPU builds {list(available)} runs on this machine, which offers {list(usable)}")


@cache
def load_library() -> ctypes.CDLL:
    """The CPU library, loaded once."""
    path = library_path()
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise RuntimeError(f"the CPU library cannot be loaded: {error}") from error
    _check_sources(library, path)
    library.tf_launch.argtypes = [ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
    library.tf_launch.restype = None
    return library


def sources_hash() -> str:
    """Of everything that the library is built from, as CMakeLists.txt makes it."""
    folder = Path(__file__).resolve().parent
    files = [path for pattern in ("*.c[pu]*", "*.hpp") for path in folder.glob(pattern)]
    return sha256(";".join(sorted(sha256(path.read_bytes()).hexdigest() for path in files)).encode()).hexdigest()


def _check_sources(library: ctypes.CDLL, path: Path) -> None:
    """A library and Python halves that are not of one version would compute nonsense, or crash."""
    try:
        function = library.tf_sources
    except AttributeError:
        built_from = None
    else:
        function.restype = ctypes.c_char_p
        built_from = function().decode()
    if built_from != sources_hash():
        raise RuntimeError(f"the CPU library {path} was built from other kernels than these: install Trueflow again")


def describe() -> dict[str, object]:
    """What `trueflow doctor` says about the CPU library."""
    available = available_levels()
    try:
        path = library_path()
        load_library()
    except RuntimeError as error:
        return {"error": str(error), "available_levels": list(available), "machine_levels": list(machine_levels())}
    level = path.stem.removeprefix("trueflow_")
    return {
        "path": str(path),
        "level": level,
        "available_levels": list(available),
        "machine_levels": list(machine_levels()),
    }
