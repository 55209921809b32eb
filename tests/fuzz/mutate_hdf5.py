"""Changes to HDF5 files by what is in them: shapes, types, filters, attributes, and links of every kind."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from random import Random
from typing import Any

import h5py
import hdf5plugin
import numpy as np

from .mutate import FLOATS, INTEGERS

MOST_WRITTEN = 1 << 25
SIGNATURE = b"\x89HDF\r\n\x1a\n"
OUTSIDE = ("/etc/passwd", "../canary.h5", "canary.h5", "/dev/zero", "input", ".")
ATTRIBUTES = ("class", "MATLAB_class", "MATLAB_empty", "kind", "apex_z_m", "unit", "complex", "H5PATH")
WORDS = (
    "uff.channel_data",
    "uff.beamformed_data",
    "uff.linear_scan",
    "uff.sector_scan",
    "polar",
    "char",
    "struct",
    "cell",
    "\u202e\x1b[2J",
    "x" * 3000,
    "",
    "linear",
    "curved",
)
DTYPES = (
    "i1",
    "u1",
    "i2",
    ">i2",
    "i4",
    "i8",
    "u8",
    "f2",
    "f4",
    ">f4",
    "f8",
    "c8",
    "c16",
    "?",
    "S1",
    "S65000",
    "V9",
    "V100000",
    [("real", "f4"), ("imag", "f4")],
    [("a", "i2"), ("b", "S3")],
    [("a", "f8", (1000, 100))],
)
FILTERS: tuple[Callable[[], dict[str, Any]], ...] = (
    lambda: {"compression": "gzip", "compression_opts": 9}, lambda: {"compression": "lzf"},
    lambda: dict(hdf5plugin.Blosc(cname="zstd", clevel=9)), lambda: dict(hdf5plugin.Blosc2()),
    lambda: dict(hdf5plugin.Zstd()), lambda: dict(hdf5plugin.Bitshuffle()), lambda: {"fletcher32": True},
    lambda: {"shuffle": True},
)  # fmt: skip


def mutate_hdf5(random: Random, data: bytes) -> bytes:
    """One to three changes; what cannot be opened is left to the mutators of bytes."""
    start = data.find(SIGNATURE, 0, 1 << 16)
    if start < 0:
        return data
    block, memory = data[:start], io.BytesIO(data[start:])
    try:
        with h5py.File(memory, "r+") as file:
            for _ in range(random.choice((1, 1, 1, 2))):
                with contextlib.suppress(Exception):
                    random.choice(CHANGES)(random, file)
    except Exception:
        return data
    return block + memory.getvalue()


def _nodes(file: h5py.File, kind: type[Any]) -> list[str]:
    names: list[str] = []
    file.visititems(lambda name, node: names.append(name) if isinstance(node, kind) else None)
    return names


def _dataset(random: Random, file: h5py.File) -> tuple[h5py.Group, str, h5py.Dataset]:
    node = _small(file[random.choice(_nodes(file, h5py.Dataset))])
    return node.parent, node.name.rpartition("/")[2], node


def _small(node: h5py.Dataset) -> h5py.Dataset:
    """Refuse what an earlier change has made huge."""
    if node.size is None or node.size * node.dtype.itemsize > MOST_WRITTEN:
        raise ValueError("too large to change")
    return node


def _anything(random: Random, file: h5py.File) -> tuple[h5py.Group, str]:
    node = file[random.choice(_nodes(file, (h5py.Dataset, h5py.Group)))]  # type: ignore[arg-type]
    return node.parent, node.name.rpartition("/")[2]


def _shape(random: Random, shape: tuple[int, ...]) -> tuple[int, ...]:
    kind, sides = random.randrange(6), list(shape) or [1]
    at = random.randrange(len(sides))
    if kind == 0:
        sides[at] = random.choice(INTEGERS) & ((1 << 62) - 1)
    elif kind == 1:
        sides[at] = max(0, sides[at] + random.choice((-1, 1)))
    elif kind == 2:
        random.shuffle(sides)
    elif kind == 3:
        sides.insert(at, random.choice((1, 1, 2, 100)))
    elif kind == 4:
        del sides[at]
    else:
        sides = [random.choice((1, 2, 1 << 20, 1 << 30, 1 << 60)) for _ in range(random.choice((1, 2, 3, 5)))]
    return tuple(sides)


def change_values(random: Random, file: h5py.File) -> None:
    _, _, node = _dataset(random, file)
    values = node[()]
    if np.ndim(values) == 0:
        node[()] = random.choice(FLOATS) if node.dtype.kind == "f" else random.choice(INTEGERS) & 0x7F
        return
    flat = np.array(values).reshape(-1)
    at = random.randrange(flat.size) if flat.size else 0
    some = slice(at, at + random.choice((1, 1, 2, flat.size))) if random.random() < 0.8 else slice(None)
    with np.errstate(all="ignore"):
        factor = random.choice(FLOATS)
        flat[some] = factor if random.random() < 0.7 or flat.dtype.kind not in "fc" else flat[some] * factor
    node[...] = flat.reshape(node.shape)


def change_shape(random: Random, file: h5py.File) -> None:
    """Another shape, most often without samples that would fill it: what HDF5 then gives is the fill value."""
    parent, name, node = _dataset(random, file)
    shape, dtype = _shape(random, node.shape or ()), node.dtype
    values = node[()]
    attributes = dict(node.attrs)
    del parent[name]
    small = int(np.prod([int(n) for n in shape], dtype=object)) <= 1 << 16
    if small and random.random() < 0.6:
        made = parent.create_dataset(name, data=np.resize(values, shape))
    else:
        chunks = tuple(max(1, min(n, random.choice((1, 16, 1 << 12)))) for n in shape)
        if np.prod(chunks, dtype=object) * dtype.itemsize > MOST_WRITTEN:
            chunks = tuple(min(n, 1) or 1 for n in shape)
        made = parent.create_dataset(name, shape, dtype, chunks=chunks, **random.choice((dict, *FILTERS))())
        if random.random() < 0.6:  # a little of it is there
            made[tuple(slice(0, min(2, n)) for n in shape)] = 1
    made.attrs.update(attributes)


def change_dtype(random: Random, file: h5py.File) -> None:
    parent, name, node = _dataset(random, file)
    shape, attributes = node.shape or (), dict(node.attrs)
    del parent[name]
    kind = random.randrange(5)
    if kind == 0:
        made = parent.create_dataset(name, data=h5py.Empty(random.choice(("f4", "i2", "S3"))))
    elif kind == 1:
        made = parent.create_dataset(name, shape, h5py.string_dtype(random.choice(("utf-8", "ascii"))))
    elif kind == 2:
        made = parent.create_dataset(name, shape, h5py.ref_dtype)
        made[tuple(slice(0, 100) for _ in shape)] = random.choice((file.ref, parent.ref, h5py.Reference()))
    elif kind == 3:
        made = parent.create_dataset(name, shape, h5py.vlen_dtype(np.dtype("f4")))
    else:
        changed = np.dtype(random.choice(DTYPES))
        if np.prod([int(n) for n in shape], dtype=object) * changed.itemsize > MOST_WRITTEN:
            shape = (1,)
        made = parent.create_dataset(name, shape, changed)
    made.attrs.update(attributes)


def bomb(random: Random, file: h5py.File) -> None:
    """Zeros that compress to next to nothing, or a chunk that is far larger than its dataset."""
    parent, name, node = _dataset(random, file)
    shape, dtype, options = node.shape or (1,), node.dtype, random.choice(FILTERS[:6])()
    attributes = dict(node.attrs)
    del parent[name]
    if random.random() < 0.5:
        chunks = tuple(n * random.choice((1, 1, 8, 64)) for n in shape)
        if np.prod(chunks, dtype=object) * dtype.itemsize > MOST_WRITTEN:
            chunks = shape
        made = parent.create_dataset(name, shape, dtype, maxshape=(None,) * len(shape), chunks=chunks, **options)
        made[...] = 0
    else:
        wide = (*shape[:-1], shape[-1] * random.choice((100, 10_000)))
        if np.prod(wide, dtype=object) * dtype.itemsize <= MOST_WRITTEN:
            made = parent.create_dataset(name, data=np.zeros(wide, dtype), chunks=wide, **options)
        else:
            made = parent.create_dataset(name, data=np.zeros(shape, dtype))
    made.attrs.update(attributes)


def change_link(random: Random, file: h5py.File) -> None:
    parent, name = _anything(random, file)
    kept = parent[name]
    del parent[name]
    kind, others = random.randrange(9), _nodes(file, (h5py.Dataset, h5py.Group)) or ["/"]  # type: ignore[arg-type]
    if kind == 0:
        return
    if kind == 1:
        parent[name] = h5py.SoftLink(
            random.choice((f"{parent.name}/{name}", "/", ".", "..", "nowhere", random.choice(others)))
        )
    elif kind == 2:
        parent[name] = h5py.ExternalLink(random.choice(OUTSIDE), random.choice(("/", "/secret", "/tracks", name)))
    elif kind == 3:
        file["hidden"] = h5py.ExternalLink(random.choice(OUTSIDE), "/")
        parent[name] = h5py.SoftLink(random.choice(("/hidden/secret", "/hidden")))
    elif kind == 4:
        parent[name] = random.choice((file, parent))
    elif kind == 5:
        parent[name] = file[random.choice(others)]
    elif kind == 6:
        parent[name] = np.dtype("f4")
    elif kind == 7:
        parent["other" + name[:5]] = kept
    else:
        parent.create_group(name)


def other_files(random: Random, file: h5py.File) -> None:
    """Samples that are said to lie in other files: external storage, virtual datasets."""
    parent, name, node = _dataset(random, file)
    shape, dtype = node.shape or (1,), node.dtype
    del parent[name]
    outside = random.choice(OUTSIDE)
    if random.random() < 0.5:
        n_bytes = int(np.prod(shape)) * dtype.itemsize
        parent.create_dataset(name, shape, dtype, external=[(outside, random.choice((0, 1)), n_bytes)])
        return
    layout = h5py.VirtualLayout(shape=shape, dtype=dtype)
    layout[...] = h5py.VirtualSource(outside, "secret", shape=shape)
    parent.create_virtual_dataset(name, layout)


def change_attribute(random: Random, file: h5py.File) -> None:
    node = file[random.choice([*_nodes(file, (h5py.Dataset, h5py.Group)), "/"])]  # type: ignore[arg-type]
    name = random.choice([*node.attrs, *ATTRIBUTES])
    kind = random.randrange(7)
    if kind == 0 and name in node.attrs:
        del node.attrs[name]
    elif kind == 1:
        node.attrs[name] = random.choice(WORDS)
    elif kind == 2:
        node.attrs[name] = np.bytes_(random.choice(WORDS).encode() + b"\xff\xfe")
    elif kind == 3:
        node.attrs[name] = np.full(random.choice((0, 1, 3, 4000)), random.choice(FLOATS))
    elif kind == 4:
        node.attrs[name] = h5py.Empty("f4")
    elif kind == 5:
        node.attrs.create(name, file.ref, dtype=h5py.ref_dtype)
    else:
        node.attrs[name] = np.array(WORDS, dtype=object)


def change_number(random: Random, file: h5py.File) -> None:
    """A scalar of the metadata becomes one that is not plausible, or an array."""
    small = [n for n in _nodes(file, h5py.Dataset) if file[n].size is not None and file[n].size <= 4]
    name = random.choice(small)
    shape, dtype = file[name].shape, file[name].dtype
    parent = file[name].parent
    last = name.rpartition("/")[2]
    del file[name]
    with np.errstate(all="ignore"):
        value = np.full(shape, random.choice(FLOATS)) if random.random() < 0.7 else np.full(4, 2.0)
        parent[last] = value.astype(random.choice((dtype, "f8", "i8", "u1")))


def add_members(random: Random, file: h5py.File) -> None:
    group = file[random.choice([*_nodes(file, h5py.Group), "/"])]
    source = random.choice(list(group) or ["x"])
    for index in range(random.choice((1, 3, 60))):
        group.copy(source, f"{source[:-1]}{index}") if source in group else group.create_group(f"x{index}")


CHANGES: tuple[Callable[[Random, h5py.File], None], ...] = (
    change_values, change_values, change_values, change_number, change_number, change_shape, change_shape, change_dtype,
    bomb,
    change_link, change_link, other_files, change_attribute, change_attribute, add_members,
)  # fmt: skip
