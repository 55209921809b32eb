"""The CUDA device from opening to its errors, on a stand-in for CuPy."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trueflow.kernels import DeviceUnavailableError, cuda_setup, get_device
from trueflow.kernels import device as device_module
from trueflow.kernels.cuda import RING, CudaDevice
from trueflow.kernels.cuda_foreign import LEGACY_STREAM
from trueflow.kernels.cuda_setup import DeviceError
from trueflow.kernels.launch import MOST_THREADS_PER_BLOCK, check_cuda_launch, cuda_packet_width
from trueflow.kernels.source import load_source

from .foreign import Foreign
from .world import Stream, World


def blend_arguments(device: CudaDevice) -> list[Any]:
    params = load_source("maps").struct("BlendParams", n_pixels=6, factor=0.5)
    real = [device.upload(np.arange(6, dtype=np.float32) + i) for i in range(3)]
    imag = [device.upload((np.arange(6) + 1j * i).astype(np.complex64)) for i in range(3)]
    return [params, real[0], imag[0], real[1], imag[1], real[2], imag[2]]


@pytest.mark.parametrize("late", ["", "computation", "copies"])
@pytest.mark.parametrize("integrated", [False, True])
def test_arrays_come_back_as_they_went(open_cuda, late, integrated, monkeypatch):
    monkeypatch.setattr("trueflow.kernels.cuda.SHARED_FROM_BYTES", 1000)
    device, _ = open_cuda(World(late=late, integrated=integrated))
    random = np.random.default_rng(1)
    for shape in ((), (0, 3), (3, 5), (40, 31)):
        for dtype in (np.int16, np.float32, np.complex64, np.bool_):
            array = random.integers(0, 2, shape).astype(dtype)
            np.testing.assert_array_equal(device.download(device.upload(array)), array)
    strided = random.standard_normal((8, 6))[:, ::2]
    np.testing.assert_array_equal(device.download(device.upload(strided)), strided)
    assert not device.download(device.zeros((5, 3), np.int32)).any()


def test_an_array_on_the_gpu_keeps_its_content_while_others_come(open_cuda):
    device, _ = open_cuda(World(late="computation"))
    kept = [device.upload(np.full(1000, i, np.float32)) for i in range(4 * RING)]
    for i, array in enumerate(kept):
        np.testing.assert_array_equal(device.download(array), i)


@pytest.mark.parametrize("late", ["", "computation", "copies"])
@pytest.mark.parametrize("named", [True, False])
def test_arrays_that_another_library_has_on_the_gpu_are_copied_there(open_cuda, late, named):
    """PyCUDA, Numba, PyTorch: written on a stream of theirs; none named stands for CUDA's default one."""
    device, world = open_cuda(World(late=late))
    theirs = device.zeros((3, 4), np.complex64)
    device.synchronize()
    stream = Stream(world, number=LEGACY_STREAM)
    values = (np.arange(12) * (1 + 2j)).reshape(3, 4).astype(np.complex64)
    foreign = Foreign(theirs, id(stream) if named else None)
    stream.queue.append(("do", lambda: theirs.host.__setitem__(..., values)))  # not done yet
    before = world.host_waits
    there = device.upload(foreign)
    assert world.host_waits == before
    np.testing.assert_array_equal(device.download(there), values)
    stream.do(lambda: theirs.host.__setitem__(..., 0))  # theirs to use again
    np.testing.assert_array_equal(device.download(there), values)


def test_a_foreign_array_lives_until_the_gpu_has_read_it(open_cuda):
    device, _ = open_cuda(World(late="computation"))
    foreign = Foreign(device.zeros(3, np.float32))
    seen = weakref.ref(foreign)
    device.upload(foreign)
    del foreign
    assert seen() is not None
    device.synchronize()
    device.upload(Foreign(device.zeros(3, np.float32)))
    assert seen() is None


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"strides": (8, 64)}, r"shape \(8, 8\) and strides \(8, 64\): expected C-contiguous"),
        ({"mask": object()}, "masked"),
    ],
)
def test_a_foreign_array_that_is_no_plain_one_is_refused(open_cuda, changes, complaint):
    device, _ = open_cuda()
    foreign = Foreign(device.zeros((8, 8), np.float64), **changes)
    with pytest.raises(ValueError, match=complaint):
        device.upload(foreign)
    plain = Foreign(device.zeros((8, 1, 8), np.float64), strides=(64, 99, 8))  # of one, whatever the stride
    assert device.upload(plain).shape == (8, 1, 8)


