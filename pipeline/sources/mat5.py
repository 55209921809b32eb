"""MATLAB files up to version 7 with scipy's errors in one form: a broken file becomes one TrueflowError."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat, whosmat
from scipy.io.matlab import MatReadError

from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.sources.mat5_check import check_structure

__all__ = ["Declared", "declared_variables", "load_variables"]

# Numbers that a file may declare for each of its bytes: echoes of 12 bits fill one or two, and silence packs well, but
# those of a whole file that is silent are of no use, and take a thousand times its size as numbers in memory.
MOST_NUMBERS_PER_BYTE, FEW_NUMBERS = 64, 1 << 20

Declared = dict[str, tuple[tuple[int, ...], str]]  # name: shape, MATLAB class


@contextmanager
def _broken_file(path: Path) -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # else a variable that cannot be read becomes a text that says so
            yield
    except (
        MatReadError,
        OSError,
        EOFError,
        IndexError,
        KeyError,
        ValueError,
        TypeError,
        NotImplementedError,
        MemoryError,
        OverflowError,
        UnboundLocalError,
        Warning,
        zlib.error,
    ) as error:
        raise TrueflowError(
            "cannot be read",
            where=str(path),
            found=str(error) or type(error).__name__,
            expected="a complete MATLAB file",
            advice="is the file truncated or damaged?",
        ) from error


def declared_variables(path: Path) -> Declared:
    """Names, shapes and classes of a file's variables, without reading them."""
    with _broken_file(path):
        check_structure(path, headers_only=True)
        return {name: (tuple(map(int, shape)), kind) for name, shape, kind in whosmat(path, appendmat=False)}


def load_variables(path: Path, names: Iterable[str]) -> dict[str, Any]:
    """Read variables as scipy gives them; all of them have to be there.

    Raises
    ------
    TrueflowError
        Damaged file, missing variable, or one that declares more numbers than the file can hold.
    """
    names, declared = tuple(names), declared_variables(path)
    size_bytes = path.stat().st_size
    for name in names:
        if name not in declared:
            raise TrueflowError(
                "missing variable",
                where=f"{path} {name}",
                found=", ".join(sorted(declared)) or "no variables",
                expected=" and ".join(names),
                advice="is the file truncated?",
            )
        shape, kind = declared[name]
        if kind == "sparse":
            raise TrueflowError("sparse array", where=f"{path} {name}", expected="a full array or a struct")
        if np.prod(shape, dtype=object) > max(FEW_NUMBERS, MOST_NUMBERS_PER_BYTE * size_bytes):
            raise TrueflowError(
                "declares more than the file can hold",
                where=f"{path} {name}",
                found=f"shape {shape}",
                expected=f"what fits in {size_bytes} bytes",
            )
    with _broken_file(path):
        check_structure(path)
        return dict(loadmat(path, variable_names=list(names), appendmat=False))
