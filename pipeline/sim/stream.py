"""Flow in one vessel from a stream function, so that nothing is created in it and nothing leaves through its walls.

psi is constant on each wall; v = (d psi / dz, -d psi / dx). Between two walls at distances d_i and d_j,

    psi_ij = psi_i + (psi_j - psi_i) S(d_i / (d_i + d_j))

with S the running integral of the velocity profile, which is exact in a straight tube, and as S is flat at its ends
the velocity is 0 at the wall. (In a tube, distances are measured across its center line.) Where there are more walls,
psi = sum W_ij psi_ij with W_ij ~ (d_i d_j)^-3: the pair of nearest walls prevails, and in the middle of a junction
they blend.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.sim.profiles import Mode, Profile, jet, modes
from trueflow.pipeline.sim.shapes import Path, Wall, bifurcation_walls, chamber_walls, tube_path, tube_walls
from trueflow.pipeline.sim.smooth import smooth_step
from trueflow.pipeline.sim.vessels import Bifurcation, Chamber, Disk, Tube, Vessel
from trueflow.pipeline.sim.waveforms import Waveform, waveform

__all__ = ["Patch", "View", "make_patch"]

Array = NDArray[np.float64]

SAMPLES_PER_RADIUS = 16  # second differences of psi then err by less than 0.1 % of the peak velocity
STEP_M = (0.03e-3, 0.25e-3)
NEAREST_WALL_M = 1e-9


@dataclass(frozen=True, slots=True)
class View:
    """A rectangle (m)."""

    x_min_m: float
    x_max_m: float
    z_min_m: float
    z_max_m: float

    def grown(self, margin_m: float) -> View:
        """The same with a margin on all sides."""
        return View(self.x_min_m - margin_m, self.x_max_m + margin_m, self.z_min_m - margin_m, self.z_max_m + margin_m)

    def contains(self, x_m: Array, z_m: Array) -> NDArray[np.bool_]:
        """Which points lie in it."""
        inside = (x_m >= self.x_min_m) & (x_m <= self.x_max_m) & (z_m >= self.z_min_m) & (z_m <= self.z_max_m)
        return np.asarray(inside)

    @property
    def area_m2(self) -> float:
        """Its area."""
        return (self.x_max_m - self.x_min_m) * (self.z_max_m - self.z_min_m)

    def points(self, step_m: float) -> tuple[Array, Array]:
        """(n_z, n_x) positions on a grid from its corner at smallest x and z."""
        x = np.arange(self.x_min_m, self.x_max_m + step_m, step_m)
        z = np.arange(self.z_min_m, self.z_max_m + step_m, step_m)
        grid_z, grid_x = np.meshgrid(z, x, indexing="ij")
        return grid_x, grid_z


@dataclass(slots=True, eq=False)
class Patch:
    """One vessel on a grid of its own.

    Parameters
    ----------
    x_m, z_m : (n_z, n_x) float64
    step_m : float
    inside_m : (n_z, n_x) float32
        Distance from the wall, positive in the lumen.
    stream : list of (n_z, n_x) complex64
        Stream function of each mode.
    amplitudes : list of Waveform
        Of each mode.
    scale : float
        From the stream functions' own units to m^2/s.
    """

    x_m: Array
    z_m: Array
    step_m: float
    inside_m: NDArray[np.float32]
    stream: list[NDArray[np.complex64]]
    amplitudes: list[Waveform]
    scale: float = 1.0

    def velocity_m_s(self, time_s: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """v_x and v_z on the grid; what they are outside the lumen means nothing."""
        psi = np.zeros(self.x_m.shape, np.float32)
        for stream, amplitude in zip(self.stream, self.amplitudes, strict=True):
            a = self.scale * complex(amplitude.parts(time_s).sum())
            psi += np.float32(a.real) * stream.real - np.float32(a.imag) * stream.imag
        by_z, by_x = np.gradient(psi, np.float32(self.step_m))
        return by_z, -by_x

    def at(self, values: NDArray[np.float32], x_m: Array, z_m: Array, *, outside: float) -> Array:
        """Bilinear interpolation of values on the grid; `outside` beyond it."""
        n_z, n_x = self.x_m.shape
        u, w = (x_m - self.x_m[0, 0]) / self.step_m, (z_m - self.z_m[0, 0]) / self.step_m
        valid = (u >= 0) & (u <= n_x - 1) & (w >= 0) & (w <= n_z - 1)
        i = np.clip(u.astype(np.int64), 0, n_x - 2)
        j = np.clip(w.astype(np.int64), 0, n_z - 2)
        u, w = u - i, w - j
        corner = j * n_x + i
        flat = values.ravel()
        top = flat[corner] * (1 - u) + flat[corner + 1] * u
        bottom = flat[corner + n_x] * (1 - u) + flat[corner + n_x + 1] * u
        return np.where(valid, top * (1 - w) + bottom * w, outside)


@dataclass(frozen=True, slots=True)
class _Course:
    """Where the profile is not that of the tube: a weight at each point, and the profile there."""

    weight: Callable[[Array, Array], Array]
    profile: Profile


@dataclass(frozen=True, slots=True)
class _Outline:
    """A vessel's walls, how far it is to each (0 or less outside), what disturbs the profile, the smallest radius."""

    walls: list[Wall]
    reach_m: Callable[[Array, Array], list[Array]]
    courses: list[_Course]
    least_radius_m: float


