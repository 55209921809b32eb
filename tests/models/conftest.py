"""Devices and networks for the tests of inference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from networks import tiny_network

from trueflow.kernels import Device, get_device
from trueflow.models.weights import Network, load_network


@pytest.fixture(scope="session")
def device() -> Device:
    return get_device("cpu", n_threads=2)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20260101)


@pytest.fixture(scope="session")
def tiny_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of one's own."""
    path = tmp_path_factory.mktemp("network") / "tiny.onnx"
    path.write_bytes(tiny_network())
    return path


@pytest.fixture(scope="session")
def tiny(tiny_path: Path) -> Network:
    return load_network(tiny_path)
