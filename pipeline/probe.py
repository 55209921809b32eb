"""Probe geometry: where the elements are and where they look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trueflow.pipeline.errors import TrueflowError, printable

__all__ = ["Probe", "ProbeKind"]

ProbeKind = Literal["linear", "convex", "phased"]
LONGEST_NAME = 200
LEAST_SPREAD = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """A one-dimensional array in the imaging plane y = 0; x lateral, z depth, origin at the array's center.

    Parameters
    ----------
    element_positions_m : (n_elements, 3) float64
        Element centers x, y, z.
    element_angles_rad : (n_elements,) float64
        Angle of each element's normal from +z, positive towards +x; zero for linear and phased arrays.
    kind : {"linear", "convex", "phased"}
    center_frequency_hz, bandwidth_fraction : float, optional
        Of the probe's pulse-echo response at -6 dB; the fraction is bandwidth over center frequency.
    element_width_m : float, optional
    name : str
    """

    element_positions_m: NDArray[np.float64]
    element_angles_rad: NDArray[np.float64]
    kind: ProbeKind = "linear"
    center_frequency_hz: float | None = None
    bandwidth_fraction: float | None = None
    element_width_m: float | None = None
    name: str = "unnamed"

    def __post_init__(self) -> None:
        positions = np.array(self.element_positions_m, dtype=np.float64)
        angles = np.array(self.element_angles_rad, dtype=np.float64)
        _check_geometry(positions, angles, self.kind)
        for name in ("center_frequency_hz", "bandwidth_fraction", "element_width_m"):
            value = getattr(self, name)
            if value is not None and not 0 < value < np.inf:  # nor is NaN
                raise TrueflowError("not positive", where=f"probe.{name}", found=value, expected="> 0")
        object.__setattr__(self, "name", printable(self.name[:LONGEST_NAME]))
        positions.setflags(write=False)
        angles.setflags(write=False)
        object.__setattr__(self, "element_positions_m", positions)
        object.__setattr__(self, "element_angles_rad", angles)

    @classmethod
    def linear(
        cls,
        n_elements: int,
        *,
        pitch_m: float,
        kind: ProbeKind = "linear",
        center_frequency_hz: float | None = None,
        bandwidth_fraction: float | None = None,
        element_width_m: float | None = None,
        name: str = "unnamed",
    ) -> Probe:
        """A straight array along x (also what a phased array is)."""
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused below
            x = (np.arange(n_elements) - (n_elements - 1) / 2) * pitch_m
        return cls(
            np.column_stack([x, np.zeros_like(x), np.zeros_like(x)]),
            np.zeros(n_elements),
            kind,
            center_frequency_hz,
            bandwidth_fraction,
            element_width_m,
            name,
        )

    @classmethod
    def convex(
        cls,
        n_elements: int,
        *,
        pitch_m: float,
        radius_m: float,
        center_frequency_hz: float | None = None,
        bandwidth_fraction: float | None = None,
        element_width_m: float | None = None,
        name: str = "unnamed",
    ) -> Probe:
        """A curved array; `pitch_m` along the arc, the array's center (its deepest point) at the origin."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # what is not finite is refused below
            angles = np.asarray((np.arange(n_elements) - (n_elements - 1) / 2) * pitch_m / radius_m, np.float64)
            positions = np.column_stack(
                [radius_m * np.sin(angles), np.zeros(n_elements), radius_m * (np.cos(angles) - 1.0)]
            )
        return cls(positions, angles, "convex", center_frequency_hz, bandwidth_fraction, element_width_m, name)

    @classmethod
    def from_positions(
        cls,
        element_positions_m: ArrayLike,
        *,
        kind: ProbeKind | None = None,
        center_frequency_hz: float | None = None,
        bandwidth_fraction: float | None = None,
        element_width_m: float | None = None,
        name: str = "unnamed",
    ) -> Probe:
        """A probe from element centers alone: normals are perpendicular to the curve through them."""
        positions = np.asarray(element_positions_m, dtype=np.float64)
        if positions.ndim != 2 or positions.shape[-1] != 3 or len(positions) == 0:
            raise TrueflowError(
                "wrong shape", where="probe.element_positions_m", found=positions.shape, expected="(n_elements, 3)"
            )
        curved = len(positions) > 2 and bool(np.ptp(positions[:, 2]) > 1e-5)
        if kind == "convex" and not curved:
            raise TrueflowError(
                "a curved probe whose elements lie on a line",
                where="probe.element_positions_m",
                found=f"z from {positions[:, 2].min():g} to {positions[:, 2].max():g} m",
                expected="an arc",
            )
        angles = np.zeros(len(positions), np.float64)
        if curved:
            x_center, z_center = _center_of_arc(positions[:, 0], positions[:, 2])
            angles[:] = np.arctan2(positions[:, 0] - x_center, positions[:, 2] - z_center)
        return cls(
            positions,
            angles,
            kind or ("convex" if curved else "linear"),
            center_frequency_hz,
            bandwidth_fraction,
            element_width_m,
            name,
        )

    @property
    def n_elements(self) -> int:
        """Number of elements."""
        return len(self.element_positions_m)


def _check_geometry(positions: NDArray[np.float64], angles: NDArray[np.float64], kind: ProbeKind) -> None:
    """Refuse what is no array in the imaging plane."""
    if positions.ndim != 2 or positions.shape[1] != 3 or len(positions) == 0:
        raise TrueflowError(
            "wrong shape", where="probe.element_positions_m", found=positions.shape, expected="(n_elements, 3)"
        )
    if angles.shape != positions.shape[:1]:
        raise TrueflowError(
            "wrong shape", where="probe.element_angles_rad", found=angles.shape, expected=positions.shape[:1]
        )
    if not (np.isfinite(positions).all() and np.isfinite(angles).all()):
        raise TrueflowError(
            "not finite", where="probe geometry", found="NaN or infinity", expected="metres, radians"
        )
    if np.abs(positions).max() > 1.0:
        raise TrueflowError(
            "implausible size",
            where="probe.element_positions_m",
            found=f"{np.abs(positions).max():g} m",
            expected="an array smaller than 1 m",
            advice="positions are in metres",
        )
    if np.ptp(positions[:, 1]) > 1e-6:
        raise TrueflowError(
            "elements lie off the imaging plane",
            where="probe.element_positions_m",
            found=f"y from {positions[:, 1].min():g} to {positions[:, 1].max():g} m",
            expected="one y for all",
            advice="matrix arrays are not supported",
        )
    if kind == "convex" and np.ptp(np.sin(angles)) < LEAST_SPREAD:
        raise TrueflowError(
            "a curved probe whose elements look one way", where="probe.element_angles_rad",
            found=f"angles from {angles.min():g} to {angles.max():g}", expected="normals of an arc, in radians",
        )


def _center_of_arc(x_m: NDArray[np.float64], z_m: NDArray[np.float64]) -> tuple[float, float]:
    """Center of the circle that fits points best: x^2 + z^2 = 2 x x_c + 2 z z_c + const (Kasa 1976)."""
    middle_x, middle_z = x_m.mean(), z_m.mean()
    x, z = x_m - middle_x, z_m - middle_z
    (two_x, two_z, _), *_ = np.linalg.lstsq(np.column_stack([x, z, np.ones_like(x)]), x**2 + z**2, rcond=None)
    return float(two_x / 2 + middle_x), float(two_z / 2 + middle_z)
