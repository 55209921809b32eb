"""The network on the CPU, by OpenVINO."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

import trueflow
from trueflow.kernels.device import Device
from trueflow.kernels.features import N_FEATURES
from trueflow.kernels.fold_classes import N_CLASSES
from trueflow.models.openvino_runtime import import_openvino
from trueflow.models.weights import Network, NetworkError

__all__ = ["OpenVinoEngine"]

PATIENCE_S = 30.0  # for a network that nobody knows; the shipped one takes a second
# One request at a time, and as soon as may be. Threads are not pinned: the kernels' threads use the same cores in turn,
# and OpenVINO's rest between images (in the 10 ms after one they take 0.2 ms of processor time). A second thread costs
# 1 ms of processor time in 31 of the whole chain. float32 stays float32 also where the processor has bfloat16.
SETTINGS = {
    "PERFORMANCE_HINT": "LATENCY",
    "NUM_STREAMS": "1",
    "ENABLE_CPU_PINNING": "NO",
    "INFERENCE_PRECISION_HINT": "f32",
}


class OpenVinoEngine:
    """Runs a network on one image after the other.

    Parameters
    ----------
    device : Device
        Whose arrays come in and go out. Those of a GPU are copied to the host and back.
    network : Network
    padded : (int, int)
        Sides of the images, multiples of 16.
    n_threads : int, optional
        Default: the device's.

    Raises
    ------
    NetworkError
        OpenVINO is not installed, or the network is not one from (1, 10, H, W) to (1, 6, H, W).
    """

    name = "openvino"
    only_launches = False

    def __init__(
        self, device: Device, network: Network, *, padded: tuple[int, int], n_threads: int | None = None
    ) -> None:
        try:
            openvino = import_openvino()
        except ImportError as error:
            raise NetworkError("inference engine 'openvino' needs OpenVINO: pip install openvino") from error
        self._device = device
        compiled = _compiled(network, padded, n_threads or getattr(device, "n_threads", None))
        self.n_threads = int(compiled.get_property("INFERENCE_NUM_THREADS"))
        self._tensor = openvino.Tensor
        self._request = compiled.create_infer_request()
        self._logits = np.zeros((1, N_CLASSES, *padded), np.float32)
        self._request.set_output_tensor(openvino.Tensor(self._logits, shared_memory=True))
        self._given: Any = None

    def __call__(self, tensor: Any) -> Any:
        """Logits, float32 (1, 6, padded_z, padded_x) on the device: good until the next call.

        Parameters
        ----------
        tensor : float32 (1, 10, padded_z, padded_x)
        """
        host = self._device.download(tensor)
        if self._given is not host:
            self._request.set_input_tensor(self._tensor(host, shared_memory=True))
            self._given = host
        self._request.infer()
        return self._device.upload(self._logits)


@lru_cache(maxsize=4)
def _compiled(network: Network, padded: tuple[int, int], n_threads: int | None) -> Any:
    """The network for a size, kept: compiling takes a second, and each engine has its own request anyway."""
    if network.precision == "own":
        _try_elsewhere(network, padded)
    openvino = import_openvino()
    settings = SETTINGS | ({} if n_threads is None else {"INFERENCE_NUM_THREADS": str(n_threads)})
    try:
        core = openvino.Core()
        model = core.read_model(network.onnx)
        _check_sides(model, network)
        model.reshape([1, N_FEATURES, *padded])
        if list(model.output(0).shape) != [1, N_CLASSES, *padded]:
            raise NetworkError(
                f"network {network.name}: of (1, {N_FEATURES}, {padded[0]}, {padded[1]}) it makes "
                f"{tuple(model.output(0).shape)}, expected (1, {N_CLASSES}, {padded[0]}, {padded[1]})"
            )
        return core.compile_model(model, "CPU", settings)
    except RuntimeError as error:
        if isinstance(error, NetworkError):
            raise
        reason = " ".join(str(error).split())
        raise NetworkError(f"OpenVINO does not take the network {network.name}: {reason}") from error


def _try_elsewhere(network: Network, padded: tuple[int, int]) -> None:
    """Compile somebody's own network in a process of its own first: damaged files crash OpenVINO, or never end.

    Raises
    ------
    NetworkError
        It did not survive. What else is wrong with the network, who compiles it next is told.
    """
    home = Path(str(trueflow.__file__)).parents[1]  # the first place where a program on the command line looks
    program = f"from trueflow.models.openvino_engine import try_network; try_network({padded!r})"
    try:
        done = subprocess.run(
            [sys.executable, "-c", program], input=network.onnx, capture_output=True, timeout=PATIENCE_S, cwd=home
        )
    except subprocess.TimeoutExpired as error:
        raise NetworkError(
            f"OpenVINO does not come to an end with the network {network.name} (waited {PATIENCE_S:g} s)"
        ) from error
    if done.returncode < 0:
        raise NetworkError(f"OpenVINO crashes on the network {network.name} (signal {-done.returncode})")


def try_network(padded: tuple[int, int]) -> None:
    """Compile the network on stdin."""
    with suppress(NetworkError):
        _compiled(Network("stdin", "tried", "", sys.stdin.buffer.read()), padded, None)


def _check_sides(model: Any, network: Network) -> None:
    """One input of ten maps, one output: what `reshape` would complain of in words of its own."""
    ends = (len(model.inputs), len(model.outputs))
    shape = model.input(0).partial_shape if ends == (1, 1) else None
    fits = shape is not None and len(shape) == 4 and (shape[1].is_dynamic or shape[1].get_length() == N_FEATURES)
    if not fits:
        raise NetworkError(
            f"network {network.name}: {ends[0]} inputs{'' if shape is None else f' of {shape}'} and {ends[1]} outputs, "
            f"expected one input (1, {N_FEATURES}, H, W) and one output (1, {N_CLASSES}, H, W)"
        )
