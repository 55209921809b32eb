"""An NVIDIA GPU as a device: CuPy arrays, and the kernels compiled by NVRTC through CuPy's RawModule.

The only code of the chain that a machine without a GPU cannot execute; all that decides anything lies above it.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from trueflow.kernels.cuda_foreign import is_on_gpu, stream_of, view_of
from trueflow.kernels.cuda_graph import FrameGraph
from trueflow.kernels.cuda_memory import Lease, Leases
from trueflow.kernels.cuda_setup import open_cupy, our_errors
from trueflow.kernels.device import Device, Kernel
from trueflow.kernels.launch import check_cuda_launch, cuda_packet_width
from trueflow.kernels.source import KERNEL_FOLDER, KernelSource, load_source

__all__ = ["CudaDevice", "Recording"]

# Frames that may be on their way: one being filled by the host, one being copied, one being computed.
RING = 3
# On a GPU that shares the host's memory, uploads of this size are read where the host wrote them. Pinned memory is not
# cached by such a GPU: right for raw samples, which are read once, wrong for a plan's tables, which are small.
SHARED_FROM_BYTES = 1 << 20


@dataclass(slots=True)
class Recording:
    """A frame being recorded: places of inputs it has not uploaded yet, and at the end its graph."""

    inputs: list[Any]
    graph: Any = None

    def take(self, array: Any) -> Any:
        """The place of the next input, which must be of that shape and type."""
        place = self.inputs.pop(0) if self.inputs else None
        if place is None or (place.shape, place.dtype) != (array.shape, array.dtype):
            raise RuntimeError(f"a recorded frame uploads its inputs and nothing else, not {array.dtype} {array.shape}")
        return place


class CudaDevice(Device):
    """One CUDA device, with a stream for copies from the host and one for everything else.

    Launches, allocations and CuPy's own operations of a thread that uses the device go to `stream`.

    Parameters
    ----------
    device_id : int
        As CUDA counts.
    memory_limit_bytes : int, optional
        The most that arrays of this device take together. Default: all there is.
    shared_memory : bool, optional
        Whether raw samples are read from the host's memory instead of being copied. Default: where the GPU is an
        integrated one (Jetson Orin), whose memory is the host's.
    record_frames : bool
        Whether chains replay their frames as CUDA graphs. Without, each kernel is launched by itself: for debuggers.

    Attributes
    ----------
    xp : module
        CuPy.
    stream : cupy.cuda.Stream
        `stream.ptr` is what other libraries (TensorRT) take.
    compute_capability : int
        75 for sm_75.

    Raises
    ------
    DeviceUnavailableError
        Where driver, GPU, CuPy or NVRTC is missing.
    """

    name = "cuda"

    def __init__(
        self,
        *,
        device_id: int = 0,
        memory_limit_bytes: int | None = None,
        shared_memory: bool | None = None,
        record_frames: bool = True,
    ) -> None:
        self.xp = cupy = open_cupy(device_id)
        self.device_id = device_id
        self._threads = threading.local()
        with our_errors(cupy, "opening the GPU"):
            properties = cupy.cuda.runtime.getDeviceProperties(device_id)
            self._gpu = cupy.cuda.Device(device_id)
            self.compute_capability = int(self._gpu.compute_capability)
            self._gpu.use()
            self.stream = cupy.cuda.Stream(non_blocking=True)
            self._copy_stream = cupy.cuda.Stream(non_blocking=True)
            self._pool, self._recorded_pool = cupy.cuda.MemoryPool(), cupy.cuda.MemoryPool()
            if memory_limit_bytes is not None:
                self._pool.set_limit(size=memory_limit_bytes)
        self._limit_bytes, self._record_frames = memory_limit_bytes, record_frames
        self.product = properties["name"].decode()
        self.shared_memory = bool(properties["integrated"]) if shared_memory is None else shared_memory
        self.packet_widths = (cuda_packet_width(self.compute_capability),)
        self._staging = Leases(cupy.cuda.alloc_pinned_memory, self._mark, n_blocks=RING)
        self._landing = Leases(self._landing_place, self._mark, n_blocks=RING)
        self._modules: dict[tuple[str, int], Any] = {}
        self._recording: Recording | None = None
        self._borrowed: list[tuple[Any, Any]] = []  # an event, and the other library's array that is read until then

    def use(self) -> None:
        """Make this device and its stream this thread's; every method that needs it does so itself."""
        if not getattr(self._threads, "ready", False):
            self._gpu.use()
            self.stream.use()
            self._threads.ready = True

    def empty(self, shape: int | Sequence[int], dtype: DTypeLike) -> Any:
        """An uninitialised C-ordered array from this device's memory pool."""
        self.use()
        kind = np.dtype(dtype)
        sizes = (shape,) if isinstance(shape, int) else tuple(shape)
        n_bytes = int(np.prod(sizes, dtype=np.int64)) * kind.itemsize
        with our_errors(self.xp, f"an array of {n_bytes} bytes"):
            return self.xp.ndarray(sizes, kind, self._pool.malloc(n_bytes))

    def zeros(self, shape: int | Sequence[int], dtype: DTypeLike) -> Any:
        """A zeroed C-ordered array from the pool."""
        array = self.empty(shape, dtype)
        array.data.memset_async(0, array.nbytes, stream=self.stream)
        return array

    def upload(self, array: Any) -> Any:
        """A copy on the GPU, by way of pinned memory and the copy stream: later launches wait for it, not the host.

        While a frame is recorded this is only the place that replays will fill.

        Parameters
        ----------
        array : array
            NumPy's, or one with `__cuda_array_interface__`, C-contiguous and in the GPU's primary context.
        """
        self.use()
        if self._recording is not None:
            return self._recording.take(array)
        if is_on_gpu(array):
            return self._taken_over(array)
        host = np.ascontiguousarray(array)
        if host.nbytes == 0:
            return self.empty(host.shape, host.dtype)
        with our_errors(self.xp, f"uploading {host.nbytes} bytes"):
            staged = self._staging.lend(host.nbytes)
            if staged.event is not None:
                staged.event.synchronize()  # only where the host is RING frames ahead
            np.frombuffer(staged.memory, host.dtype, host.size)[...] = host.reshape(-1)
            if self.shared_memory and host.nbytes >= SHARED_FROM_BYTES:
                return self._array(host.shape, host.dtype, staged)
            landing = self._landing.lend(host.nbytes)
            # A new place may lie where arrays were that the computation has not done with.
            self._copy_stream.wait_event(landing.event or self._mark())
            there = self._array(host.shape, host.dtype, landing)
            there.data.copy_from_host_async(staged.memory.ptr, host.nbytes, stream=self._copy_stream)
            self.stream.wait_event(self._event(self._copy_stream))
        return there

    def download(self, array: Any) -> NDArray[Any]:
        """A copy on the host; waits for the GPU."""
        self.use()
        with our_errors(self.xp, "downloading"):
            return np.asarray(self.xp.asnumpy(array))

    def copy(self, array: Any, out: Any) -> None:
        """Copy one device array into another of the same shape and type."""
        assert (array.shape, array.dtype) == (out.shape, out.dtype)
        out.data.copy_from_device_async(array.data, array.nbytes, stream=self.stream)

    def kernel(self, stem: str, name: str, *, packet_width: int | None = None) -> Kernel:
        """A kernel, compiled on first use and cached on disk by CuPy."""
        return _CudaKernel(self, load_source(stem), name, packet_width)

    def synchronize(self) -> None:
        """Wait until everything launched on the device's stream is done."""
        with our_errors(self.xp, "waiting for the GPU"):
            self.stream.synchronize()

    def frame_graph(self) -> FrameGraph | None:
        """What records a chain's frames as CUDA graphs and replays them."""
        return FrameGraph(self) if self._record_frames else None

    @contextmanager
    def recording(self, inputs: Sequence[Any]) -> Iterator[Recording]:
        """Records what is launched meanwhile into `Recording.graph`.

        What is allocated meanwhile comes from a pool that only recorded frames use, all of them: they are replayed one
        after the other, on one stream.

        Parameters
        ----------
        inputs : sequence of arrays
            Where on the device the arrays that the frame uploads will lie.
        """
        self.use()
        cupy, usual = self.xp, self._pool
        self._recording = recording = Recording(list(inputs))
        self._pool = self._recorded_pool
        self._limit(self._recorded_pool, beside=usual)
        try:
            with our_errors(cupy, "recording a frame"), cupy.cuda.using_allocator(self._recorded_pool.malloc):
                self.stream.begin_capture()
                try:
                    yield recording
                except BaseException:
                    with suppress(cupy.cuda.runtime.CUDARuntimeError):  # what the frame says tells more
                        self.stream.end_capture()
                    raise
                recording.graph = self.stream.end_capture()
        finally:
            self._pool, self._recording = usual, None
            self._limit(usual, beside=self._recorded_pool)

    def module(self, stem: str, packet_width: int) -> Any:
        """A kernel file as a CUDA module. CuPy adds the architecture, and keeps the result on disk."""
        key = (stem, packet_width)
        if key not in self._modules:
            path = KERNEL_FOLDER / f"{stem}.cu"
            # CuPy's cache does not look into headers: without the digest an old header's code would be taken.
            options = (
                "-std=c++17", f"-I{KERNEL_FOLDER}", f"-DPACKET_WIDTH={packet_width}", f"-DTRUEFLOW_SOURCES={_digest()}",
            )  # fmt: skip
            self._modules[key] = self.xp.RawModule(code=path.read_text(), options=options)
        return self._modules[key]

    def _limit(self, pool: Any, *, beside: Any) -> None:
        """Leave to a pool what the other has not taken. CuPy takes 0 for no limit."""
        if self._limit_bytes is not None:
            pool.set_limit(size=max(1, self._limit_bytes - beside.total_bytes()))

    def _taken_over(self, array: Any) -> Any:
        """A copy of another library's array, made when that library's stream has written it."""
        with our_errors(self.xp, "taking over an array"):
            view = view_of(self.xp, array, self.device_id)
            written = self.xp.cuda.Event(disable_timing=True)
            self.xp.cuda.runtime.eventRecord(written.ptr, stream_of(array))
            self.stream.wait_event(written)
            there = self.empty(view.shape, view.dtype)
            self.copy(view, there)
            self._borrowed = [(event, lent) for event, lent in self._borrowed if not event.done]
            self._borrowed.append((self._mark(), array))
        return there

    def _landing_place(self, n_bytes: int) -> Any:
        return self._pool.malloc(n_bytes)

    def _array(self, shape: tuple[int, ...], dtype: np.dtype[Any], lease: Lease) -> Any:
        """An array on a lent block, which goes back with the array's last view."""
        cuda, n_bytes = self.xp.cuda, int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        memory = cuda.UnownedMemory(lease.memory.ptr, n_bytes, lease, self.device_id)
        return self.xp.ndarray(shape, dtype, cuda.MemoryPointer(memory, 0))

    def _event(self, stream: Any) -> Any:
        event = self.xp.cuda.Event(disable_timing=True)
        event.record(stream)
        return event

    def _mark(self) -> Any:
        return self._event(self.stream)


class _CudaKernel(Kernel):
    def __init__(self, device: CudaDevice, source: KernelSource, name: str, packet_width: int | None) -> None:
        super().__init__(source, name, packet_width)
        self._device = device

    @cached_property
    def _function(self) -> Any:
        with our_errors(self._device.xp, f"compiling {self.source.path.name}"):
            return self._device.module(self.source.path.stem, self.packet_width or 1).get_function(self.name)

    def _launch(self, grid: tuple[int, int, int], block: tuple[int, int, int], arguments: list[Any]) -> None:
        check_cuda_launch(self.name, grid, block)
        self._device.use()
        # Records and scalars are NumPy arrays of no dimension: CuPy passes those by value, in their own width.
        with our_errors(self._device.xp, f"launching {self.name}"):
            self._function(grid, block, tuple(arguments))


@cache
def _digest() -> str:
    """Changes with any of the kernels' headers."""
    text = b"".join(path.read_bytes() for path in sorted(KERNEL_FOLDER.glob("*.cuh")))
    return f"0x{hashlib.sha256(text).hexdigest()[:8]}"
