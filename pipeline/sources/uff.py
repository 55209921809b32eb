"""Recordings in USTB's ultrasound file format (UFF): `uff.channel_data`, or `uff.beamformed_data` with IQ.

MATLAB's arrays lie transposed in the file, and those of one frame or one wave lose axes: channel data is
(frames, waves, channels, samples), beamformed data (frames, waves, channels, pixels) with depth running fastest. Times
follow USTB's beamformer: a front crosses the coordinate origin at -delay on the clock of `initial_time`. Complex arrays
are stored as `real` and `imag`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.acquisition import Acquisition, PlaneWave
from trueflow.pipeline.errors import TrueflowError, nearest
from trueflow.pipeline.sources.base import Recording
from trueflow.pipeline.sources.beamformed import beamformed_acquisition
from trueflow.pipeline.sources.fields import Fields, naming
from trueflow.pipeline.sources.hdf5 import child, class_of, fields_of, name_of, names_in, open_hdf5
from trueflow.pipeline.sources.pulse_order import PulseOrder, arrange
from trueflow.pipeline.sources.uff_objects import (
    UffSamples,
    read_center_frequency_hz,
    read_probe,
    read_scan,
    read_waves,
    wave_groups,
)

__all__ = ["UffRecording"]

CHANNELS, BEAMFORMED = "uff.channel_data", "uff.beamformed_data"
DEFAULT_SOUND_SPEED_M_S = 1540.0  # USTB's own
LONGEST_ENSEMBLE = 1 << 16


class UffRecording(Recording):
    """A UFF recording, read frame by frame.

    Parameters
    ----------
    path : path to an HDF5 file
    name : str, optional
        Which object at the file's root to read. Default: its first channel data, else its first beamformed data.

    Raises
    ------
    TrueflowError
        Not such a file, or one whose fields are missing or do not fit together.
    """

    format_name = "UFF"

    def __init__(self, path: str | Path, name: str | None = None) -> None:
        self.path = Path(path)
        self._file = open_hdf5(self.path)
        self._order: PulseOrder
        with naming(self.path):
            try:
                group = _choose(self._file, self.path, name)
                if class_of(group) == CHANNELS:
                    self._open_channels(group)
                else:
                    self._open_beamformed(group)
            except TrueflowError:
                self.close()
                raise
        self.n_slow_time, self.burst_length = self._order.n_slow_time, self._order.burst_length

    def _open_channels(self, group: h5py.Group) -> None:
        self._samples = samples = UffSamples(group, self.path, "samples")
        fields = fields_of(group, self.path)
        n_frames, n_waves, n_channels, n_samples = samples.shape
        center_frequency_hz = read_center_frequency_hz(group, self.path)
        probe_group, pulse_group = child(group, "probe"), child(group, "pulse")
        if not isinstance(probe_group, h5py.Group):
            raise fields.missing("probe", "a uff.probe")
        pulse = fields_of(pulse_group, self.path) if isinstance(pulse_group, h5py.Group) else None
        probe = read_probe(probe_group, self.path, center_frequency_hz=center_frequency_hz, pulse=pulse)
        if probe.n_elements != n_channels:
            raise TrueflowError(
                "does not fit the samples",
                where=f"{fields.where}/probe",
                found=f"{probe.n_elements} elements",
                expected=f"{n_channels} channels, as in data {samples.shape}",
            )
        prf_hz = _prf_hz(fields)
        waves = read_waves(group, self.path, n_waves)
        self._order = arrange(waves, n_frames, 1.0 / prf_hz, where=f"{fields.where}/sequence")
        self.acquisition = Acquisition(
            probe=probe,
            transmits=self._order.transmits,
            sampling_frequency_hz=fields.positive("sampling_frequency", expected="sampling frequency in Hz"),
            center_frequency_hz=center_frequency_hz,
            prf_hz=prf_hz,
            n_samples=n_samples,
            n_ensemble=min(self._order.burst_length, LONGEST_ENSEMBLE),
            rx_start_s=fields.scalar("initial_time", default=0.0),
            sound_speed_m_s=fields.positive("sound_speed", expected="m/s", default=DEFAULT_SOUND_SPEED_M_S),
            demodulation_frequency_hz=_demodulation_hz(fields, iq=samples.is_complex),
            sample_kind="iq" if samples.is_complex else "rf",
        )

    def _open_beamformed(self, group: h5py.Group) -> None:
        self._samples = samples = UffSamples(group, self.path, "pixels")
        self.grid = grid = read_scan(group, self.path)
        n_frames, n_waves, n_channels, n_pixels = samples.shape
        n_z, n_x = grid.shape
        if not samples.is_complex:
            raise TrueflowError(
                "not IQ",
                where=samples.where,
                found="real numbers",
                expected="complex pixels",
                advice="Doppler needs the phase",
            )
        if n_channels != 1 or n_pixels != n_z * n_x:
            raise TrueflowError(
                "does not fit the scan",
                where=samples.where,
                found=f"{n_channels} channels, {n_pixels} pixels",
                expected=f"1 channel, {n_z} x {n_x} pixels",
            )
        interval_s = 1.0 / _prf_hz(fields_of(_holder(group, "PRF"), self.path))
        sequence = _holder(group, "sequence")
        if n_waves > 1:
            waves = read_waves(sequence, self.path, n_waves)
        else:  # compounded already: the sequence only tells how many pulses went into a frame
            waves, interval_s = (PlaneWave(),), interval_s * max(1, len(wave_groups(sequence)))
        self._order = order = arrange(waves, n_frames, interval_s, where=f"{self.path} {name_of(sequence)}")
        sound = fields_of(_holder(group, "sound_speed"), self.path)
        self.acquisition = beamformed_acquisition(
            grid,
            probe=None,
            center_frequency_hz=read_center_frequency_hz(_holder(group, "pulse"), self.path),
            slow_time_rate_hz=order.prf_hz / len(order.transmits),
            sound_speed_m_s=sound.positive("sound_speed", expected="m/s", default=DEFAULT_SOUND_SPEED_M_S),
            sampling_frequency_hz=fields_of(group, self.path).optional("sampling_frequency"),
            n_ensemble=min(order.burst_length, LONGEST_ENSEMBLE),
        )

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Slow-time samples start..stop-1: (n, n_transmits, n_elements, n_samples), or beamformed (n, n_z, n_x)."""
        n_transmits = len(self._order.transmits)
        _, _, n_channels, n_samples = self._samples.shape
        samples = np.empty((stop - start, n_transmits, n_channels, n_samples), self._samples.dtype)
        for frame, waves, place in self._order.spans(start, stop):
            samples[place] = self._samples.read(frame, waves).reshape(samples[place].shape)
        if self.grid is None:
            return samples
        n_z, n_x = self.grid.shape
        pixels = samples.sum(axis=(1, 2)).reshape(stop - start, n_x, n_z)
        return np.ascontiguousarray(pixels.swapaxes(1, 2))

    def close(self) -> None:
        """Release the file."""
        self._file.close()


