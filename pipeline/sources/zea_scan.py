"""The scan and probe groups of a zea file: probe, transmits, and the time between pulses."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.acquisition import PlaneWave, Transmit
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.probe import Probe, ProbeKind
from trueflow.pipeline.sources.fields import Fields
from trueflow.pipeline.sources.transmits import fired_from_zero, wave_from_source, waves_from_delays

__all__ = ["ZeaClock", "pulse_intervals_s", "read_probe", "read_transmits"]

PROBE_KINDS: dict[str, ProbeKind] = {"linear": "linear", "phased": "phased", "curved": "convex", "convex": "convex"}


@dataclass(frozen=True, slots=True)
class ZeaClock:
    """The transmits of one frame on one clock: that of the first transmit's first firing element."""

    transmits: tuple[Transmit, ...]
    rx_start_s: float


def read_probe(probe: Fields, scan: Fields, *, kind_text: str, name: str) -> Probe | None:
    """The probe, None without its geometry; older files keep that and the element width in the scan group."""
    positions, width_m = None, None
    for group in (probe, scan):
        if positions is None:
            positions = group.array("probe_geometry", (None, 3), expected="element positions in m")
        if width_m is None:
            width_m = group.optional("element_width")
    if positions is None:
        return None
    bandwidth_percent = probe.optional("probe_bandwidth_percent")
    return Probe.from_positions(
        positions,
        kind=PROBE_KINDS.get(kind_text.lower()),
        element_width_m=width_m,
        name=name or "unnamed",
        center_frequency_hz=probe.optional("probe_center_frequency"),
        bandwidth_fraction=None if bandwidth_percent is None else bandwidth_percent / 100.0,
    )


def read_transmits(
    scan: Fields, probe: Probe, n_transmits: int, *, sound_speed_m_s: float, center_frequency_hz: float
) -> ZeaClock:
    """The transmits of a frame, from their firing delays or else from angles and focus distances.

    `initial_times` may differ between transmits, `rx_start_s` is one number: the difference moves to each transmit's
    own `origin_time_s`, which leaves every echo where it was.
    """
    rx_starts_s = scan.array("initial_times", (n_transmits,), expected="seconds")
    if rx_starts_s is None:
        raise scan.missing("initial_times", f"({n_transmits},) seconds from the first firing to the first sample")
    delays_s = scan.array("t0_delays", (n_transmits, probe.n_elements), expected="seconds", finite=False)
    waves: list[Transmit]
    if delays_s is None:
        waves = _from_angles(scan, probe, n_transmits, sound_speed_m_s)
    else:
        waves = _from_delays(scan, probe, delays_s, sound_speed_m_s, center_frequency_hz)
    shifted = tuple(
        replace(wave, origin_time_s=wave.origin_time_s + float(rx_starts_s[0] - start_s))
        for wave, start_s in zip(waves, rx_starts_s, strict=True)
    )
    return ZeaClock(shifted, float(rx_starts_s[0]))


def pulse_intervals_s(scan: Fields, n_frames: int, n_transmits: int) -> NDArray[np.float64]:
    """Time from each pulse to the next, all frames in one row (n_frames * n_tx, or one fewer)."""
    values = scan.find("time_to_next_transmit")
    if values is None:
        raise scan.missing(
            "time_to_next_transmit",
            f"({n_frames}, {n_transmits}) seconds",
            "the pulse repetition frequency sets the velocity scale; write it into the file",
        )
    intervals_s = np.asarray(values, dtype=np.float64)
    n_pulses = n_frames * n_transmits
    if intervals_s.shape in ((n_frames, n_transmits), (n_pulses,), (n_pulses - 1,)):
        return intervals_s.reshape(-1)
    if intervals_s.shape in ((n_transmits,), (1, n_transmits), (1,), ()):
        return np.broadcast_to(intervals_s, (n_frames, n_transmits)).reshape(-1)
    raise TrueflowError(
        "wrong shape",
        where=scan.name("time_to_next_transmit"),
        found=intervals_s.shape,
        expected=f"({n_frames}, {n_transmits}), or flat",
    )


def _from_delays(
    scan: Fields, probe: Probe, delays_s: NDArray[np.float64], sound_speed_m_s: float, center_frequency_hz: float
) -> list[Transmit]:
    if not np.isfinite(delays_s).all():
        raise TrueflowError("not finite", where=scan.name("t0_delays"), found="NaN or infinity", expected="seconds")
    apodization = scan.array("tx_apodizations", delays_s.shape, expected="weights")
    if apodization is not None:
        delays_s = np.where(apodization == 0, np.nan, delays_s)
    return waves_from_delays(
        delays_s, probe, sound_speed_m_s, center_frequency_hz=center_frequency_hz, where=scan.name("t0_delays")
    )


def _from_angles(scan: Fields, probe: Probe, n_transmits: int, sound_speed_m_s: float) -> list[Transmit]:
    angles_rad = scan.array("polar_angles", (n_transmits,), expected="radians")
    if angles_rad is None:
        raise scan.missing("polar_angles", f"({n_transmits},) radians, or t0_delays")
    focus_m = scan.array("focus_distances", (n_transmits,), expected="m", finite=False)
    if focus_m is None:
        focus_m = np.full(n_transmits, np.inf)
    origins_m = scan.array("transmit_origins", (n_transmits, 3), expected="m")
    if origins_m is None:
        origins_m = np.zeros((n_transmits, 3))
    where = scan.name("focus_distances")
    rows = zip(angles_rad.tolist(), focus_m.tolist(), origins_m, strict=True)
    return [fired_from_zero(_wave(*row, where), probe, sound_speed_m_s) for row in rows]


def _wave(angle_rad: float, focus_m: float, origin_m: NDArray[np.float64], where: str) -> Transmit:
    if np.isnan(focus_m):
        raise TrueflowError("not finite", where=where, found="NaN", expected="m; infinity or 0 for plane waves")
    if focus_m == 0 or np.isinf(focus_m):
        return PlaneWave(angle_rad)
    return wave_from_source(
        float(origin_m[0] + focus_m * np.sin(angle_rad)), float(origin_m[2] + focus_m * np.cos(angle_rad)), where=where
    )
