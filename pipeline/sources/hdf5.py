"""HDF5 with its errors in one form: whatever h5py raises on a broken file becomes one TrueflowError."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.sources.fields import LARGEST_SAMPLE_BYTES, Fields, check_finite

__all__ = [
    "broken_file",
    "check_samples",
    "child",
    "class_of",
    "fields_of",
    "name_of",
    "names_in",
    "open_hdf5",
    "read_block",
    "text_of",
]

LARGEST_FIELD = 1 << 26  # numbers in a metadata field; the largest in use (pixel coordinates) have some millions
BROKEN = (OSError, KeyError, RuntimeError, ValueError, TypeError, MemoryError)  # all of them seen on damaged files


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
        return [name for name in group if isinstance(name, str)]


def child(group: h5py.Group, name: str) -> Any:
    """A member of a group (Dataset or Group), or None."""
    with broken_file(f"{name_of(group)}/{name}"):
        return group.get(name)


def class_of(node: Any) -> str:
    """The `class` attribute as text, empty where there is none (UFF marks its objects with it)."""
    with broken_file(name_of(node)):
        return text_of(node.attrs.get("class", ""))


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
        if not isinstance(node, h5py.Dataset) or node.shape is None:
            return None
        if node.size > LARGEST_FIELD:
            raise TrueflowError(
                "implausibly large", where=f"{where}/{name}", found=node.shape, expected=f"<= {LARGEST_FIELD} numbers"
            )
        with broken_file(f"{where}/{name}"):
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
    if block.dtype == np.float64:
        block = block.astype(np.float32)
    elif block.dtype == np.complex128:
        block = block.astype(np.complex64)
    return check_finite(block, where)
