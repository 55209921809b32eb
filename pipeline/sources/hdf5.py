"""HDF5 with its errors in one form: whatever h5py raises on a broken file becomes one TrueflowError.

Links are followed here, one name at a time, so that none leads out of the file; what a dataset declares is held against
what is stored of it before any of it is read (`trueflow.pipeline.sources.hdf5_check`).
"""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.sources.fields import LARGEST_DEFLATE_RATIO, LARGEST_SAMPLE_BYTES, Fields, check_finite
from trueflow.pipeline.sources.hdf5_check import check_dataset, follow
from trueflow.pipeline.sources.hdf5_text import attribute_text, dataset_text

__all__ = [
    "broken_file",
    "check_samples",
    "checked",
    "child",
    "class_of",
    "fields_of",
    "name_of",
    "names_in",
    "number_attribute",
    "open_hdf5",
    "read_block",
    "text_attribute",
    "text_dataset",
    "text_of",
]

MOST_MEMBERS = 1 << 14  # of a group: the waves of a sequence, tracks; variables in a file
SMALL_FIELD = 1 << 23  # numbers that are read whatever is stored of them
LARGEST_FIELD = 1 << 26  # numbers in a metadata field; the largest in use (pixel coordinates) have some millions
# All of them seen on damaged files.
BROKEN = (OSError, KeyError, RuntimeError, ValueError, TypeError, MemoryError)


@contextmanager
def broken_file(where: str) -> Iterator[None]:
    """Turn what h5py raises on damaged or foreign content into a TrueflowError."""
    try:
        yield
    except BROKEN as error:
        reason = str(error).strip("'\"") or type(error).__name__
        raise TrueflowError(
            "cannot be read",
            where=where,
            found=reason,
            expected="a complete HDF5 file",
            advice="is the file truncated or damaged?",
        ) from error


def open_hdf5(path: Path) -> h5py.File:
    """Open an HDF5 file for reading; knows the compression filters that zea files use."""
    import hdf5plugin  # noqa: F401  (registers Blosc; costs 0.1 s, so not at import)

    with broken_file(str(path)):
        return h5py.File(path, "r")


def name_of(node: Any) -> str:
    """The path of a node inside its file, without the leading slash; a damaged name becomes a question mark."""
    try:
        name = node.name
    except BROKEN:
        name = None
    return name.strip("/") if isinstance(name, str) else "?"


def names_in(group: h5py.Group) -> list[str]:
    """Names of a group's members; those that are not text are left out."""
    with broken_file(name_of(group)):
        if len(group) > MOST_MEMBERS:
            raise TrueflowError(
                "implausibly many members", where=name_of(group), found=len(group), expected=f"<= {MOST_MEMBERS}"
            )
        return [name for name in group if isinstance(name, str)]


def child(group: h5py.Group, name: str) -> Any:
    """A member of a group (Dataset or Group) of the same file, or None.

    Raises
    ------
    TrueflowError
        Where a link, or the content of a dataset, is in another file; where a dataset declares more than is stored.
    """
    where = f"{name_of(group)}/{name}"
    with broken_file(where):
        return checked(follow(group, name, where=where), where)


def checked(node: Any, where: str) -> Any:
    """A node as it is, once it has been found harmless."""
    if isinstance(node, h5py.Dataset):
        with broken_file(where):
            check_dataset(node, where)
    return node


def class_of(node: Any) -> str:
    """The `class` attribute as text, empty where there is none (UFF marks its objects with it)."""
    return text_attribute(node, "class")


def text_attribute(node: Any, name: str) -> str:
    """An attribute as text, empty where there is none."""
    with broken_file(f"{name_of(node)} {name}"):
        key = name.encode()
        if not h5py.h5a.exists(node.id, key):
            return ""
        kind = h5py.h5a.open(node.id, key).get_type()
        if isinstance(kind, h5py.h5t.TypeStringID) and kind.is_variable_str():
            return attribute_text(node, name) or ""
        plain = isinstance(kind, (h5py.h5t.TypeStringID, h5py.h5t.TypeIntegerID, h5py.h5t.TypeFloatID))
        return text_of(node.attrs[name]) if plain else ""


def number_attribute(node: Any, name: str, default: float) -> float:
    """An attribute that is one number.

    Raises
    ------
    TrueflowError
        Where it is something else.
    """
    with broken_file(f"{name_of(node)} {name}"):
        key = name.encode()
        if not h5py.h5a.exists(node.id, key):
            return default
        kind = h5py.h5a.open(node.id, key).get_type()
        if not isinstance(kind, (h5py.h5t.TypeIntegerID, h5py.h5t.TypeFloatID)):
            raise TypeError("not a number")
        return float(np.asarray(node.attrs[name], dtype=np.float64).reshape(()))


