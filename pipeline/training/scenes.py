"""Scenes drawn at random: the library's families, turned, shifted, scaled and perfused in other ways."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np

from trueflow.pipeline.sim.library import make_scene
from trueflow.pipeline.sim.scene import Dropout, Scene
from trueflow.pipeline.sim.stream import View
from trueflow.pipeline.sim.vessels import Bifurcation, Chamber, Disk, Flow, Point, Tube, Vessel

__all__ = ["HELD_OUT", "TRAINED", "random_scene"]

TRAINED = (
    "straight", "plug", "narrow", "curved", "bifurcation", "carotid", "stenosis", "chamber", "cropped", "disk",
)  # fmt: skip
HELD_OUT = ("bulb", "opposed", "femoral")  # no training, no choice of a model: only the test

WAVEFORMS = ("constant", "constant", "femoral", "carotid", "venous", "sinusoidal")
PROFILES = ("parabolic", "parabolic", "plug", "womersley")

V = TypeVar("V", Tube, Bifurcation)


class _Move:
    """A rotation about the middle of the view, a scale, a shift, and a jitter of each point."""

    def __init__(self, view: View, random: np.random.Generator) -> None:
        self._random, self._depth_m = random, view.z_max_m
        self._center = np.array([(view.x_min_m + view.x_max_m) / 2, view.z_max_m / 2])
        self.scale = float(random.uniform(0.7, 1.25))
        angle = np.deg2rad(random.normal(0.0, 14.0))
        cosine, sine = np.cos(angle), np.sin(angle)
        self._matrix = self.scale * np.array([[cosine, -sine], [sine, cosine]])
        self._shift = random.uniform(-0.13, 0.13, 2) * self._depth_m

    def point(self, point: Point, jitter: float = 0.0) -> Point:
        """Where a point goes; the jitter is a part of the depth."""
        moved = self._matrix @ (np.asarray(point) - self._center) + self._center + self._shift
        x, z = moved + self._random.normal(0.0, jitter * self._depth_m, 2)
        return float(x), float(z)

    def path(self, points: tuple[Point, ...]) -> tuple[Point, ...]:
        """Where a vessel's points go."""
        return tuple(self.point(point, 0.015) for point in points)

    def long(self, length_m: float, spread: float = 1.25) -> float:
        """A length, scaled with the rest and by a factor of its own."""
        return float(self.scale * length_m * np.exp(self._random.uniform(-1, 1) * np.log(spread)))


def random_scene(family: str, view: View, random: np.random.Generator) -> Scene:
    """A scene of a family of the library; its vessels may overlap, which the simulation refuses.

    Parameters
    ----------
    family : str
    view : View
    random : numpy Generator
    """
    scene = make_scene(family, view)
    move = _Move(view, random)
    tissue = replace(
        scene.tissue,
        level_db=scene.tissue.level_db if scene.tissue.level_db == "none" else float(random.uniform(15.0, 42.0)),
        motion=str(random.choice(["none", "sinusoidal", "pulse"])),  # type: ignore[arg-type]
        motion_m=(float(random.normal(0, 0.03e-3)), float(random.uniform(0.05e-3, 0.4e-3))),
    )
    return replace(
        scene,
        vessels=tuple(_vessel(vessel, move, random) for vessel in scene.vessels),
        tissue=tissue,
        cycle_s=float(random.uniform(0.6, 1.1)),
        dropouts=scene.dropouts + _dropouts(view, random),
    )


def _dropouts(view: View, random: np.random.Generator) -> tuple[Dropout, ...]:
    if random.random() > 0.3:
        return ()
    x = float(random.uniform(view.x_min_m, view.x_max_m))
    z = float(random.uniform(0.2, 0.9) * view.z_max_m)
    semi_axes = float(random.uniform(0.01, 0.08) * view.z_max_m), float(random.uniform(0.02, 0.12) * view.z_max_m)
    return (Dropout((x, z), semi_axes, float(random.uniform(6.0, 25.0))),)


def _flow(flow: Flow, random: np.random.Generator, *, keep_profile: bool) -> Flow:
    changed = replace(
        flow,
        share=float(flow.share * (1.0 if flow.share == 1.0 else random.uniform(0.5, 1.6))),
        waveform=str(random.choice(WAVEFORMS)),  # type: ignore[arg-type]
        delay=float(random.random()),
    )
    if keep_profile:
        return changed
    profile = str(random.choice(PROFILES))
    return replace(
        changed,
        profile=profile,  # type: ignore[arg-type]
        exponent=float(random.uniform(3.0, 14.0)),
        alpha=float(random.uniform(2.0, 9.0)),
    )


def _vessel(vessel: Vessel, move: _Move, random: np.random.Generator) -> Vessel:
    if isinstance(vessel, Chamber):
        return replace(
            vessel,
            base_m=move.point(vessel.base_m),
            length_m=move.long(vessel.length_m),
            width_m=move.long(vessel.width_m),
            opening=float(random.uniform(0.5, 0.85)),
            vortex=float(random.uniform(0.1, 0.6)),
            flow=_flow(vessel.flow, random, keep_profile=True),
        )
    if isinstance(vessel, Disk):
        flow = replace(vessel.flow, share=float(random.choice([-1.0, 1.0])))
        return replace(
            vessel, center_m=move.point(vessel.center_m), radius_m=move.long(vessel.radius_m, 1.4), flow=flow
        )
    flow = _flow(vessel.flow, random, keep_profile=vessel.flow.profile == "plug")
    if isinstance(vessel, Bifurcation):
        return replace(
            vessel,
            parent_m=move.path(vessel.parent_m),
            near_m=move.path(vessel.near_m),
            far_m=move.path(vessel.far_m),
            parent_radius_m=move.long(vessel.parent_radius_m),
            near_radius_m=move.long(vessel.near_radius_m),
            far_radius_m=move.long(vessel.far_radius_m),
            near_share=float(random.uniform(0.3, 0.7)),
            flow=flow,
        )
    return _tube(replace(vessel, flow=flow), move, random)


def _tube(tube: Tube, move: _Move, random: np.random.Generator) -> Tube:
    radius = tube.radius_m if isinstance(tube.radius_m, tuple) else (tube.radius_m,)
    factor = move.long(1.0, 1.5)
    tapered = tuple(r * factor for r in radius)
    stenosis, bulb = tube.stenosis, tube.bulb
    if stenosis is not None:
        stenosis = replace(
            stenosis,
            at=float(random.uniform(0.25, 0.6)),
            severity=float(random.uniform(0.3, 0.75)),
            length_m=move.long(stenosis.length_m, 1.5),
            jet_length_m=move.long(stenosis.jet_length_m, 1.5),
            jet_offset=float(random.uniform(-0.4, 0.4)),
            reverse=float(random.uniform(0.0, 0.5)),
        )
    if bulb is not None:
        bulb = replace(
            bulb,
            at=float(random.uniform(0.35, 0.65)),
            length_m=move.long(bulb.length_m, 1.3),
            depth=float(random.uniform(0.4, 0.9)),
            reverse=float(random.uniform(0.2, 0.7)),
        )
    return replace(
        tube,
        points_m=move.path(tube.points_m),
        radius_m=tapered[0] if len(tapered) == 1 else tapered,
        stenosis=stenosis,
        bulb=bulb,
    )
