"""Memory lent in stream order, for uploads: pinned blocks on the host, landing places on the GPU.

A block comes back when its last user dies, and is lent again once the GPU has done what had been launched until then.
The host never waits for that while fewer than `n_blocks` of a size are on their way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

__all__ = ["Lease", "Leases"]


class Lease:
    """A block of memory in use.

    Attributes
    ----------
    memory : object
        As allocated; has `ptr`.
    event : event or None
        The block may be written once this has come to pass.
    """

    __slots__ = ("_returned", "_size", "event", "memory")

    def __init__(self, memory: Any, size: int, event: Any, returned: deque[tuple[Any, int]]) -> None:
        self.memory, self.event = memory, event
        self._size, self._returned = size, returned

    def __del__(self) -> None:
        self._returned.append((self.memory, self._size))  # on any thread, at any time: so no call of CUDA here


class Leases:
    """Lends blocks.

    Parameters
    ----------
    allocate : callable
        Size in bytes -> memory.
    mark : callable
        Returns an event that comes to pass when everything launched so far is done.
    n_blocks : int
        Of one size that may be waiting for the GPU; more than that and the oldest is lent, its event with it.
    """

    def __init__(self, allocate: Callable[[int], Any], mark: Callable[[], Any], *, n_blocks: int) -> None:
        self._allocate, self._mark, self._n_blocks = allocate, mark, n_blocks
        self._returned: deque[tuple[Any, int]] = deque()
        self._waiting: dict[int, deque[tuple[Any, Any]]] = {}

    def lend(self, n_bytes: int) -> Lease:
        """A block of at least that size."""
        self._collect()
        size = _rounded(n_bytes)
        waiting = self._waiting.setdefault(size, deque())
        if waiting and (len(waiting) >= self._n_blocks or waiting[0][1].done):
            memory, event = waiting.popleft()
            return Lease(memory, size, event, self._returned)
        return Lease(self._allocate(size), size, None, self._returned)

    def _collect(self) -> None:
        event = None
        while self._returned:
            memory, size = self._returned.popleft()
            event = event or self._mark()
            self._waiting.setdefault(size, deque()).append((memory, event))


def _rounded(n_bytes: int) -> int:
    """Up to an eighth more than asked, so that near sizes share blocks; at least 512 bytes, CUDA's own alignment."""
    step = max((1 << max(0, n_bytes - 1).bit_length()) >> 4, 512)
    return max(-(-n_bytes // step), 1) * step
