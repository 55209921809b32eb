"""The stand-in's GPU: streams, events, graphs and memory, with work done as late or as early as one asks for.

Work is queued and done when something makes it: an eager stream at once, the others when the host or another stream
waits. So a missing wait between copies and computation, which a real GPU shows now and then, shows every time.
"""

from __future__ import annotations

import ctypes
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

POISON = 0xFF  # NaN as float, -1 as integer: a read before the first write shows


class CUDARuntimeError(RuntimeError):
    """As CuPy's."""


@dataclass
class Call:
    """A call into CuPy: the real name behind `cupy.`, and what it was given."""

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


@dataclass
class Launch:
    """A kernel launch as it reached the seam."""

    kernel: str
    grid: tuple[int, ...]
    block: tuple[int, ...]


@dataclass
class World:
    """One machine with one GPU.

    Parameters
    ----------
    late : {"computation", "copies", ""}
        Which of the first stream made and the second does its work as late as it may.
    order : {"forward", "backward", "scattered"}
        Of a launch's threads.
    """

    late: str = ""
    order: str = "forward"
    integrated: bool = False
    capability: str = "75"
    calls: list[Call] = field(default_factory=list)
    launches: list[Launch] = field(default_factory=list)
    host_waits: int = 0
    streams: list[Any] = field(default_factory=list)
    current: Any = None
    allocator: Callable[[int], Any] | None = None
    graphs: int = 0
    events: Any = field(default_factory=weakref.WeakValueDictionary)

    def record(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Notes a call, but keeps none of its arrays alive."""
        self.calls.append(Call(name, tuple(map(_plain, args)), {key: _plain(value) for key, value in kwargs.items()}))

    def is_late(self, stream: Stream) -> bool:
        place = self.streams.index(stream) if stream in self.streams else -1
        return {"computation": 0, "copies": 1}.get(self.late, -2) == place

    def stream(self) -> Stream:
        if self.current is None:
            self.current = Stream(self)
        return self.current

    def wait_on_host(self, what: str) -> None:
        for stream in self.streams:
            if stream.recorded is None:
                continue
            stream.spoilt = True
            raise CUDARuntimeError(f"{what} is not permitted when a stream is capturing")
        self.host_waits += 1


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | tuple) and "NdArray" not in repr(value) else type(value).__name__


Operation = Callable[[], None]


class Stream:
    """A queue of work; while it is captured, work goes to a graph instead. `number` is a name beside its address."""

    def __init__(self, world: World, number: int = 0) -> None:
        self.world, self.number = world, number
        self.queue: deque[tuple[str, Any]] = deque()
        self.recorded: list[Operation] | None = None
        self.spoilt = False  # while captured
        world.streams.append(self)

    def do(self, work: Operation) -> None:
        if self.recorded is not None:
            self.recorded.append(work)
            return
        self.queue.append(("do", work))
        self._go_on()

    def mark(self, event: Event) -> None:
        assert self.recorded is None, "an event recorded in a capture belongs to the graph"
        event.stream, event.done = self, False
        self.queue.append(("mark", event))
        self._go_on()

    def wait_for(self, event: Event) -> None:
        if self.recorded is not None:
            raise CUDARuntimeError("dependency created on uncaptured work in another stream")
        self.queue.append(("wait", event))
        self._go_on()

    def _go_on(self) -> None:
        if not self.world.is_late(self):
            self.drain()

    def drain(self, until: Event | None = None) -> None:
        while self.queue and not (until is not None and until.done):
            kind, what = self.queue.popleft()
            if kind == "do":
                what()
            elif kind == "mark":
                what.done = True
            elif not what.done:
                what.stream.drain(until=what)
                assert what.done


@dataclass(eq=False)
class Event:
    """Done once its stream has come to it."""

    stream: Stream | None = None
    done: bool = True


class Block:
    """Host memory that stands for the GPU's; goes back to its pool when nothing refers to it."""

    def __init__(self, buffer: Any, free: list[Any] | None) -> None:
        self.buffer, self.free = buffer, free
        self.ptr = ctypes.addressof(buffer)

    def __del__(self) -> None:
        if self.free is not None:
            self.free.append(self.buffer)


class Pool:
    """Blocks by size, given again at once: what still works on one was launched before, on the same stream."""

    def __init__(self, world: World) -> None:
        self.world, self.limit, self.total = world, 0, 0
        self.free: dict[int, list[Any]] = {}

    def take(self, n_bytes: int) -> Block:
        size = max(512, -(-n_bytes // 512) * 512)
        free = self.free.setdefault(size, [])
        if free:
            buffer = free.pop()
        elif self.limit and self.total + size > self.limit:
            raise MemoryError(f"Out of memory allocating {size} bytes (limit set to: {self.limit} bytes)")
        else:
            buffer = (ctypes.c_ubyte * size)()
            self.total += size
        block = Block(buffer, free)
        address = block.ptr
        self.world.stream().do(lambda: ctypes.memset(address, POISON, size) and None)
        return block


def view(address: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Memory at an address as NumPy sees it."""
    n_bytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if n_bytes == 0:
        return np.empty(shape, dtype)
    return np.frombuffer((ctypes.c_ubyte * n_bytes).from_address(address), dtype).reshape(shape)
