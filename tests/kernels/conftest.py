"""Devices for the kernel tests."""

from __future__ import annotations

import numpy as np
import pytest

from trueflow.kernels import Device, get_device


@pytest.fixture(scope="session")
def device() -> Device:
    return get_device("cpu", n_threads=2)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20260101)