def make_patch(vessel: Vessel, view: View, *, cycle_s: float) -> Patch | None:
    """The vessel within a view, or None where it does not show."""
    drive = waveform(vessel.flow.waveform, cycle_s=cycle_s, delay=vessel.flow.delay)
    if isinstance(vessel, Disk):
        return _disk_patch(vessel, view, drive)
    outline = _outline(vessel)
    walls = outline.walls
    coarse_x, coarse_z = view.points(0.5e-3)
    near = _inside(walls, coarse_x, coarse_z) > -1e-3
    if not near.any():
        return None
    box = View(coarse_x[near].min(), coarse_x[near].max(), coarse_z[near].min(), coarse_z[near].max())
    step = float(np.clip(outline.least_radius_m / SAMPLES_PER_RADIUS, *STEP_M))
    x, z = box.grown(2 * step).points(step)
    inside = _inside(walls, x, z)
    reach = [np.maximum(distance, NEAREST_WALL_M) for distance in outline.reach_m(x, z)]
    flow = vessel.flow
    parts = modes(flow.profile, drive, exponent=flow.exponent, alpha=flow.alpha)
    weights = [(course.weight(x, z), course.profile) for course in outline.courses]
    stream = [_stream(walls, reach, mode, weights) for mode in parts]
    return Patch(x, z, step, inside.astype(np.float32), stream, [mode.amplitude for mode in parts])


def _inside(walls: list[Wall], x: Array, z: Array) -> Array:
    """Distance from the nearest wall, positive in the lumen."""
    both = [wall.distance_m(x, z) for wall in walls]
    nearest = np.argmin([distance for distance, _ in both], axis=0)
    return np.asarray(np.choose(nearest, [signed for _, signed in both]))


def _bounded(walls: list[Wall], x: Array, z: Array) -> list[Array]:
    """Distance to each wall; 0 outside the lumen for the wall that bounds it there."""
    both = [wall.distance_m(x, z) for wall in walls]
    nearest = np.argmin([distance for distance, _ in both], axis=0)
    return [np.where((signed < 0) & (nearest == i), 0.0, distance) for i, (distance, signed) in enumerate(both)]


def _stream(
    walls: list[Wall], reach: list[Array], mode: Mode, courses: list[tuple[Array, Profile]]
) -> NDArray[np.complex64]:
    total = np.zeros(reach[0].shape, np.complex128)
    weights = np.zeros(reach[0].shape)
    for i, j in combinations(np.argsort([wall.flow for wall in walls], kind="stable"), 2):
        tau = reach[i] / (reach[i] + reach[j])
        share = mode.profile.share(tau)
        for weight, profile in courses:
            share = share + weight * (profile.share(tau) - share)
        pair = (1e-6 / (reach[i] * reach[j])) ** 3
        total += pair * (walls[i].flow + (walls[j].flow - walls[i].flow) * share)
        weights += pair
    return np.asarray(mode.profile.flow * total / weights, np.complex64)


