"""Pixels: the window, its renderer and controls.

Importing it costs nothing: OpenGL, GLFW and Dear ImGui are looked for when a window or a picture is asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trueflow.viewer.application import shoot, show
    from trueflow.viewer.controls import DisplayControls
    from trueflow.viewer.renderer import Renderer

__all__ = ["DisplayControls", "Renderer", "shoot", "show"]

_HOMES = {"application": ("show", "shoot"), "controls": ("DisplayControls",), "renderer": ("Renderer",)}


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
