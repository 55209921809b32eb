"""The meaning: acquisitions, frames, stages, sources, and the chain from raw samples to color Doppler.

Names are imported when they are first used: `trueflow --help` must not pay for NumPy and SciPy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trueflow.pipeline.acquisition import Acquisition, DivergingWave, PlaneWave
    from trueflow.pipeline.chain import ColorFlow
    from trueflow.pipeline.config import Config
    from trueflow.pipeline.errors import TrueflowError
    from trueflow.pipeline.frames import ColorFrame, RfPacket, Stamp
    from trueflow.pipeline.grid import ImageGrid
    from trueflow.pipeline.probe import Probe
    from trueflow.pipeline.sources import Framing, Recording, open_source, packets

__all__ = [
    "Acquisition",
    "ColorFlow",
    "ColorFrame",
    "Config",
    "DivergingWave",
    "Framing",
    "ImageGrid",
    "PlaneWave",
    "Probe",
    "Recording",
    "RfPacket",
    "Stamp",
    "TrueflowError",
    "open_source",
    "packets",
]

_HOMES = {
    "acquisition": ("Acquisition", "DivergingWave", "PlaneWave"),
    "chain": ("ColorFlow",),
    "config": ("Config",),
    "errors": ("TrueflowError",),
    "frames": ("ColorFrame", "RfPacket", "Stamp"),
    "grid": ("ImageGrid",),
    "probe": ("Probe",),
    "sources": ("Framing", "Recording", "open_source", "packets"),
}


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
