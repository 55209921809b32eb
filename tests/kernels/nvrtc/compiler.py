"""NVRTC straight from its wheel, through ctypes.

It compiles kernels to GPU code and says what they cost; no GPU is needed.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

KERNELS = Path(__file__).resolve().parents[3] / "kernels"

CUDA_12, CUDA_13 = "nvidia-cuda-nvrtc-cu12", "nvidia-cuda-nvrtc"
# sm_72 (Xavier) ends with CUDA 12.
ARCHITECTURES = {CUDA_12: (72, 75, 86, 87, 90, 120), CUDA_13: (75, 87, 120)}
PACKET_WIDTHS = (1, 2, 4)

# As ptxas reports each kernel; the first line comes again for every function the kernel calls out of line.
_ENTRY = re.compile(r"Compiling entry function '(\w+)'")
_LOCAL = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_PTX_ENTRY = re.compile(r"\.entry (\w+)\((.*?)\)", re.DOTALL)
_PTX_PARAMETER = re.compile(r"\.param (?:\.align (\d+) )?\.(\w+)(?: \.ptr[^\n]*?)? \w+(?:\[(\d+)\])?")
_REGISTERS = re.compile(r"Used (\d+) registers")


class CompilationError(Exception):
    """NVRTC refused the text; the message is its log."""


@dataclass(frozen=True)
class Resources:
    """What one thread of a kernel takes, by ptxas' own account."""

    registers: int
    stack_bytes: int
    spill_bytes: int


@dataclass(frozen=True)
class Compilation:
    """Outcome of one call of NVRTC: resources by kernel name, warnings, size of the code."""

    kernels: dict[str, Resources]
    warnings: tuple[str, ...]
    cubin_bytes: int


@dataclass(frozen=True)
class PtxParameter:
    """A kernel's parameter as its PTX declares it."""

    type: str
    alignment: int
    bytes: int


def kernel_files() -> list[Path]:
    """Every kernels/*.cu."""
    return sorted(KERNELS.glob("*.cu"))


def packet_widths(path: Path, wheel: str = CUDA_12) -> tuple[int, ...]:
    """The packet widths a file must compile with on a GPU: one where it has no packets, and with the second wheel."""
    return PACKET_WIDTHS if wheel == CUDA_12 and "TF_PACKET_KERNEL" in path.read_text() else PACKET_WIDTHS[:1]


@cache
def wheel_version(wheel: str) -> str:
    """Version of an installed NVRTC wheel."""
    try:
        return metadata.version(wheel)
    except metadata.PackageNotFoundError:
        raise RuntimeError(f"{wheel} is not installed; it is part of the extra 'dev' (make test installs it)") from None


@cache
def _library(wheel: str) -> ctypes.CDLL:
    wheel_version(wheel)
    for file in metadata.files(wheel) or ():
        if re.fullmatch(r"libnvrtc\.so\.\d+", file.name):
            return ctypes.CDLL(str(file.locate()))
    raise RuntimeError(f"{wheel} {wheel_version(wheel)} holds no libnvrtc.so")


def compile_text(
    text: str, *, architecture: int, packet_width: int = 1, wheel: str = CUDA_12, file_name: str = "kernel.cu"
) -> Compilation:
    """Compile CUDA C++ for one architecture (75 for sm_75), with the options that the device and CuPy give.

    Raises
    ------
    CompilationError
        With NVRTC's log.
    """
    options = [f"-DPACKET_WIDTH={packet_width}", f"-arch=sm_{architecture}", "--ptxas-options=-v"]
    with _compiled(text, options, wheel, file_name) as (nvrtc, program, log):
        machine_code = _product(nvrtc, program, "CUBIN")
    warnings = tuple(line for line in log.splitlines() if "warning" in line and "are deprecated" not in line)
    return Compilation(_resources(log), warnings, len(machine_code))


def cubin(text: str, *, architecture: int, packet_width: int = 1) -> bytes:
    """The machine code of a text, an ELF file."""
    options = [f"-DPACKET_WIDTH={packet_width}", f"-arch=sm_{architecture}"]
    with _compiled(text, options, CUDA_12, "kernel.cu") as (nvrtc, program, _):
        return _product(nvrtc, program, "CUBIN")


