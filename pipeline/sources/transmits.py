"""Which wave a set of firing delays makes, and when its front crosses the array's center.

Delays and `origin_time_s` share one clock. A plane wave in direction theta reaches the point (x, z) at
origin_time + (x sin(theta) + z cos(theta)) / c; a diverging wave with virtual source s reaches the point p at
origin_time + (|p - s| - |s|) / c. An element fires when the front passes it, so the delays are these expressions at the
elements, and the wave is found by least squares.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trueflow.pipeline.acquisition import BOUNDS, DivergingWave, PlaneWave, Transmit
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.probe import Probe

__all__ = [
    "MOST_WAVES",
    "PLANE_DISTANCE_M",
    "fired_from_zero",
    "firing_delays_s",
    "same_wave",
    "transmit_from_delays",
    "wave_from_source",
    "waves_from_delays",
]

PLANE_DISTANCE_M = 50.0  # a source farther away curves the front by < 4 um over a 40 mm array: lambda / 75 at 5 MHz
ACCEPTED_PERIODS = 1 / 20  # RMS misfit; delay clocks of 65 MHz leave 0.02 periods at 5 MHz
LATEST_FIRING_S = 1e-3  # 1.5 m of path; apertures are below 0.2 m
SMALLEST_APERTURE_M = 1e-5
MOST_WAVES = 512  # that differ: twice the elements of the largest probes in use
FEWEST_ELEMENTS = 4  # with fewer, any delays fit a virtual source (three unknowns)


def waves_from_delays(
    rows_s: Iterable[NDArray[np.float64]],
    probe: Probe,
    sound_speed_m_s: float,
    *,
    center_frequency_hz: float,
    where: str,
) -> list[Transmit]:
    """As `transmit_from_delays`, row by row; a thousand pulses mostly repeat a few patterns, and a fit takes some ms.

    Raises
    ------
    TrueflowError
        As there, or for more than 512 different rows.
    """
    known: dict[bytes, Transmit] = {}
    waves = []
    for row in rows_s:
        key = np.asarray(row, dtype=np.float64).tobytes()
        if key not in known:
            if len(known) == MOST_WAVES:
                raise TrueflowError(
                    "implausibly many different transmits", where=where, found=f"more than {MOST_WAVES}",
                    expected=f"<= {MOST_WAVES}",
                )
            known[key] = transmit_from_delays(
                row, probe, sound_speed_m_s, center_frequency_hz=center_frequency_hz, where=where
            )
        waves.append(known[key])
    return waves


def transmit_from_delays(
    delays_s: ArrayLike,
    probe: Probe,
    sound_speed_m_s: float,
    *,
    center_frequency_hz: float,
    where: str = "transmit delays",
) -> Transmit:
    """The plane or diverging wave that these firing delays make.

    Parameters
    ----------
    delays_s : (n_elements,)
        When each element fires; NaN where it does not.
    probe : Probe
    sound_speed_m_s, center_frequency_hz : float
    where : str
        File and field, for messages.

    Returns
    -------
    PlaneWave or DivergingWave
        With `origin_time_s` on the clock of the delays.

    Raises
    ------
    TrueflowError
        Wrong shape, a speed or frequency that cannot be, elements in one place, delays beyond 1 ms, fewer than four
        firing elements, or a misfit above 1/20 period (RMS): focused transmits and codes over the aperture are not
        supported.
    """
    delays = np.asarray(delays_s, dtype=np.float64)
    fires = _checked_delays(delays, probe, where)
    for name, value in (("sound_speed_m_s", sound_speed_m_s), ("center_frequency_hz", center_frequency_hz)):
        low, high = BOUNDS[name]
        if not low <= value <= high:
            raise TrueflowError("out of range", where=name, found=value, expected=f"{low:g} to {high:g}")
    x, z = probe.element_positions_m[fires, 0], probe.element_positions_m[fires, 2]
    path_m = delays[fires] * sound_speed_m_s
    accepted_m = ACCEPTED_PERIODS * sound_speed_m_s / center_frequency_hz
    plane, plane_misfit_m = _fit_plane(x, z, path_m, sound_speed_m_s)
    if plane_misfit_m <= accepted_m / 10:
        return plane
    source, source_misfit_m = _fit_source(x, z, path_m, sound_speed_m_s)
    if source is not None and source_misfit_m <= min(accepted_m, plane_misfit_m / 2):
        return source
    if plane_misfit_m <= accepted_m:
        return plane
    best_m = min(plane_misfit_m, source_misfit_m)
    raise TrueflowError(
        "neither a plane nor a diverging wave",
        where=where,
        found=f"best fit off by {best_m / sound_speed_m_s * center_frequency_hz:.2g} periods (RMS)",
        expected=f"<= {ACCEPTED_PERIODS:g} periods",
        advice="focused transmits are not supported",
    )


def _checked_delays(delays: NDArray[np.float64], probe: Probe, where: str) -> NDArray[np.bool_]:
    """Which elements fire, where a wave can be fitted to that."""
    if delays.shape != (probe.n_elements,):
        raise TrueflowError("wrong shape", where=where, found=delays.shape, expected=f"({probe.n_elements},) seconds")
    latest_s = np.nanmax(np.abs(delays), initial=0.0)
    if latest_s > LATEST_FIRING_S:
        raise TrueflowError(
            "implausible delay", where=where, found=f"{latest_s:g} s", expected=f"<= {LATEST_FIRING_S:g} s"
        )
    fires = np.isfinite(delays)
    if fires.sum() < FEWEST_ELEMENTS:
        raise TrueflowError(
            "too few elements fire",
            where=where,
            found=int(fires.sum()),
            expected=f">= {FEWEST_ELEMENTS}",
            advice="synthetic-aperture transmits are not supported",
        )
    aperture_m = float(np.ptp(probe.element_positions_m[fires, 0]))
    if aperture_m < SMALLEST_APERTURE_M:
        raise TrueflowError(
            "elements in one place", where="probe", found=f"an aperture of {aperture_m:g} m",
            expected=f">= {SMALLEST_APERTURE_M:g} m",
        )
    return fires


def wave_from_source(x_m: float, z_m: float, *, where: str = "transmit source") -> Transmit:
    """The wave of a virtual source at (x, z) whose front crosses the origin at time 0.

    A source farther off than `PLANE_DISTANCE_M` makes a plane wave: from behind the array it runs away from the source,
    in front of it (where UFF puts the sources of its plane waves) towards it.

    Raises
    ------
    TrueflowError
        For a source in front of the array or on it.
    """
    distance_m = float(np.hypot(x_m, z_m))
    if not distance_m < PLANE_DISTANCE_M:
        sign = 1.0 if z_m > 0 else -1.0
        return PlaneWave(float(np.arctan2(sign * x_m, sign * z_m)))
    if not z_m < 0:
        raise TrueflowError(
            "the virtual source must lie behind the array",
            where=where,
            found=f"z = {z_m:g} m",
            expected="z < 0",
            advice="focused and single-element transmits are not supported",
        )
    return DivergingWave(float(x_m), float(z_m))


def firing_delays_s(wave: Transmit, probe: Probe, sound_speed_m_s: float) -> NDArray[np.float64]:
    """When each element has to fire to make the wave: (n_elements,), on the clock of its `origin_time_s`."""
    x, z = probe.element_positions_m[:, 0], probe.element_positions_m[:, 2]
    if isinstance(wave, PlaneWave):
        path_m = x * np.sin(wave.angle_rad) + z * np.cos(wave.angle_rad)
    else:
        path_m = np.hypot(x - wave.source_x_m, z - wave.source_z_m) - np.hypot(wave.source_x_m, wave.source_z_m)
    return np.asarray(wave.origin_time_s + path_m / sound_speed_m_s, dtype=np.float64)


def fired_from_zero(wave: Transmit, probe: Probe, sound_speed_m_s: float) -> Transmit:
    """The same wave on the clock on which the first element fires at time 0."""
    first_s = float(firing_delays_s(wave, probe, sound_speed_m_s).min())
    return replace(wave, origin_time_s=wave.origin_time_s - first_s)


def same_wave(one: Transmit, other: Transmit) -> bool:
    """Whether two transmits are repetitions of each other (1e-5 rad, 1 um, 1 ns)."""
    if abs(one.origin_time_s - other.origin_time_s) > 1e-9:
        return False
    if isinstance(one, PlaneWave) and isinstance(other, PlaneWave):
        return abs(one.angle_rad - other.angle_rad) <= 1e-5
    if isinstance(one, DivergingWave) and isinstance(other, DivergingWave):
        return bool(np.hypot(one.source_x_m - other.source_x_m, one.source_z_m - other.source_z_m) <= 1e-6)
    return False


def _fit_plane(
    x: NDArray[np.float64], z: NDArray[np.float64], path_m: NDArray[np.float64], sound_speed_m_s: float
) -> tuple[PlaneWave, float]:
    angle = float(np.arcsin(np.clip(np.polyfit(x, path_m, 1)[0], -1.0, 1.0)))
    for _ in range(20):  # Gauss-Newton; a straight array is solved by the first step
        residual_m = path_m - x * np.sin(angle) - z * np.cos(angle)
        slope = np.column_stack([x * np.cos(angle) - z * np.sin(angle), np.ones_like(x)])
        step, offset_m = np.linalg.lstsq(slope, residual_m, rcond=None)[0]
        angle = float(np.clip(angle + step, -np.pi / 2, np.pi / 2))
        if abs(step) < 1e-12:
            break
    residual_m = path_m - x * np.sin(angle) - z * np.cos(angle)
    offset_m = residual_m.mean()
    misfit_m = float(np.sqrt(np.mean((residual_m - offset_m) ** 2)))
    angle = 0.0 if abs(angle) < 1e-9 else angle
    return PlaneWave(angle, float(offset_m) / sound_speed_m_s), misfit_m


def _fit_source(
    x: NDArray[np.float64], z: NDArray[np.float64], path_m: NDArray[np.float64], sound_speed_m_s: float
) -> tuple[DivergingWave | None, float]:
    from scipy.optimize import least_squares  # 0.2 s, and most recordings have plane waves

    def residual_m(source: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.hypot(x - source[0], z - source[1]) + source[2] - path_m)

    def slope(source: NDArray[np.float64]) -> NDArray[np.float64]:
        distance = np.maximum(np.hypot(x - source[0], z - source[1]), 1e-12)
        return np.column_stack([(source[0] - x) / distance, (source[1] - z) / distance, np.ones_like(x)])

    aperture_m = float(np.ptp(x))
    sine = float(np.clip(np.polyfit(x, path_m, 1)[0], -0.95, 0.95))
    best, best_misfit_m = None, np.inf
    for distance_m in aperture_m * np.array([0.1, 0.5, 2.0, 10.0, 100.0]):
        start = np.array([-sine, -np.sqrt(1 - sine**2), 0.0]) * distance_m
        start[2] = np.mean(path_m - np.hypot(x - start[0], z - start[1]))
        fit = least_squares(residual_m, start, jac=slope, method="lm", xtol=1e-14, ftol=1e-14, gtol=1e-14)
        misfit_m = float(np.sqrt(np.mean(fit.fun**2)))
        if misfit_m < 0.99 * best_misfit_m:
            best, best_misfit_m = fit.x, misfit_m
    if best is None:
        return None, np.inf
    straight = np.ptp(z) < 1e-9  # a straight array cannot tell a source from its mirror image
    source_x, source_z = float(best[0]), -abs(float(best[1])) if straight else float(best[1])
    if not (source_z < 0 and np.hypot(source_x, source_z) < PLANE_DISTANCE_M):
        return None, best_misfit_m
    origin_time_s = (float(best[2]) + float(np.hypot(source_x, source_z))) / sound_speed_m_s
    return DivergingWave(source_x, source_z, origin_time_s), best_misfit_m
