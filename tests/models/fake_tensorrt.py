"""A TensorRT and a GPU that only write down what is asked of them, for what a machine without a GPU cannot run."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from types import SimpleNamespace
from typing import Any

import numpy as np


class _Severity(IntEnum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2
    INFO = 3
    VERBOSE = 4


class _Mode(IntEnum):
    NONE = 0
    INPUT = 1
    OUTPUT = 2


class _Logger:
    Severity = _Severity


@dataclass
class FakeTensorRt:
    """Stands for the module.

    Parameters
    ----------
    n_outputs : int
        Channels of the parsed network's output.
    parses, builds, runs : bool
        Whether it succeeds in it.
    takes_plans : tuple of bytes, optional
        Plans that it can read. Default: all.
    calls : list
        What it was asked for.
    """

    __version__: str = "10.9.0"
    n_outputs: int = 6
    parses: bool = True
    builds: bool = True
    takes_plans: tuple[bytes, ...] | None = None
    runs: bool = True
    calls: list[tuple[Any, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.__name__ = "tensorrt"

    ILogger = _Logger
    TensorIOMode = _Mode
    NetworkDefinitionCreationFlag = SimpleNamespace(STRONGLY_TYPED=3)

    def Builder(self, logger: Any) -> Any:
        outer = self

        class Definition:
            num_inputs = num_outputs = 1

            def __init__(self) -> None:
                self._input = SimpleNamespace(shape=(1, 10, -1, -1))

            def get_input(self, index: int) -> Any:
                return self._input

            def get_output(self, index: int) -> Any:
                return SimpleNamespace(shape=(1, outer.n_outputs, *self._input.shape[2:]))

        def create_network(flags: int) -> Definition:
            outer.calls.append(("create_network", flags))
            return Definition()

        def build(definition: Definition, config: Any) -> bytes | None:
            outer.calls.append(("build", tuple(definition.get_input(0).shape)))
            if not outer.builds:
                logger.log(_Severity.ERROR, "out of patience")
                return None
            return b"plan of %d x %d" % definition.get_input(0).shape[2:]

        return SimpleNamespace(
            create_network=create_network, create_builder_config=SimpleNamespace, build_serialized_network=build
        )

    def OnnxParser(self, definition: Any, logger: Any) -> Any:
        return SimpleNamespace(
            parse=lambda onnx: self.parses, num_errors=1, get_error=lambda i: "node 3: no such thing"
        )

    def Runtime(self, logger: Any) -> Any:
        def deserialize(plan: bytes) -> Any:
            self.calls.append(("deserialize", plan))
            if self.takes_plans is not None and plan not in self.takes_plans:
                logger.log(_Severity.ERROR, "not my plan")
                return None
            names = {"input": _Mode.INPUT, "scores": _Mode.OUTPUT}
            return SimpleNamespace(
                num_io_tensors=2,
                get_tensor_name=lambda i: list(names)[i],
                get_tensor_mode=names.__getitem__,
                create_execution_context=lambda: SimpleNamespace(
                    set_tensor_address=lambda name, address: self.calls.append(("address", name, address)),
                    execute_async_v3=lambda stream: self.calls.append(("execute", stream)) or self.runs,
                ),
            )

        return SimpleNamespace(deserialize_cuda_engine=deserialize)


class FakeGpuArray:
    """An array with an address."""

    def __init__(self, shape: tuple[int, ...], address: int) -> None:
        self.shape, self.dtype, self.data = shape, np.dtype(np.float32), SimpleNamespace(ptr=address)


class FakeGpu:
    """A CUDA device with one stream."""

    name = "cuda"
    product = "NVIDIA RTX A4000"
    compute_capability = 86
    stream = SimpleNamespace(ptr=777)

    def empty(self, shape: tuple[int, ...], dtype: Any) -> FakeGpuArray:
        return FakeGpuArray(shape, 2000)
