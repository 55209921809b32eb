"""From maps of a frame to the fold that each pixel is aliased by, with one surface for all devices and engines."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from trueflow.kernels.device import Device
from trueflow.kernels.features import Features, SecondPhase
from trueflow.kernels.fold_agreement import FoldAgreement
from trueflow.kernels.fold_classes import FoldClasses
from trueflow.models.weights import Network, NetworkError, load_network, load_shipped

__all__ = ["ENGINES", "InferenceEngine", "Segmenter", "make_engine"]

# What each engine runs best, and the engine of each device.
ENGINES = {"openvino": ("int8", "fp32"), "tensorrt": ("fp16", "int8", "fp32")}
ENGINE_OF = {"cpu": "openvino", "cuda": "tensorrt"}


class InferenceEngine(Protocol):
    """Runs the network: float32 (1, 10, H, W) to logits (1, 6, H, W), both on the device."""

    name: str
    only_launches: bool  # on the device, without waiting for it

    def __call__(self, tensor: Any) -> Any:
        """Logits, good until the next call."""
        ...


class Segmenter:
    """Features, network, classes, planned for one device and image size.

    Parameters
    ----------
    device : Device
    shape : (n_z, n_x)
        Any: images are padded to multiples of 16 and cropped.
    engine : {"auto", "openvino", "tensorrt"}
        "auto" is the device's own: OpenVINO on the CPU, TensorRT on CUDA. Never replaced by another one.
    precision : {"auto", "int8", "fp16", "fp32"}
        Of the shipped network; "auto" is what the engine runs best.
    network : Path, optional
        An ONNX file of one's own instead, (1, 10, H, W) to (1, 6, H, W); its precision is in the file.

    Attributes
    ----------
    network : Network
    features : Features
    engine : InferenceEngine

    Raises
    ------
    NetworkError
        Network or engine are not there or do not fit.
    """

    def __init__(
        self,
        device: Device,
        *,
        shape: tuple[int, int],
        engine: str = "auto",
        precision: str = "auto",
        network: str | Path | None = None,
    ) -> None:
        name = ENGINE_OF[device.name] if engine == "auto" else engine
        if name not in ENGINES:
            raise NetworkError(f"inference engine {name!r} is unknown; choices: auto, {', '.join(ENGINES)}")
        if network is None:
            self.network = load_shipped(ENGINES[name] if precision == "auto" else (precision,))
        else:
            self.network = load_network(network)
        self._device, self.features = device, Features(device, shape=shape)
        self.engine = make_engine(name, device, self.network, padded=self.features.padded)
        self._classes = FoldClasses(device, shape=shape, padded=self.features.padded)
        self._agreement = FoldAgreement(device, shape=shape)

    @property
    def description(self) -> str:
        """Network, precision and engine."""
        return f"{self.network.name} ({self.network.precision}) by {self.engine.name}"

    def __call__(
        self, r0: Any, phase_turns: Any, coherence: Any, envelope: Any, second: SecondPhase | None = None
    ) -> tuple[Any, Any, Any]:
        """Classes and probabilities of one frame.

        Parameters
        ----------
        r0, phase_turns, coherence, envelope : float32 (n_z, n_x)
            Power, wrapped phase, |R1| / R0, linear echo envelope.
        second : (phasor, table), optional
            The second phase: complex64 (n_z, n_x), and what it should be, (8, 64, n_folds) complex64 on the host.

        Returns
        -------
        fold_class : int8 (n_z, n_x)
            -2 to 2, or `kernels.fold_classes.BACKGROUND`.
        probability : float32 (n_z, n_x)
            Of that class.
        fold_probability : float32 (5, n_z, n_x)
            Of each fold, given that there is flow.
        """
        with self._device.together():
            tensor = self.features(r0, phase_turns, coherence, envelope, second)
        logits = self.engine(tensor)
        with self._device.together():
            fold_class, probability, folds = self._classes(logits)
            agreed = self._agreement(phase_turns, coherence, fold_class, probability, folds)
        return fold_class, probability, agreed


def make_engine(name: str, device: Device, network: Network, *, padded: tuple[int, int]) -> InferenceEngine:
    """An engine by name."""
    if name == "openvino":
        from trueflow.models.openvino_engine import OpenVinoEngine

        return OpenVinoEngine(device, network, padded=padded)
    from trueflow.models.tensorrt_engine import TensorRtEngine

    return TensorRtEngine(device, network, padded=padded)
