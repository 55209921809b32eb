"""The seam between the chain and the machine it runs on: allocate, upload, download, launch.

Everything above this file is the same for every device. Nothing falls back silently and nothing moves between devices
unasked.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from trueflow.kernels.source import KernelSource, Parameter, load_source

if TYPE_CHECKING:
    from trueflow.kernels.cuda_graph import FrameGraph

__all__ = ["Device", "DeviceUnavailableError", "Kernel", "device_names", "get_device", "register_device"]


class DeviceUnavailableError(RuntimeError):
    """The device was asked for and cannot be had here; the message says what is missing."""


class Device(ABC):
    """A machine that runs kernels.

    Attributes
    ----------
    name : str
    packet_widths : tuple of int
        Slow-time samples one thread can carry, ascending.
    """

    name: ClassVar[str]
    packet_widths: tuple[int, ...]

    @abstractmethod
    def empty(self, shape: int | Sequence[int], dtype: DTypeLike) -> Any:
        """An uninitialised C-ordered array on the device."""

    @abstractmethod
    def upload(self, array: NDArray[Any]) -> Any:
        """A host array on the device (the array itself where host and device are one)."""

    @abstractmethod
    def download(self, array: Any) -> NDArray[Any]:
        """A device array on the host (the array itself where they are one)."""

    @abstractmethod
    def kernel(self, stem: str, name: str, *, packet_width: int | None = None) -> Kernel:
        """The kernel `name` of kernels/<stem>.cu, ready to launch."""

    @abstractmethod
    def synchronize(self) -> None:
        """Wait until everything launched so far is done."""

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is launched within may run at its end, in the same order: no result can be read before.

        Where a launch costs the host more than a small kernel takes, this is how to launch many.
        """
        yield

    def zeros(self, shape: int | Sequence[int], dtype: DTypeLike) -> Any:
        """A zeroed C-ordered array on the device."""
        array = self.empty(shape, dtype)
        array[...] = 0
        return array

    def copy(self, array: Any, out: Any) -> None:
        """Copy one device array into another of the same shape and type."""
        out[...] = array

    def frame_graph(self) -> FrameGraph | None:
        """What records a chain's frames and replays them; None where a launch costs nothing."""
        return None

    def packet_width(self, n_ensemble: int) -> int:
        """The packet width for an ensemble: the smallest that holds it, else the widest."""
        return next((w for w in self.packet_widths if w >= n_ensemble), self.packet_widths[-1])


class Kernel(ABC):
    """A compiled kernel; calling it launches it.

    Parameters
    ----------
    source : KernelSource
    name : str
    packet_width : int or None
        For kernels on packets.
    """

    def __init__(self, source: KernelSource, name: str, packet_width: int | None) -> None:
        if name not in source.kernels:
            raise KeyError(f"{source.path.name} has no kernel {name!r}; it has {sorted(source.kernels)}")
        if (packet_width is not None) != (name in source.on_packets):
            raise TypeError(f"{source.path.name} {name}: packet_width is for kernels on packets, and needed there")
        self.source = source
        self.name = name
        self.parameters = source.kernels[name]
        self.packet_width = packet_width

    def __call__(self, grid: tuple[int, int, int], block: tuple[int, int, int], *arguments: Any) -> None:
        """Launch over grid x block threads; arguments as in the kernel's source, scalars included."""
        self.bind(grid, block, *arguments)()

    def bind(self, grid: tuple[int, int, int], block: tuple[int, int, int], *arguments: Any) -> Callable[[], None]:
        """The same launch as a function to call again and again: arguments are checked here, once."""
        if len(arguments) != len(self.parameters):
            raise TypeError(f"{self.name} takes {len(self.parameters)} arguments, got {len(arguments)}")
        checked = [_checked(a, p, self.name) for a, p in zip(arguments, self.parameters, strict=True)]
        return self._bind(grid, block, checked)

    def _bind(
        self, grid: tuple[int, int, int], block: tuple[int, int, int], arguments: list[Any]
    ) -> Callable[[], None]:
        return partial(self._launch, grid, block, arguments)

    @abstractmethod
    def _launch(self, grid: tuple[int, int, int], block: tuple[int, int, int], arguments: list[Any]) -> None: ...


def _checked(argument: Any, parameter: Parameter, kernel: str) -> Any:
    """The argument as the kernel's source declares it, or a TypeError; scalars become 32 bit."""
    if not parameter.pointer:
        if parameter.dtypes[0].names is None:
            return np.asarray(argument, dtype=parameter.dtypes[0])
        if getattr(argument, "dtype", None) != parameter.dtypes[0]:
            raise TypeError(f"{kernel}: {parameter.name} must be a {parameter.c_type} record")
        return argument
    if argument.dtype not in parameter.dtypes:
        raise TypeError(f"{kernel}: {parameter.name} has dtype {argument.dtype}, expected {parameter.dtypes[0]}")
    if not argument.flags.c_contiguous:
        raise TypeError(f"{kernel}: {parameter.name} must be C-contiguous")
    if parameter.span > 1 and argument.shape[-1] != parameter.span:
        raise TypeError(f"{kernel}: {parameter.name} has shape {argument.shape}, expected (..., {parameter.span})")
    return argument


_DEVICES: dict[str, Callable[..., Device]] = {}


def register_device(name: str, make: Callable[..., Device]) -> None:
    """Add a device to those `get_device` knows."""
    if name in _DEVICES:
        raise ValueError(f"device {name!r} is registered already")
    _DEVICES[name] = make


def device_names() -> tuple[str, ...]:
    """Names `get_device` knows."""
    return tuple(sorted(_DEVICES))


def get_device(name: str = "cpu", **options: Any) -> Device:
    """A device by name.

    Raises
    ------
    DeviceUnavailableError
        Unknown name, or not usable on this machine; never replaced by another device.
    """
    if name not in _DEVICES:
        raise DeviceUnavailableError(f"device {name!r} is unknown; choices: {', '.join(device_names())}")
    return _DEVICES[name](**options)


def _make_cpu(**options: Any) -> Device:
    from trueflow.kernels.cpu import CpuDevice

    return CpuDevice(**options)


def _make_cuda(**options: Any) -> Device:
    from trueflow.kernels.cuda import CudaDevice

    return CudaDevice(**options)


register_device("cpu", _make_cpu)
register_device("cuda", _make_cuda)

# What a kernel's Python half needs, in one import.
source = load_source
