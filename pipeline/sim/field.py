"""What is where in a scene, how fast and how bright, at any time: everything that does not depend on the imaging."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.sim.scene import Dropout, Scene
from trueflow.pipeline.sim.stream import Patch, View, make_patch
from trueflow.pipeline.sim.waveforms import waveform

__all__ = ["Gauge", "SceneField"]

Array = NDArray[np.float64]
Gauge = Callable[[Array, Array], tuple[Array, Array]]  # (x, z) -> direction along which velocity is measured there

FAR_OUTSIDE_M = -1.0
N_PHASES = 32  # of a cycle, to find its fastest moment


class SceneField:
    """A scene at work.

    Positions are those of the laboratory (the probe's). What is called `rest` belongs to the scene before the tissue's
    motion, which shifts everything alike.

    Parameters
    ----------
    scene : Scene
    view : View
        What is imaged.
    margin_m : float
        How far around the view flow is known.
    peak_m_s : float
        The scene's peak.
    gauge : callable, optional
        What it is the largest magnitude of in the view over a cycle: the velocity along a direction that may not be of
        unit length, NaN where nothing is seen. Default: the speed.

    Raises
    ------
    TrueflowError
        No vessel in view; a vessel that shows nothing of what the peak is given in; vessels that overlap.
    """

    def __init__(
        self, scene: Scene, view: View, *, margin_m: float, peak_m_s: float, gauge: Gauge | None = None
    ) -> None:
        self.scene, self.view = scene, view
        self._pulse = waveform("carotid" if scene.tissue.motion == "pulse" else "sinusoidal", cycle_s=scene.cycle_s)
        self.patches: list[Patch] = []
        around = view.grown(margin_m)
        for number, vessel in enumerate(scene.vessels):
            patch = make_patch(vessel, around, cycle_s=scene.cycle_s)
            if patch is None:
                continue
            largest = _largest(patch, view, gauge, scene.cycle_s)
            where = f"scene {scene.name}, vessel {number}"
            if largest is None:
                continue
            if not largest > 0:
                raise TrueflowError("shows no velocity", where=where, advice="is its flow across the beams throughout?")
            patch.scale = peak_m_s * vessel.flow.share / largest
            self.patches.append(patch)
        if not self.patches:
            raise TrueflowError("no vessel in the field of view", where=f"scene {scene.name}", found=view)
        self._refuse_overlap()

    @property
    def top_speed_m_s(self) -> float:
        """The largest speed anywhere in it over the cycle."""
        return max(
            float(np.max(np.hypot(*patch.velocity_m_s(t))[patch.inside_m > 0]))
            for patch in self.patches
            for t in _phases(patch, self.scene.cycle_s)
        )

    def inside_m(self, x_m: Array, z_m: Array) -> Array:
        """Distance from the nearest wall at rest positions, positive inside a lumen."""
        best = np.full(np.shape(x_m), FAR_OUTSIDE_M)
        for patch in self.patches:
            best = np.maximum(best, patch.at(patch.inside_m, x_m, z_m, outside=FAR_OUTSIDE_M))
        return best

    def shift_m(self, time_s: float) -> tuple[float, float]:
        """How far the tissue's motion has moved everything."""
        return self._moved(float(self._pulse(time_s)))

    def shift_velocity_m_s(self, time_s: float) -> tuple[float, float]:
        """The velocity of that motion."""
        return self._moved(float(self._pulse.rate(time_s)))

    def _moved(self, amount: float) -> tuple[float, float]:
        tissue = self.scene.tissue
        if tissue.motion == "none":
            return 0.0, 0.0
        return tissue.motion_m[0] * amount, tissue.motion_m[1] * amount

    def velocity_m_s(self, x_m: Array, z_m: Array, time_s: float) -> tuple[Array, Array, Array]:
        """Velocity of what is at laboratory positions, and its distance inside a lumen (below 0: tissue)."""
        dx, dz = self.shift_m(time_s)
        v_x, v_z = (np.full(np.shape(x_m), v) for v in self.shift_velocity_m_s(time_s))
        rest_x, rest_z = x_m - dx, z_m - dz
        depth = np.full(np.shape(x_m), FAR_OUTSIDE_M)
        for patch in self.patches:
            inside = patch.at(patch.inside_m, rest_x, rest_z, outside=FAR_OUTSIDE_M)
            blood = inside > 0
            field_x, field_z = patch.velocity_m_s(time_s)
            v_x[blood] += patch.at(field_x, rest_x[blood], rest_z[blood], outside=0.0)
            v_z[blood] += patch.at(field_z, rest_x[blood], rest_z[blood], outside=0.0)
            depth = np.maximum(depth, inside)
        return v_x, v_z, depth

    def brightness(self, x_m: Array, z_m: Array) -> Array:
        """Amplitude of echoes at rest positions, relative to blood: tissue, its bright walls, dropouts.

        0 for tissue where there is none.
        """
        tissue = self.scene.tissue
        depth = self.inside_m(x_m, z_m)
        level = 0.0 if isinstance(tissue.level_db, str) else 10 ** (tissue.level_db / 20)
        in_wall = (depth <= 0) & (depth > -tissue.wall_thickness_m)
        around = np.where(in_wall, level * 10 ** (tissue.wall_db / 20), level)
        return np.where(depth > 0, 1.0, around) * self.transmission(x_m, z_m)

    def transmission(self, x_m: Array, z_m: Array) -> Array:
        """What the dropouts leave of an amplitude."""
        product = np.ones(np.shape(x_m))
        for dropout in self.scene.dropouts:
            product *= _left_by(dropout, x_m, z_m)
        return product

    def _refuse_overlap(self) -> None:
        for first, one in enumerate(self.patches):
            for other in self.patches[first + 1 :]:
                inside = other.at(other.inside_m, one.x_m, one.z_m, outside=FAR_OUTSIDE_M)
                both = (one.inside_m > 0) & (inside > 0) & self.view.contains(one.x_m, one.z_m)
                if both.any():
                    found = f"at x {one.x_m[both][0] * 1e3:.1f} mm, z {one.z_m[both][0] * 1e3:.1f} mm"
                    raise TrueflowError("vessels overlap", where=f"scene {self.scene.name}", found=found)


def _phases(patch: Patch, cycle_s: float) -> Array:
    if all(a.harmonics.size == 1 for a in patch.amplitudes):
        return np.zeros(1)
    total = sum(np.abs(a(np.arange(512) / 512 * cycle_s)) for a in patch.amplitudes)
    fastest = float(np.argmax(total)) / 512 * cycle_s
    return np.append(np.arange(N_PHASES) / N_PHASES * cycle_s, fastest)


def _largest(patch: Patch, view: View, gauge: Gauge | None, cycle_s: float) -> float | None:
    """The largest magnitude in the view over a cycle, None where the vessel does not show in it."""
    shown = (patch.inside_m > 0) & view.contains(patch.x_m, patch.z_m)
    if not shown.any():
        return None
    along = None if gauge is None else gauge(patch.x_m[shown], patch.z_m[shown])
    largest = 0.0
    for time_s in _phases(patch, cycle_s):
        v_x, v_z = (component[shown] for component in patch.velocity_m_s(float(time_s)))
        seen = np.hypot(v_x, v_z) if along is None else np.abs(v_x * along[0] + v_z * along[1])
        largest = max(largest, float(np.nanmax(np.append(seen, 0.0))))
    return largest


def _left_by(dropout: Dropout, x_m: Array, z_m: Array) -> Array:
    (x, z), (a, b) = dropout.center_m, dropout.semi_axes_m
    radius = np.hypot((x_m - x) / a, (z_m - z) / b)
    edge = np.clip((radius - 0.7) / 0.6, 0, 1)
    return np.asarray(10 ** (-dropout.loss_db / 20 * np.cos(np.pi / 2 * edge) ** 2))
