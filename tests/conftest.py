"""Fixtures shared by all tests, and the device they compute on."""

from __future__ import annotations

import contextlib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from trueflow.benchmarks.recordings import recordings_folder
from trueflow.kernels import Device

# Before any test takes a library away or puts a stand-in in its place: CuPy cannot be loaded a second time.
with contextlib.suppress(ImportError):
    import_module("cupy")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--device",
        choices=["cpu", "emulated", "cuda"],
        default="cpu",
        help="where kernels run: the CPU; a GPU; or, emulated, the GPU's text and launches thread by thread on the CPU",
    )


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of real recordings, which is not part of the project."""
    folder = recordings_folder()
    if not folder.is_dir():
        pytest.skip("real recordings are not on this machine")
    return folder


@pytest.fixture(scope="session")
def computing_device(request: pytest.FixtureRequest) -> Device:
    """A device of NumPy arrays whose kernels run where `--device` says."""
    from .cuda.mirror import open_test_device

    return open_test_device(request.config.getoption("--device"))


@pytest.fixture(autouse=True)
def _chains_compute_there(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chains that name no device, or the CPU, compute where `--device` says."""
    if request.config.getoption("--device") == "cpu":
        return
    chain = import_module("trueflow.pipeline.chain")  # not for the kernels' tests: they need no other packages
    device, usual = request.getfixturevalue("computing_device"), chain.get_device

    def get_device(name: str = "cpu", **options: Any) -> Device:
        return device if name == "cpu" else usual(name, **options)

    monkeypatch.setattr(chain, "get_device", get_device)
