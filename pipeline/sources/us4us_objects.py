"""What a pickled capture may be made of: arrays that stay in the file, and metadata objects without behavior."""

from __future__ import annotations

import math
import mmap
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.errors import TrueflowError

__all__ = ["ClassName", "FileArray", "FileBytes", "Inert", "PendingDtype", "call", "set_state"]

# Names of ARRUS 0.7 to 0.14; they moved between ARRUS' modules from version to version, so only the package is fixed.
METADATA_CLASSES = frozenset(
    {
        "Aperture",
        "ConstMetadata",
        "Constant",
        "DataBufferSpec",
        "DeviceId",
        "DeviceType",
        "DigitalDownConversion",
        "EchoDataDescription",
        "FileDTO",
        "FrameAcquisitionContext",
        "FrameChannelMapping",
        "GridSpec",
        "Lens",
        "LinSequence",
        "LinearTgc",
        "MatchingLayer",
        "Medium",
        "MediumDTO",
        "Metadata",
        "ProbeDTO",
        "ProbeModel",
        "ProbeModelId",
        "Pulse",
        "PwiSequence",
        "Rx",
        "RxBeamforming",
        "SimpleTxRxSequence",
        "Spacing",
        "StaSequence",
        "Tx",
        "TxRx",
        "TxRxSequence",
        "UltrasoundDeviceDTO",
        "Us4OEMDTO",
        "Us4RDTO",
    }
)
_NUMPY_NAMES = {
    f"{module}.{name}": name
    for modules, names in (
        (("numpy",), ("ndarray", "dtype")),
        (("numpy.core.multiarray", "numpy._core.multiarray"), ("_reconstruct", "scalar")),
        (("numpy.core.numeric", "numpy._core.numeric"), ("_frombuffer",)),
    )
    for module in modules
    for name in names
}
_CONTAINERS = {"collections.OrderedDict": "OrderedDict"}
_DTYPE = re.compile(r"[?bBhHiIlLqQefdFD]|b1|[iu][1248]|f[248]|c(8|16)")
_MAX_DIMENSIONS = 8
MOST_PARTS = 1 << 20


class ClassName:
    """A class or function that the pickle names; made only for names on the list, and never looked up.

    Raises
    ------
    TrueflowError
        For any other name.
    """

    __slots__ = ("is_metadata", "kind", "name", "short_name")

    def __init__(self, module: str, name: str, where: str) -> None:
        full_name = f"{module}.{name}"
        self.name, self.short_name = full_name, name
        self.is_metadata = (module == "arrus" or module.startswith("arrus.")) and name in METADATA_CLASSES
        kind = "metadata" if self.is_metadata else _NUMPY_NAMES.get(full_name) or _CONTAINERS.get(full_name)
        if kind is None:
            raise TrueflowError(
                "the file asks for a class or function that a capture has no use for, and was not loaded",
                where=where,
                found=full_name,
                expected="NumPy arrays and ARRUS metadata classes",
                advice="a pickle can run any program: do not open this file with Python's pickle module either",
            )
        self.kind = kind


@dataclass(frozen=True, slots=True)
class FileBytes:
    """Bytes that stay in the file."""

    offset: int
    size: int


@dataclass(slots=True, eq=False, repr=False)
class PendingDtype:
    """A NumPy type in the making; its byte order comes in a later instruction."""

    code: str
    order: str = "="

    def resolve(self) -> np.dtype[Any]:
        """The NumPy type."""
        order: Any = self.order
        kind: np.dtype[Any] = np.dtype(self.code).newbyteorder(order)
        return kind


