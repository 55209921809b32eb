"""The network on an NVIDIA GPU, by TensorRT or TensorRT-RTX, whichever is installed."""

from __future__ import annotations

import importlib
import logging
import time
from pathlib import Path
from typing import Any

import numpy as np

from trueflow.kernels.device import Device
from trueflow.kernels.fold_classes import N_CLASSES
from trueflow.models.plans import PlanKey, build_plan, cache_folder, keep_plan, kept_plan, logger_of
from trueflow.models.weights import Network, NetworkError

__all__ = ["MODULES", "TensorRtEngine", "load_module"]

MODULES = ("tensorrt", "tensorrt_rtx")  # the first that is installed

_log = logging.getLogger(__name__)


def load_module() -> Any:
    """TensorRT's Python module.

    Raises
    ------
    NetworkError
        Neither is installed, or none can be loaded.
    """
    reasons = []
    for name in MODULES:
        try:
            return importlib.import_module(name)
        except (ImportError, OSError) as error:  # noqa: PERF203 - OSError: bindings without libraries
            reasons.append(f"{name}: {error}")
    raise NetworkError(
        f"inference engine 'tensorrt' needs TensorRT ({'; '.join(reasons)}): pip install "
        "'trueflow[tensorrt-rtx]' (RTX cards), or 'trueflow[tensorrt]' with NVIDIA's package index; or choose "
        "segment.engine=openvino, which runs the network on the CPU"
    )


class TensorRtEngine:
    """Runs a network on the device's stream and arrays. Only its builder half has been run: that needs no GPU.

    Parameters
    ----------
    device : Device
        CUDA.
    network : Network
    padded : (int, int)
        Sides of the images, multiples of 16.
    cache : Path, optional
        Where plans are kept. Default: `plans.cache_folder`.

    Raises
    ------
    NetworkError
        Another device, no TensorRT, or a network that TensorRT does not take.
    """

    name = "tensorrt"
    only_launches = True

    def __init__(self, device: Device, network: Network, *, padded: tuple[int, int], cache: Path | None = None) -> None:
        if device.name != "cuda":
            raise NetworkError(
                f"inference engine 'tensorrt' runs on device 'cuda', not on {device.name!r}; "
                "choose segment.engine=openvino or --device cuda"
            )
        self._device: Any = device
        self._trt = load_module()
        self._logger = logger_of(self._trt)  # outlives what is made with it
        self._runtime = self._trt.Runtime(self._logger)
        self._engine = self._open(network, padded, cache or cache_folder())
        self._context = self._engine.create_execution_context()
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        inputs = [n for n in names if self._engine.get_tensor_mode(n) == self._trt.TensorIOMode.INPUT]
        (self._input,), (output,) = inputs, [n for n in names if n not in inputs]
        self._logits = device.empty((1, N_CLASSES, *padded), np.float32)
        self._context.set_tensor_address(output, self._logits.data.ptr)

    def _open(self, network: Network, padded: tuple[int, int], cache: Path) -> Any:
        """The kept plan's engine, or one that is built now."""
        key = self._key(network, padded)
        plan = kept_plan(key, cache)
        engine = None if plan is None else self._runtime.deserialize_cuda_engine(plan)
        if plan is not None and engine is None:
            _log.warning("the kept TensorRT plan is refused: %s", self._logger.last_error)
        if engine is None:
            _log.warning("building %s for %s by %s %s", network.name, key.gpu, key.module, key.version)
            began = time.perf_counter()
            plan = build_plan(self._trt, network, padded)
            _log.info("built in %.1f s", time.perf_counter() - began)
            engine = self._runtime.deserialize_cuda_engine(plan)
            if engine is None:
                raise NetworkError(f"{key.module} {key.version} refuses its own plan: {self._logger.last_error}")
            keep_plan(key, plan, cache)
        return engine

    def _key(self, network: Network, padded: tuple[int, int]) -> PlanKey:
        trt, device = self._trt, self._device
        return PlanKey(
            network.name, network.sha256, padded, trt.__name__, trt.__version__, device.product,
            f"sm_{device.compute_capability}",
        )  # fmt: skip

    def __call__(self, tensor: Any) -> Any:
        """Logits, float32 (1, 6, padded_z, padded_x) on the device: good until the next call.

        Parameters
        ----------
        tensor : float32 (1, 10, padded_z, padded_x)
        """
        self._context.set_tensor_address(self._input, tensor.data.ptr)
        if not self._context.execute_async_v3(self._device.stream.ptr):
            raise RuntimeError(f"TensorRT cannot run the network: {self._logger.last_error}")
        return self._logits
