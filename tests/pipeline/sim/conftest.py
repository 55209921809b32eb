"""Scenes at work in the default field of view."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import pytest

from trueflow.pipeline.config import GridConfig
from trueflow.pipeline.geometry import make_grid
from trueflow.pipeline.grid import ImageGrid
from trueflow.pipeline.sim.field import SceneField
from trueflow.pipeline.sim.options import Options
from trueflow.pipeline.sim.recording import SimRecording, view_of


@lru_cache(maxsize=32)
def _simulated(url: str) -> SimRecording:
    return SimRecording.from_url(url)


@pytest.fixture(scope="session")
def simulated() -> Callable[[str], SimRecording]:
    """A recording from its URL, kept for the next test that asks for it."""
    return _simulated


@pytest.fixture(scope="session")
def grid() -> ImageGrid:
    """The chain's default pixels for the default acquisition."""
    return make_grid(Options().acquisition(), GridConfig())


@pytest.fixture(scope="session")
def field_of(grid: ImageGrid) -> Callable[..., SceneField]:
    """A field from a scene: (scene, peak_m_s=1) -> SceneField in the default view."""
    return lambda scene, peak_m_s=1.0: SceneField(scene, view_of(grid), margin_m=4e-3, peak_m_s=peak_m_s)