def ptx_parameters(text: str, *, packet_width: int = 1, wheel: str = CUDA_12) -> dict[str, list[PtxParameter]]:
    """Parameters of every kernel of a text, by name, from its PTX."""
    options = [f"-DPACKET_WIDTH={packet_width}", "-arch=compute_75"]
    with _compiled(text, options, wheel, "kernel.cu") as (nvrtc, program, _):
        ptx = _product(nvrtc, program, "PTX").decode()
    found = {}
    for name, declarations in _PTX_ENTRY.findall(ptx):
        found[name] = [
            PtxParameter(kind, int(alignment or size(kind)), int(count or 1) * size(kind))
            for alignment, kind, count in _PTX_PARAMETER.findall(declarations)
        ]
    return found


def size(ptx_type: str) -> int:
    """Bytes of a PTX type such as u64."""
    return int(ptx_type[1:]) // 8


@contextmanager
def _compiled(
    text: str, options: list[str], wheel: str, file_name: str
) -> Iterator[tuple[ctypes.CDLL, ctypes.c_void_p, str]]:
    nvrtc = _library(wheel)
    program = ctypes.c_void_p()
    _check(nvrtc, nvrtc.nvrtcCreateProgram(ctypes.byref(program), text.encode(), file_name.encode(), 0, None, None))
    try:
        all_options = ["-std=c++17", f"-I{KERNELS}", "-ftz=true", *options]
        array = (ctypes.c_char_p * len(all_options))(*(option.encode() for option in all_options))
        status = nvrtc.nvrtcCompileProgram(program, len(all_options), array)
        log = _text(nvrtc, program)
        if status != 0:
            raise CompilationError(log)
        yield nvrtc, program, log
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _product(nvrtc: ctypes.CDLL, program: ctypes.c_void_p, kind: str) -> bytes:
    """The CUBIN or the PTX, whole."""
    length = ctypes.c_size_t()
    _check(nvrtc, getattr(nvrtc, f"nvrtcGet{kind}Size")(program, ctypes.byref(length)))
    data = ctypes.create_string_buffer(length.value)
    _check(nvrtc, getattr(nvrtc, f"nvrtcGet{kind}")(program, data))
    return data.raw


def compile_file(path: Path, *, architecture: int, packet_width: int = 1, wheel: str = CUDA_12) -> Compilation:
    """`compile_text` of a file, once per process."""
    return _compile_file(path, architecture, packet_width, wheel)


@cache
def _compile_file(path: Path, architecture: int, packet_width: int, wheel: str) -> Compilation:
    return compile_text(
        path.read_text(), architecture=architecture, packet_width=packet_width, wheel=wheel, file_name=path.name
    )


def _resources(log: str) -> dict[str, Resources]:
    pieces = _ENTRY.split(log)[1:]
    found = {}
    for name, report in zip(pieces[::2], pieces[1::2], strict=True):
        local = [tuple(map(int, numbers)) for numbers in _LOCAL.findall(report)]
        registers = _REGISTERS.search(report)
        if not local or registers is None:
            raise RuntimeError(f"ptxas reports on {name!r} in words this parser does not know:\n{report}")
        stack, stores, loads = map(sum, zip(*local, strict=True))
        found[name] = Resources(int(registers[1]), stack, stores + loads)
    return found


def _text(nvrtc: ctypes.CDLL, program: ctypes.c_void_p) -> str:
    size = ctypes.c_size_t()
    _check(nvrtc, nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size)))
    log = ctypes.create_string_buffer(size.value)
    _check(nvrtc, nvrtc.nvrtcGetProgramLog(program, log))
    return log.value.decode()


def _check(nvrtc: ctypes.CDLL, status: int) -> None:
    if status != 0:
        nvrtc.nvrtcGetErrorString.restype = ctypes.c_char_p
        raise RuntimeError(nvrtc.nvrtcGetErrorString(status).decode())
