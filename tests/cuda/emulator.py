"""Runs the CUDA side of a kernel's text on the CPU, thread by thread, with the grid and block of the GPU.

The host build of a kernel is another text in places (packets as vectors, chunks of elements); this is the GPU's own.
"""

from __future__ import annotations

import ctypes
import hashlib
import math
import re
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SHIM = Path(__file__).with_name("host_cuda.hpp")
BUILDS = Path(__file__).resolve().parents[2] / "build" / "emulated"
FLAGS = ("-O2", "-shared", "-fPIC", "-fno-math-errno", "-Wno-unknown-pragmas", "-Wno-psabi")
# What NVRTC knows and a host compiler does not.
CUDA_ONLY = ("-ftz=", "-arch=", "--fmad", "-default-device")


class _Parameter(ctypes.Structure):
    _fields_ = (
        ("kind", ctypes.c_char), ("element", ctypes.c_char), ("bytes", ctypes.c_uint), ("element_bytes", ctypes.c_uint),
    )  # fmt: skip


@dataclass(frozen=True)
class CompiledParameter:
    """A parameter as the compiler sees it: 'p' pointer, 'f' float, 'i' integer, 's' struct."""

    kind: str
    element: str
    bytes: int
    element_bytes: int


class EmulatedKernel:
    """One kernel of a compiled file."""

    def __init__(self, library: ctypes.CDLL, name: str) -> None:
        self.name = name
        self._run = getattr(library, f"run_{name}")
        self._run.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint64]
        self._run.restype = None
        out = (_Parameter * 32)()
        count = getattr(library, f"describe_{name}")(out)
        self.parameters = tuple(
            CompiledParameter(p.kind.decode(), p.element.decode(), p.bytes, p.element_bytes) for p in out[:count]
        )

    def run(
        self, grid: tuple[int, int, int], block: tuple[int, int, int], values: list[bytes], *, order: str = "forward"
    ) -> None:
        """Run all threads; `values` are the arguments' bytes (for pointers the address)."""
        assert [len(v) for v in values] == [p.bytes for p in self.parameters]
        n = math.prod(grid) * math.prod(block)
        stored = [ctypes.create_string_buffer(v + bytes(16), len(v) + 16) for v in values]
        pointers = (ctypes.c_void_p * max(1, len(stored)))(*(ctypes.addressof(s) for s in stored))
        shape = (ctypes.c_uint32 * 6)(*grid, *block)
        self._run(ctypes.addressof(shape), ctypes.addressof(pointers), _stride(n, order))


def _stride(n: int, order: str) -> int:
    """Distance between threads that run one after another; coprime with their number."""
    if order == "forward" or n < 3:
        return 1
    if order == "backward":
        return n - 1
    stride = int(0.618 * n) | 1
    while math.gcd(stride, n) != 1:
        stride += 1
    return stride % n


@cache
def compile_cuda(code: str, options: tuple[str, ...]) -> dict[str, EmulatedKernel]:
    """Every kernel of a .cu file's text, with the options NVRTC would get."""
    names = re.findall(r"^TF_(?:PACKET_)?KERNEL\(\s*(\w+)\s*,", code, re.MULTILINE)
    text = f'#include "{SHIM}"\n#line 1 "kernel.cu"\n{code}\n' + "".join(f"EMULATED({name})\n" for name in names)
    kept = [option for option in options if not option.startswith(CUDA_ONLY)]
    key = hashlib.sha256("\0".join([text, SHIM.read_text(), *FLAGS, *kept]).encode()).hexdigest()[:20]
    library = BUILDS / f"{key}.so"
    if not library.exists():
        BUILDS.mkdir(parents=True, exist_ok=True)
        partial = library.with_suffix(".partial")
        command = ["g++", *FLAGS, *kept, "-x", "c++", "-", "-o", str(partial)]
        done = subprocess.run(command, input=text, text=True, capture_output=True, check=False)
        if done.returncode != 0:
            raise ValueError(done.stderr)
        partial.replace(library)
    loaded = ctypes.CDLL(str(library))
    return {name: EmulatedKernel(loaded, name) for name in names}
