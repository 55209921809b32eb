"""Numbers out of files: every field is checked on its way in, and every complaint names file and field."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.errors import TrueflowError

__all__ = ["Fields", "check_finite", "naming"]

LARGEST_DEFLATE_RATIO = 1032  # what deflate can reach; an array that declares more than that lies
LARGEST_SAMPLE_BYTES = 1 << 30  # one slow-time sample: 256 channels, 75 transmits, 10,000 int16 samples take 384 MB


class Fields:
    """The numeric fields of one struct or group.

    Parameters
    ----------
    where : str
        The file, and the struct or group in it; begins every message.
    lookup : callable
        From a field's name to its array, or None where there is no such field.
    """

    def __init__(self, where: str, lookup: Callable[[str], NDArray[Any] | None]) -> None:
        self.where = where
        self._lookup = lookup

    def find(self, name: str) -> NDArray[Any] | None:
        """A field's numbers, or None where it is missing or empty.

        Raises
        ------
        TrueflowError
            Where the field holds something else than real numbers.
        """
        values = self._lookup(name)
        if values is None or values.size == 0:
            return None
        if values.dtype.kind not in "biuf":
            raise TrueflowError("not a number", where=self.name(name), found=values.dtype, expected="real numbers")
        return values

    def name(self, field: str) -> str:
        """File and field, for messages."""
        return f"{self.where} {field}"

    def missing(self, name: str, expected: str, advice: str = "") -> TrueflowError:
        """The error for a field that has to be there."""
        return TrueflowError("missing field", where=self.name(name), found="nothing", expected=expected, advice=advice)

    def optional(self, name: str) -> float | None:
        """A single finite number as a Python float (never in the file's narrow integer type), or None."""
        values = self.find(name)
        if values is None:
            return None
        if values.size != 1:
            raise TrueflowError("wrong shape", where=self.name(name), found=values.shape, expected="a single number")
        value = float(values.reshape(-1)[0])
        if not np.isfinite(value):
            raise TrueflowError("not finite", where=self.name(name), found=value, expected="a finite number")
        return value

    def scalar(self, name: str, *, default: float | None = None, expected: str = "a number", advice: str = "") -> float:
        """A single finite number; `default` where the field is missing, an error where there is no default."""
        value = self.optional(name)
        if value is None:
            value = default
        if value is None:
            raise self.missing(name, expected, advice)
        return value

    def positive(self, name: str, *, expected: str, default: float | None = None, advice: str = "") -> float:
        """A single number above zero."""
        value = self.scalar(name, default=default, expected=expected, advice=advice)
        if value <= 0:
            raise TrueflowError("not positive", where=self.name(name), found=value, expected=f"{expected}, > 0")
        return value

    def uniform(self, name: str, *, expected: str, default: float | None = None) -> float:
        """One number, also where the file repeats it (once per transmit, say)."""
        values = self.find(name)
        if values is None or values.size == 1:
            return self.scalar(name, default=default, expected=expected)
        numbers = self.array(name, (None,) * values.ndim, expected=expected)
        assert numbers is not None
        if np.ptp(numbers) > 1e-6 * np.abs(numbers).max():
            raise TrueflowError(
                "differs between transmits",
                where=self.name(name),
                found=f"{numbers.min():g} to {numbers.max():g}",
                expected=f"one {expected} for all",
            )
        return float(numbers.reshape(-1)[0])

    def array(
        self, name: str, shape: tuple[int | None, ...], *, expected: str = "", finite: bool = True
    ) -> NDArray[np.float64] | None:
        """An array of a known shape (None: any length) as float64, or None where it is missing.

        Raises
        ------
        TrueflowError
            Wrong shape; NaN or infinity where `finite`.
        """
        found = self.find(name)
        if found is None:
            return None
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused below
            values = np.asarray(found, dtype=np.float64)
        fits = len(values.shape) == len(shape) and all(
            want is None or have == want for have, want in zip(values.shape, shape, strict=True)
        )
        if not fits:
            wanted = "(" + ", ".join("n" if want is None else str(want) for want in shape) + ")"
            raise TrueflowError(
                "wrong shape", where=self.name(name), found=values.shape, expected=f"{wanted} {expected}".strip()
            )
        if finite and not np.isfinite(values).all():
            raise TrueflowError(
                "not finite", where=self.name(name), found="NaN or infinity", expected=expected or "finite numbers"
            )
        return values


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Within this block every TrueflowError names the file, also those of checks that do not know of it."""
    try:
        yield
    except TrueflowError as error:
        if str(path) in str(error):
            raise
        raise TrueflowError(str(error), where=str(path)) from error


def check_finite(samples: NDArray[Any], where: str) -> NDArray[Any]:
    """The samples, where none is NaN or infinite; one sum finds out, since both survive an addition."""
    if samples.dtype.kind in "fc":
        total = samples.sum(dtype=np.complex128 if samples.dtype.kind == "c" else np.float64)
        if not np.isfinite(total):
            raise TrueflowError("not finite", where=where, found="NaN or infinity", expected="finite samples")
    return samples
