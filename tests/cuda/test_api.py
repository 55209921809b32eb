"""Every call that reaches CuPy is one that the installed CuPy takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from trueflow.benchmarks.cases import Case
from trueflow.benchmarks.gpu_kernels import TimedDevice, kernel_times
from trueflow.kernels.autocorrelate import Blend
from trueflow.kernels.cuda_setup import DeviceError
from trueflow.pipeline import ColorFlow, Config

from .api import ApiError, check_call, signature_of
from .standin import NdArray
from .test_chain import CONFIGS, acquisition, packets  # noqa: F401
from .world import World


@pytest.fixture(scope="module")
def cupy() -> Any:
    return pytest.importorskip("cupy", reason="CuPy is not installed: its own surface cannot be asked")


def life(open_cuda: Any, acquisition: Any, packets: Any) -> list[Any]:  # noqa: F811
    """Everything a device does: opening, planning, frames, a recorded frame, shared memory, a limit."""
    calls = []
    for integrated, name in ((False, "default"), (True, "iir with state, persistence"), (False, "svd")):
        device, world = open_cuda(World(integrated=integrated), memory_limit_bytes=1 << 30)
        flow = ColorFlow(acquisition, Config().override(list(CONFIGS[name])), device=device)
        for packet in packets[:2]:
            device.download(flow(packet).velocity.velocity_m_s)
        device.synchronize()
        calls += world.calls
    device, world = open_cuda()
    blend = Blend(device, shape=(4, 4), factor=0.5)
    r0, r1 = np.ones((4, 4), np.float32), np.ones((4, 4), np.complex64)
    before = device.zeros((4, 4), np.float32), device.upload(r1)
    graph = device.capture(lambda a, b: blend(device.upload(a), device.upload(b), *before))
    for _ in range(3):
        graph(r0, r1)
    timed = TimedDevice()
    (row,) = (r for r in kernel_times(case(acquisition, packets), timed, frames=1) if r["kernel"] == "das.das")
    assert (row["launches"], row["median_us"]) == (1, 500.0)
    return calls + world.calls


def case(acquisition: Any, packets: Any) -> Case:  # noqa: F811
    return Case("tiny", "", acquisition, Config(), packets[0].samples)


def test_every_call_of_a_devices_life_binds(cupy, open_cuda, acquisition, packets):  # noqa: F811
    calls = life(open_cuda, acquisition, packets)
    names = {call.name for call in calls}
    assert {"RawModule", "RawKernel.__call__", "cuda.Graph.launch", "cuda.MemoryPool.set_limit", "asnumpy"} <= names
    for call in {(c.name, len(c.args), tuple(sorted(c.kwargs))): c for c in calls}.values():
        check_call(cupy, call.name, call.args, call.kwargs)


def test_attributes_of_the_stand_in_exist(cupy):
    for name in (name for name in vars(NdArray) if not name.startswith("_")):
        assert hasattr(cupy.ndarray, name), name
    cuda = cupy.cuda
    for owner, name in ((cuda.MemoryPointer, "ptr"), (cuda.Event, "done"), (cuda.PinnedMemoryPointer, "ptr")):
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


@pytest.mark.parametrize(
    ("name", "args", "kwargs"),
    [
        ("Device", (), {}),
        ("Device.set_current", (), {}),
        ("GraphicsResource.from_gl_buffer", (1,), {"flags": "write_discard"}),
        ("GraphicsResource.map", (), {"stream": None}),
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
