"""What the eye may change without the numbers noticing: gain, range, scale, baseline, priority, thresholds, color."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trueflow.pipeline.config import DisplayConfig
from trueflow.pipeline.frames import ColorFrame
from trueflow.pipeline.picture.compose import choose_scale_m_s, envelope_reference

__all__ = ["RANGES", "Box", "DisplayControls", "Fit"]

Box = tuple[float, float, float, float]  # left, top, right, bottom (m)
EVERYWHERE: Box = (-10.0, -10.0, 10.0, 10.0)
MOST_SHIFT = 0.9  # of v_N, by the baseline: rest stays on the bar

RANGES: dict[str, tuple[float, float]] = {
    "gain_db": (-60.0, 60.0),
    "dynamic_range_db": (20.0, 120.0),
    "scale_m_s": (0.001, 20.0),
    "priority": (0.0, 1.0),
    "power_db": (-80.0, 0.0),
    "coherence": (0.0, 0.99),
}


@dataclass(frozen=True, slots=True)
class DisplayControls:
    """How frames look; a change is a new object.

    Parameters
    ----------
    gain_db, dynamic_range_db : float
        Of B-mode.
    scale_m_s : float, optional
        Half the range of the dealiased color bar; the raw one is v_N wide. Default: what the flow needs.
    baseline_m_s : float
        Middle of the color bars. Under it the raw panel wraps elsewhere, as on a scanner.
    invert : bool
        Swap the colors of the two directions.
    color_map : str
    color : bool
        False for B-mode alone.
    priority : float
        Echoes brighter than this (0 to 1) keep their gray; 1: color always wins.
    power_db : float
        Color only where R0 is at most so far below the strongest flow; -80 is no threshold.
    coherence : float
        Color only where |R1| / R0 is at least this; 0 is no threshold.
    confidence : bool
        Hatch where the dealiaser is in doubt.
    box_m : (left, top, right, bottom), optional
        Color only inside.
    """

    gain_db: float = 0.0
    dynamic_range_db: float = 60.0
    scale_m_s: float | None = None
    baseline_m_s: float = 0.0
    invert: bool = False
    color_map: str = "red_blue"
    color: bool = True
    priority: float = 1.0
    power_db: float = RANGES["power_db"][0]
    coherence: float = 0.0
    confidence: bool = False
    box_m: Box | None = None

    @classmethod
    def from_config(cls, display: DisplayConfig) -> DisplayControls:
        """What a config's [display] section asks for."""
        return cls(
            gain_db=display.gain_db,
            dynamic_range_db=display.dynamic_range_db,
            scale_m_s=display.scale_m_s,
            baseline_m_s=display.baseline_m_s,
            color_map=display.color_map,
        )

    def with_(self, **changes: Any) -> DisplayControls:
        """A changed copy; numbers are kept within their ranges."""
        for name, (low, high) in RANGES.items():
            if isinstance(changes.get(name), (int, float)):
                changes[name] = min(max(float(changes[name]), low), high)
        return dataclasses.replace(self, **changes)


@dataclass(frozen=True, slots=True)
class Fit:
    """What brightness and colors refer to: chosen from frames, then kept, so that frames can be compared.

    Parameters
    ----------
    envelope : float
        White at 0 dB of gain.
    power : float
        R0 of strong flow.
    scale_m_s : float
        Of the dealiased color bar.
    """

    envelope: float
    power: float
    scale_m_s: float

    @classmethod
    def of(cls, frames: Sequence[ColorFrame]) -> Fit:
        """A fit to one or more frames."""
        first = frames[0]
        flow = first.doppler.r0[first.velocity.mask]
        power = float(np.quantile(flow, 0.99)) if flow.size else float(first.doppler.r0.max(initial=0.0)) or 1.0
        return cls(envelope_reference(first), power, choose_scale_m_s(list(frames)))

    def grown(self, frame: ColorFrame) -> Fit:
        """The same, with a wider scale where the frame's flow needs it."""
        scale_m_s = choose_scale_m_s([frame])
        return dataclasses.replace(self, scale_m_s=scale_m_s) if scale_m_s > self.scale_m_s else self
