"""On a GPU itself: what the stand-in cannot show. Skipped, and counted, where there is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from trueflow.kernels.cuda import RING, CudaDevice
from trueflow.kernels.cuda_setup import DeviceError, missing
from trueflow.pipeline import ColorFlow, Config

from .test_chain import CONFIGS, acquisition, check_same, maps, packets  # noqa: F401
from .test_graph import memory, steady

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
def test_the_chain_gives_what_the_cpu_gives(gpu, acquisition, packets, name):  # noqa: F811
    config = Config().override(list(CONFIGS[name]))
    on_cpu, on_gpu = ColorFlow(acquisition, config), ColorFlow(acquisition, config, device=gpu)
    for i, packet in enumerate(packets):
        now = steady(i, packet.samples)
        check_same(maps(on_gpu, on_gpu(now)), maps(on_cpu, on_cpu(now)))


@pytest.mark.parametrize("shared_memory", [False, True])
def test_a_recorded_frame_replays_as_it_runs(gpu, acquisition, packets, shared_memory):  # noqa: F811
    device = CudaDevice(shared_memory=shared_memory)
    config = Config().override(list(CONFIGS["iir with state, persistence"]))
    plain, replayed = (ColorFlow(acquisition, config, device=device) for _ in range(2))
    stream = [steady(i, packet.samples) for i, packet in enumerate([*packets, *packets[::-1]])]
    at = iter(stream)
    graph = device.capture(lambda samples: replayed(next(at)), carried=lambda: memory(replayed))
    for i, packet in enumerate(stream):
        want, got = maps(plain, plain(packet)), maps(replayed, graph(packet.samples, key=i > 0))
        for key, values in want.items():
            np.testing.assert_array_equal(got[key], values, err_msg=f"{key} of packet {i}")
    assert graph.recorded


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
