"""A CUDA device on a machine without a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from trueflow.kernels import cuda_setup
from trueflow.kernels.cuda import CudaDevice

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
