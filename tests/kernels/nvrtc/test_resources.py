"""Every kernel compiles for every GPU we name, keeps its data in registers and takes no more than the table says.

No GPU is needed: NVRTC comes in a wheel.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from .compiler import (
    ARCHITECTURES,
    CUDA_12,
    CUDA_13,
    CompilationError,
    compile_file,
    compile_text,
    kernel_files,
    packet_widths,
)
from .resources import measure, read_table

FILES = [pytest.param(path, id=path.stem) for path in kernel_files()]
TARGETS = [pytest.param(wheel, a, id=f"{wheel}-sm_{a}") for wheel in ARCHITECTURES for a in ARCHITECTURES[wheel]]

HEAD = '#include "kernel.cuh"\n'
IN_REGISTERS = HEAD + "TF_KERNEL(k, int* out) { out[threadIdx.x] = threadIdx.x; }"
ON_STACK = HEAD + """
TF_KERNEL(k, const int* index, int* out) {
  int values[64];
  for (int i = 0; i < 64; ++i) values[i] = index[i];
  for (int i = 0; i < 64; ++i) values[values[i] & 63] += i;
  out[threadIdx.x] = values[threadIdx.x];
}"""
SPILLING = HEAD + """
TF_INLINE float mixed(float a, float b) { return a * b + 0.5f; }
extern "C" __global__ void __launch_bounds__(1024, 2) k(const float* in, float* out) {
  float v[64];
#pragma unroll
  for (int i = 0; i < 64; ++i) v[i] = in[i * 1024 + threadIdx.x];
#pragma unroll
  for (int j = 0; j < 64; ++j)
#pragma unroll
    for (int i = 0; i < 64; ++i) v[i] = mixed(v[i], v[(i + j) & 63]);
#pragma unroll
  for (int i = 0; i < 64; ++i) out[i * 1024 + threadIdx.x] = v[i];
}"""


@pytest.mark.parametrize("path", FILES)
@pytest.mark.parametrize(("wheel", "architecture"), TARGETS)
def test_kernels_compile_without_warnings_stack_or_spills(path: Path, wheel: str, architecture: int) -> None:
    for width in packet_widths(path, wheel):
        compiled = compile_file(path, architecture=architecture, packet_width=width, wheel=wheel)
        assert compiled.kernels, f"{path.name} holds no kernel"
        assert not compiled.warnings
        assert compiled.cubin_bytes > 0
        for name, resources in compiled.kernels.items():
            used = (resources.stack_bytes, resources.spill_bytes)
            assert used == (0, 0), f"{name}, packets of {width}: {used} bytes of stack and spills"


@pytest.mark.parametrize("path", FILES)
def test_kernels_take_no_more_registers_than_the_table_says(path: Path) -> None:
    table = read_table()
    over = [
        f"{name}: {arch}, {taken} registers by packet width, table {table.get(name, {}).get(arch)}"
        for name, rows in measure([path]).items()
        for arch, taken in rows.items()
        if not fits(taken, table.get(name, {}).get(arch, []))
    ]
    assert not over, "\n".join([*over, "where this is meant: make nvrtc-table"])


def fits(taken: list[int], allowed: list[int]) -> bool:
    return len(taken) == len(allowed) and all(a <= b for a, b in zip(taken, allowed, strict=True))


@pytest.mark.parametrize("allowed", [[40, 47], [40], []])
def test_a_register_too_many_and_a_missing_entry_are_seen(allowed: list[int]) -> None:
    assert fits([40, 48], [40, 48])
    assert fits([40, 48], [41, 50])
    assert not fits([40, 48], allowed)


def test_table_names_no_kernel_that_is_gone() -> None:
    there = {f"{p.stem}.{name}" for p in kernel_files() for name in compile_file(p, architecture=75).kernels}
    assert set(read_table()) <= there


def test_every_kernel_of_a_file_is_seen() -> None:
    for path in kernel_files():
        declared = path.read_text().count("\nTF_KERNEL(") + path.read_text().count("\nTF_PACKET_KERNEL(")
        assert len(compile_file(path, architecture=75).kernels) >= max(declared, 1)


def test_a_kernel_in_registers_is_reported_as_such() -> None:
    resources = compile_text(IN_REGISTERS, architecture=87).kernels["k"]
    assert (resources.stack_bytes, resources.spill_bytes) == (0, 0)
    assert 0 < resources.registers < 32


@pytest.mark.parametrize("wheel", [CUDA_12, CUDA_13])
def test_stack_and_spills_are_seen(wheel: str) -> None:
    assert compile_text(ON_STACK, architecture=75, wheel=wheel).kernels["k"].stack_bytes >= 64 * 4
    assert compile_text(SPILLING, architecture=75, wheel=wheel).kernels["k"].spill_bytes > 0


def test_a_mistake_is_reported_with_its_line() -> None:
    with pytest.raises(CompilationError, match=r'kernel\.cu\(2\).*"undeclared" is undefined'):
        compile_text(HEAD + "TF_KERNEL(k, int* out) { out[0] = undeclared; }", architecture=90)
