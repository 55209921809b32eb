"""From vessels to walls: polylines on which a stream function is constant, and where along a vessel a point is.

A wall is directed along the flow. Seen along it, the lumen lies to the right of the near wall and to the left of the
far one (on the screen, with x to the right and z down, for flow along +x: below the near wall, above the far one).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline, PchipInterpolator
from scipy.ndimage import gaussian_filter1d
from scipy.spatial import cKDTree

from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.sim.smooth import smooth_step
from trueflow.pipeline.sim.vessels import Bifurcation, Chamber, Point, Tube

__all__ = ["Path", "Wall", "bifurcation_walls", "chamber_walls", "tube_path", "tube_walls"]

Array = NDArray[np.float64]

N_POINTS = 1500
BEYOND_M = 0.25  # how far vessels go on straight beyond their ends
LAST = 100  # points of those that are no place for daughters to part


@dataclass(frozen=True, slots=True, eq=False)
class Wall:
    """A wall.

    Parameters
    ----------
    points_m : (n, 2) float64
        x, z.
    flow : float
        Part of the vessel's flow between the first wall and this one.
    inside : float
        Side on which the lumen lies: +1 where x, z turned right (near wall), -1 left.
    """

    points_m: Array
    flow: float
    inside: float

    def distance_m(self, x_m: Array, z_m: Array) -> tuple[Array, Array]:
        """Distance to the wall, and the same with a sign: positive on the lumen's side."""
        points = self.points_m
        where = np.column_stack([x_m.ravel(), z_m.ravel()])
        _, nearest = cKDTree(points).query(where)
        best, side = np.full(len(where), np.inf), np.zeros(len(where))
        for shift in (-1, 0):  # the two pieces that meet in the nearest corner
            at = np.clip(nearest + shift, 0, len(points) - 2)
            start, along = points[at], points[at + 1] - points[at]
            length2 = (along**2).sum(axis=1)
            rest = where - start
            part = np.clip((rest * along).sum(axis=1) / length2, 0, 1)
            distance = np.hypot(*(rest - part[:, None] * along).T)
            cross = (along[:, 0] * rest[:, 1] - along[:, 1] * rest[:, 0]) / np.sqrt(length2)
            # Where both corners' pieces are equally near, the one seen less obliquely knows the side.
            closer = (distance < best - 1e-12) | ((distance < best + 1e-12) & (np.abs(cross) > np.abs(side)))
            best, side = np.where(closer, distance, best), np.where(closer, cross, side)
        signed = np.where(side * self.inside >= 0, best, -best)
        return best.reshape(x_m.shape), signed.reshape(x_m.shape)

    def soft_distance_m(self, x_m: Array, z_m: Array) -> Array:
        """A distance without creases: that of a straight wall from which the integral of 1 / r^4 would be the same.

        The distance to a hollow wall has creases where two of its parts are equally near.
        """
        x, z = x_m.ravel(), z_m.ravel()
        total = np.zeros(x.size)
        points = self.points_m[:: max(1, len(self.points_m) // 400)]
        for start, end in pairwise(points):
            length = float(np.hypot(*(end - start)))
            tangent = (end - start) / length
            s = (x - start[0]) * tangent[0] + (z - start[1]) * tangent[1]
            h = np.maximum(np.abs((z - start[1]) * tangent[0] - (x - start[0]) * tangent[1]), 1e-7)
            for sign, a in ((1.0, s), (-1.0, s - length)):
                total += sign * (a / (2 * h**2 * (h**2 + a**2)) + np.arctan(a / h) / (2 * h**3))
        return np.asarray(np.cbrt(np.pi / 2 / np.maximum(total, 1e-30)).reshape(x_m.shape))


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """A center line with its radii to both sides.

    Parameters
    ----------
    points_m : (n, 2) float64
    along_m : (n,) float64
        Length from the first given point.
    length_m : float
        Between first and last given point.
    near_m, far_m : (n,) float64
        Radii.
    """

    points_m: Array
    along_m: Array
    length_m: float
    near_m: Array
    far_m: Array

    def wall(self, side: float) -> Array:
        """The near (-1) or far (+1) wall's points."""
        tangent = self._tangent()
        normal = np.column_stack([-tangent[:, 1], tangent[:, 0]])
        points = self.points_m + side * normal * (self.far_m if side > 0 else self.near_m)[:, None]
        # An offset line runs backwards where the radius exceeds that of the bend: leave those points out.
        forward = (np.gradient(points, axis=0) * tangent).sum(axis=1) > 0
        return np.asarray(points[forward])

    def position_m(self, x_m: Array, z_m: Array) -> tuple[Array, Array]:
        """Length along the path, and distance from it, positive on the far side."""
        where = np.column_stack([x_m.ravel(), z_m.ravel()])
        _, nearest = cKDTree(self.points_m).query(where)
        tangent = self._tangent()[nearest]
        rest = where - self.points_m[nearest]
        along = self.along_m[nearest] + (rest * tangent).sum(axis=1)
        across = rest[:, 1] * tangent[:, 0] - rest[:, 0] * tangent[:, 1]
        return along.reshape(x_m.shape), across.reshape(x_m.shape)

    def reach_m(self, x_m: Array, z_m: Array) -> list[Array]:
        """How far it is to the near and to the far wall across the path; below 0 beyond them."""
        along, across = self.position_m(x_m, z_m)
        near, far = (np.interp(along, self.along_m, radius) for radius in (self.near_m, self.far_m))
        return [near + across, far - across]

    def _tangent(self) -> Array:
        tangent = np.gradient(self.points_m, self.along_m, axis=0)
        return np.asarray(tangent / np.hypot(*tangent.T)[:, None])


def _curve(points: tuple[Point, ...]) -> tuple[Array, Array, Array]:
    """A smooth curve through points at even steps, the length along it, and that of each given point."""
    given = np.array(points, np.float64)
    knots = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(given, axis=0).T))])
    even = np.linspace(0, 1, N_POINTS)
    if len(given) == 2:
        return given[0] + even[:, None] * (given[1] - given[0]), even * knots[-1], knots
    spline = CubicSpline(knots, given, bc_type="natural")
    dense = even * knots[-1]
    arc = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(spline(dense), axis=0).T))])
    return spline(np.interp(even * arc[-1], arc, dense)), even * arc[-1], np.interp(knots, dense, arc)


