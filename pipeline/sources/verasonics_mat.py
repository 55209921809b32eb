"""The variables of a Verasonics workspace, whichever version of MATLAB's file format holds them.

Version 7.3 is HDF5: arrays are stored transposed, a struct is a group with one dataset per field, a field of a struct
array is a dataset of references, one per element. Up to version 7 there is no random access: all is read at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.sources.fields import Fields
from trueflow.pipeline.sources.hdf5 import broken_file, checked, child, open_hdf5, text_attribute, text_of
from trueflow.pipeline.sources.hdf5_check import follow_reference

__all__ = ["MatFile", "open_mat"]

LARGEST_VALUE = 1 << 22  # numbers in a field; transmit waveforms have some thousands
LONGEST_STRUCT = 1 << 20
VARIABLES = ("RcvData", "Receive", "TX", "TW", "Trans", "Resource", "Event", "SeqControl")


class MatFile(ABC):
    """Struct arrays by name (`"Resource.RcvBuffer"`), field and index from 0, and the receive buffers."""

    path: Path

    @abstractmethod
    def has(self, name: str) -> bool:
        """Whether there is a variable of this name."""

    @abstractmethod
    def length(self, struct: str, field: str) -> int:
        """Elements of a struct array that has this field; 0 where struct or field is missing."""

    @abstractmethod
    def value(self, struct: str, field: str, index: int = 0) -> NDArray[Any] | str | None:
        """A field in MATLAB's orientation, text as str; None where it is missing or empty."""

    @abstractmethod
    def buffer(self, index: int) -> Any:
        """Receive buffer `RcvData{index + 1}`, (frames, channels, rows): an array or a dataset to slice; or None."""

    @abstractmethod
    def close(self) -> None:
        """Release the file."""

    def fields(self, struct: str, index: int = 0) -> Fields:
        """The numeric fields of one struct, checked as they are read."""

        def lookup(name: str) -> NDArray[Any] | None:
            value = self.value(struct, name, index)
            return np.array([], dtype=str) if isinstance(value, str) else value

        return Fields(f"{self.path} {struct}({index + 1})", lookup)

    def text(self, struct: str, field: str, index: int = 0, *, default: str = "") -> str:
        """A text field, or the default."""
        value = self.value(struct, field, index)
        return value if isinstance(value, str) else default


def open_mat(path: Path) -> MatFile:
    """Open a MATLAB file of either kind.

    Raises
    ------
    TrueflowError
        Where it cannot be read, or holds no Verasonics workspace.
    """
    try:
        file: MatFile = _Hdf5(path) if h5py.is_hdf5(path) else _Version5(path)
    except OSError as error:
        raise TrueflowError("cannot be read", where=str(path), found=error.strerror or str(error)) from error
    missing = [name for name in VARIABLES if not file.has(name)]
    if missing:
        file.close()
        raise TrueflowError(
            "missing variables",
            where=str(path),
            found=f"no {', '.join(missing)}",
            expected="a Verasonics workspace",
            advice="save RcvData and all structures of the sequence",
        )
    return file


