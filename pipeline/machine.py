"""What this machine offers: processor, library build, GPU, runtimes. Asks; imports nothing heavy and starts nothing."""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib.util
import os
import platform
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from trueflow.kernels.cuda_setup import DRIVER_ADVICE, missing
from trueflow.kernels.library import describe

__all__ = ["Fact", "facts"]

NOTABLE_FLAGS = ("sse4_2", "avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512vl", "avx512_vnni", "amx_tile")
NOTABLE_FEATURES = ("asimd", "asimdhp", "asimddp", "sve", "sve2")
EXTRAS = (
    ("PyZMQ", "pyzmq", "zmq", "live"),
    ("scikit-image", "scikit-image", "skimage", "skimage"),
    ("TensorFlow", "tensorflow", "tensorflow", "train"),
    ("PyCUDA", "pycuda", "pycuda", "pycuda"),
)
COMPUTE_CAPABILITY_MAJOR, COMPUTE_CAPABILITY_MINOR = 75, 76  # CUdevice_attribute


@dataclass(frozen=True, slots=True)
class Fact:
    """One line about the machine.

    Parameters
    ----------
    name : str
    ok : bool
        Whether it is there.
    found : str
        What it is, or why it is missing.
    advice : str
        What to install where it is missing.
    """

    name: str
    ok: bool
    found: str
    advice: str = ""


def facts() -> list[Fact]:
    """Everything `trueflow doctor` reports; nothing here raises for something that is missing."""
    return [
        _processor(),
        _cores(),
        _cpu_library(),
        _gpu(),
        _package("CuPy", ("cupy-cuda13x", "cupy-cuda12x", "cupy"), "cupy", 'pip install "trueflow[cuda]"'),
        _nvrtc(),
        _cuda_device(),
        _package(
            "TensorRT",
            ("tensorrt", "tensorrt-cu13", "tensorrt-cu12", "tensorrt-rtx"),
            None,
            'pip install "trueflow[tensorrt]" (or tensorrt-rtx)',
        ),
        _package("OpenVINO", ("openvino",), "openvino", "pip install openvino"),
        *(
            _package(name, (distribution,), module, f'pip install "trueflow[{extra}]"')
            for name, distribution, module, extra in EXTRAS
        ),
        _gl(),
        Fact("Python", sys.version_info >= (3, 10), platform.python_version(), "3.10 or newer"),
        *(
            _package(name, (module,), module, f"pip install {module}")
            for name, module in (("NumPy", "numpy"), ("SciPy", "scipy"), ("h5py", "h5py"), ("PyAV", "av"))
        ),
    ]


def _processor() -> Fact:
    """Model and vector instruction sets."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines) if value}
    model = fields.get("model name") or platform.processor() or platform.machine()
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    notable = [flag for flag in NOTABLE_FLAGS + NOTABLE_FEATURES if flag in flags]
    return Fact("Processor", True, f"{model} ({' '.join(notable) or 'no vector instructions known'})")


def _cores() -> Fact:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Fact("Cores", True, f"{usable} usable of {os.cpu_count()}")


def _cpu_library() -> Fact:
    about = describe()
    if "path" not in about:
        return Fact("CPU library", False, str(about["error"]), "apt-get install g++, then reinstall trueflow")
    available = about["available_levels"]
    assert isinstance(available, list)
    return Fact("CPU library", True, f"{about['level']} of {', '.join(available)}: {about['path']}")


def _gpu() -> Fact:
    """The driver's own answer, asked through its library."""
    advice = f"an NVIDIA GPU and {DRIVER_ADVICE}; trueflow runs on the CPU without"
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return Fact("GPU", False, "no NVIDIA driver (libcuda.so.1)", advice)
    count, version = ctypes.c_int(), ctypes.c_int()
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value == 0:
        return Fact("GPU", False, "a driver, but no device", advice)
    driver.cuDriverGetVersion(ctypes.byref(version))
    names = [_gpu_name(driver, index) for index in range(count.value)]
    cuda = f"CUDA {version.value // 1000}.{version.value % 1000 // 10}"
    return Fact("GPU", True, f"{'; '.join(names)} (driver for {cuda})")


def _gpu_name(driver: ctypes.CDLL, index: int) -> str:
    device, major, minor, memory = ctypes.c_int(), ctypes.c_int(), ctypes.c_int(), ctypes.c_size_t()
    name = ctypes.create_string_buffer(128)
    driver.cuDeviceGet(ctypes.byref(device), index)
    driver.cuDeviceGetName(name, len(name), device)
    driver.cuDeviceGetAttribute(ctypes.byref(major), COMPUTE_CAPABILITY_MAJOR, device)
    driver.cuDeviceGetAttribute(ctypes.byref(minor), COMPUTE_CAPABILITY_MINOR, device)
    driver.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
    return f"{name.value.decode(errors='replace')}, sm_{major.value}{minor.value}, {memory.value / 2**30:.0f} GiB"


def _nvrtc() -> Fact:
    fact = _package(
        "CUDA compiler (NVRTC)",
        ("nvidia-cuda-nvrtc", "nvidia-cuda-nvrtc-cu13", "nvidia-cuda-nvrtc-cu12"),
        None,
        'pip install "trueflow[cuda]"',
    )
    system = None if fact.ok else ctypes.util.find_library("nvrtc")
    return Fact(fact.name, True, system) if system else fact


def _cuda_device() -> Fact:
    """Whether `--device cuda` works, by the device's own account."""
    lacking = [line.partition(": ") for line in missing()]
    if not lacking:
        return Fact("--device cuda", True, "usable; `make gpu-check` tests it")
    return Fact("--device cuda", False, f"needs {'; '.join(p[0] for p in lacking)}", "; ".join(p[2] for p in lacking))


def _gl() -> Fact:
    """What the viewer needs: window library, bindings, and the system's OpenGL."""
    parts = [_package(name, (name,), None, "") for name in ("glfw", "PyOpenGL", "imgui-bundle")]
    system = ctypes.util.find_library("GL") or ctypes.util.find_library("EGL")
    missing = [part.name for part in parts if not part.ok] + ([] if system else ["libGL"])
    if missing:
        advice = ['pip install "trueflow[viewer]"'] if any(not part.ok for part in parts) else []
        advice += [] if system else ["apt-get install libgl1"]
        return Fact("OpenGL", False, f"without {', '.join(missing)}", "; ".join(advice))
    return Fact("OpenGL", True, ", ".join(part.found for part in parts) + f", {system}")


def _package(name: str, distributions: tuple[str, ...], module: str | None, advice: str) -> Fact:
    """An installed distribution and its version, without importing it."""
    for distribution in distributions:
        try:
            version = metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
        if module is not None and importlib.util.find_spec(module) is None:
            return Fact(name, False, f"{distribution} {version} is recorded, but has no module {module!r}", advice)
        return Fact(name, True, f"{distribution} {version}")
    return Fact(name, False, "not installed", advice)
