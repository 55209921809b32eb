"""A CUDA device on a machine without a GPU, and packets for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from echoes import moving_points

from trueflow.kernels import cuda_setup
from trueflow.kernels.cuda import CudaDevice
from trueflow.pipeline import Acquisition, PlaneWave, Probe, RfPacket, Stamp

from .standin import standin
from .world import World


@pytest.fixture
def open_cuda(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[CudaDevice, World]]:
    """Opens a CudaDevice on the stand-in; keyword arguments of World come as `world`."""

    def open_device(world: World | None = None, **options: Any) -> tuple[CudaDevice, World]:
        world = world or World()
        cupy = standin(world)
        monkeypatch.setattr(cuda_setup, "import_cupy", lambda: cupy)
        monkeypatch.setattr(cuda_setup, "missing", list)
        return CudaDevice(**options), world

    return open_device


@pytest.fixture(scope="session")
def acquisition() -> Acquisition:
    probe = Probe.linear(32, pitch_m=0.3e-3, center_frequency_hz=5e6, bandwidth_fraction=0.6)
    return Acquisition(
        probe,
        (PlaneWave(-0.05), PlaneWave(0.05)),
        sampling_frequency_hz=20e6,
        center_frequency_hz=5e6,
        prf_hz=8e3,
        n_samples=401,
        n_ensemble=11,
    )


@pytest.fixture(scope="session")
def packets(acquisition: Acquisition) -> list[RfPacket]:
    """Fast blood and strong tissue, four packets of it."""
    v_n, interval_s = acquisition.nyquist_velocity_m_s(), 11 / 4e3
    made = []
    for i in range(4):
        blood = moving_points(acquisition, (1.3 + 0.05 * i) * v_n, seed=7, n_points=200)
        tissue = 20 * moving_points(acquisition, 0.0, seed=1, n_points=40)
        made.append(RfPacket((blood + tissue).astype(np.int16), Stamp(i, acquisition_time_s=i * interval_s)))
    return made
