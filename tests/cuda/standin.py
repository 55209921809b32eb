"""A stand-in for CuPy: the part of its surface that Trueflow uses, each call noted under the real one's name.

Arrays refuse to become NumPy arrays unasked, and kernels refuse NumPy arrays, as CuPy's do. Kernels are the GPU's own
text, run thread by thread (emulator.py); what they are given is checked against what the compiler says they take.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from . import world as machine
from .arrays import MemoryPointer, Method, NdArray, noted
from .emulator import EmulatedKernel, compile_cuda
from .world import Event, Launch, Pool, World


class OutOfMemoryError(MemoryError):
    """As CuPy's."""


class CompileException(Exception):
    """As CuPy's."""


class CUDADriverError(RuntimeError):
    """As CuPy's."""


class Kernel:
    """A kernel of a RawModule."""

    def __init__(self, world: World, kernel: EmulatedKernel) -> None:
        self.world, self.kernel = world, kernel

    @noted("RawKernel.__call__")
    def __call__(self, grid: tuple[int, ...], block: tuple[int, ...], args: tuple[Any, ...]) -> None:
        limits = zip((*grid, *block), (2**31 - 1, 65535, 65535, 1024, 1024, 64), strict=True)
        if any(not 1 <= n <= most for n, most in limits) or np.prod(block) > 1024:
            raise CUDADriverError("CUDA_ERROR_INVALID_VALUE: invalid argument")
        values = [self._value(argument, i) for i, argument in enumerate(args)]
        assert len(values) == len(self.kernel.parameters), f"{self.kernel.name}: {len(values)} arguments"
        self.world.launches.append(Launch(self.kernel.name, grid, block))
        order, kernel = self.world.order, self.kernel
        self.world.stream().do(lambda: kernel.run(grid, block, values, order=order))

    def _value(self, argument: Any, place: int) -> bytes:
        """The bytes that CuPy hands to the driver; CUDA copies as many as the kernel's own parameter has."""
        taken = self.kernel.parameters[place]
        where = f"{self.kernel.name}, argument {place}"
        if isinstance(argument, NdArray):
            assert taken.kind == "p", f"{where}: an array for a value"
            kind = {"f": "f", "c": "f"}.get(argument.dtype.kind, "i")
            fits = taken.element == "s" or (taken.element == kind and taken.element_bytes == argument.dtype.itemsize)
            assert fits, f"{where}: {argument.dtype} for elements of {taken.element_bytes} bytes, kind {taken.element}"
            assert taken.element != "s" or taken.element_bytes % argument.dtype.itemsize == 0, where
            assert argument.flags.c_contiguous, where
            assert argument.data.ptr % min(taken.element_bytes, 16) == 0, f"{where}: not aligned"
            return argument.data.ptr.to_bytes(8, "little")
        if not isinstance(argument, np.ndarray):
            argument = np.asarray(argument)  # a Python number becomes 64 bits wide, as CuPy makes it
        elif argument.size != 1:
            raise TypeError("You are trying to pass a numpy.ndarray as a kernel parameter.")
        kind = "s" if argument.dtype.names else {"f": "f"}.get(argument.dtype.kind, "i")
        assert taken.kind == kind, f"{where}: kind {kind} for {taken.kind}"
        assert argument.nbytes == taken.bytes, f"{where}: {argument.nbytes} bytes for {taken.bytes}"
        return argument.tobytes()


class RawModule:
    """Compiles when first asked for a kernel."""

    def __init__(self, world: World, code: str, options: tuple[str, ...]) -> None:
        self.world, self.code, self.options = world, code, options

    @noted("RawModule.get_function")
    def get_function(self, name: str) -> Kernel:
        try:
            return Kernel(self.world, compile_cuda(self.code, (*self.options, "-ftz=true"))[name])
        except ValueError as error:
            raise CompileException(str(error)) from error


class StreamSurface:
    """cupy.cuda.Stream."""

    def __init__(self, world: World) -> None:
        self.world, self._queue = world, machine.Stream(world)
        self.ptr = id(self._queue)

    @noted("cuda.Stream.use")
    def use(self) -> None:
        self.world.current = self._queue

    @noted("cuda.Stream.wait_event")
    def wait_event(self, event: EventSurface) -> None:
        self._queue.wait_for(event.event)

    @noted("cuda.Stream.synchronize")
    def synchronize(self) -> None:
        self.world.wait_on_host("waiting for a stream")
        self._queue.drain()

    @noted("cuda.Stream.begin_capture")
    def begin_capture(self, mode: int | None = None) -> None:
        self._queue.recorded, self._queue.spoilt = [], False

    @noted("cuda.Stream.end_capture")
    def end_capture(self) -> GraphSurface:
        recorded, self._queue.recorded = self._queue.recorded, None
        assert recorded is not None
        if self._queue.spoilt:
            raise machine.CUDARuntimeError("cudaErrorStreamCaptureInvalidated")
        return GraphSurface(self.world, recorded)


class GraphSurface:
    """cupy.cuda.Graph."""

    def __init__(self, world: World, recorded: list[machine.Operation]) -> None:
        self.world, self.recorded = world, recorded

    @noted("cuda.Graph.launch")
    def launch(self, stream: StreamSurface | None = None) -> None:
        self.world.graphs += 1
        queue = stream._queue if stream else self.world.stream()
        for work in self.recorded:
            queue.do(work)


