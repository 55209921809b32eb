"""Every call that reaches CuPy is one that the installed CuPy takes."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from cuda_api import ApiError, check_call, signature_of

from trueflow.benchmarks.cases import Case
from trueflow.benchmarks.gpu_kernels import TimedDevice, kernel_times
from trueflow.kernels.cuda_setup import DeviceError
from trueflow.pipeline import ColorFlow, Config

from .arrays import NdArray
from .foreign import Foreign
from .test_chain import CONFIGS
from .world import World


@pytest.fixture(scope="module")
def cupy() -> Any:
    return pytest.importorskip("cupy", reason="CuPy is not installed: its own surface cannot be asked")


def life(open_cuda: Any, acquisition: Any, packets: Any) -> list[Any]:
    """Everything a device does: opening, planning, frames, recorded ones, shared memory, a limit, others' arrays."""
    calls = []
    for integrated, name in ((False, "default"), (True, "iir with state, persistence"), (False, "svd")):
        device, world = open_cuda(World(integrated=integrated), memory_limit_bytes=1 << 30)
        flow = ColorFlow(acquisition, Config().override(list(CONFIGS[name])), device=device)
        for packet in (*packets, *packets):
            device.download(flow(packet).velocity.velocity_m_s)
        device.synchronize()
        calls += world.calls
        device.upload(Foreign(device.empty(3, np.float32)))
    timed = TimedDevice()
    (row,) = (r for r in kernel_times(case(acquisition, packets), timed, frames=1) if r["kernel"] == "das.das")
    assert (row["launches"], row["median_us"]) == (1, 500.0)
    return calls + world.calls


def case(acquisition: Any, packets: Any) -> Case:
    return Case("tiny", "", acquisition, Config(), packets[0].samples)


def test_every_call_of_a_devices_life_binds(cupy, open_cuda, acquisition, packets):
    calls = life(open_cuda, acquisition, packets)
    names = {call.name for call in calls}
    assert {"RawModule", "RawKernel.__call__", "cuda.Graph.launch", "cuda.MemoryPool.set_limit", "asnumpy"} <= names
    for call in {(c.name, len(c.args), tuple(sorted(c.kwargs))): c for c in calls}.values():
        check_call(cupy, call.name, call.args, call.kwargs)


def test_attributes_of_the_stand_in_exist(cupy):
    for name in (name for name in vars(NdArray) if not name.startswith("_")):
        assert hasattr(cupy.ndarray, name), name
    cuda = cupy.cuda
    event = cuda.Event.__new__(cuda.Event)
    with contextlib.suppress(cuda.runtime.CUDARuntimeError):  # no GPU
        event.__init__()
    for owner, name in (
        (cuda.MemoryPointer, "ptr"), (cuda.Event, "done"), (event, "ptr"), (cuda.PinnedMemoryPointer, "ptr"),
    ):  # fmt: skip
        assert hasattr(owner, name)
    assert hasattr(cupy.cuda.Device, "compute_capability")
    assert hasattr(cupy.cuda.Stream(null=True), "ptr")
    for error in (
        cupy.cuda.memory.OutOfMemoryError,
        cupy.cuda.compiler.CompileException,
        cupy.cuda.runtime.CUDARuntimeError,
        cupy.cuda.driver.CUDADriverError,
    ):
        assert issubclass(error, Exception)


def test_cupy_passes_arrays_of_no_dimension_by_value(cupy):
    """The form in which records and scalars are handed over, and what becomes of Python's numbers."""
    by_value = cupy.cuda.function.CNumpyArray
    by_value(np.zeros((), np.float32))
    by_value(np.zeros((), [("n", "i4"), ("x", "f4")]))


@pytest.mark.parametrize(
    ("name", "args", "kwargs"),
    [
        ("cuda.Stream.recrod", (), {}),
        ("cuda.Stream.wait_event", (), {}),
        ("cuda.Stream.begin_capture", (), {"modus": 1}),
        ("cuda.MemoryPool.set_limit", (), {"bytes": 1}),
        ("cuda.MemoryPointer.copy_from_host_async", (1,), {}),
        ("RawModule", (), {"source": "", "options": ()}),
        ("RawKernel.__call__", ((1, 1, 1), (1, 1, 1)), {}),
        ("cuda.UnownedMemory", (0, 1), {}),
    ],
)
def test_a_misspelt_call_is_caught(cupy, name, args, kwargs):
    with pytest.raises(ApiError):
        check_call(cupy, name, args, kwargs)


def test_cupy_compiles_with_the_nvrtc_of_its_own_cuda(cupy):
    """The development tools bring two of them. In a process of its own: the first that is used stays."""
    code = """
from trueflow.kernels.cuda_setup import import_cupy
cupy = import_cupy()
print(cupy.cuda.nvrtc.getVersion()[0], cupy.cuda.runtime.runtimeGetVersion() // 1000)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found, wanted = done.stdout.split()
    assert found == wanted


def test_signatures_are_read_from_cythons_documentation(cupy):
    assert list(signature_of(cupy.cuda.UnownedMemory).parameters) == ["ptr", "size", "owner", "device_id"]
    assert list(signature_of(cupy.ndarray).parameters) == ["shape", "dtype", "memptr", "strides", "order"]
    assert list(signature_of(cupy.cuda.MemoryPool.set_limit).parameters)[1:] == ["size", "fraction"]


def test_without_a_gpu_cupys_own_errors_are_those_we_translate(cupy):
    if cupy.cuda.is_available():
        pytest.skip("this machine has a GPU")
    from trueflow.kernels.cuda_setup import our_errors

    with pytest.raises(DeviceError, match=r"asking for memory: cudaError"), our_errors(cupy, "asking for memory"):
        cupy.empty(3)


def test_cuda_core_maps_on_a_stream_of_its_own_kind_only():
    """Looked at before any driver is asked: so it shows without a GPU."""
    core = pytest.importorskip("cuda.core", reason="cuda.core is not installed: its own surface cannot be asked")

    class AsCupyHasIt:
        def __cuda_stream__(self) -> tuple[int, int]:
            return 0, 4711

    resource = core.GraphicsResource.__new__(core.GraphicsResource)
    with pytest.raises(TypeError, match=r"expected cuda\.core\._stream\.Stream"):
        resource.map(stream=AsCupyHasIt())
    with pytest.raises(RuntimeError, match="has been closed"):  # the stream was not what it minded
        resource.map(stream=core.Stream.from_handle(4711))


@pytest.mark.parametrize(
    ("name", "args", "kwargs"),
    [
        ("Device", (), {}),
        ("Device.set_current", (), {}),
        ("GraphicsResource.from_gl_buffer", (1,), {"flags": "write_discard"}),
        ("GraphicsResource.map", (), {"stream": None}),
        ("Stream.from_handle", (1,), {}),
    ],
)
def test_cuda_core_takes_the_calls_that_share_opengls_buffers(name, args, kwargs):
    core = pytest.importorskip("cuda.core", reason="cuda.core is not installed: its own surface cannot be asked")
    check_call(core, name, args, kwargs)
    assert hasattr(core.Buffer, "handle")
    with pytest.raises(ApiError):
        check_call(core, f"{name}s", args, kwargs)
    with pytest.raises(ApiError):
        check_call(core, name, args, {**kwargs, "misspelt": 1})
