"""Scatterers: tissue that stays, and blood that is sown anew for every burst and drifts with the flow.

Flow without sources keeps an even density even: blood sown evenly in the view and as far around it as the fastest of it
gets during a burst needs no replacement at the ends. A burst depends on the seed and its own number only, so that
recordings can be read in any order; between bursts a scanner's blood has been replaced too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.acquisition import Acquisition
from trueflow.pipeline.sim.field import SceneField
from trueflow.pipeline.sim.stream import Patch, View

__all__ = ["Cloud", "blood", "density_per_m2", "tissue"]

Array = NDArray[np.float64]

PER_CELL = 8.0  # fully developed speckle: Rayleigh statistics within 1 % from about 8 (Wagner et al. 1983)
DEFAULT_BANDWIDTH_FRACTION = 0.6
EDGE_M = 1.5e-3  # scatterers just outside the view still reach into it, by their pulse and their side lobes
LEAST_DEPTH_M = 0.3e-3  # nearer than this elements see a scatterer from the side


@dataclass(frozen=True, slots=True, eq=False)
class Cloud:
    """Positions (m) and amplitudes of scatterers, (n,) each."""

    x_m: Array
    z_m: Array
    amplitude: Array

    def within(self, view: View) -> Cloud:
        """Those that echo in a view."""
        kept = view.grown(EDGE_M).contains(self.x_m, self.z_m) & (self.z_m > LEAST_DEPTH_M)
        return Cloud(self.x_m[kept], self.z_m[kept], self.amplitude[kept])

    def moved(self, shift_m: tuple[float, float]) -> Cloud:
        """All of them elsewhere."""
        return Cloud(self.x_m + shift_m[0], self.z_m + shift_m[1], self.amplitude)

    def joined(self, other: Cloud) -> Cloud:
        """Both together."""
        pairs = ((self.x_m, other.x_m), (self.z_m, other.z_m), (self.amplitude, other.amplitude))
        return Cloud(*(np.concatenate(pair) for pair in pairs))


def density_per_m2(acquisition: Acquisition, f_number: float, *, per_cell: float = PER_CELL) -> float:
    """Scatterers per area of the imaging plane.

    The resolution cell is c / 2B deep (B the bandwidth of the pulse-echo response at -6 dB) and lambda F wide (F the
    receive f-number): about the half-maximum widths of a Gaussian pulse and of an unapodized aperture.
    """
    bandwidth_hz = acquisition.center_frequency_hz * (
        acquisition.probe.bandwidth_fraction or DEFAULT_BANDWIDTH_FRACTION
    )
    return per_cell / (acquisition.sound_speed_m_s / (2 * bandwidth_hz) * acquisition.wavelength_m * f_number)


def tissue(field: SceneField, density: float, random: np.random.Generator) -> Cloud:
    """Everything that does not flow, at rest."""
    around = field.view.grown(2 * EDGE_M)
    x, z = _sown(around, density, random)
    amplitude = random.normal(size=x.size) * field.brightness(x, z)
    kept = (field.inside_m(x, z) <= 0) & (amplitude != 0)
    return Cloud(x[kept], z[kept], amplitude[kept])


def blood(
    field: SceneField, density: float, margin_m: float, times_s: Array, random: np.random.Generator
) -> Iterator[Cloud]:
    """The blood at each of some times, from a fresh start at the first.

    Midpoint rule from one time to the next, the velocity interpolated between the first and the last time.

    Parameters
    ----------
    field : SceneField
    density : float
        Per m^2.
    margin_m : float
        How far around the view to sow.
    times_s : (n,) float64
        Rising.
    random : Generator
    """
    drops = [_Drop(patch, field.view.grown(margin_m), density, times_s, random) for patch in field.patches]
    for number, time_s in enumerate(times_s):
        if number:
            for drop in drops:
                drop.drift(float(times_s[number - 1]), float(time_s))
        x, z = (np.concatenate(parts) for parts in ([d.x for d in drops], [d.z for d in drops]))
        amplitude = np.concatenate([d.amplitude for d in drops]) * field.transmission(x, z)
        yield Cloud(x, z, amplitude).moved(field.shift_m(float(time_s)))


class _Drop:
    """The blood of one vessel."""

    def __init__(self, patch: Patch, around: View, density: float, times_s: Array, random: np.random.Generator) -> None:
        self._patch = patch
        self._start_s, self._end_s = float(times_s[0]), float(times_s[-1])
        self._first, self._last = patch.velocity_m_s(self._start_s), patch.velocity_m_s(self._end_s)
        box = View(
            max(around.x_min_m, patch.x_m[0, 0]),
            min(around.x_max_m, patch.x_m[0, -1]),
            max(around.z_min_m, patch.z_m[0, 0]),
            min(around.z_max_m, patch.z_m[-1, 0]),
        )
        x, z = _sown(box, density, random)
        kept = patch.at(patch.inside_m, x, z, outside=-1.0) > 0
        self.x, self.z = x[kept], z[kept]
        self.amplitude = random.normal(size=self.x.size)

    def drift(self, from_s: float, to_s: float) -> None:
        step = to_s - from_s
        v_x, v_z = self._velocity(self.x, self.z, from_s)
        middle_x, middle_z = self.x + v_x * step / 2, self.z + v_z * step / 2
        v_x, v_z = self._velocity(middle_x, middle_z, from_s + step / 2)
        self.x, self.z = self.x + v_x * step, self.z + v_z * step

    def _velocity(self, x: Array, z: Array, time_s: float) -> tuple[Array, Array]:
        part = (time_s - self._start_s) / max(self._end_s - self._start_s, 1e-12)
        v_x, v_z = (a + np.float32(part) * (b - a) for a, b in zip(self._first, self._last, strict=True))
        return self._patch.at(v_x, x, z, outside=0.0), self._patch.at(v_z, x, z, outside=0.0)


def _sown(view: View, density: float, random: np.random.Generator) -> tuple[Array, Array]:
    count = round(density * view.area_m2)
    return random.uniform(view.x_min_m, view.x_max_m, count), random.uniform(view.z_min_m, view.z_max_m, count)