def test_raw_samples_are_not_copied_where_memory_is_shared(open_cuda):
    samples = np.zeros(1 << 20, np.int16)
    copies = {}
    for integrated in (False, True):
        device, world = open_cuda(World(integrated=integrated))
        device.upload(samples)
        copies[integrated] = sum(call.name.endswith("copy_from_host_async") for call in world.calls)
    assert copies == {False: 1, True: 0}
    device, world = open_cuda(World(integrated=True), shared_memory=False)
    device.upload(samples)
    assert any(call.name.endswith("copy_from_host_async") for call in world.calls)


def test_memory_is_used_again(open_cuda):
    device, _ = open_cuda(memory_limit_bytes=1 << 20)
    for _ in range(50):
        device.empty(100_000, np.float32)
        device.upload(np.zeros(10_000, np.float32))


def test_a_file_is_compiled_once_for_all_its_kernels(open_cuda):
    device, world = open_cuda()
    for name in ("blend", "unfold", "blend"):
        device.kernel("maps", name)._function  # noqa: B018
    modules = [call for call in world.calls if call.name == "RawModule"]
    assert len(modules) == 1
    options = modules[0].kwargs["options"]
    assert "-std=c++17" in options
    assert "-DPACKET_WIDTH=1" in options  # no packets in this file


def test_a_changed_header_is_another_compilation(open_cuda, monkeypatch, tmp_path):
    """CuPy's cache on disk knows a module by its text and options alone."""
    seen = []
    for text in ("int a;", "int b;"):
        (tmp_path / "math.cuh").write_text(text)
        monkeypatch.setattr("trueflow.kernels.cuda.KERNEL_FOLDER", tmp_path)
        (tmp_path / "maps.cu").write_text("")
        from trueflow.kernels import cuda

        cuda._digest.cache_clear()
        device, world = open_cuda()
        device.module("maps", 1)
        seen.append(next(call for call in world.calls if call.name == "RawModule").kwargs["options"])
    cuda._digest.cache_clear()
    assert seen[0] != seen[1]


def test_a_launch_computes(open_cuda):
    device, _ = open_cuda()
    arguments = blend_arguments(device)
    device.kernel("maps", "blend")((1, 1, 1), (8, 1, 1), *arguments)
    np.testing.assert_allclose(device.download(arguments[5]), np.arange(6) + 0.5)


def test_swapped_arguments_are_caught(open_cuda):
    device, _ = open_cuda()
    arguments = blend_arguments(device)
    arguments[1], arguments[2] = arguments[2], arguments[1]
    with pytest.raises(TypeError, match="r0 has dtype complex64"):
        device.kernel("maps", "blend")((1, 1, 1), (8, 1, 1), *arguments)


def test_a_host_array_is_not_taken_for_a_device_array(open_cuda):
    device, _ = open_cuda()
    arguments = blend_arguments(device)
    arguments[1] = np.zeros(6, np.float32)
    with pytest.raises(TypeError, match=r"numpy\.ndarray"):
        device.kernel("maps", "blend")((1, 1, 1), (8, 1, 1), *arguments)