class _Hdf5(MatFile):
    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = open_hdf5(path)

    def has(self, name: str) -> bool:
        return self._node(name) is not None

    def length(self, struct: str, field: str) -> int:
        with broken_file(f"{self.path} {struct}"):
            node = self._node(f"{struct}.{field}")
            if not isinstance(node, h5py.Dataset) or node.shape is None:
                return 0
            length = int(node.size) if _holds_references(node) else 1
        if length > LONGEST_STRUCT:
            raise TrueflowError("implausibly long", where=f"{self.path} {struct}", found=f"{length} elements")
        return length

    def value(self, struct: str, field: str, index: int = 0) -> NDArray[Any] | str | None:
        where = f"{self.path} {struct}({index + 1}).{field}"
        with broken_file(where):
            node = self._element(self._node(f"{struct}.{field}"), index)
            if node is None or "MATLAB_empty" in node.attrs or node.size == 0:
                return None
            if node.size > LARGEST_VALUE:
                raise TrueflowError("implausibly large", where=where, found=node.shape)
            if node.dtype.kind not in "biufc":
                return None
            content, is_text = np.asarray(node[()]), text_attribute(node, "MATLAB_class") == "char"
        return text_of(content) if is_text else content.transpose()

    def buffer(self, index: int) -> Any:
        with broken_file(f"{self.path} RcvData"):
            node = self._element(self._node("RcvData"), index)
            return node if node is None or node.ndim != 2 else _Frames(node)

    def close(self) -> None:
        self._file.close()

    def _node(self, dotted: str) -> Any:
        node: Any = self._file
        for name in dotted.split("."):
            node = child(node, name) if isinstance(node, h5py.Group) else None
        return node

    def _element(self, node: Any, index: int) -> Any:
        """Element `index` of a field or cell array: a dataset, or None."""
        if not isinstance(node, h5py.Dataset) or node.shape is None:
            return None
        if not _holds_references(node):
            return node if index == 0 else None
        if not 0 <= index < node.size or node.size > LONGEST_STRUCT:
            return None
        place = tuple(int(i) for i in np.unravel_index(index, node.shape))
        target = checked(follow_reference(node, place, where="#refs#"), "#refs#")
        is_value = isinstance(target, h5py.Dataset) and target.shape is not None and not _holds_references(target)
        return target if is_value else None


def _holds_references(node: Any) -> bool:
    return isinstance(node, h5py.Dataset) and h5py.check_ref_dtype(node.dtype) is h5py.Reference


class _Frames:
    """A buffer of one frame, which MATLAB stores without the frame axis."""

    def __init__(self, node: Any) -> None:
        self.shape, self.dtype, self._node = (1, *node.shape), node.dtype, node

    def __getitem__(self, selection: tuple[int, slice, slice]) -> NDArray[Any]:
        return np.asarray(self._node[selection[1:]])


class _Version5(MatFile):
    def __init__(self, path: Path) -> None:
        from trueflow.pipeline.sources.mat5 import declared_variables, load_variables  # scipy.io takes 0.2 s

        self.path = path
        declared = declared_variables(path)
        self._variables = load_variables(path, [name for name in VARIABLES if name in declared])

    def has(self, name: str) -> bool:
        return name in self._variables

    def length(self, struct: str, field: str) -> int:
        records = self._records(struct)
        return 0 if records is None or field not in (records.dtype.names or ()) else int(records.size)

    def value(self, struct: str, field: str, index: int = 0) -> NDArray[Any] | str | None:
        if not 0 <= index < self.length(struct, field):
            return None
        records = self._records(struct)
        assert records is not None
        content = np.asarray(records.reshape(-1, order="F")[index][field])
        if content.dtype.kind == "U":
            return str(content.reshape(-1)[0]) if content.size else None
        return content if content.size and content.dtype.kind in "biufc" else None

    def buffer(self, index: int) -> Any:
        content = np.asarray(self._variables["RcvData"])
        if content.dtype == object:
            if not 0 <= index < content.size:
                return None
            content = np.asarray(content.reshape(-1, order="F")[index])
        elif index:
            return None
        if content.dtype.kind in "iu" and content.dtype.itemsize == 1:
            content = content.astype(np.int16)  # the format stores small numbers in the narrowest type
        if content.ndim == 2:
            content = content[..., np.newaxis]
        return content.transpose()

    def close(self) -> None:
        self._variables = {}

    def _records(self, dotted: str) -> NDArray[Any] | None:
        first, *rest = dotted.split(".")
        records = self._variables.get(first)
        for name in rest:
            if records is None or records.dtype.names is None or name not in records.dtype.names or not records.size:
                return None
            records = np.asarray(records.reshape(-1)[0][name])
        return records if isinstance(records, np.ndarray) and records.dtype.names is not None else None