def text_dataset(group: h5py.Group, name: str) -> str:
    """A dataset that holds one text, empty where there is none."""
    node = child(group, name)
    with broken_file(f"{name_of(group)}/{name}"):
        if not isinstance(node, h5py.Dataset) or node.shape != ():
            return ""
        if h5py.check_string_dtype(node.dtype) is not None and node.dtype.kind == "O":
            return dataset_text(node) or ""
        return text_of(node[()]) if node.dtype.kind == "S" else ""


def text_of(value: Any) -> str:
    """Text however HDF5 stored it: str, bytes, an array of one of them, or of character codes."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "iuf":
            return "".join(chr(int(code)) for code in value.reshape(-1) if 0 < code < 0x110000)
        return text_of(value.reshape(-1)[0]) if value.size else ""
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace").rstrip("\0")
    return str(value)


def fields_of(group: h5py.Group, path: Path) -> Fields:
    """The numeric datasets of a group; a member that is no dataset counts as missing."""
    where = f"{path} {name_of(group)}".rstrip()

    def lookup(name: str) -> NDArray[Any] | None:
        node = child(group, name)
        with broken_file(f"{where}/{name}"):
            if not isinstance(node, h5py.Dataset) or node.shape is None:
                return None
            stored = LARGEST_DEFLATE_RATIO * node.id.get_storage_size() // 8  # numbers: they become float64
            if node.size > min(LARGEST_FIELD, max(SMALL_FIELD, stored)):
                raise TrueflowError(
                    "implausibly large", where=f"{where}/{name}", found=node.shape,
                    expected=f"<= {LARGEST_FIELD} numbers",
                )
            if node.dtype.kind not in "biuf":  # is refused for its type: no need to read it
                return np.empty(1, node.dtype)
            return np.asarray(node[()])

    return Fields(where, lookup)


def check_samples(dataset: Any, axes: tuple[str, ...], where: str) -> tuple[int, ...]:
    """The shape of a sample dataset, checked before anything of it is read.

    Parameters
    ----------
    dataset : h5py.Dataset
    axes : tuple of str
        Names of the dataset's axes; "frames" first where it has several, which are read one at a time.

    Raises
    ------
    TrueflowError
        No dataset, wrong rank or type, an empty axis, frames too large to be real, or nothing stored.
    """
    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
        raise TrueflowError("missing field", where=where, found="nothing", expected=f"samples ({', '.join(axes)})")
    if dataset.ndim != len(axes):
        raise TrueflowError("wrong rank", where=where, found=f"shape {dataset.shape}", expected=f"({', '.join(axes)})")
    for axis, length in zip(axes, dataset.shape, strict=True):
        if length == 0:
            raise TrueflowError("no samples", where=where, found=f"{axis} = 0", expected=f"{axis} >= 1")
    if dataset.dtype not in (np.int16, np.float32, np.float64, np.complex64, np.complex128):
        raise TrueflowError(
            "wrong type", where=where, found=dataset.dtype, expected="int16, float32, float64 or complex"
        )
    frame_shape = dataset.shape[1:] if axes[0] == "frames" else dataset.shape
    frame_bytes = dataset.dtype.itemsize * int(np.prod([int(n) for n in frame_shape], dtype=object))
    if frame_bytes > LARGEST_SAMPLE_BYTES:
        raise TrueflowError(
            "implausibly large",
            where=where,
            found=f"shape {dataset.shape}, {frame_bytes / 2**30:.3g} GiB a frame",
            expected=f"at most {LARGEST_SAMPLE_BYTES / 2**30:g} GiB",
        )
    with broken_file(where):
        stored = dataset.id.get_storage_size()
    if stored == 0:
        raise TrueflowError("nothing stored", where=where, found=f"0 bytes, shape {dataset.shape}", expected="samples")
    return tuple(int(n) for n in dataset.shape)


def read_block(dataset: Any, selection: Any, where: str) -> NDArray[Any]:
    """A part of a dataset, double precision narrowed to single; no NaN or infinity gets through."""
    with broken_file(where):
        block = np.asarray(dataset[selection])
    with np.errstate(over="ignore", invalid="ignore"):  # infinity is refused right after
        if block.dtype == np.float64:
            block = block.astype(np.float32)
        elif block.dtype == np.complex128:
            block = block.astype(np.complex64)
        return check_finite(block, where)
