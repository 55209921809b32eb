"""Scenes as data: what is in the body, in metres and relative to the blood's echo, and nothing of how it is imaged."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import tomli_w

from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.sim.tables import from_table, to_table
from trueflow.pipeline.sim.vessels import FARTHEST_M, Point, Vessel, within
from trueflow.pipeline.toml_text import parse_toml, read_toml

__all__ = ["Dropout", "Scene", "Tissue", "speed_m_s"]

MOST_VESSELS, MOST_DROPOUTS = 16, 64  # a vessel's flow takes a second
_IN_NYQUIST = re.compile(r"\s*([-+0-9.eE]+)\s*v_?n\s*", re.IGNORECASE)


def speed_m_s(speed: float | str, nyquist_velocity_m_s: float) -> tuple[float, bool]:
    """A speed in m/s, and whether it was given in multiples of v_N ("2.5vN")."""
    match = _IN_NYQUIST.fullmatch(speed) if isinstance(speed, str) else None
    try:
        value = float(match[1]) * nyquist_velocity_m_s if match else float(speed)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value) or not 0 < abs(value) < 100:
        expected = 'm/s, or as in "2.5vN"; up to 100 m/s'
        raise TrueflowError("not a speed", where="peak", found=repr(speed), expected=expected)
    return value, match is not None


@dataclass(frozen=True, slots=True)
class Tissue:
    """What is around the vessels.

    Parameters
    ----------
    level_db : float or "none"
        Echo power relative to blood; "none" for vessels in water.
    wall_db, wall_thickness_m : float
        How much brighter than tissue the walls are, and how thick.
    motion : {"none", "sinusoidal", "pulse"}
        Everything, vessels included, is moved back and forth once per cycle: as a sine, or as the carotid's pulse.
    motion_m : (x, z)
        Displacement at the largest value of that waveform.
    attenuation_db_cm_mhz : float
    """

    level_db: float | Literal["none"] = 35.0
    wall_db: float = 8.0
    wall_thickness_m: float = 0.4e-3
    motion: Literal["none", "sinusoidal", "pulse"] = "none"
    motion_m: Point = (0.0, 0.3e-3)
    attenuation_db_cm_mhz: float = 0.5

    def __post_init__(self) -> None:
        if not isinstance(self.level_db, str):
            within("tissue", level_db=(self.level_db, -20, 80))
        within(
            "tissue",
            wall_db=(self.wall_db, -40, 40),
            attenuation_db_cm_mhz=(self.attenuation_db_cm_mhz, 0, 3),
            wall_thickness_m=(self.wall_thickness_m, 0, 5e-3),
            motion_m_x=(self.motion_m[0], -5e-3, 5e-3),
            motion_m_z=(self.motion_m[1], -5e-3, 5e-3),
        )


@dataclass(frozen=True, slots=True)
class Dropout:
    """A place from which less signal comes: an ellipse with a soft edge."""

    center_m: Point
    semi_axes_m: Point
    loss_db: float = 20.0

    def __post_init__(self) -> None:
        across, down = self.semi_axes_m
        within(
            "dropout", semi_axis_x_m=(across, 1e-5, 1), semi_axis_z_m=(down, 1e-5, 1), loss_db=(self.loss_db, 0, 100),
            x_m=(self.center_m[0], -FARTHEST_M, FARTHEST_M), z_m=(self.center_m[1], -FARTHEST_M, FARTHEST_M),
        )


@dataclass(frozen=True, slots=True)
class Scene:
    """Vessels in tissue.

    Parameters
    ----------
    name : str
    vessels : tuple
        Of `Tube`, `Bifurcation`, `Chamber`, `Disk`; they must not overlap.
    peak : float or str
        In m/s: the largest speed in the field of view over the cycle. As in "2.5vN": the largest velocity that an
        estimator should see, in multiples of the Nyquist velocity. For a vessel with a share of 1.
    cycle_s : float
        Cardiac cycle.
    tissue : Tissue
    dropouts : tuple of Dropout
    """

    name: str
    vessels: tuple[Vessel, ...]
    peak: float | str = "0.8vN"
    cycle_s: float = 0.9
    tissue: Tissue = field(default_factory=Tissue)
    dropouts: tuple[Dropout, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= len(self.vessels) <= MOST_VESSELS or len(self.dropouts) > MOST_DROPOUTS:
            raise TrueflowError(
                "no vessels, or too many", where=f"scene {self.name[:40]}",
                found=f"{len(self.vessels)} vessels, {len(self.dropouts)} dropouts",
                expected=f"1 to {MOST_VESSELS} vessels, up to {MOST_DROPOUTS} dropouts",
            )
        within("scene", cycle_s=(self.cycle_s, 0.05, 10))
        speed_m_s(self.peak, 1.0)

    def to_toml(self) -> str:
        """TOML that `from_toml` reads back to an equal scene."""
        return tomli_w.dumps(to_table(self))

    @classmethod
    def from_toml(cls, text: str, *, where: str = "scene") -> Scene:
        """A scene from TOML; see `to_toml` of a named one for an example."""
        return from_table(cls, parse_toml(text, where=where), where=where)

    @classmethod
    def load(cls, path: str | Path) -> Scene:
        """A scene from a TOML file."""
        return from_table(cls, read_toml(path), where=str(path))
