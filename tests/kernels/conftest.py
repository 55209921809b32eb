"""Devices for the kernel tests."""

from __future__ import annotations

import numpy as np
import pytest

from trueflow.kernels import Device, get_device


@pytest.fixture(scope="module")
def device(request: pytest.FixtureRequest, computing_device: Device) -> Device:
    # That file is about the CPU device itself.
    return get_device("cpu", n_threads=2) if request.path.name == "test_device.py" else computing_device


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20260101)
