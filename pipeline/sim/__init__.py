"""The built-in simulator: scenes as data, what moves in them, its echoes, and what an estimator should see of it.

A scene (`scene`) becomes flow, masks and brightness (`field`) without regard to how echoes are made; `cloud` puts
scatterers into it, `echoes` turns them into channel RF, `truth` projects the flow onto the beams.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trueflow.pipeline.sim.library import SCENES, make_scene
    from trueflow.pipeline.sim.recording import SimRecording
    from trueflow.pipeline.sim.scene import Scene

__all__ = ["SCENES", "Scene", "SimRecording", "make_scene"]

_HOMES = {"library": ("SCENES", "make_scene"), "recording": ("SimRecording",), "scene": ("Scene",)}


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
