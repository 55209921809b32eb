"""A pytest plugin for the run under sanitizers, which `make sanitize` names.

The CPU device lends arrays from blocks that are up to an eighth larger, where a read past the end goes unseen; here
they are exactly as large as asked. They also start as NaN (integers: -1), so that a read before the first write shows.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any
from unittest import mock

import numpy as np
import pytest
from numpy.typing import DTypeLike, NDArray

from trueflow.kernels.cpu import CpuDevice


def _exact(device: CpuDevice, shape: int | Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
    array = np.empty(shape, dtype)
    array.reshape(-1).view(np.uint8).fill(0xFF)
    return array


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    if item.path.name == "test_device.py":  # is about the lending itself
        return (yield)
    with mock.patch.object(CpuDevice, "empty", _exact):
        return (yield)
