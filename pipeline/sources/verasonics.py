"""Verasonics workspaces: `RcvData` with the structures that describe its acquisition, in a MATLAB file.

Lengths are in wavelengths of `Trans.frequency`, times in periods of it. Which transmit belongs to which rows of the
receive buffer is what `Event` says; all frames repeat the first one's events. The buffer is circular: the frame after
`lastFrame` is the oldest.

Time: sample 0 comes 2 * startDepth periods after the first transmit delay's zero. The peak of the two-way pulse lies
`TW.peak` periods later than a pulse without length would, and the lens adds `lensCorrection` each way; `rx_start_s` is
smaller by both, so that delays computed from geometry alone meet the echoes (as USTB and QUPS do).

Sampling: `NS200BW` and `BS67BW` are real samples at decimSampleRate / quadDecim. `BS100BW` and `BS50BW` are quadrature
pairs at half that rate, the second of each pair taken a quarter period later, hence minus Q: IQ mixed down with
`demodFrequency`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.acquisition import Acquisition, Transmit
from trueflow.pipeline.errors import TrueflowError, nearest
from trueflow.pipeline.sources.base import Recording
from trueflow.pipeline.sources.fields import LARGEST_SAMPLE_BYTES, naming
from trueflow.pipeline.sources.hdf5 import broken_file
from trueflow.pipeline.sources.pulse_order import PulseOrder, arrange
from trueflow.pipeline.sources.verasonics_mat import MatFile, open_mat
from trueflow.pipeline.sources.verasonics_structs import (
    Pulse,
    bounded,
    center_frequency_hz_of,
    channels_of,
    frame_order,
    frequency_mhz_of,
    probe_of,
    pulses_of_a_frame,
    rx_start_periods,
    waves_of,
)

__all__ = ["VerasonicsRecording"]

SAMPLE_MODES = {"NS200BW": False, "BS67BW": False, "custom": False, "BS100BW": True, "BS50BW": True}


class VerasonicsRecording(Recording):
    """A Verasonics recording; frame by frame from version 7.3 files, in memory from older ones.

    Parameters
    ----------
    path : path to a .mat file
    buffer : int
        Number of the receive buffer, from 1.

    Raises
    ------
    TrueflowError
        Not such a file, or one whose fields are missing or do not fit together.
    """

    format_name = "Verasonics"

    def __init__(self, path: str | Path, buffer: int = 1) -> None:
        self.path = Path(path)
        with naming(self.path):
            self._mat = open_mat(self.path)
            try:
                self._adopt(self._mat, buffer)
            except BaseException:
                self._mat.close()
                raise

    def _adopt(self, mat: MatFile, buffer: int) -> None:
        self._samples = mat.buffer(buffer - 1)
        self._pulses = pulses_of_a_frame(mat, buffer)
        n_frames, n_channels = _checked_shape(self._samples, self._pulses, f"{self.path} RcvData{{{buffer}}}")
        period_s = 1e-6 / frequency_mhz_of(mat)
        sound_speed_m_s = bounded(
            mat.fields("Resource.Parameters"), "speedOfSound", low=300.0, high=5000.0, unit="m/s", default=1540.0
        )
        probe = probe_of(mat, sound_speed_m_s * period_s)
        self._channels = channels_of(mat, probe.n_elements, n_channels)
        self._frames = frame_order(mat, buffer, n_frames)
        center_frequency_hz = center_frequency_hz_of(mat, [pulse.tx for pulse in self._pulses])
        waves = waves_of(mat, self._pulses, probe, sound_speed_m_s, period_s, center_frequency_hz)
        self._order = _slow_time(waves, self._pulses, n_frames, f"{self.path} SeqControl timeToNextAcq")
        self.n_slow_time, self.burst_length = self._order.n_slow_time, self._order.burst_length
        receive = mat.fields("Receive", self._pulses[0].receive)
        self._iq = _is_iq(mat, self._pulses[0].receive)
        parts = 2 if self._iq else 1
        if self._pulses[0].n_rows % parts:
            raise TrueflowError("odd number of samples", where=receive.name("endSample"), expected="pairs of I and Q")
        rate_mhz = bounded(receive, "decimSampleRate", low=0.01, high=1000.0, unit="MHz") / bounded(
            receive, "quadDecim", low=1.0, high=64.0, unit="times", default=1.0  # newer scanners leave it out
        )
        demodulation_mhz = bounded(
            receive, "demodFrequency", low=0.01, high=200.0, unit="MHz", default=1e-6 / period_s
        )
        self.acquisition = Acquisition(
            probe=probe, transmits=self._order.transmits, sampling_frequency_hz=rate_mhz * 1e6 / parts,
            center_frequency_hz=center_frequency_hz, prf_hz=self._order.prf_hz,
            n_samples=self._pulses[0].n_rows // parts, n_ensemble=min(self.burst_length, 1 << 16),
            rx_start_s=rx_start_periods(mat, self._pulses) * period_s, sound_speed_m_s=sound_speed_m_s,
            demodulation_frequency_hz=demodulation_mhz * 1e6 if self._iq else None,
            sample_kind="iq" if self._iq else "rf", stagger=self._order.stagger,
        )

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Slow-time samples start..stop-1: (n, n_transmits, n_elements, n_samples)."""
        acquisition = self.acquisition
        shape = (stop - start, acquisition.n_transmits, acquisition.probe.n_elements, acquisition.n_samples)
        samples = np.empty(shape, np.complex64 if self._iq else np.int16)
        for frame, within, place in self._order.spans(start, stop):
            if place.start == place.stop:
                continue
            samples[place] = self._frame(int(self._frames[frame]), self._pulses[within]).reshape(samples[place].shape)
        return samples

    def _frame(self, frame: int, pulses: list[Pulse]) -> NDArray[Any]:
        """Pulses of one frame: (n, n_elements, n_samples)."""
        first = min(pulse.first_row for pulse in pulses)
        last = max(pulse.first_row + pulse.n_rows for pulse in pulses)
        with broken_file(f"{self.path} RcvData"):
            rows = np.asarray(self._samples[frame, :, first:last])[self._channels]
        echoes = np.stack([rows[:, p.first_row - first : p.first_row - first + p.n_rows] for p in pulses])
        if not self._iq:
            return echoes
        iq = np.empty((*echoes.shape[:2], echoes.shape[2] // 2), np.complex64)
        iq.real, iq.imag = echoes[..., 0::2], echoes[..., 1::2]
        return np.conj(iq, out=iq)

    def close(self) -> None:
        """Release the file."""
        self._samples = None
        self._mat.close()


def _slow_time(waves: list[Transmit], pulses: list[Pulse], n_frames: int, where: str) -> PulseOrder:
    """Slow time; frames are bursts where nothing says how long it takes from one to the next."""
    intervals_s = np.array([pulse.interval_s for pulse in pulses])
    if np.isnan(intervals_s[:-1]).any() or (len(pulses) == 1 and np.isnan(intervals_s[0])):
        raise TrueflowError(
            "time between pulses is unknown", where=where, found="an event without it", expected="us in every event",
            advice="it sets the pulse repetition frequency and with it the velocity scale",
        )
    if not np.isnan(intervals_s[-1]):
        return arrange(waves, n_frames, np.tile(intervals_s, n_frames), where=where)
    frame = arrange(waves, 1, intervals_s, where=where)
    if frame.n_repeats == 1 and n_frames > 1:
        raise TrueflowError(
            "time between frames is unknown", where=where, found="none in the last event of a frame",
            expected="us to the next frame: each frame is one slow-time sample",
        )
    return replace(frame, n_frames=n_frames)


def _checked_shape(samples: Any, pulses: list[Pulse], where: str) -> tuple[int, int]:
    with broken_file(where):
        shape, kind = (None, None) if samples is None else (tuple(int(n) for n in samples.shape), samples.dtype)
    if shape is None or len(shape) != 3 or 0 in shape:
        raise TrueflowError(
            "wrong shape", where=where, found=shape and shape[::-1], expected="(rows, channels, frames)"
        )
    if kind != np.int16:
        raise TrueflowError("wrong type", where=where, found=kind, expected="int16")
    n_frames, n_channels, n_rows = shape
    last = max(pulse.first_row + pulse.n_rows for pulse in pulses)
    if last > n_rows:
        raise TrueflowError("rows are missing", where=where, found=n_rows, expected=f"{last}, the last endSample")
    if len({pulse.n_rows for pulse in pulses}) != 1:
        raise TrueflowError("echoes of different lengths", where=f"{where} Receive.endSample", expected="one length")
    if 2 * n_channels * last > LARGEST_SAMPLE_BYTES:
        raise TrueflowError("implausibly large", where=where, found=f"{2 * n_channels * last} bytes a frame")
    return n_frames, n_channels


def _is_iq(mat: MatFile, receive: int) -> bool:
    """Whether the sample mode makes pairs of I and Q."""
    mode = mat.text("Receive", "sampleMode", receive, default="NS200BW")
    if mode not in SAMPLE_MODES:
        raise TrueflowError(
            "unknown sample mode", where=f"{mat.path} Receive({receive + 1}) sampleMode", found=repr(mode[:20]),
            advice=nearest(mode[:20], SAMPLE_MODES),
        )
    return SAMPLE_MODES[mode]
