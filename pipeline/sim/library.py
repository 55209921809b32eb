"""Named scenes, in proportion to the field of view: `sim://NAME`."""

from __future__ import annotations

from collections.abc import Callable

from trueflow.pipeline.registry import Registry
from trueflow.pipeline.sim.scene import Dropout, Scene, Tissue
from trueflow.pipeline.sim.stream import View
from trueflow.pipeline.sim.vessels import Bifurcation, Bulb, Chamber, Disk, Flow, Point, Stenosis, Tube

__all__ = ["SCENES", "make_scene"]

SCENES: Registry[Callable[[_Frame], Scene]] = Registry("scene")


def make_scene(name: str, view: View) -> Scene:
    """A named scene, fitted to a field of view.

    Raises
    ------
    TrueflowError
        Unknown name; the nearest one is told.
    """
    return SCENES[name](_Frame(view))


class _Frame:
    """Positions as parts of the view's width (-0.5 to 0.5) and depth (0 to 1), lengths as parts of its depth."""

    def __init__(self, view: View) -> None:
        self._width = view.x_max_m - view.x_min_m
        self._middle = (view.x_max_m + view.x_min_m) / 2
        self.depth = view.z_max_m

    def at(self, x: float, z: float) -> Point:
        return round(self._middle + x * self._width, 6), round(z * self.depth, 6)

    def path(self, *points: tuple[float, float]) -> tuple[Point, ...]:
        return tuple(self.at(*point) for point in points)

    def long(self, part: float) -> float:
        return round(part * self.depth, 6)


@SCENES.register("straight")
def _straight(f: _Frame) -> Scene:
    return Scene("straight", (Tube(f.path((-0.55, 0.72), (0.55, 0.3)), f.long(0.1)),), tissue=Tissue(level_db=30.0))


@SCENES.register("plug")
def _plug(f: _Frame) -> Scene:
    flow = Flow(profile="plug", exponent=9.0)
    return Scene("plug", (Tube(f.path((-0.55, 0.3), (0.55, 0.7)), f.long(0.1), flow),), peak="1.8vN")


@SCENES.register("narrow")
def _narrow(f: _Frame) -> Scene:
    curve = f.path((-0.55, 0.42), (-0.2, 0.55), (0.15, 0.45), (0.55, 0.6))
    return Scene("narrow", (Tube(curve, f.long(0.025)),), peak="1.5vN")


@SCENES.register("curved")
def _curved(f: _Frame) -> Scene:
    arch = f.path((-0.55, 0.85), (-0.3, 0.55), (0.0, 0.4), (0.3, 0.55), (0.55, 0.85))
    return Scene("curved", (Tube(arch, f.long(0.085), Flow(waveform="carotid", profile="womersley")),), peak="2.0vN")


@SCENES.register("bifurcation")
def _bifurcation(f: _Frame) -> Scene:
    fork = Bifurcation(
        f.path((-0.6, 0.5), (-0.3, 0.5), (-0.08, 0.5)),
        f.path((0.12, 0.4), (0.35, 0.26), (0.6, 0.12)),
        f.path((0.12, 0.6), (0.35, 0.74), (0.6, 0.88)),
        f.long(0.1),
        f.long(0.07),
        f.long(0.07),
    )
    return Scene("bifurcation", (fork,), peak="1.8vN")


@SCENES.register("femoral")
def _femoral(f: _Frame) -> Scene:
    """The common femoral artery divides; the vein runs back below it."""
    artery = Bifurcation(
        f.path((-0.6, 0.22), (-0.35, 0.31), (-0.1, 0.4)),
        f.path((0.12, 0.41), (0.35, 0.33), (0.6, 0.2)),
        f.path((0.12, 0.54), (0.35, 0.72), (0.6, 0.92)),
        f.long(0.095),
        f.long(0.065),
        f.long(0.065),
        near_share=0.5,
        flow=Flow(profile="womersley", alpha=5.0, waveform="femoral"),
    )
    vein = Tube(
        f.path((-0.6, 0.57), (-0.35, 0.66), (-0.1, 0.77), (0.15, 0.91), (0.4, 1.1)),
        f.long(0.075),
        Flow(share=-0.35, waveform="venous"),
    )
    return Scene("femoral", (artery, vein), peak="2.5vN", tissue=Tissue(motion="pulse", motion_m=(0.0, 0.15e-3)))


@SCENES.register("carotid")
def _carotid(f: _Frame) -> Scene:
    """A carotid with its bulb; the jugular vein runs the other way above it."""
    artery = Tube(
        f.path((-0.6, 0.45), (-0.2, 0.53), (0.2, 0.63), (0.6, 0.75)),
        f.long(0.075),
        Flow(profile="womersley", alpha=6.0, waveform="carotid"),
        bulb=Bulb(0.55, f.long(0.22), 0.7, "far", 0.6),
    )
    vein = Tube(f.path((-0.6, 0.19), (0.6, 0.4)), f.long(0.08), Flow(share=-0.3, waveform="venous"))
    motion = Tissue(motion="pulse", motion_m=(0.02e-3, 0.1e-3))
    return Scene("carotid", (artery, vein), peak="2.0vN", cycle_s=0.85, tissue=motion)


@SCENES.register("stenosis")
def _stenosis(f: _Frame) -> Scene:
    narrowing = Stenosis(0.38, 0.6, f.long(0.16), f.long(0.35), 0.15, 0.35)
    tube = Tube(f.path((-0.6, 0.32), (0.6, 0.68)), f.long(0.095), Flow(waveform="carotid"), stenosis=narrowing)
    shadow = Dropout(f.at(-0.15, 0.62), (f.long(0.04), f.long(0.1)), 15.0)
    return Scene("stenosis", (tube,), peak="2.5vN", dropouts=(shadow,))


@SCENES.register("bulb")
def _bulb(f: _Frame) -> Scene:
    tube = Tube(f.path((-0.6, 0.35), (0.6, 0.6)), f.long(0.085), bulb=Bulb(0.5, f.long(0.25), 0.9, "far", 0.8))
    return Scene("bulb", (tube,), peak="1.5vN")


@SCENES.register("opposed")
def _opposed(f: _Frame) -> Scene:
    """Artery and vein side by side, 0.8 mm apart at 40 mm depth: a few pixels."""
    artery = Tube(f.path((-0.6, 0.27), (0.6, 0.59)), f.long(0.08), Flow(waveform="femoral"))
    vein = Tube(f.path((-0.6, 0.455), (0.6, 0.775)), f.long(0.08), Flow(share=-0.6, waveform="venous"))
    return Scene("opposed", (artery, vein), peak="2.0vN")


@SCENES.register("chamber")
def _chamber(f: _Frame) -> Scene:
    ventricle = Chamber(f.at(0.0, 0.2), f.long(0.72), f.long(0.62), flow=Flow(waveform="carotid"))
    return Scene("chamber", (ventricle,), peak="1.8vN", tissue=Tissue(motion="sinusoidal", motion_m=(0.0, 0.4e-3)))


@SCENES.register("cropped")
def _cropped(f: _Frame) -> Scene:
    """A vessel larger than the field of view: no wall, no border without aliasing."""
    return Scene("cropped", (Tube(f.path((-0.6, 0.2), (0.6, 0.85)), f.long(0.95)),), peak="2.5vN")


@SCENES.register("disk")
def _disk(f: _Frame) -> Scene:
    """A spinning disk in water: solid, so nothing but its turning moves it."""
    return Scene("disk", (Disk(f.at(0.0, 0.55), f.long(0.27)),), peak="2.5vN", tissue=Tissue(level_db="none"))