def _path(curve: Array, along: Array, knots: Array, radius: float | tuple[float, ...]) -> Path:
    """A path around a curve, which goes on straight beyond its ends."""
    if isinstance(radius, tuple):  # PCHIP's curvature jumps at the knots, which would show as a kink in the velocity
        spread = np.mean(radius) / along[-1] * N_POINTS / 2
        radii = gaussian_filter1d(PchipInterpolator(knots, radius)(along), spread, mode="nearest")
    else:
        radii = np.full(N_POINTS, radius)
    step = np.linspace(0, BEYOND_M, 200)[1:, None]
    before, after = curve[0] - curve[1], curve[-1] - curve[-2]
    head = curve[0] + step[::-1] * before / np.hypot(*before)
    tail = curve[-1] + step * after / np.hypot(*after)
    further = np.concatenate([-step[::-1, 0], along, along[-1] + step[:, 0]])
    radii = np.concatenate([np.full(len(step), radii[0]), radii, np.full(len(step), radii[-1])])
    return Path(np.concatenate([head, curve, tail]), further, float(along[-1]), radii, radii)


def tube_path(tube: Tube) -> Path:
    """Center line and radii, with what stenosis and bulb make of them."""
    path = _path(*_curve(tube.points_m), tube.radius_m)
    near, far = path.near_m, path.far_m
    if tube.stenosis is not None:
        s = tube.stenosis
        narrow = 1 - s.severity * _bump((path.along_m - s.at * path.length_m) / s.length_m)
        near, far = near * narrow, far * narrow
    if tube.bulb is not None:
        wide = 1 + tube.bulb.depth * _bump((path.along_m - tube.bulb.at * path.length_m) / tube.bulb.length_m)
        near, far = (near * wide, far) if tube.bulb.side == "near" else (near, far * wide)
    return Path(path.points_m, path.along_m, path.length_m, near, far)


def _bump(u: Array) -> Array:
    """cos^2 from -1 to 1, half as high at +-1/2."""
    return np.where(np.abs(u) < 1, np.cos(np.pi / 2 * np.clip(u, -1, 1)) ** 2, 0.0)


def tube_walls(path: Path) -> list[Wall]:
    """Near and far wall."""
    return [Wall(path.wall(-1.0), 0.0, 1.0), Wall(path.wall(1.0), 1.0, -1.0)]


