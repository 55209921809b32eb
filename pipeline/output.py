"""Files appear whole or not at all: each is written under a temporary name beside its target, then renamed."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from trueflow.pipeline.errors import TrueflowError

__all__ = ["Outputs", "PatientFile", "write_errors"]


class Outputs:
    """The files one run writes; a context manager that renames all of them on success and removes them on failure.

    Parameters
    ----------
    inputs : iterable of path
        Files that the run reads: none of them may be an output.

    Examples
    --------
    >>> with Outputs(inputs=[]) as outputs:  # doctest: +SKIP
    ...     outputs.add("result.txt").write_text("whole")
    """

    def __init__(self, inputs: Iterable[str | Path] = ()) -> None:
        self._inputs = [Path(path) for path in inputs]
        self._pending: list[tuple[Path, Path]] = []

    def protect(self, paths: Iterable[Path]) -> None:
        """Name further inputs: what a recording turns out to be made of."""
        self._inputs += paths

    def add(self, path: str | Path) -> Path:
        """Reserve an output and return the temporary name to write to.

        The temporary name keeps the suffix, so that a writer which goes by it finds the same one.

        Raises
        ------
        TrueflowError
            Where the path is an input, another output, not a regular file, or cannot be written.
        """
        target = Path(path)
        self._check(target)
        part = target.with_name(f".{target.stem}.{secrets.token_hex(4)}.part{target.suffix}")
        with write_errors(target):
            part.touch(exist_ok=False)
        self._pending.append((part, target))
        return part

    def _check(self, target: Path) -> None:
        if target.exists() and not target.is_file():
            raise TrueflowError("not a regular file", where=str(target), advice="name a file that may be replaced")
        if any(_same(target, path) for path in self._inputs):
            raise TrueflowError("is an input", where=str(target), advice="choose another output name")
        if any(_same(target, path) for _, path in self._pending):
            raise TrueflowError("named twice as an output", where=str(target), advice="choose another output name")

    def __enter__(self) -> Outputs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                for part, target in self._pending:
                    with write_errors(target):
                        os.replace(part, target)
        finally:
            for part, _ in self._pending:  # renamed ones are gone by now
                with contextlib.suppress(OSError):
                    part.unlink()
            self._pending.clear()


@contextlib.contextmanager
def write_errors(target: Path) -> Iterator[None]:
    """Turn what the system, HDF5, Pillow or FFmpeg say about a failed write into a `TrueflowError` about `target`."""
    try:
        yield
    except OSError as error:
        found = error.strerror or " ".join(str(error).split())
        raise TrueflowError("cannot be written", where=str(target), found=found, advice=_advice(target)) from error


class PatientFile(io.FileIO):
    """A file to write HDF5 to: it keeps the first failure for `check`, and claims that all went well.

    HDF5 (seen with 2.0) that cannot write what it has cached crashes the process when the file is closed, and a full
    disk then leaves the half-written file behind.

    Parameters
    ----------
    path : str or Path
        Created, or emptied.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__(os.fspath(path), "w+")
        self._failure: OSError | None = None

    def write(self, data: Any, /) -> int:
        """All of the bytes, unless something has failed."""
        view = memoryview(data).cast("B")
        written = 0
        try:
            while written < len(view) and self._failure is None:
                written += super().write(view[written:]) or 0
        except OSError as error:
            self._failure = error
        return len(view)

    def truncate(self, size: int | None = None, /) -> int:
        """Set the size, unless something has failed."""
        if self._failure is None:
            try:
                return super().truncate(size)
            except OSError as error:
                self._failure = error
        return size or 0

    def check(self) -> None:
        """Raise the first failure, if there was one."""
        if self._failure is not None:
            raise self._failure


def _advice(target: Path) -> str:
    folder = target.parent
    if not folder.is_dir():
        return f"make the folder {str(folder)!r} first"
    return "check permissions and free space" if os.access(folder, os.W_OK) else f"{str(folder)!r} is not writable"


def _same(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:  # one of them does not exist yet
        return one.resolve() == other.resolve()