def _outline(vessel: Tube | Bifurcation | Chamber) -> _Outline:
    if isinstance(vessel, Tube):
        path = tube_path(vessel)
        radius = float(np.minimum(path.near_m, path.far_m).min())
        return _Outline(tube_walls(path), path.reach_m, _tube_courses(vessel, path), radius)
    if isinstance(vessel, Bifurcation):
        radius = min(vessel.parent_radius_m, vessel.near_radius_m, vessel.far_radius_m)
        walls = bifurcation_walls(vessel)
        return _Outline(walls, lambda x, z: _bounded(walls, x, z), [], radius)
    return _chamber_outline(vessel)


def _chamber_outline(chamber: Chamber) -> _Outline:
    walls = chamber_walls(chamber)

    def turned(x: Array, z: Array) -> Array:
        return smooth_step((z - chamber.base_m[1] - 0.1 * chamber.length_m) / (0.35 * chamber.length_m))

    def reach(x: Array, z: Array) -> list[Array]:
        sharp = _bounded(walls, x, z)
        return [np.where(d > 0, wall.soft_distance_m(x, z), 0.0) for wall, d in zip(walls, sharp, strict=True)]

    course = _Course(turned, jet(width=0.55, offset=0.3, reverse=chamber.vortex))
    return _Outline(walls, reach, [course], chamber.opening * chamber.width_m / 4)


def _tube_courses(tube: Tube, path: Path) -> list[_Course]:
    courses = []
    if tube.stenosis is not None:
        s = tube.stenosis
        throat, end = s.at * path.length_m, s.at * path.length_m + s.length_m / 2

        def behind(x: Array, z: Array) -> Array:
            along, _ = path.position_m(x, z)
            return smooth_step((along - throat) / s.length_m) * (1 - smooth_step((along - end) / s.jet_length_m))

        courses.append(_Course(behind, _jet_through(1 - s.severity, offset=s.jet_offset, reverse=s.reverse)))
    if tube.bulb is not None:
        b = tube.bulb
        stream = 2 / (2 + b.depth)
        offset = (stream - 1) * (1 if b.side == "far" else -1)

        def beside(x: Array, z: Array) -> Array:
            along, _ = path.position_m(x, z)
            return 1 - smooth_step(np.abs(along - b.at * path.length_m) / b.length_m)

        courses.append(_Course(beside, _jet_through(stream, offset=offset, reverse=b.reverse)))
    return courses


def _jet_through(opening: float, *, offset: float, reverse: float) -> Profile:
    """The jet that is as fast as parabolic flow through an opening of that relative width."""
    low, high = 0.05, 2.0
    for _ in range(40):
        width = (low + high) / 2
        flow = jet(width=width, offset=offset, reverse=reverse).flow.real
        low, high = (width, high) if flow < 4 / 3 * opening else (low, width)
    return jet(width=high, offset=offset, reverse=reverse)


def _disk_patch(disk: Disk, view: View, drive: Waveform) -> Patch | None:
    (x, z), radius = disk.center_m, disk.radius_m
    step = float(np.clip(radius / 40, *STEP_M))
    grid_x, grid_z = View(x - radius, x + radius, z - radius, z + radius).grown(2 * step).points(step)
    inside = radius - np.hypot(grid_x - x, grid_z - z)
    if not view.contains(grid_x[inside > 0], grid_z[inside > 0]).any():
        return None
    # v = (d psi / dz, -d psi / dx): to the right below the center, up to the right of it.
    psi = ((grid_x - x) ** 2 + (grid_z - z) ** 2) / (2 * radius)
    return Patch(grid_x, grid_z, step, inside.astype(np.float32), [psi.astype(np.complex64)], [drive])
