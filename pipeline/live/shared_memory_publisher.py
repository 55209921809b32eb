"""A recording or the simulator as the scanner's process, over shared memory: `trueflow frontend --bind shm://NAME`."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

from numpy.typing import NDArray

from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.live.description import Description
from trueflow.pipeline.live.publisher import Prepared
from trueflow.pipeline.live.shared_memory import SharedMemoryWriter
from trueflow.pipeline.live.shared_memory_segment import SCHEME, shm_name

__all__ = ["SharedMemoryPublisher", "is_shared_memory"]


def is_shared_memory(url: str) -> bool:
    """Whether a URL to bind names shared memory; one that does not name it rightly is an error."""
    return url.startswith(SCHEME) and bool(shm_name(url))


class SharedMemoryPublisher:
    """A `Sender` over shared memory; a context manager. Used by one thread.

    Parameters
    ----------
    url : str
        shm://NAME.
    description : Description
    waits : bool
        Must be False: who writes shared memory does not know who reads it.

    Raises
    ------
    TrueflowError
        As of `SharedMemoryWriter`.
    """

    n_listeners = 1  # nobody knows

    def __init__(self, url: str, description: Description, *, waits: bool = False) -> None:
        if waits:
            raise TrueflowError(
                "does not wait for its reader", where=url, found="--rate max", advice="give --rate as a number"
            )
        self._writer = SharedMemoryWriter(url, description)
        self.url = url

    def tend(self, timeout_s: float = 0.0) -> None:
        """Wait."""
        time.sleep(timeout_s)

    def send(self, packet: Prepared, *, samples: NDArray[Any] | None = None) -> None:
        """Put a packet into the next slot, or other samples under its checksum."""
        stamp = packet.stamp
        self._writer.write(
            packet.samples if samples is None else samples,
            acquisition_time_s=stamp.acquisition_time_s,
            continuous=stamp.continuous,
            check=packet.check,
        )

    def send_as(self, sequence: int, packet: Prepared, *, samples: NDArray[Any] | None = None) -> None:
        """A packet whose turn has passed: slots are in order, so that it stays left out."""

    def skip(self) -> int:
        """Leave the next number out; which that was."""
        return self._writer.skip()

    def __enter__(self) -> SharedMemoryPublisher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
