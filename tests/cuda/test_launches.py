"""Launches of large acquisitions keep within CUDA's limits; nothing is computed."""

from __future__ import annotations

import numpy as np
import pytest

from trueflow.kernels.features import Features
from trueflow.kernels.fold_classes import FoldClasses
from trueflow.pipeline import Acquisition, ColorFlow, Config, PlaneWave, Probe, RfPacket, Stamp

from . import world
from .emulator import EmulatedKernel

CASES = {
    "femoral": (128, 1, 16, 1040, 20e6),
    "edge192, 25 angles": (192, 25, 16, 1300, 25e6),
    "long ensemble": (64, 1, 100, 600, 20e6),
    "three pulses": (16, 1, 4, 64, 20e6),
}


@pytest.fixture(autouse=True)
def _nothing_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EmulatedKernel, "run", lambda self, grid, block, values, order: None)
    monkeypatch.setattr(world, "POISON", 0)  # what is not computed is finite


@pytest.mark.parametrize("clutter", ["polynomial", "svd"])
@pytest.mark.parametrize("case", CASES)
def test_a_large_chain_launches(open_cuda, case, clutter):
    n_elements, n_transmits, n_ensemble, n_samples, rate_hz = CASES[case]
    probe = Probe.linear(n_elements, pitch_m=0.3e-3, center_frequency_hz=5e6, bandwidth_fraction=0.6)
    waves = tuple(PlaneWave(0.01 * i) for i in range(n_transmits))
    acquisition = Acquisition(
        probe, waves, sampling_frequency_hz=rate_hz, center_frequency_hz=5e6, prf_hz=4e3, n_samples=n_samples,
        n_ensemble=n_ensemble,
    )  # fmt: skip
    device, machine = open_cuda()
    flow = ColorFlow(acquisition, Config().override([f"clutter.name={clutter}"]), device=device)
    flow(RfPacket(np.zeros((n_ensemble, n_transmits, n_elements, n_samples), np.int16), Stamp(0)))
    assert len(machine.launches) > 40  # each passed the seam's check of limits and arguments


def test_a_large_image_launches(open_cuda):
    device, machine = open_cuda()
    shape = (2000, 1500)
    features = Features(device, shape=shape)
    maps = [device.zeros(shape, np.float32) for _ in range(4)]
    features(*maps)
    FoldClasses(device, shape=shape, padded=features.padded)(device.zeros((1, 6, *features.padded), np.float32))
    assert len(machine.launches) >= 4