@pytest.mark.parametrize("value", [3.0, 3, np.float64(3), np.int64(3)])
def test_a_scalar_of_64_bits_does_not_reach_the_kernel(open_cuda, monkeypatch, value):
    """With what makes scalars 32 bits wide taken out, the seam's check refuses each; with it in, each arrives right."""
    device, _ = open_cuda()
    arguments = [device.zeros(6, np.float32), device.zeros(4096, np.int32)]
    kernel = device.kernel("flow_mask", "power_histogram")
    kernel((1, 1, 1), (8, 1, 1), value, *arguments)
    monkeypatch.setattr(device_module, "_checked", lambda argument, parameter, name: argument)
    with pytest.raises(AssertionError, match=r"8 bytes for 4|kind f for i"):
        kernel((1, 1, 1), (8, 1, 1), value, *arguments)


@pytest.mark.parametrize(
    ("grid", "block", "complaint"),
    [
        ((1, 65536, 1), (1, 1, 1), "65536 blocks along y"),
        ((1, 1, 65536), (1, 1, 1), "65536 blocks along z"),
        ((0, 1, 1), (1, 1, 1), "0 blocks along x"),
        ((1, 1, 1), (1, 1, 65), "65 threads a block along z"),
        ((1, 1, 1), (32, 33, 1), "1024 in all"),
    ],
)
def test_a_launch_past_cudas_limits_is_refused_with_its_name(open_cuda, grid, block, complaint):
    device, _ = open_cuda()
    with pytest.raises(ValueError, match=f"blend: .*{complaint}"):
        device.kernel("maps", "blend")(grid, block, *blend_arguments(device))
    check_cuda_launch("k", (2**31 - 1, 65535, 65535), (MOST_THREADS_PER_BLOCK, 1, 1))


def test_out_of_memory_says_what_to_do(open_cuda):
    device, _ = open_cuda(memory_limit_bytes=10_000)
    with pytest.raises(DeviceError, match=r"40000 bytes: out of GPU memory .*memory_limit_bytes"):
        device.empty(10_000, np.float32)


def test_a_kernel_that_does_not_compile_is_named(open_cuda, monkeypatch, tmp_path):
    device, _ = open_cuda()
    kernel = device.kernel("maps", "blend")
    (tmp_path / "maps.cu").write_text("TF_KERNEL(blend, int a) { not C++ }")
    monkeypatch.setattr("trueflow.kernels.cuda.KERNEL_FOLDER", tmp_path)
    with pytest.raises(DeviceError, match=r"compiling maps\.cu: NVRTC refuses"):
        kernel((1, 1, 1), (8, 1, 1), *blend_arguments(device))


def test_a_gpu_that_is_not_there_is_refused(open_cuda):
    with pytest.raises(DeviceUnavailableError, match="no GPU number 3; there are 1"):
        open_cuda(device_id=3)


def test_a_gpu_too_old_for_the_compiler_is_refused(open_cuda):
    with pytest.raises(DeviceUnavailableError, match=r"sm_75 and newer, this GPU is sm_72.*'cuda13'"):
        open_cuda(World(capability="72"))


@pytest.mark.parametrize("capability", [72, 75, 86, 87, 90, 120])
def test_every_gpu_has_a_packet_width(open_cuda, capability):
    assert cuda_packet_width(capability) in (1, 2, 4)  # those of the table of registers


def test_all_that_is_missing_is_said_at_once(monkeypatch):
    if Path("/dev/nvidia0").exists():
        pytest.skip("this machine has a GPU")
    monkeypatch.setattr(cuda_setup.util, "find_spec", lambda name: None)
    with pytest.raises(DeviceUnavailableError) as caught:
        get_device("cuda")
    for part in ("libcuda.so.1", "JetPack", "CuPy", "NVRTC", "trueflow[cuda]", "TensorRT", "trueflow[tensorrt-rtx]"):
        assert part in str(caught.value)


def test_a_missing_compiler_is_said(monkeypatch):
    class Broken:
        @property
        def cuda(self) -> Any:
            raise RuntimeError("no libnvrtc")

    monkeypatch.setattr(cuda_setup.util, "find_spec", lambda name: object())
    monkeypatch.setattr(cuda_setup, "import_cupy", Broken)
    assert any("nvidia-cuda-nvrtc" in line for line in cuda_setup.missing())
