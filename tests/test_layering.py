"""Imports point one way, and importing the pipeline costs nothing that its user did not ask for."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("benchmarks", "kernels", "models", "pipeline", "tests", "viewer")

# What each folder may import of ours: a folder stands for all its modules. The viewer shows frames and knows no stage.
ALLOWED = {
    "kernels": ("kernels",),
    "models": ("models", "kernels"),
    "pipeline": ("pipeline", "kernels", "models"),
    "viewer": (
        "viewer",
        "pipeline.acquisition",
        "pipeline.config",
        "pipeline.errors",
        "pipeline.frames",
        "pipeline.grid",
        "pipeline.output",
        "pipeline.picture",
        "pipeline.probe",
    ),
    "benchmarks": ("benchmarks", "kernels", "models", "pipeline", "viewer"),
    "tests": ("benchmarks", "kernels", "models", "pipeline", "viewer"),
}

# Within the pipeline: frames, stages and chain below; sources on them; live on these; the command line on top of all.
LAYERS = ("sources", "live", "cli")
# What a live recording is written with it is read with: formats, which know nothing of the live chain.
FORMATS = ("trueflow.pipeline.live.description", "trueflow.pipeline.live.recorder_format")

OPTIONAL = (
    "cupy", "cuda", "glfw", "imgui_bundle", "keras", "numba", "onnx", "onnxruntime", "OpenGL", "pycuda", "pymust",
    "skimage", "tensorflow", "tensorrt", "tensorrt_rtx", "tf2onnx", "ultraspy", "zmq",
)
HEAVY = (*OPTIONAL, "av", "h5py", "hdf5plugin", "matplotlib", "openvino")


def modules(folder: str) -> Iterator[Path]:
    return (ROOT / folder).rglob("*.py")


def imports(text: str, package: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything imported, names of `from` imports included, at any depth of the code.

    Parameters
    ----------
    text : str
    package : str
        Dotted name of the package the module is in, for relative imports.
    """
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            base = ".".join([*parents, node.module] if node.module else parents)
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
            target = node.args[0] if node.args else None
            if isinstance(target, ast.Constant) and isinstance(target.value, str):
                yield node.lineno, target.value


def offence(folder: str, name: str) -> str | None:
    """Why a module in `folder` may not import `name`, or None."""
    top, _, rest = name.partition(".")
    if top in FOLDERS and not (folder == top == "tests"):
        return f"bare import of {name}: say trueflow.{name}"
    if top != "trueflow" or rest.split(".")[0] not in FOLDERS:
        return None
    if any(f"{rest}.".startswith(f"{allowed}.") for allowed in ALLOWED[folder]):
        return None
    return f"{folder} may not import trueflow.{rest}; it may import {', '.join(ALLOWED[folder])}"


@pytest.mark.parametrize("folder", FOLDERS)
def test_imports_point_one_way(folder: str) -> None:
    prefix = "" if folder == "tests" else "trueflow."
    offences = []
    for path in modules(folder):
        package = prefix + ".".join(path.relative_to(ROOT).parent.parts)
        for line, name in imports(path.read_text(), package):
            if reason := offence(folder, name):
                offences.append(f"{path.relative_to(ROOT)}:{line}: {reason}")
    assert not offences, "\n".join(offences)


def layer(name: str) -> int:
    """Of a dotted name: its place in `LAYERS`, or -1 for what is below them."""
    part = name.removeprefix("trueflow.pipeline.").split(".")[0]
    return LAYERS.index(part) if name.startswith("trueflow.pipeline.") and part in LAYERS else -1


def test_sources_know_no_live_chain_and_nobody_knows_the_command_line() -> None:
    offences = []
    for path in modules("pipeline"):
        package = "trueflow." + ".".join(path.relative_to(ROOT).parent.parts)
        own = layer(f"{package}.{path.stem}")
        for line, name in imports(path.read_text(), package):
            if f"{name}.".startswith(tuple(f"{known}." for known in FORMATS)) and own == 0:
                continue
            if layer(name) > own >= 0 or (own < 0 and layer(name) > 0):
                offences.append(f"{path.relative_to(ROOT)}:{line}: imports {name}")
    assert not offences, "\n".join(offences)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("trueflow.pipeline.chain", -1),
        ("trueflow.pipeline.sources.framing", 0),
        ("trueflow.pipeline.live.ring.PacketRing", 1),
        ("trueflow.pipeline.cli.view", 2),
        ("trueflow.pipeline.live_or_not", -1),
        ("trueflow.kernels.live", -1),
    ],
)
def test_layers_are_told_apart(name: str, place: int) -> None:
    assert layer(name) == place


@pytest.mark.parametrize(
    ("folder", "text"),
    [
        ("kernels", "from trueflow.pipeline.errors import TrueflowError"),
        ("kernels", "from trueflow import pipeline"),
        ("kernels", "def f():\n    import trueflow.models"),
        ("kernels", "from .. import models"),
        ("kernels", "import importlib\nimportlib.import_module('trueflow.viewer')"),
        ("models", "import trueflow.pipeline.frames as frames"),
        ("pipeline", "from trueflow.viewer import window"),
        ("pipeline", "from trueflow.benchmarks.cases import FEMORAL"),
        ("viewer", "from trueflow.pipeline.stages import das"),
        ("viewer", "from trueflow.pipeline.frames_of_another_name import x"),
        ("viewer", "import trueflow.kernels"),
        ("benchmarks", "import kernels"),
        ("tests", "from pipeline.frames import ColorFrame"),
    ],
)
def test_a_wrong_import_is_seen(folder: str, text: str) -> None:
    assert any(offence(folder, name) for _, name in imports(text, f"trueflow.{folder}"))


@pytest.mark.parametrize(
    ("folder", "text"),
    [
        ("pipeline", "from trueflow import __version__\nfrom trueflow.kernels import das\nfrom . import errors"),
        ("viewer", "from trueflow.pipeline.frames import ColorFrame\nfrom trueflow.pipeline import grid"),
        ("models", "import numpy as np\nfrom trueflow.kernels.das import das"),
        ("tests", "import trueflow.viewer\nfrom .common import x"),
    ],
)
def test_a_right_import_passes(folder: str, text: str) -> None:
    package = folder if folder == "tests" else f"trueflow.{folder}"
    assert not [name for _, name in imports(text, package) if offence(folder, name)]


def python(program: str) -> subprocess.CompletedProcess[str]:
    # -I: neither the current folder nor the user's packages answer for what is not installed.
    return subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, timeout=120)


def test_importing_the_pipeline_loads_nothing_heavy_and_says_nothing() -> None:
    done = python(
        "import sys, logging\n"
        "before = set(sys.modules)\n"  # cuda-bindings puts its package there whenever Python starts
        "import trueflow.pipeline\n"
        f"heavy = sorted(set({HEAVY!r}) & set(sys.modules) - before)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 'logging was set up' if logging.root.handlers else 0)"
    )
    assert not done.stdout + done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize("folder", ["pipeline", "kernels", "viewer"])
def test_every_module_imports_where_no_extra_is_installed(folder: str) -> None:
    done = python(
        "import importlib, pkgutil, sys\n"
        f"sys.modules.update(dict.fromkeys({OPTIONAL!r}))\n"  # None: an import raises ModuleNotFoundError
        f"package = importlib.import_module('trueflow.{folder}')\n"
        "for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "    if not module.name.endswith('__main__'):\n"
        "        importlib.import_module(module.name)\n"
    )
    assert not done.stdout + done.stderr
    assert done.returncode == 0
