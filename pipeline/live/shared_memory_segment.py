"""The shared memory that a scanner's process and ours have in common: where it is, how it is laid out, whose it is.

A file of /dev/shm (what shm_open makes), mapped by both. docs/live-sources.md has the layout, and a writer in C.

The writer holds an exclusive flock for as long as it lives. The system lets go of it however the process ends, so that
a segment without that lock has been left behind: nobody has to guess from numbers of processes.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import re
import secrets
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.live.description import Description
from trueflow.pipeline.live.message import LARGEST_DESCRIPTION_BYTES

__all__ = ["DESCRIPTION_AT", "ENDED", "RUNNING", "Segment", "shm_name"]

SCHEME = "shm://"
FOLDER = Path("/dev/shm")
PREFIX = "trueflow-"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

MAGIC = int.from_bytes(b"TFSHARED", "little")
VERSION = 1
SETTING_UP, RUNNING, ENDED = 0, 1, 2

# 64-bit words of the header.
WORD_MAGIC, WORD_VERSION, WORD_STATE, WORD_N_SLOTS, WORD_SLOT_BYTES, WORD_PACKET_BYTES = range(6)
WORD_SLOTS_AT, WORD_DESCRIPTION_BYTES, WORD_PROCESS, WORD_WRITTEN = range(6, 10)
DESCRIPTION_AT = 128
ALIGNMENT = 64
MOST_SLOTS = 4096
LARGEST_BYTES = 1 << 36
LOOK = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # a pipe of this name would never open
LOCK_PATIENCE_S = 0.2  # who looks whether we live holds the lock for a moment


def shm_name(url: str) -> str:
    """The NAME of shm://NAME.

    Raises
    ------
    TrueflowError
        Where it is not one.
    """
    name = url.removeprefix(SCHEME)
    if not url.startswith(SCHEME) or not NAME.fullmatch(name):
        raise TrueflowError(
            "not a name for shared memory", where=url, expected="shm:// and up to 100 of A-Z a-z 0-9 . _ -"
        )
    return name


class Segment:
    """A mapped segment.

    Attributes
    ----------
    words : (n,) uint64
        All of it; the header's first ten are named WORD_...
    n_slots, slot_bytes, slots_at : int
    description : Description
    """

    def __init__(self, descriptor: int, path: Path, *, writable: bool) -> None:
        self.path, self._descriptor = path, descriptor
        self._identity = os.fstat(descriptor).st_ino
        access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
        self._map = mmap.mmap(descriptor, os.fstat(descriptor).st_size, access=access)
        self.bytes: NDArray[np.uint8] = np.frombuffer(self._map, np.uint8)
        self.words: NDArray[np.uint64] = self.bytes[: self.bytes.size // 8 * 8].view(np.uint64)

    @classmethod
    def create(cls, name: str, description: Description, *, n_slots: int) -> Segment:
        """Make a segment, in place of one that was left behind.

        Raises
        ------
        TrueflowError
            Where another process writes one of this name, or there is no room.
        """
        _check_machine()
        if not 2 <= n_slots <= MOST_SLOTS:
            raise TrueflowError("out of range", where="slots", found=n_slots, expected=f"2 to {MOST_SLOTS}")
        path, text = FOLDER / f"{PREFIX}{name}", description.pack()
        packet_bytes = description.layout.n_bytes
        slots_at = _aligned(DESCRIPTION_AT + len(text))
        slot_bytes = _aligned(ALIGNMENT + packet_bytes)
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise TrueflowError("cannot be made", where=str(part), found=error.strerror) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.posix_fallocate(descriptor, 0, slots_at + n_slots * slot_bytes)  # a hole would be a crash later
            segment = cls(descriptor, path, writable=True)
            words = segment.words
            words[WORD_VERSION], words[WORD_N_SLOTS], words[WORD_SLOT_BYTES] = VERSION, n_slots, slot_bytes
            words[WORD_PACKET_BYTES], words[WORD_SLOTS_AT], words[WORD_PROCESS] = packet_bytes, slots_at, os.getpid()
            words[WORD_DESCRIPTION_BYTES], words[WORD_STATE] = len(text), RUNNING
            segment.bytes[DESCRIPTION_AT : DESCRIPTION_AT + len(text)] = np.frombuffer(text, np.uint8)
            words[WORD_MAGIC] = MAGIC
            segment._adopt(description)
            _give_name(part, path)
        except OSError as error:
            os.close(descriptor)
            raise TrueflowError(
                "cannot be made", where=str(path), found=error.strerror,
                advice=f"{slots_at + n_slots * slot_bytes >> 20} MB of shared memory are needed",
            ) from error
        except BaseException:
            os.close(descriptor)
            raise
        finally:
            with contextlib.suppress(OSError):
                part.unlink()
        return segment

    @classmethod
    def attach(cls, name: str, *, patience_s: float) -> Segment:
        """Map the segment of a process that writes, and wait until there is one.

        Raises
        ------
        TrueflowError
            Nobody there in time; a segment that was left behind, or that is none of ours.
        """
        _check_machine()
        path, end_s = FOLDER / f"{PREFIX}{name}", time.monotonic() + patience_s
        while True:
            try:
                descriptor = os.open(path, LOOK)
            except FileNotFoundError:
                descriptor = -1
            except OSError as error:
                raise TrueflowError("cannot be opened", where=str(path), found=error.strerror) from error
            if descriptor >= 0:
                try:
                    segment = cls._checked(descriptor, path)
                except BaseException:
                    os.close(descriptor)
                    raise
                if segment is not None:
                    return segment
                os.close(descriptor)
            if time.monotonic() >= end_s:
                raise TrueflowError(
                    "no scanner process", where=SCHEME + name, found=f"no {path} within {patience_s:g} s",
                    advice=f"is `trueflow frontend SOURCE --bind {SCHEME}{name}`, or the scanner's software, running?",
                )
            time.sleep(0.02)

    @classmethod
    def _checked(cls, descriptor: int, path: Path) -> Segment | None:
        """The segment, if it is set up."""
        status = os.fstat(descriptor)
        if status.st_uid not in (os.geteuid(), 0):  # the folder is everybody's
            raise TrueflowError(
                "belongs to another user", where=str(path), found=f"user {status.st_uid}",
                expected=f"user {os.geteuid()}", advice="run the front end as the user who looks",
            )
        if status.st_size < DESCRIPTION_AT:
            return None
        try:
            segment = cls(descriptor, path, writable=False)
        except (OSError, ValueError) as error:  # it has become shorter just now
            raise TrueflowError("cannot be mapped", where=str(path), found=str(error)) from error
        if segment.words[WORD_MAGIC] != MAGIC and not segment.is_abandoned():
            return None
        if segment.is_abandoned():
            process, removed = int(segment.words[WORD_PROCESS]), segment.remove()
            raise TrueflowError(
                "was left behind by a process that is gone", where=str(path), found=f"process {process}",
                advice="it is removed now: start the front end again" if removed else f"rm {path}",
            )
        segment._adopt(segment._read_description())
        return segment

    def _read_description(self) -> Description:
        words, size = self.words, self.bytes.size
        n_bytes = int(words[WORD_DESCRIPTION_BYTES])
        if words[WORD_MAGIC] != MAGIC or words[WORD_VERSION] != VERSION:
            raise self._error(f"version {words[WORD_VERSION]}", f"version {VERSION}")
        if not 2 <= n_bytes <= min(LARGEST_DESCRIPTION_BYTES, size - DESCRIPTION_AT):
            raise self._error(f"a description of {n_bytes} bytes", f"up to {LARGEST_DESCRIPTION_BYTES}, in the segment")
        return Description.unpack(self.bytes[DESCRIPTION_AT : DESCRIPTION_AT + n_bytes].tobytes())

    def _adopt(self, description: Description) -> None:
        words, size, needed = self.words, self.bytes.size, description.layout.n_bytes
        self.description = description
        self.n_slots, self.slot_bytes = int(words[WORD_N_SLOTS]), int(words[WORD_SLOT_BYTES])
        self.slots_at = int(words[WORD_SLOTS_AT])
        if int(words[WORD_PACKET_BYTES]) != needed or not (
            2 <= self.n_slots <= MOST_SLOTS
            and ALIGNMENT + needed <= self.slot_bytes <= LARGEST_BYTES
            and self.slots_at >= DESCRIPTION_AT
            and self.slots_at % ALIGNMENT == self.slot_bytes % ALIGNMENT == 0
            and self.slots_at + self.n_slots * self.slot_bytes <= size
        ):
            raise self._error(
                f"{self.n_slots} slots of {self.slot_bytes} bytes from {self.slots_at} on, in {size} bytes",
                f"slots of at least {ALIGNMENT + needed} bytes, multiples of {ALIGNMENT}, within the segment",
            )

    def is_abandoned(self) -> bool:
        """Whether nobody writes to it any more."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return False
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        return True

    def remove(self) -> bool:
        """Take its name away, if it still has it; who has mapped it keeps what is mapped.

        Under the lock, until `close`: a new writer, who takes the name over, holds it while he does.
        """
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.stat(self.path).st_ino == self._identity:
                self.path.unlink()
        except OSError:
            return not self.path.exists()
        return True

    def close(self) -> None:
        """Let go of it."""
        if self._descriptor >= 0:
            del self.words, self.bytes
            with contextlib.suppress(BufferError):  # somebody still looks at a part of it: then that goes with him
                self._map.close()
            os.close(self._descriptor)
            self._descriptor = -1

    def _error(self, found: str, expected: str) -> TrueflowError:
        return TrueflowError("not a segment of packets", where=str(self.path), found=found, expected=expected)


def _aligned(n_bytes: int) -> int:
    return -(-n_bytes // ALIGNMENT) * ALIGNMENT


def _check_machine() -> None:
    if sys.byteorder != "little" or not FOLDER.is_dir():
        raise TrueflowError(
            "no shared memory on this machine", where=str(FOLDER), expected="Linux on a little-endian processor",
            advice="ipc:// works everywhere",
        )


def _give_name(part: Path, path: Path) -> None:
    """Put the finished segment into its place, unless somebody alive has one there."""
    end_s = time.monotonic() + LOCK_PATIENCE_S
    while True:
        try:
            os.link(part, path)
        except FileExistsError:
            pass
        else:
            return
        try:
            descriptor = os.open(path, LOOK)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_ino == os.stat(path).st_ino:
                path.unlink()
        except FileNotFoundError:  # somebody else has removed it just now
            continue
        except BlockingIOError:
            if time.monotonic() > end_s:
                raise TrueflowError(
                    "is in use", where=str(path), found="a process that writes to it",
                    advice="end that front end, or choose another name",
                ) from None
            time.sleep(0.01)
        finally:
            os.close(descriptor)
