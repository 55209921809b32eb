"""TensorRT plans: built from ONNX, and kept on disk for the GPU, TensorRT version and network they were built for."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trueflow.kernels.features import N_FEATURES
from trueflow.kernels.fold_classes import N_CLASSES
from trueflow.models.weights import Network, NetworkError

__all__ = ["PlanKey", "build_plan", "cache_folder", "keep_plan", "kept_plan", "logger_of"]

_log = logging.getLogger(__name__)
_FORMAT = 1
WRITABLE_BY_OTHERS = 0o022  # a plan is a program for the GPU


@dataclass(frozen=True, slots=True)
class PlanKey:
    """What a plan is good for.

    Parameters
    ----------
    network, network_sha256 : str
    padded : (int, int)
    module, version : str
        "tensorrt" or "tensorrt_rtx".
    gpu, compute_capability : str
        Name, and "sm_86".
    """

    network: str
    network_sha256: str
    padded: tuple[int, int]
    module: str
    version: str
    gpu: str
    compute_capability: str

    @property
    def file_name(self) -> str:
        """One for each GPU, module, network and size: a newer TensorRT or network takes the older one's place."""
        parts = (self.network, f"{self.padded[1]}x{self.padded[0]}", self.gpu, self.compute_capability, self.module)
        return "-".join(re.sub(r"[^\w.]+", "_", part) for part in parts) + ".plan"

    def head(self) -> dict[str, Any]:
        """As it is written before the plan."""
        return {"format": _FORMAT, **asdict(self), "padded": list(self.padded)}


def cache_folder() -> Path:
    """$TRUEFLOW_CACHE, else trueflow/ in the user's cache."""
    if chosen := os.environ.get("TRUEFLOW_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trueflow"


def kept_plan(key: PlanKey, folder: Path) -> bytes | None:
    """A plan that is good for the key; None, and a line in the log, where there is none or another's."""
    path = folder / key.file_name
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            if status.st_uid not in (os.geteuid(), 0) or status.st_mode & WRITABLE_BY_OTHERS:
                _log.warning("the TensorRT plan %s is not used: others than you can write it", path)
                return None
            head = json.loads(file.readline())
            plan = file.read()
    except FileNotFoundError:
        _log.info("no TensorRT plan of %s for %s yet", key.network, key.gpu)
        return None
    except (OSError, ValueError, RecursionError) as error:
        _log.warning("the TensorRT plan %s cannot be read (%s)", path, error)
        return None
    there = head if isinstance(head, dict) else {}
    changed = [f"{name} was {there.get(name)}" for name, value in key.head().items() if there.get(name) != value]
    if changed:
        _log.warning("the TensorRT plan %s is stale: %s", path, ", ".join(changed))
        return None
    return plan


def keep_plan(key: PlanKey, plan: bytes, folder: Path) -> None:
    """Write a plan; a folder that cannot be written costs a build at the next start, and a line in the log."""
    path = folder / key.file_name
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(json.dumps(key.head()).encode() + b"\n" + plan)
        part.replace(path)
    except OSError as error:
        _log.warning("the TensorRT plan cannot be kept in %s (%s): it is built anew at the next start", folder, error)


def build_plan(trt: Any, network: Network, padded: tuple[int, int], *, targets: Sequence[str] = ()) -> bytes:
    """Parse a network, fix its size and build it, types as they are in the file.

    Parameters
    ----------
    trt : module
        tensorrt (10 or newer) or tensorrt_rtx.
    network : Network
    padded : (int, int)
        Sides of the images.
    targets : sequence of str, optional
        Architectures to build for ("SM86"); TensorRT-RTX only, which needs no GPU for it. Default: the GPU here.

    Raises
    ------
    NetworkError
        TensorRT cannot parse or build it.
    """
    logger = logger_of(trt)
    builder = trt.Builder(logger)
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)  # from TensorRT 11 on there is no other
    definition = builder.create_network(0 if flag is None else 1 << int(flag))
    parser = trt.OnnxParser(definition, logger)
    if not parser.parse(network.onnx):
        errors = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise NetworkError(f"{trt.__name__} cannot parse the network {network.name}: {errors}")
    _fix_size(definition, network, padded)
    config = builder.create_builder_config()
    if targets:
        config.num_compute_capabilities = len(targets)
        for index, target in enumerate(targets):
            config.set_compute_capability(getattr(trt.ComputeCapability, target), index)
    plan = builder.build_serialized_network(definition, config)
    if plan is None:
        raise NetworkError(f"{trt.__name__} cannot build the network {network.name}: {logger.last_error}")
    return bytes(plan)


def _fix_size(definition: Any, network: Network, padded: tuple[int, int]) -> None:
    ends = (definition.num_inputs, definition.num_outputs)
    if ends == (1, 1) and len(definition.get_input(0).shape) == 4:
        definition.get_input(0).shape = (1, N_FEATURES, *padded)
        if tuple(definition.get_output(0).shape) == (1, N_CLASSES, *padded):
            return
    raise NetworkError(
        f"network {network.name}: {ends[0]} inputs and {ends[1]} outputs, expected one input (1, {N_FEATURES}, H, W) "
        f"and one output (1, {N_CLASSES}, H, W)"
    )


def logger_of(trt: Any) -> Any:
    """TensorRT's messages into Python's log, its chatter at DEBUG; `last_error` is what it complained of last."""
    severity = trt.ILogger.Severity
    levels = {severity.INTERNAL_ERROR: logging.ERROR, severity.ERROR: logging.ERROR, severity.WARNING: logging.INFO}

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.last_error = ""

        def log(self, level: Any, message: str) -> None:
            if levels.get(level) == logging.ERROR:
                self.last_error = message
            _log.log(levels.get(level, logging.DEBUG), "%s: %s", trt.__name__, message)

    return Logger()