def bifurcation_walls(b: Bifurcation) -> list[Wall]:
    """Near wall, far wall, and the wall between the daughters from one's end round the apex to the other's."""
    near, far = _fork(b)
    inner_near, inner_far = near.wall(1.0), far.wall(-1.0)
    apart = cKDTree(inner_far).query(inner_near)[0]
    behind = _outside(inner_near, inner_far)
    if not behind[:-LAST].any() or behind[0]:
        raise TrueflowError(
            "the daughters do not part",
            where="bifurcation near_m, far_m",
            found=f"{apart.max() * 1e3:.2f} mm apart",
            expected="daughters that leave each other",
            advice="near has the smaller depth, for flow along +x",
        )
    first_near = int(np.argmax(behind))
    first_far = int(cKDTree(inner_far).query(inner_near[first_near])[1]) + 1
    apex = np.concatenate([inner_near[first_near:][::-1], inner_far[first_far:]])
    return [
        Wall(near.wall(-1.0), 0.0, 1.0),
        Wall(far.wall(1.0), 1.0, -1.0),
        Wall(_rounded(apex, len(inner_near) - first_near), b.near_share, 1.0),
    ]


def _fork(b: Bifurcation) -> tuple[Path, Path]:
    """The paths through the parent and either daughter; one and the same until just before it ends."""
    daughters = ((b.near_m, b.near_radius_m), (b.far_m, b.far_radius_m))
    curves = [_curve((*b.parent_m, *daughter)) for daughter, _ in daughters]
    paths = []
    for (curve, along, knots), (other, other_along, _), (daughter, radius) in zip(
        curves, curves[::-1], daughters, strict=True
    ):
        beside = np.column_stack([np.interp(along, other_along, part) for part in other.T])
        end = knots[len(b.parent_m) - 1]
        own = smooth_step((along - end) / min(3 * b.parent_radius_m, end) + 1)[:, None]
        shared = (curve + beside) / 2
        radii = (*[b.parent_radius_m] * len(b.parent_m), *[radius] * len(daughter))
        paths.append(_path(shared + own * (curve - shared), along, knots, radii))
    return paths[0], paths[1]


def _outside(points: Array, line: Array) -> NDArray[np.bool_]:
    """Which points lie on the near side of a line; both go along the flow."""
    return Wall(line, 0.0, 1.0).distance_m(points[:, 0], points[:, 1])[1] < 0


def _rounded(points: Array, corner: int) -> Array:
    """The corner at an index cut off by a short arc of a quarter of a millimetre."""
    arc = np.abs(np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))]))
    keep = np.abs(arc - arc[min(corner, len(arc) - 1)]) > 0.25e-3
    before, after = points[:corner][keep[:corner]], points[corner:][keep[corner:]]
    tip = points[min(corner, len(points) - 1)]
    t = np.linspace(0, 1, 12)[1:-1, None]
    bow = (1 - t) ** 2 * before[-1] + 2 * t * (1 - t) * tip + t**2 * after[0]
    return np.concatenate([before, bow, after])


def chamber_walls(c: Chamber) -> list[Wall]:
    """The curtain between the two openings, and the outer wall, down the inflow side and up the outflow side."""
    x, z = c.base_m
    half = c.width_m / 2
    # An ellipse cut off at the base where it is as wide as the openings.
    top = np.arccos(c.opening)
    turn = np.linspace(top, -np.pi - top, N_POINTS)
    height = c.length_m / (1 + np.sin(top))
    body = np.column_stack([x - half * np.cos(turn), z + height * (np.sin(top) - np.sin(turn))])
    rise = np.linspace(BEYOND_M, 0, 400)[:-1, None]
    left = np.column_stack([np.full(len(rise), body[0, 0]), z - rise[:, 0]])
    right = np.column_stack([np.full(len(rise), body[-1, 0]), z - rise[::-1, 0]])
    outer = np.concatenate([left, body, right])
    thick = 0.04 * c.width_m
    tip = z + 0.12 * c.length_m
    bow = np.linspace(np.pi, 0, 40)
    point = np.column_stack([x + thick * np.cos(bow), tip + thick * np.sin(bow)])
    down = np.column_stack([np.full(len(rise), x - thick), tip - rise[:, 0]])
    up = np.column_stack([np.full(len(rise), x + thick), tip - rise[::-1, 0]])
    return [Wall(np.concatenate([down, point, up]), 0.0, 1.0), Wall(outer, 1.0, -1.0)]
