"""One track of a zea file, checked and understood: its acquisition, its slow time, its samples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.acquisition import Acquisition, PlaneWave
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.grid import ImageGrid
from trueflow.pipeline.probe import Probe
from trueflow.pipeline.sources.beamformed import beamformed_acquisition, grid_from_coordinates
from trueflow.pipeline.sources.fields import Fields
from trueflow.pipeline.sources.hdf5 import check_samples, child, fields_of, name_of, text_dataset
from trueflow.pipeline.sources.pulse_order import PulseOrder, arrange
from trueflow.pipeline.sources.zea_scan import ZeaClock, pulse_intervals_s, read_probe, read_transmits

__all__ = ["Track", "read_track"]

DEFAULT_SOUND_SPEED_M_S = 1540.0
LONGEST_ENSEMBLE = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """What a track holds; `grid` is None for channel data."""

    acquisition: Acquisition
    order: PulseOrder
    samples: h5py.Dataset
    grid: ImageGrid | None = None


def read_track(group: h5py.Group, file: h5py.File, path: Path) -> Track:
    """Understand the track in `group`, which holds `data` and `scan`.

    Raises
    ------
    TrueflowError
        Where fields are missing, malformed or do not fit together.
    """
    data, scan_group = child(group, "data"), child(group, "scan")
    if not isinstance(scan_group, h5py.Group):
        raise TrueflowError(
            "missing group", where=f"{path} {name_of(group)}/scan", found="nothing",
            expected="sampling_frequency, center_frequency and the rest of the scan",
        )
    scan = fields_of(scan_group, path)
    raw = child(data, "raw_data")
    if raw is not None:
        return _channel_track(raw, scan, file, path)
    return _beamformed_track(data, scan, file, path)


def _channel_track(raw: Any, scan: Fields, file: h5py.File, path: Path) -> Track:
    where = f"{path} {name_of(raw)}"
    shape = check_samples(raw, ("frames", "transmits", "samples", "elements", "RF or IQ"), where)
    n_frames, n_transmits, n_samples, n_elements, n_parts = shape
    if n_parts not in (1, 2) or raw.dtype.kind == "c":
        raise TrueflowError(
            "neither RF nor IQ", where=where, found=f"{raw.dtype}, shape {shape}",
            expected="real numbers, last axis 1 (RF) or 2 (I and Q)",
        )
    probe = _probe_of(scan, file, path)
    if probe is None:
        raise TrueflowError(
            "missing field", where=f"{path} probe/probe_geometry", found="nothing",
            expected=f"({n_elements}, 3) element positions in m",
        )
    if probe.n_elements != n_elements:
        raise TrueflowError(
            "does not fit the samples", where=f"{path} probe_geometry", found=f"{probe.n_elements} elements",
            expected=f"{n_elements}, as in raw_data {shape}",
        )
    _refuse_subapertures(scan, n_elements)
    center_frequency_hz = scan.uniform("center_frequency", expected="center frequency in Hz")
    sound_speed_m_s = scan.positive("sound_speed", expected="m/s", default=DEFAULT_SOUND_SPEED_M_S)
    clock = read_transmits(
        scan, probe, n_transmits, sound_speed_m_s=sound_speed_m_s, center_frequency_hz=center_frequency_hz
    )
    intervals_s = pulse_intervals_s(scan, n_frames, n_transmits)
    order = arrange(clock.transmits, n_frames, intervals_s, where=scan.name("time_to_next_transmit"))
    acquisition = _channel_acquisition(
        scan, probe, clock, order, n_samples=n_samples, iq=n_parts == 2, center_frequency_hz=center_frequency_hz,
        sound_speed_m_s=sound_speed_m_s,
    )
    return Track(acquisition, order, raw)


def _channel_acquisition(
    scan: Fields, probe: Probe, clock: ZeaClock, order: PulseOrder, *, n_samples: int, iq: bool,
    center_frequency_hz: float, sound_speed_m_s: float,
) -> Acquisition:
    demodulation_frequency_hz = None
    if iq:
        demodulation_frequency_hz = scan.uniform("demodulation_frequency", expected="Hz", default=center_frequency_hz)
    return Acquisition(
        probe=probe, transmits=order.transmits,
        sampling_frequency_hz=scan.positive("sampling_frequency", expected="sampling frequency in Hz"),
        center_frequency_hz=center_frequency_hz, prf_hz=order.prf_hz, n_samples=n_samples,
        n_ensemble=min(order.burst_length, LONGEST_ENSEMBLE), rx_start_s=clock.rx_start_s,
        sound_speed_m_s=sound_speed_m_s, demodulation_frequency_hz=demodulation_frequency_hz,
        sample_kind="iq" if iq else "rf", stagger=order.stagger,
    )


def _beamformed_track(data: h5py.Group, scan: Fields, file: h5py.File, path: Path) -> Track:
    node = child(data, "beamformed_data")
    where = f"{path} {name_of(data)}/beamformed_data"
    if not isinstance(node, h5py.Group):
        raise TrueflowError(
            "no pixel positions", where=where, found="a plain array", expected="a group with values and coordinates"
        )
    values = child(node, "values")
    complex_values = isinstance(values, h5py.Dataset) and values.dtype.kind == "c"
    axes = ("frames", "z", "x") if complex_values else ("frames", "z", "x", "I and Q")
    shape = check_samples(values, axes, f"{where}/values")
    if not complex_values and shape[-1] != 2:
        raise TrueflowError(
            "not IQ", where=f"{where}/values", found=f"last axis {shape[-1]}", expected="2 (I and Q)",
            advice="Doppler needs the phase: store IQ",
        )
    fields = fields_of(node, path)
    grid = grid_from_coordinates(_coordinates(fields, shape[1:3]), fields.name("coordinates"))
    order = arrange((PlaneWave(),), shape[0], _frame_steps_s(fields, scan, shape[0]), where=fields.name("timestamps"))
    acquisition = beamformed_acquisition(
        grid, probe=_probe_of(scan, file, path),
        center_frequency_hz=scan.uniform("center_frequency", expected="center frequency in Hz"),
        slow_time_rate_hz=order.prf_hz, sampling_frequency_hz=scan.optional("sampling_frequency"),
        sound_speed_m_s=scan.positive("sound_speed", expected="m/s", default=DEFAULT_SOUND_SPEED_M_S),
        n_ensemble=min(order.burst_length, LONGEST_ENSEMBLE), stagger=order.stagger,
    )
    return Track(acquisition, order, values, grid)


def _coordinates(fields: Fields, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Pixel positions (n_z, n_x, 3); where the file repeats them for each frame, those of the first."""
    values = fields.find("coordinates")
    if values is None:
        raise fields.missing("coordinates", f"{(*shape, 3)} m")
    wanted: tuple[int | None, ...] = (*shape, 3)
    positions_m = fields.array("coordinates", (None, *wanted) if values.ndim == 4 else wanted, expected="m")
    assert positions_m is not None
    return np.asarray(positions_m.reshape(-1, *shape, 3)[0])


