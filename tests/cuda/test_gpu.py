"""On a GPU itself: what the stand-in cannot show. Skipped, and counted, where there is none."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from trueflow.kernels.cuda import RING, CudaDevice
from trueflow.kernels.cuda_setup import DeviceError, missing
from trueflow.models.tensorrt_engine import MODULES
from trueflow.models.weights import available
from trueflow.pipeline import ColorFlow, Config

from .foreign import Foreign
from .test_chain import CONFIGS, check_same, maps
from .test_recorded_chain import check_equal, stream

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def gpu() -> CudaDevice:
    lacking = missing()
    if lacking:
        pytest.skip(f"needs an NVIDIA GPU; missing: {'; '.join(lacking)}")
    return CudaDevice()


def test_arrays_come_back_as_they_went(gpu):
    random = np.random.default_rng(1)
    arrays = [random.standard_normal(1 << 18).astype(np.float32) for _ in range(4 * RING)]
    there = [gpu.upload(array) for array in arrays]
    for array, kept in zip(arrays, there, strict=True):
        np.testing.assert_array_equal(gpu.download(kept), array)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_chain_gives_what_the_cpu_gives(gpu, acquisition, packets, name):
    config = Config().override(list(CONFIGS[name]))
    on_cpu, on_gpu = ColorFlow(acquisition, config), ColorFlow(acquisition, config, device=gpu)
    for now in stream(packet.samples for packet in packets):
        check_same(maps(on_gpu, on_gpu(now)), maps(on_cpu, on_cpu(now)))


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("shared_memory", [False, True])
def test_replayed_frames_are_those_that_run_to_the_bit(gpu, acquisition, packets, name, shared_memory):
    config = Config().override(list(CONFIGS[name]))
    devices = CudaDevice(record_frames=False), CudaDevice(shared_memory=shared_memory)
    plain, recorded = (ColorFlow(acquisition, config, device=device) for device in devices)
    given = list(stream(packet.samples for packet in [*packets, *packets[::-1]]))
    want = [maps(plain, plain(packet)) for packet in given]
    got = [recorded(packet) for packet in given]
    for packet, frame, expected in zip(given, got, want, strict=True):
        check_equal(maps(recorded, frame), expected, packet.stamp)
    assert (recorded._graph.n_recorded > 0) == (name != "svd")


def test_arrays_of_another_library_are_taken_over(gpu):
    """As PyCUDA hands its arrays over: written on a stream of its own, and named by address."""
    values = np.random.default_rng(2).standard_normal(1 << 20).astype(np.float32)
    other = gpu.xp.cuda.Stream(non_blocking=True)
    with other:
        theirs = gpu.xp.asarray(values) * 2
    there = gpu.upload(Foreign(theirs, other.ptr))
    np.testing.assert_array_equal(gpu.download(there), 2 * values)


@pytest.mark.parametrize("precision", ["fp16", "int8", "fp32"])
def test_the_network_by_tensorrt_gives_what_openvino_gives(gpu, acquisition, packets, precision):
    """The engine is built, and part of a recorded frame; float16 and int8 round: classes may differ at borders."""
    if not any(find_spec(name) for name in MODULES):
        pytest.skip("TensorRT is not installed")
    if precision not in available():
        pytest.skip(f"no network in {precision} is shipped")
    config = Config().override(["segment.enabled=on"])
    on_cpu = ColorFlow(acquisition, config.override(["segment.precision=fp32"]))
    on_gpu = ColorFlow(acquisition, config.override([f"segment.precision={precision}"]), device=gpu)
    for packet in stream(p.samples for p in (*packets, *packets)):
        want, got = on_cpu(packet).segmentation, on_gpu(packet).segmentation
        fold_class, probability = gpu.download(got.fold_class), gpu.download(got.probability)
        assert np.mean(fold_class == want.fold_class) > (0.999 if precision == "fp32" else 0.97)
        assert np.abs(probability - want.probability).mean() < (1e-3 if precision == "fp32" else 0.03)
    assert on_gpu._graph.n_recorded > 0


def test_the_memory_limit_holds(gpu):
    small = CudaDevice(memory_limit_bytes=1 << 20)
    with pytest.raises(DeviceError, match="out of GPU memory"):
        small.empty(1 << 20, np.float32)


def test_kernel_times_are_measured(gpu: Any) -> None:
    from trueflow.benchmarks.cases import CASES
    from trueflow.benchmarks.gpu_kernels import TimedDevice, kernel_times

    rows = kernel_times(CASES["femoral"](), TimedDevice(), frames=5)
    assert {"das.das", "demodulate.demodulate_i16"} <= {row["kernel"] for row in rows}
    assert all(0 < row["median_us"] < 1e5 for row in rows)