class EventSurface:
    """cupy.cuda.Event."""

    def __init__(self, world: World) -> None:
        self.world, self.event = world, Event()
        self.ptr = id(self)
        world.events[self.ptr] = self

    @noted("cuda.Event.record")
    def record(self, stream: StreamSurface | None = None) -> None:
        (stream._queue if stream else self.world.stream()).mark(self.event)

    @property
    def done(self) -> bool:
        return self.event.done

    @noted("cuda.Event.synchronize")
    def synchronize(self) -> None:
        if not self.event.done:
            self.world.wait_on_host("waiting for an event")
            assert self.event.stream is not None
            self.event.stream.drain(until=self.event)


class PoolSurface:
    """cupy.cuda.MemoryPool."""

    def __init__(self, world: World) -> None:
        self.world, self.pool = world, Pool(world)

    @noted("cuda.MemoryPool.set_limit")
    def set_limit(self, size: int | None = None, fraction: float | None = None) -> None:
        self.pool.limit = size or 0

    @noted("cuda.MemoryPool.total_bytes")
    def total_bytes(self) -> int:
        return self.pool.total

    @noted("cuda.MemoryPool.malloc")
    def malloc(self, size: int) -> MemoryPointer:
        try:
            return MemoryPointer(self.world, self.pool.take(size), 0)
        except MemoryError as error:
            raise OutOfMemoryError(str(error)) from error


def standin(world: World) -> Any:
    """The module `cupy`, on that machine."""
    cupy: Any = ModuleType("cupy")
    usual = PoolSurface(world)
    world.allocator = lambda n_bytes: MemoryPointer(world, usual.pool.take(n_bytes), 0)

    def made(name: str, make: Method) -> Method:
        def call(*args: Any, **kwargs: Any) -> Any:
            world.record(name, args, kwargs)
            return make(*args, **kwargs)

        return call

    cupy.ndarray = made("ndarray", lambda *a, **k: NdArray(world, *a, **k))
    cupy.RawModule = made("RawModule", lambda *, code, options: RawModule(world, code, options))
    cupy.asnumpy = made("asnumpy", lambda array: _fetched(world, array))
    cupy.cuda = SimpleNamespace(
        Stream=made("cuda.Stream", lambda non_blocking=False: StreamSurface(world)),
        Event=made("cuda.Event", lambda disable_timing=False: EventSurface(world)),
        MemoryPool=made("cuda.MemoryPool", lambda: PoolSurface(world)),
        MemoryPointer=made("cuda.MemoryPointer", lambda mem, offset: MemoryPointer(world, mem, offset)),
        UnownedMemory=made(
            "cuda.UnownedMemory", lambda ptr, size, owner, device_id=-1: SimpleNamespace(ptr=ptr, owner=owner)
        ),
        Device=made("cuda.Device", lambda device: _Gpu(world)),
        get_elapsed_time=made("cuda.get_elapsed_time", lambda start_event, end_event: 0.5),
        alloc_pinned_memory=made("cuda.alloc_pinned_memory", _pinned),
        using_allocator=made("cuda.using_allocator", lambda allocator: _using(world, allocator)),
        runtime=SimpleNamespace(
            CUDARuntimeError=machine.CUDARuntimeError,
            getDeviceCount=made("cuda.runtime.getDeviceCount", lambda: 1),
            eventRecord=made("cuda.runtime.eventRecord", lambda event, stream: _recorded(world, event, stream)),
            getDeviceProperties=made(
                "cuda.runtime.getDeviceProperties",
                lambda device: {"name": b"Stand-in", "integrated": int(world.integrated)},
            ),
        ),
        driver=SimpleNamespace(CUDADriverError=CUDADriverError),
        memory=SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
        compiler=SimpleNamespace(CompileException=CompileException),
        nvrtc=SimpleNamespace(
            getVersion=made("cuda.nvrtc.getVersion", lambda: (12, 9)),
            getSupportedArchs=made("cuda.nvrtc.getSupportedArchs", lambda: (75, 86, 87, 90)),
        ),
    )
    return cupy


class _Gpu:
    def __init__(self, world: World) -> None:
        self.world, self.compute_capability = world, world.capability

    @noted("cuda.Device.use")
    def use(self) -> None:
        pass


def _pinned(size: int) -> Any:
    """Pinned host memory: a buffer that knows its address."""
    buffer = type("Pinned", (ctypes.c_ubyte * size,), {})()
    buffer.ptr = ctypes.addressof(buffer)
    return buffer


def _fetched(world: World, array: NdArray) -> Any:
    world.wait_on_host("downloading")
    world.stream().drain()
    return array.host.copy()


def _recorded(world: World, event: int, stream: int) -> None:
    """By addresses, as the runtime takes them."""
    queues = [queue for queue in world.streams if stream in (id(queue), queue.number)]
    (queues or [machine.Stream(world, number=stream)])[0].mark(world.events[event].event)


@contextmanager
def _using(world: World, allocator: Callable[[int], Any]) -> Iterator[None]:
    before, world.allocator = world.allocator, allocator
    try:
        yield
    finally:
        world.allocator = before
