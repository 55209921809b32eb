"""Vessels as data: shapes in metres in the imaging plane, and how they are perfused.

Vessels go on straight beyond their first and last point. Flow is driven by the scene's peak times each vessel's
`share`; a share below 0 flows against the order of the points.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.sim.profiles import ProfileName
from trueflow.pipeline.sim.waveforms import WaveformName

__all__ = ["Bifurcation", "Bulb", "Chamber", "Disk", "Flow", "Point", "Stenosis", "Tube", "Vessel", "within"]

Point = tuple[float, float]  # x, z (m)
MOST_POINTS = 256
FARTHEST_M = 1.0


def within(owner: str, **limits: tuple[float, float, float]) -> None:
    """Raise a `TrueflowError` for the first of (value, low, high) that is out of range."""
    for name, (value, low, high) in limits.items():
        if not low <= value <= high:
            raise TrueflowError("out of range", where=f"{owner}.{name}", found=value, expected=f"{low:g} to {high:g}")


@dataclass(frozen=True, slots=True)
class Flow:
    """How a vessel is perfused.

    Parameters
    ----------
    share : float
        Of the scene's peak; below 0: against the order of the points.
    profile : {"parabolic", "plug", "womersley"}
    exponent : float
        Of a plug: 1 - |r/R|^n.
    alpha : float
        Womersley number of the first harmonic.
    waveform : {"constant", "femoral", "carotid", "venous", "sinusoidal"}
    delay : float
        In cycles.
    """

    share: float = 1.0
    profile: ProfileName = "parabolic"
    exponent: float = 8.0
    alpha: float = 5.0
    waveform: WaveformName = "constant"
    delay: float = 0.0

    def __post_init__(self) -> None:
        limits = {"share": (self.share, -100, 100), "exponent": (self.exponent, 1.5, 40)}
        within("flow", **limits, alpha=(self.alpha, 0, 40), delay=(self.delay, -10, 10))


@dataclass(frozen=True, slots=True)
class Stenosis:
    """A narrowing with a jet and recirculation behind it.

    Parameters
    ----------
    at : float
        Its middle, as part of the length between first and last point.
    severity : float
        Lost part of the diameter.
    length_m : float
        Between the points where it is half as narrow.
    jet_length_m : float
        Over which the jet fills the lumen again.
    jet_offset : float
        Axis of the jet relative to the radius, -1 to 1.
    reverse : float
        Backward flow beside the jet, relative to it.
    """

    at: float = 0.4
    severity: float = 0.5
    length_m: float = 6e-3
    jet_length_m: float = 12e-3
    jet_offset: float = 0.0
    reverse: float = 0.15

    def __post_init__(self) -> None:
        within(
            "stenosis",
            at=(self.at, 0, 1),
            severity=(self.severity, 0, 0.9),
            reverse=(self.reverse, 0, 0.9),
            jet_offset=(self.jet_offset, -0.7, 0.7),
            length_m=(self.length_m, 1e-4, 0.1),
            jet_length_m=(self.jet_length_m, 1e-4, 1),
        )


@dataclass(frozen=True, slots=True)
class Bulb:
    """A widening on one side, with a vortex in it.

    Parameters
    ----------
    at, length_m : float
        As of a stenosis.
    depth : float
        How far the wall gives way, relative to the radius.
    side : {"near", "far"}
        The wall at smaller or greater depth, for points that run along +x.
    reverse : float
        Backward flow in the bulb, relative to the forward flow beside it.
    """

    at: float = 0.5
    length_m: float = 9e-3
    depth: float = 0.8
    side: Literal["near", "far"] = "far"
    reverse: float = 0.35

    def __post_init__(self) -> None:
        within(
            "bulb",
            at=(self.at, 0, 1),
            depth=(self.depth, 0, 2),
            reverse=(self.reverse, 0, 0.9),
            length_m=(self.length_m, 1e-4, 0.1),
        )


@dataclass(frozen=True, slots=True)
class Tube:
    """A vessel around a smooth curve through points; one radius, or one per point."""

    kind: ClassVar[str] = "tube"
    points_m: tuple[Point, ...]
    radius_m: float | tuple[float, ...] = 3e-3
    flow: Flow = field(default_factory=Flow)
    stenosis: Stenosis | None = None
    bulb: Bulb | None = None

    def __post_init__(self) -> None:
        _check_path("tube", self.points_m, self.radius_m)


@dataclass(frozen=True, slots=True)
class Bifurcation:
    """A vessel that divides smoothly in two.

    Parameters
    ----------
    parent_m : tuple of (x, z)
        Ends where it divides.
    near_m, far_m : tuple of (x, z)
        The daughters beyond that point; seen along the parent (running along +x), near has the smaller depth.
    parent_radius_m, near_radius_m, far_radius_m : float
    near_share : float
        Part of the flow that takes the near daughter.
    """

    kind: ClassVar[str] = "bifurcation"
    parent_m: tuple[Point, ...]
    near_m: tuple[Point, ...]
    far_m: tuple[Point, ...]
    parent_radius_m: float = 4e-3
    near_radius_m: float = 2.8e-3
    far_radius_m: float = 2.8e-3
    near_share: float = 0.5
    flow: Flow = field(default_factory=Flow)

    def __post_init__(self) -> None:
        if len(self.parent_m) < 2 or not self.near_m or not self.far_m:
            found = f"{len(self.parent_m)}, {len(self.near_m)} and {len(self.far_m)} points"
            expected = "two points of the parent, one of each daughter"
            raise TrueflowError("not a path", where="bifurcation", found=found, expected=expected)
        _check_path("bifurcation", (*self.parent_m, *self.near_m), self.near_radius_m)
        _check_path("bifurcation", (*self.parent_m, *self.far_m), self.far_radius_m)
        within(
            "bifurcation", parent_radius_m=(self.parent_radius_m, 1e-4, 0.1), near_share=(self.near_share, 0.05, 0.95)
        )


@dataclass(frozen=True, slots=True)
class Chamber:
    """A ventricle seen from its base: inflow jet on the -x side, a turn at the apex, outflow on the +x side, a vortex.

    Parameters
    ----------
    base_m : (x, z)
        Middle of the base.
    length_m, width_m : float
        From base to apex, and the largest width.
    opening : float
        Width of the two openings together, relative to the chamber's.
    vortex : float
        Backward flow in the vortex relative to the inflow.
    """

    kind: ClassVar[str] = "chamber"
    base_m: Point
    length_m: float
    width_m: float
    opening: float = 0.7
    vortex: float = 0.4
    flow: Flow = field(default_factory=Flow)

    def __post_init__(self) -> None:
        within(
            "chamber",
            length_m=(self.length_m, 1e-3, 0.3),
            width_m=(self.width_m, 1e-3, 0.3),
            opening=(self.opening, 0.3, 0.95),
            vortex=(self.vortex, 0, 0.9),
        )
        _check_point("chamber", self.base_m)


@dataclass(frozen=True, slots=True)
class Disk:
    """A solid disk full of scatterers that turns about its center, anticlockwise on the screen for a share above 0."""

    kind: ClassVar[str] = "disk"
    center_m: Point
    radius_m: float
    flow: Flow = field(default_factory=Flow)

    def __post_init__(self) -> None:
        within("disk", radius_m=(self.radius_m, 1e-4, 0.3))
        _check_point("disk", self.center_m)


Vessel = Tube | Bifurcation | Chamber | Disk


def _check_point(owner: str, point_m: Point) -> None:
    within(owner, x_m=(point_m[0], -FARTHEST_M, FARTHEST_M), z_m=(point_m[1], -FARTHEST_M, FARTHEST_M))


def _check_path(owner: str, points_m: tuple[Point, ...], radius_m: float | tuple[float, ...]) -> None:
    if len(points_m) > MOST_POINTS:
        raise TrueflowError("too many points", where=owner, found=len(points_m), expected=f"<= {MOST_POINTS}")
    for point in points_m:
        _check_point(owner, point)
    if len(points_m) < 2 or (np.hypot(*np.diff(points_m, axis=0).T) < 1e-6).any():
        raise TrueflowError("not a path", where=f"{owner} points", found=points_m, expected="two or more points apart")
    radii = radius_m if isinstance(radius_m, tuple) else (radius_m,)
    if len(radii) not in (1, len(points_m)) or not all(1e-4 <= r <= 0.5 for r in radii):
        expected = "one radius, or one per point; 0.1 to 500 mm"
        raise TrueflowError("does not fit", where=f"{owner} radius_m", found=radius_m, expected=expected)
