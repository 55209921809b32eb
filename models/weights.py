"""The networks that come with the package: found, and held against their hashes before anything runs them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

__all__ = [
    "FILES", "Network", "NetworkError", "available", "load_network", "load_shipped", "manifest", "weights_folder",
]  # fmt: skip

LARGEST_BYTES = 1 << 28
ELSEWHERE = b"\x0a\x08location"  # how ONNX begins to say in which file a tensor is
MANIFEST = "weights.json"
FILES = {"fp32": "unet.onnx", "fp16": "unet_fp16.onnx", "int8": "unet_int8.onnx"}  # by precision


class NetworkError(RuntimeError):
    """A network, or what runs it, is missing or not what it should be; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Network:
    """A network as ONNX.

    Parameters
    ----------
    name : str
        The file's, without its ending.
    precision : str
        "fp32", "fp16" or "int8"; "own" for a file of the user's: it says itself.
    sha256 : str
        Of the file.
    onnx : bytes
        The file.
    """

    name: str
    precision: str
    sha256: str
    onnx: bytes


def weights_folder() -> Path:
    """Where the package keeps them."""
    return Path(str(resources.files("trueflow.models") / "weights"))


def manifest(folder: Path | None = None) -> dict[str, Any]:
    """What weights.json says: {"files": {name: {"sha256": ...}}, ...}.

    Raises
    ------
    NetworkError
        It is missing or damaged.
    """
    path = (folder or weights_folder()) / MANIFEST
    try:
        found = json.loads(path.read_text())
    except OSError as error:
        raise NetworkError(
            f"the segmentation network is missing ({path}: {error.strerror}); reinstall trueflow, or name an ONNX file "
            "of your own in config [segment] network"
        ) from error
    except (ValueError, RecursionError) as error:
        raise NetworkError(f"{path} is damaged ({error}); reinstall trueflow") from error
    if not isinstance(found, dict) or not isinstance(found.get("files"), dict):
        raise NetworkError(f"{path} is damaged (no table of files); reinstall trueflow")
    return found


def available(folder: Path | None = None) -> tuple[str, ...]:
    """Precisions that are there."""
    listed = manifest(folder)["files"]
    return tuple(precision for precision, name in FILES.items() if name in listed)


def load_shipped(preferred: Sequence[str], folder: Path | None = None) -> Network:
    """The first of some precisions that is there.

    Parameters
    ----------
    preferred : sequence of {"fp32", "fp16", "int8"}
    folder : Path, optional
        Default: the package's.

    Raises
    ------
    NetworkError
        None is there, or the file is not the one that was shipped.
    """
    there = available(folder)
    precision = next((p for p in preferred if p in there), None)
    if precision is None:
        raise NetworkError(
            f"no segmentation network in {' or '.join(preferred)}; this installation has {', '.join(there) or 'none'}"
        )
    name = FILES[precision]
    network = _read((folder or weights_folder()) / name, precision)
    expected = manifest(folder)["files"][name].get("sha256")
    if network.sha256 != expected:
        raise NetworkError(
            f"{name} is not the file that belongs to this installation: its SHA-256 is {network.sha256}, {MANIFEST} "
            f"says {expected}; reinstall trueflow"
        )
    return network


def load_network(path: str | Path) -> Network:
    """A network of the user's own.

    Raises
    ------
    NetworkError
        It cannot be read, is larger than 256 MB, or has weights in other files, whose names it could choose.
    """
    network = _read(Path(path), "own")
    if ELSEWHERE in network.onnx:
        raise NetworkError(f"the network {path} keeps weights in other files; expected all of it in one file")
    return network


def _read(path: Path, precision: str) -> Network:
    try:
        with open(path, "rb") as file:
            onnx = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise NetworkError(f"the network {path} cannot be read: {error.strerror}") from error
    if len(onnx) > LARGEST_BYTES:
        raise NetworkError(f"the network {path} is larger than {LARGEST_BYTES >> 20} MB")
    return Network(path.stem, precision, hashlib.sha256(onnx).hexdigest(), onnx)