def _choose(file: h5py.File, path: Path, name: str | None) -> h5py.Group:
    objects = {key: class_of(node) for key in names_in(file) if isinstance(node := child(file, key), h5py.Group)}
    readable = [key for kind in (CHANNELS, BEAMFORMED) for key in objects if objects[key] == kind]
    if name is None and readable:
        return child(file, readable[0])
    if name is not None and name in readable:
        return child(file, name)
    if name is not None and readable:
        raise TrueflowError("no such object", where=f"{path} {name}", advice=nearest(name, readable))
    found = ", ".join(f"{key} ({kind or 'no class'})" for key, kind in objects.items())
    raise TrueflowError(
        "no recording", where=str(path), found=found or "nothing", expected=f"{CHANNELS} or {BEAMFORMED}"
    )


def _holder(group: h5py.Group, name: str) -> h5py.Group:
    """Who knows `name`: the object itself, else channel data beside it, from which it was beamformed."""
    beside = [child(group.file, key) for key in names_in(group.file)]
    for node in [group, *(n for n in beside if isinstance(n, h5py.Group) and class_of(n) == CHANNELS)]:
        if child(node, name) is not None:
            return node
    return group


def _prf_hz(fields: Fields) -> float:
    return fields.positive(
        "PRF",
        expected="pulse repetition frequency in Hz",
        advice="optional in UFF, but it sets the velocity scale: write it, in Hz, beside the data",
    )


def _demodulation_hz(fields: Fields, *, iq: bool) -> float | None:
    frequency_hz = fields.scalar("modulation_frequency", default=0.0)
    if (frequency_hz > 0) != iq:
        raise TrueflowError(
            "neither RF nor IQ",
            where=fields.name("modulation_frequency"),
            found=f"{frequency_hz:g} Hz with {'complex' if iq else 'real'} samples",
            expected="0 Hz with real samples (RF) or > 0 with complex ones (IQ)",
        )
    return frequency_hz if iq else None
