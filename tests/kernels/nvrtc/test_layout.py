"""What Python hands to a kernel is what the compiled kernel takes: parameters of the PTX against the parsed source."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from trueflow.kernels.source import Parameter, load_source

from .compiler import PtxParameter, kernel_files, ptx_parameters

FILES = [pytest.param(path, id=path.stem) for path in kernel_files()]


@pytest.mark.parametrize("path", FILES)
def test_parameters_of_the_ptx_are_those_of_the_source(path: Path) -> None:
    source, compiled = load_source(path.stem), ptx_parameters(path.read_text())
    assert set(compiled) == set(source.kernels)
    for name, parameters in source.kernels.items():
        assert [in_ptx(p) for p in parameters] == compiled[name], f"{path.stem}.{name}"


def in_ptx(parameter: Parameter) -> PtxParameter:
    """A parameter as a kernel's PTX declares it: type, alignment, bytes."""
    if parameter.pointer:
        return PtxParameter("u64", 8, 8)
    dtype = parameter.dtypes[0]
    if dtype.names is not None:
        return PtxParameter("b8", dtype.alignment, dtype.itemsize)
    kind = {"f": "f", "u": "u", "i": "u"}[dtype.kind]  # PTX writes both kinds of integer as u
    return PtxParameter(f"{kind}{8 * dtype.itemsize}", dtype.itemsize, dtype.itemsize)


HEAD = '#include "kernel.cuh"\n'
TEXT = HEAD + """
struct P { int a; float b; int c; };
TF_KERNEL(k, P p, const float2* x, int n, float f) { if (n) p.a = *(int*)x; }"""


def test_layouts_are_read() -> None:
    wanted = [("b8", 4, 12), ("u64", 8, 8), ("u32", 4, 4), ("f32", 4, 4)]
    assert ptx_parameters(TEXT) == {"k": [PtxParameter(*parameter) for parameter in wanted]}


@pytest.mark.parametrize(
    "changed",
    [
        ("P p, const float2* x", "const float2* x, P p"),
        ("int n", "long long n"),
        ("float f", "double f"),
        ("int n, float f", "float n, int f"),
        ("float b; int c;", "float b; double c;"),
        ("float b; int c;", "float b;"),
    ],
)
def test_a_change_of_type_order_or_width_is_seen(changed: tuple[str, str]) -> None:
    assert ptx_parameters(TEXT.replace(*changed)) != ptx_parameters(TEXT)


def test_a_struct_with_gaps_has_the_compilers_alignment() -> None:
    text = HEAD + "struct P { int a; float b; unsigned c; };\nTF_KERNEL(k, P p, int* out) { out[0] = p.a; }"
    dtype = np.dtype([("a", "i4"), ("b", "f4"), ("c", "u4")], align=True)
    assert ptx_parameters(text)["k"][0] == PtxParameter("b8", dtype.alignment, dtype.itemsize)
