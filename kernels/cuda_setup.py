"""What the `cuda` device needs of a machine, what to say where it is missing, and CuPy's errors in our words."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module, metadata, util
from typing import Any

from trueflow.kernels.device import DeviceUnavailableError

__all__ = ["DeviceError", "import_cupy", "missing", "open_cupy", "our_errors"]

DRIVER_ADVICE = "NVIDIA's driver for CUDA 12 or newer (on Jetson boards JetPack brings it)"
CUPY_ADVICE = "pip install 'trueflow[cuda]' for a driver of CUDA 12, 'trueflow[cuda13]' for one of CUDA 13"
NVRTC_ADVICE = "pip install nvidia-cuda-nvrtc-cu12 nvidia-cuda-runtime-cu12 (or those without -cu12 for CUDA 13)"
TENSORRT_ADVICE = "pip install 'trueflow[tensorrt-rtx]'; for 'trueflow[tensorrt]' add NVIDIA's package index"
OLDEST_CUDA = 12000  # as the driver counts: 1000 * major + 10 * minor


class DeviceError(RuntimeError):
    """The GPU refused: out of memory, a kernel that does not compile, a failed launch; the message says which."""


def import_cupy() -> Any:
    """CuPy, or the stand-in that tests put in its place.

    Raises
    ------
    DeviceUnavailableError
        Where it is not installed or does not load.
    """
    try:
        cupy = import_module("cupy")
    except ImportError as error:
        raise DeviceUnavailableError(f"CuPy does not load ({error}): {CUPY_ADVICE}") from error
    _prefer_nvrtc(cupy.cuda.runtime.runtimeGetVersion() // 1000)
    return cupy


def missing() -> list[str]:
    """What `cuda` lacks on this machine, a line each with how to get it; empty where nothing is missing."""
    return [line for line in (_driver(), _cupy(), _nvrtc()) if line]


def open_cupy(device_id: int) -> Any:
    """CuPy, once a driver, a GPU of that number and a compiler for it are known to be there.

    Raises
    ------
    DeviceUnavailableError
        Says everything that is missing, not only the first thing.
    """
    lacking = missing()
    if lacking:
        if not any(util.find_spec(name) for name in ("tensorrt", "tensorrt_rtx")):
            lacking.append(f"TensorRT, for the network only: {TENSORRT_ADVICE}")
        raise DeviceUnavailableError(f"device 'cuda' is not to be had here. Missing: {'; '.join(lacking)}")
    cupy = import_cupy()
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise DeviceUnavailableError(f"device 'cuda': CuPy cannot use the driver: {error}; {CUPY_ADVICE}") from error
    if not 0 <= device_id < count:
        raise DeviceUnavailableError(f"device 'cuda': no GPU number {device_id}; there are {count}, counted from 0")
    capability = int(cupy.cuda.Device(device_id).compute_capability)
    oldest = min(cupy.cuda.nvrtc.getSupportedArchs())
    if capability < oldest:
        raise DeviceUnavailableError(
            f"device 'cuda': the installed NVRTC compiles for sm_{oldest} and newer, this GPU is sm_{capability}; "
            "use the extra 'cuda' (CUDA 12) instead of 'cuda13'"
        )
    return cupy


@contextmanager
def our_errors(cupy: Any, what: str) -> Iterator[None]:
    """CuPy's errors as `DeviceError`.

    Parameters
    ----------
    cupy : module
    what : str
        What was being done, for the message.
    """
    try:
        yield
    except cupy.cuda.memory.OutOfMemoryError as error:
        advice = "use a smaller packet or grid, or a higher memory_limit_bytes"
        raise DeviceError(f"{what}: out of GPU memory ({error}); {advice}") from error
    except cupy.cuda.compiler.CompileException as error:
        raise DeviceError(f"{what}: NVRTC refuses the kernel: {error}") from error
    except (cupy.cuda.runtime.CUDARuntimeError, cupy.cuda.driver.CUDADriverError) as error:
        raise DeviceError(f"{what}: {error}; `make gpu-check` runs compute-sanitizer, which says where") from error


def _prefer_nvrtc(major: int) -> None:
    """Load the NVRTC of CuPy's own CUDA: of two CuPy would take the newer one, whose code the driver may refuse."""
    name = "nvidia-cuda-nvrtc-cu12" if major == 12 else "nvidia-cuda-nvrtc"
    with suppress(metadata.PackageNotFoundError, OSError):
        for file in metadata.files(name) or ():
            if file.name == f"libnvrtc.so.{major}":
                ctypes.CDLL(str(file.locate()))


def _driver() -> str:
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return f"an NVIDIA driver (libcuda.so.1 is not there): {DRIVER_ADVICE}"
    version, count = ctypes.c_int(), ctypes.c_int()
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value == 0:
        return "an NVIDIA GPU: the driver is there, but finds none (in a container: docker run --gpus all)"
    driver.cuDriverGetVersion(ctypes.byref(version))
    if version.value < OLDEST_CUDA:
        has = f"{version.value // 1000}.{version.value % 1000 // 10}"
        return f"a newer NVIDIA driver (this one is for CUDA {has}): {DRIVER_ADVICE}"
    return ""


def _cupy() -> str:
    if util.find_spec("cupy") is not None:
        return ""
    return f"CuPy, and with it NVRTC, the kernels' compiler: {CUPY_ADVICE}"


def _nvrtc() -> str:
    if util.find_spec("cupy") is None:
        return ""  # named already
    try:
        import_cupy().cuda.nvrtc.getVersion()
    except (DeviceUnavailableError, RuntimeError, ImportError, OSError, AttributeError) as error:
        return f"NVRTC, the kernels' compiler ({type(error).__name__}): {NVRTC_ADVICE}"
    return ""
