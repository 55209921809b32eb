"""A simulated recording as a file: zea's HDF5 layout 0.1.8, with truth beside it.

* /tracks/track_0/{data/raw_data, scan} and /probe: what zea reads; one frame per burst, one transmit per firing
* /truth/velocity_m_s, mask, fold: (n_frames, n_z, n_x), at the middle of each frame
* /truth/axis_0, axis_1: the grid, see `trueflow.pipeline.grid.ImageGrid`
* attributes of the file: scene (TOML), source (URL); of /truth: kind, apex_z_m, nyquist_velocity_m_s
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from trueflow import __version__
from trueflow.pipeline.acquisition import Acquisition, DivergingWave, PlaneWave
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.grid import ImageGrid
from trueflow.pipeline.output import PatientFile, write_errors
from trueflow.pipeline.sim.recording import SimRecording
from trueflow.pipeline.sources.transmits import firing_delays_s

__all__ = ["write_zea"]

ZEA_LAYOUT = "0.1.8"
DEFLATE = {"compression": "gzip", "compression_opts": 1, "shuffle": True}


def write_zea(
    path: str | Path,
    recording: SimRecording,
    grid: ImageGrid,
    *,
    target: str | Path | None = None,
    advance: Callable[[int, int], None] | None = None,
) -> None:
    """Simulate and write all bursts, one at a time.

    Parameters
    ----------
    path : str or Path
        Written as it grows; give a temporary name and rename it (see `trueflow.pipeline.output`).
    recording : SimRecording
    grid : ImageGrid
        Of the truth.
    target : str or Path, optional
        The name to use in errors; default `path`.
    advance : callable, optional
        Called with (frames done, frames in all).

    Raises
    ------
    TrueflowError
        Where the file cannot be written, or the recording is of the fast mode.
    """
    if recording.acquisition.sample_kind == "beamformed":
        raise TrueflowError(
            "no channel data", where=recording.url, found="mode=fast, which makes beamformed IQ", expected="mode=rf"
        )
    n_pulses = recording.burst_length
    n_frames = recording.n_slow_time // n_pulses
    with write_errors(Path(target or path)):
        raw = PatientFile(path)
        try:
            with h5py.File(raw, "w") as file:
                samples, truth = _lay_out(file, recording, grid, n_frames)
                for frame in range(n_frames):
                    start, stop = frame * n_pulses, (frame + 1) * n_pulses
                    rf = recording.read(start, stop)
                    samples[frame] = rf.reshape(-1, *rf.shape[2:]).swapaxes(-1, -2)[..., None]
                    known = recording.truth(start, stop, grid)
                    truth["velocity_m_s"][frame] = known.velocity_m_s
                    truth["mask"][frame] = known.mask
                    truth["fold"][frame] = known.fold(recording.acquisition.nyquist_velocity_m_s())
                    raw.check()
                    if advance is not None:
                        advance(frame + 1, n_frames)
            raw.check()
        finally:
            raw.close()


def _lay_out(
    file: h5py.File, recording: SimRecording, grid: ImageGrid, n_frames: int
) -> tuple[h5py.Dataset, h5py.Group]:
    a = recording.acquisition
    file.attrs.update(
        zea_version=ZEA_LAYOUT,
        description="Channel RF simulated by Trueflow",
        us_machine="simulation",
        version=__version__,
        scene=recording.scene.to_toml(),
        source=recording.url,
    )
    n_transmits = a.n_ensemble * a.n_transmits
    shape = (n_frames, n_transmits, a.n_samples, a.probe.n_elements, 1)
    samples = file.create_dataset("tracks/track_0/data/raw_data", shape, "i2", chunks=(1, 1, *shape[2:]))
    samples.attrs.update(unit="–", description="Channel RF, 12 bit.")
    _put(file["tracks/track_0"], "transmit_only", np.bool_(False), "–", "Whether this track holds no received data.")
    _describe_scan(file.create_group("tracks/track_0/scan"), a, n_frames, recording.burst_interval_s)
    _describe_probe(file.create_group("probe"), a)
    return samples, _create_truth(file.create_group("truth"), a, grid, n_frames)


def _describe_scan(scan: h5py.Group, a: Acquisition, n_frames: int, burst_interval_s: float) -> None:
    delays_s = np.array([firing_delays_s(wave, a.probe, a.sound_speed_m_s) for wave in a.transmits])
    first_s = delays_s.min(axis=1, keepdims=True)
    fired_s = (a.pulse_times_s[:, None] + np.arange(a.n_transmits) / a.prf_hz).ravel()
    steps_s = np.tile(np.diff(fired_s, append=burst_interval_s), (n_frames, 1))
    per_pulse: dict[str, tuple[Any, str, str]] = {
        "initial_times": (a.rx_start_s - first_s[:, 0], "s", "First firing to first sample."),
        "t0_delays": (delays_s - first_s, "s", "Firing times of the elements."),
        "tx_apodizations": (np.ones_like(delays_s), "–", "Weights of the elements."),
        "focus_distances": ([_focus_m(wave) for wave in a.transmits], "m", "Below 0: diverging; infinite: plane."),
        "polar_angles": ([_angle_rad(wave) for wave in a.transmits], "rad", "From +z, positive towards +x."),
        "azimuth_angles": (np.zeros(a.n_transmits), "rad", "All in the imaging plane."),
        "transmit_origins": (np.zeros((a.n_transmits, 3)), "m", "Where the beams' axes begin."),
    }
    for name, (values, unit, description) in per_pulse.items():
        repeated = np.concatenate([np.asarray(values, np.float32)] * a.n_ensemble)
        _put(scan, name, repeated, unit, description)
    scalars = {
        "sampling_frequency": (a.sampling_frequency_hz, "Hz", "Of the samples."),
        "center_frequency": (a.center_frequency_hz, "Hz", "Of the pulse."),
        "demodulation_frequency": (a.mixing_frequency_hz, "Hz", "To mix the samples with."),
        "sound_speed": (a.sound_speed_m_s, "m/s", "Of the medium."),
    }
    for name, (value, unit, description) in scalars.items():
        _put(scan, name, np.float32(value), unit, description)
    _put(scan, "time_to_next_transmit", steps_s.astype(np.float32), "s", "From each firing to the next.")


def _focus_m(wave: PlaneWave | DivergingWave) -> float:
    return float("inf") if isinstance(wave, PlaneWave) else -float(np.hypot(wave.source_x_m, wave.source_z_m))


def _angle_rad(wave: PlaneWave | DivergingWave) -> float:
    return wave.angle_rad if isinstance(wave, PlaneWave) else float(np.arctan2(-wave.source_x_m, -wave.source_z_m))


def _describe_probe(group: h5py.Group, a: Acquisition) -> None:
    probe = a.probe
    kind = {"linear": "linear", "convex": "curved", "phased": "phased"}[probe.kind]
    _put(group, "name", probe.name, "–", "Probe model.")
    _put(group, "type", kind, "–", "Probe geometry.")
    _put(group, "probe_geometry", probe.element_positions_m.astype(np.float32), "m", "Element positions (x, y, z).")
    for name, value, unit in (
        ("probe_center_frequency", probe.center_frequency_hz, "Hz"),
        ("probe_bandwidth_percent", 100 * (probe.bandwidth_fraction or 0) or None, "%"),
        ("element_width", probe.element_width_m, "m"),
    ):
        if value is not None:
            _put(group, name, np.float32(value), unit, name.replace("_", " ").capitalize() + ".")


def _create_truth(group: h5py.Group, a: Acquisition, grid: ImageGrid, n_frames: int) -> h5py.Group:
    group.attrs.update(kind=grid.kind, apex_z_m=grid.apex_z_m, nyquist_velocity_m_s=a.nyquist_velocity_m_s())
    unit = "m" if grid.kind == "cartesian" else "rad"
    _put(group, "axis_0", grid.axis_0, "m", "Depth, or distance from the apex (0, apex_z_m).")
    _put(group, "axis_1", grid.axis_1, unit, "Lateral position, or angle from +z.")
    maps = {
        "velocity_m_s": ("f4", "m/s", "What an estimator should see, positive towards the probe."),
        "mask": ("?", "–", "True where there is flow."),
        "fold": ("i1", "–", "Nyquist intervals between wrapped and true velocity."),
    }
    for name, (dtype, of, description) in maps.items():
        dataset = group.create_dataset(name, (n_frames, *grid.shape), dtype, chunks=(1, *grid.shape), **DEFLATE)
        dataset.attrs.update(unit=of, description=description)
    return group


def _put(group: h5py.Group, name: str, value: object, unit: str, description: str) -> None:
    group.create_dataset(name, data=value).attrs.update(unit=unit, description=description)