@dataclass(slots=True, eq=False, repr=False)
class Inert:
    """An object of a metadata class: its class's name and its attributes, no behavior."""

    class_name: str
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True, eq=False, repr=False)
class FileArray:
    """A NumPy array that stays in the file until it is asked for."""

    path: Path
    offset: int = -1
    dtype: np.dtype[Any] = field(default_factory=lambda: np.dtype(np.uint8))
    shape: tuple[int, ...] = ()
    order: Literal["C", "F"] = "C"

    def map(self) -> NDArray[Any]:
        """The array, mapped read-only: only what is touched is read."""
        if self.offset < 0:
            raise TrueflowError("damaged pickle: an array without content", where=str(self.path))
        if 0 in self.shape:
            return np.zeros(self.shape, self.dtype)
        try:
            return np.memmap(self.path, self.dtype, "r", self.offset, self.shape, self.order)
        except (OSError, ValueError) as error:  # the file was replaced by a shorter one
            raise TrueflowError("cannot be read", where=str(self.path), found=str(error)) from error

    def split(self) -> list[FileArray]:
        """The parts along the first axis, where they lie one after another in the file."""
        if self.offset < 0 or self.order != "C" or len(self.shape) < 2 or 0 in self.shape:
            return []
        if self.shape[0] > MOST_PARTS:
            return []
        step = math.prod(self.shape[1:]) * self.dtype.itemsize
        return [
            FileArray(self.path, self.offset + index * step, self.dtype, self.shape[1:])
            for index in range(self.shape[0])
        ]

    def fill(self, content: object, dtype: object, shape: object, order: object, *, where: str) -> None:
        """Set where the content is, after checking that it is as large as type and shape say."""
        if self.offset >= 0 or not (isinstance(content, FileBytes) and isinstance(dtype, PendingDtype)):
            raise TrueflowError(
                "an array that is not plain numbers",
                where=where,
                found=type(content).__name__,
                expected="an array of integers, floats or complex numbers",
            )
        if not (
            isinstance(shape, tuple)
            and len(shape) <= _MAX_DIMENSIONS
            and order in ("C", "F")
            and all(isinstance(n, int) and 0 <= n < 1 << 48 for n in shape)
        ):
            raise TrueflowError("damaged pickle: an array without a valid shape", where=where)
        kind = dtype.resolve()
        expected = kind.itemsize
        for n in shape:
            expected *= n
        if expected != content.size:
            raise TrueflowError(
                "an array and its shape disagree",
                where=where,
                found=f"{content.size} bytes",
                expected=f"{expected} bytes for {kind} of shape {shape}",
            )
        self.offset, self.dtype, self.shape = content.offset, kind, shape
        self.order = "F" if order == "F" else "C"


def call(target: ClassName, arguments: tuple[Any, ...], *, path: Path, data: mmap.mmap) -> Any:
    """What the pickle's call of a listed name stands for."""
    where = f"{path}, {target.name}"
    if target.kind == "metadata":
        return Inert(target.short_name)
    if target.kind == "OrderedDict" and not arguments:
        return {}
    if target.kind == "_reconstruct":
        return FileArray(path)
    if target.kind == "dtype" and arguments and isinstance(arguments[0], str):
        if not _DTYPE.fullmatch(arguments[0]):
            raise TrueflowError(
                "an array of something else than numbers",
                where=where,
                found=repr(arguments[0][:20]),
                expected="integers, floats or complex numbers",
            )
        return PendingDtype(arguments[0])
    if target.kind == "_frombuffer" and len(arguments) == 4:
        array = FileArray(path)
        array.fill(*arguments, where=where)
        return array
    if target.kind == "scalar" and len(arguments) == 2:
        kind, content = arguments
        if isinstance(kind, PendingDtype) and isinstance(content, FileBytes):
            stored = data[content.offset : content.offset + content.size]
            if len(stored) == kind.resolve().itemsize:
                return np.frombuffer(stored, kind.resolve())[0].item()
    raise TrueflowError("damaged pickle: a call with the wrong arguments", where=where)


def set_state(target: Any, state: Any, *, path: Path, where: str) -> None:
    """Give an object made by `call` its state."""
    if isinstance(target, PendingDtype) and isinstance(state, tuple) and len(state) >= 5:
        # (version, byte order, subarray, field names, fields, size, alignment, flags)
        if state[1] not in ("<", ">", "|", "=") or any(part is not None for part in state[2:5]):
            raise TrueflowError("an array of something else than numbers", where=where, expected="a plain number type")
        target.order = state[1]
    elif isinstance(target, FileArray) and isinstance(state, tuple) and len(state) == 5:
        _, shape, dtype, is_fortran, content = state
        target.fill(content, dtype, shape, "F" if is_fortran is True else "C", where=where)
    elif isinstance(target, Inert):
        for part in state if isinstance(state, tuple) and len(state) == 2 else (state,):
            if isinstance(part, dict) and all(isinstance(key, str) for key in part):
                target.attributes.update(part)
            elif part is not None:
                raise TrueflowError(
                    "metadata in a form that is not known",
                    where=f"{where}, {target.class_name}",
                    found=type(part).__name__,
                    expected="attributes by name",
                )
    else:
        raise TrueflowError("damaged pickle: state for an object that takes none", where=where)
