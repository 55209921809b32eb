"""A file that only grows, by whole records, and whose end is known to be on the disk twice a second."""

from __future__ import annotations

import contextlib
import errno
import os
import zlib
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import Stamp
from trueflow.pipeline.live.recorder_format import (
    CONTINUOUS,
    LARGEST_RECORD_BYTES,
    PREAMBLE,
    SYNCED,
    RecordHeader,
    padding,
)
from trueflow.pipeline.output import write_errors

__all__ = ["RecordFile", "reason_of"]

# Parts of a record: bytes, or arrays, which are written as they lie in memory.
Part = bytes | NDArray[Any]


class RecordFile:
    """Appends records. Whatever fails, the file then ends with the last record that was written whole.

    Parameters
    ----------
    path : Path
        Must not exist: recordings are not overwritten.

    Raises
    ------
    TrueflowError
        Where it exists, or cannot be made. `append` and `sync` raise OSError.
    """

    def __init__(self, path: Path) -> None:
        with write_errors(path):
            try:
                self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            except FileExistsError as error:
                raise TrueflowError(
                    "exists already", where=str(path), advice="recordings are not overwritten: choose another name"
                ) from error
            self._path = path
            self.n_bytes = 0
            self._n_records = 0
            self._synced_bytes = 0
            self._is_sure = True
            self._patient = ThreadPoolExecutor(1, "recorder-sync")
            self._syncing: tuple[Future[None], int] | None = None
            try:
                self._write([PREAMBLE])
                _sync_folder(path.parent)
            except OSError:
                self.discard()
                raise

    def append(
        self,
        kind: bytes,
        parts: Sequence[Part] = (),
        *,
        stamp: Stamp | None = None,
        revision: int = 0,
        flags: int = 0,
    ) -> None:
        """Append a record.

        Parameters
        ----------
        kind : bytes
        parts : sequence of bytes or array
            The payload.
        stamp : Stamp, optional
            Of packets and frames.
        revision : int
            Number of the settings.
        flags : int
            Beside what the stamp says.
        """
        stamp = stamp or Stamp(0)
        views = [_bytes_of(part) for part in parts]
        size, check = 0, 0
        for view in views:
            size += view.nbytes
            check = zlib.crc32(view, check)
        if size > LARGEST_RECORD_BYTES:
            raise TrueflowError("too large for a record", where="recording", found=f"{size} bytes")
        header = RecordHeader(
            kind, self._n_records, size, stamp.index, stamp.acquisition_time_s, stamp.receive_time_s,
            flags | (CONTINUOUS if stamp.continuous else 0), revision, check,
        )
        self._write([header.pack(), *views, bytes(padding(size))])
        self._n_records += 1

    def sync(self, *, wait: bool = True) -> None:
        """See to it that all that was appended comes to the disk, and leave word of what is there for the reader.

        No word after a failure: the system reports it once, and may have let go of what it could not write.

        Parameters
        ----------
        wait : bool
            Until it is there. Without, a thread waits, records go on being written, and a later call leaves the word: a
            disk may take seconds.
        """
        self._heed(wait=wait)
        if self._syncing is None and self._synced_bytes != self.n_bytes:
            self._syncing = self._patient.submit(os.fdatasync, self._descriptor), self.n_bytes
            self._heed(wait=wait)

    def _heed(self, *, wait: bool) -> None:
        """Leave word of a sync that has ended."""
        if self._syncing is None or not (wait or self._syncing[0].done()):
            return
        (ended, n_bytes), self._syncing = self._syncing, None
        try:
            ended.result()
        except OSError:
            self._is_sure = False
            raise
        if not self._is_sure:
            return
        is_all = n_bytes == self.n_bytes
        self.append(SYNCED, stamp=Stamp(n_bytes))
        self._synced_bytes = self.n_bytes if is_all else n_bytes  # the word itself needs no sync of its own

    def discard(self) -> None:
        """Let go of the file and remove it: nothing of worth is in it yet."""
        self.close()
        with contextlib.suppress(OSError):
            self._path.unlink()

    def close(self) -> None:
        """Let go of the file; what is not on the disk yet follows in the system's time."""
        self._patient.shutdown()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _write(self, parts: Sequence[bytes | memoryview]) -> None:
        """All of it, or nothing and an OSError."""
        left = [memoryview(part) for part in parts if len(part)]
        try:
            while left:
                written = os.writev(self._descriptor, left)
                while left and written >= left[0].nbytes:
                    written -= left.pop(0).nbytes
                if left:
                    left[0] = left[0][written:]
        except OSError:
            with contextlib.suppress(OSError):  # the reader cuts off what is left of it
                os.ftruncate(self._descriptor, self.n_bytes)
                os.lseek(self._descriptor, self.n_bytes, os.SEEK_SET)
            raise
        self.n_bytes += sum(len(part) for part in parts)


def _bytes_of(part: Part) -> memoryview:
    if isinstance(part, bytes):
        return memoryview(part)
    return np.ascontiguousarray(part).reshape(-1).view(np.uint8).data


def reason_of(error: OSError) -> str:
    """Why nothing more can be written, in a few words."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return f"{'the disk is full' if full else 'the disk has failed'} ({error.strerror})"


def _sync_folder(folder: Path) -> None:
    """The file's name is on the disk too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