def _frame_steps_s(fields: Fields, scan: Fields, n_frames: int) -> NDArray[np.float64]:
    """Time between beamformed frames: from their timestamps, or else from the pulses of each."""
    timestamps_s = fields.array("timestamps", (n_frames,), expected="seconds, one per frame")
    if timestamps_s is not None:
        return np.asarray(np.diff(timestamps_s))
    intervals_s = scan.find("time_to_next_transmit")
    if intervals_s is None or intervals_s.ndim != 2 or len(intervals_s) != n_frames:
        raise fields.missing("timestamps", f"({n_frames},) seconds", "they set the velocity scale")
    return np.asarray(intervals_s.sum(axis=1, dtype=np.float64))


def _probe_of(scan: Fields, file: h5py.File, path: Path) -> Probe | None:
    group = child(file, "probe")
    if not isinstance(group, h5py.Group):
        return read_probe(Fields(f"{path} probe", lambda name: None), scan, kind_text="", name="")

    kind, name = text_dataset(group, "type"), text_dataset(group, "name")
    return read_probe(fields_of(group, path), scan, kind_text=kind, name=name)


def _refuse_subapertures(scan: Fields, n_elements: int) -> None:
    indices = scan.find("rx_aperture_indices")
    if indices is None:
        return
    if indices.shape[-1] != n_elements or (indices.reshape(-1, n_elements) != np.arange(n_elements)).any():
        raise TrueflowError(
            "receive apertures are not supported", where=scan.name("rx_aperture_indices"), found=indices.shape,
            expected=f"all {n_elements} elements in order, for every transmit",
        )
