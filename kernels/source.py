"""Reads a kernel's own source for what a launch needs to know: its parameters and the layout of its structs.

The .cu file is the only place where a signature is written; arguments are checked against it on both machines, and a
parameter struct's NumPy dtype is made from its C text, so that the two cannot drift apart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["KERNEL_FOLDER", "KernelSource", "Parameter", "load_source"]

KERNEL_FOLDER = Path(__file__).resolve().parent

# C type -> dtypes an array (or scalar) may have there, and the number of trailing values one element spans.
_SCALARS: dict[str, tuple[str, ...]] = {
    "float": ("f4",),
    "int": ("i4",),
    "unsigned": ("u4",),
    "short": ("i2",),
    "float2": ("c8",),
    "signed char": ("i1",),
    "unsigned char": ("u1", "b1"),
    "int2": ("i4",),
    "float4": ("f4",),
    "unsigned long long": ("u8",),
}
_SPAN = {"int2": 2, "float4": 4}

_KERNEL = re.compile(r"\bTF_(PACKET_)?KERNEL\(\s*(\w+)\s*,(.*?)\)\s*\{", re.DOTALL)
_STRUCT = re.compile(r"\bstruct\s+(\w+)\s*\{([^{}]*)\}\s*;", re.DOTALL)
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a kernel.

    Parameters
    ----------
    name : str
    c_type : str
        Without const, pointer and restrict.
    pointer, writable : bool
    dtypes : tuple of numpy.dtype
        What an argument may be.
    span : int
        Values of that dtype in one element of the C type.
    """

    name: str
    c_type: str
    pointer: bool
    writable: bool
    dtypes: tuple[np.dtype[Any], ...]
    span: int


@dataclass(frozen=True, slots=True)
class KernelSource:
    """A .cu file as parsed.

    Parameters
    ----------
    path : Path
    kernels : dict
        Name -> parameters, in order.
    on_packets : frozenset of str
        Kernels that are compiled once per packet width.
    structs : dict
        Name -> NumPy dtype with C alignment.
    """

    path: Path
    kernels: dict[str, tuple[Parameter, ...]]
    on_packets: frozenset[str]
    structs: dict[str, np.dtype[Any]]

    def struct(self, name: str, **values: Any) -> np.ndarray[Any, Any]:
        """A parameter struct as a 0-d record; every field must be given, and no other."""
        dtype = self.structs[name]
        assert dtype.names is not None
        if set(values) != set(dtype.names):
            missing, unknown = set(dtype.names) - set(values), set(values) - set(dtype.names)
            raise TypeError(f"{self.path.name} {name}: missing {sorted(missing)}, unknown {sorted(unknown)}")
        record = np.zeros((), dtype)
        for field, value in values.items():
            if dtype[field].kind == "i" and not -(2**31) <= value < 2**31:
                raise OverflowError(f"{self.path.name} {name}.{field} = {value} does not fit 32 bits")
            record[field] = value
        return record


@cache
def load_source(stem: str) -> KernelSource:
    """Parse kernels/<stem>.cu (with the project's own headers it includes)."""
    path = KERNEL_FOLDER / f"{stem}.cu"
    text = _with_headers(path)
    structs = {name: _struct_dtype(body) for name, body in _STRUCT.findall(text)}
    kernels, on_packets = {}, set()
    for packet, name, parameters in _KERNEL.findall(text):
        kernels[name] = tuple(_parameter(p, structs) for p in parameters.split(","))
        if packet:
            on_packets.add(name)
    return KernelSource(path, kernels, frozenset(on_packets), structs)


def _with_headers(path: Path) -> str:
    text = _COMMENT.sub("", path.read_text())
    headers = [h for h in re.findall(r'#include "(\w+\.cuh)"', text) if h not in ("kernel.cuh", "packet.cuh")]
    return "".join(_with_headers(path.parent / header) for header in headers) + text


def _struct_dtype(body: str) -> np.dtype[Any]:
    fields: list[tuple[str, str]] = []
    for declaration in filter(None, (d.strip() for d in body.split(";"))):
        match = re.fullmatch(r"(float|int|unsigned)\s+([\w\s,]+)", declaration)
        if match is None:  # a struct that is no parameter block (a vector type, say)
            return np.dtype([])
        c_type, names = match.groups()
        fields += [(name.strip(), _SCALARS[c_type][0]) for name in names.split(",")]
    return np.dtype(fields, align=True)


def _parameter(text: str, structs: dict[str, np.dtype[Any]]) -> Parameter:
    words = text.replace("*", " * ").replace("__restrict__", " ").split()
    name, words = words[-1], words[:-1]
    pointer, constant = "*" in words, "const" in words
    c_type = " ".join(w for w in words if w not in ("const", "*"))
    if c_type in structs:
        # Arrays of small structs of floats are passed as float arrays with one more axis.
        dtype = structs[c_type]
        fields = [] if dtype.names is None else [dtype[n] for n in dtype.names]
        if pointer:
            return Parameter(name, c_type, True, not constant, (fields[0],), len(fields))
        return Parameter(name, c_type, False, False, (dtype,), 1)
    dtypes = tuple(np.dtype(d) for d in _SCALARS[c_type])
    return Parameter(name, c_type, pointer, pointer and not constant, dtypes, _SPAN.get(c_type, 1))
