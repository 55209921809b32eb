"""Recordings in the form of MUST and PyMUST: a MATLAB file with channel data `RF` and a struct `param`.

Names and meanings are those of MUST (Garcia 2021, Make the most of MUST): `RF` (samples, elements, pulses) or, with
several transmits per slow-time sample, (samples, elements, transmits, pulses); `TXdelay` (transmits, elements) in
seconds, NaN where an element does not fire; `t0` the time of the first sample on the clock of the delays.
Complex `RF` is IQ mixed down with `fc`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.acquisition import Acquisition
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.probe import Probe
from trueflow.pipeline.sources.base import Recording
from trueflow.pipeline.sources.fields import LARGEST_SAMPLE_BYTES, Fields, check_finite, naming
from trueflow.pipeline.sources.hdf5 import broken_file, child, fields_of, names_in, open_hdf5
from trueflow.pipeline.sources.mat5 import load_variables
from trueflow.pipeline.sources.pulse_order import PulseOrder, arrange
from trueflow.pipeline.sources.transmits import waves_from_delays

__all__ = ["MustRecording"]

DEFAULT_SOUND_SPEED_M_S = 1540.0  # MUST's own


class MustRecording(Recording):
    """A MUST recording.

    MATLAB's compressed format has no random access, so files up to version 7 are held in memory whole; those of
    version 7.3 are read pulse by pulse.

    Parameters
    ----------
    path : path to a .mat file

    Raises
    ------
    TrueflowError
        Not such a file, or one whose fields are missing or do not fit together.
    """

    format_name = "MUST"

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file: h5py.File | None = None
        with naming(self.path):
            try:
                if h5py.is_hdf5(self.path):
                    self._file = open_hdf5(self.path)
                    self._adopt(*_find_v73(self._file, self.path))
                else:
                    self._adopt(*_load_v5(self.path))
            except TrueflowError:
                self.close()
                raise

    def _adopt(self, samples: Any, param: Fields) -> None:
        where = f"{self.path} RF"
        shape = _checked_shape(samples, where)
        self._samples = samples
        self._pulse_shape = shape[1:] if len(shape) == 4 else (1, *shape[1:])
        n_transmits, n_elements, n_samples = self._pulse_shape
        probe = _probe(param, n_elements)
        center_frequency_hz = param.positive("fc", expected="center frequency in Hz")
        sound_speed_m_s = param.positive("c", expected="m/s", default=DEFAULT_SOUND_SPEED_M_S)
        delays_s = _delays(param, n_transmits, n_elements)
        transmits = waves_from_delays(
            delays_s, probe, sound_speed_m_s, center_frequency_hz=center_frequency_hz, where=param.name("TXdelay")
        )
        prf_hz = param.positive("PRF", expected="pulse repetition frequency in Hz")
        self._order: PulseOrder = arrange(transmits, shape[0], 1.0 / prf_hz, where=param.name("TXdelay"))
        self.n_slow_time, self.burst_length = self._order.n_slow_time, self._order.burst_length
        self.acquisition = Acquisition(
            probe=probe,
            transmits=self._order.transmits,
            sampling_frequency_hz=param.positive("fs", expected="sampling frequency in Hz"),
            center_frequency_hz=center_frequency_hz,
            prf_hz=prf_hz,
            n_samples=n_samples,
            n_ensemble=min(self.burst_length, 1 << 16),
            rx_start_s=param.scalar("t0", default=0.0),
            sound_speed_m_s=sound_speed_m_s,
            sample_kind="iq" if samples.dtype.kind in "cV" else "rf",
        )

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Slow-time samples start..stop-1: (n, n_transmits, n_elements, n_samples)."""
        where = f"{self.path} RF"
        blocks = []
        for frame, transmits, _ in self._order.spans(start, stop):
            pulse = _stored(self._samples, frame, where)
            blocks.append(pulse.reshape(self._pulse_shape)[transmits])
        n_transmits = len(self._order.transmits)
        if not blocks:
            return np.empty((0, n_transmits, *self._pulse_shape[1:]), _plain_type(self._samples.dtype))
        return np.concatenate(blocks).reshape(stop - start, n_transmits, *self._pulse_shape[1:])

    def close(self) -> None:
        """Release the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _load_v5(path: Path) -> tuple[NDArray[Any], Fields]:
    """Samples in C order (pulses, [transmits,] elements, samples), and the fields of `param`."""
    variables = load_variables(path, ("RF", "param"))
    samples, param = variables["RF"], variables["param"]
    if param.dtype.names is None or param.size != 1:
        raise TrueflowError("not a struct", where=f"{path} param", found=param.dtype, expected="a 1 x 1 struct")
    record = {str(name).lower(): np.asarray(param.reshape(-1)[0][name]) for name in param.dtype.names}
    return _narrowed(samples).transpose(), Fields(f"{path} param", lambda name: record.get(name.lower()))


def _find_v73(file: h5py.File, path: Path) -> tuple[Any, Fields]:
    """Samples (stored in C order already), and the fields of `param`."""
    samples, group = child(file, "RF"), child(file, "param")
    for name, node, kind in (("RF", samples, h5py.Dataset), ("param", group, h5py.Group)):
        if not isinstance(node, kind):
            raise TrueflowError(
                "missing variable",
                where=f"{path} {name}",
                found=", ".join(sorted(names_in(file))),
                expected="the array RF and the struct param",
            )
    stored = {name.lower(): name for name in names_in(group)}
    fields = fields_of(group, path)

    def lookup(name: str) -> NDArray[Any] | None:
        values = fields.find(stored.get(name.lower(), name))
        return None if values is None else values.transpose()  # arrays are stored transposed

    return samples, Fields(fields.where, lookup)


def _narrowed(samples: NDArray[Any]) -> NDArray[Any]:
    """MATLAB stores whole numbers in the narrowest type that holds them, whatever their class: make them int16."""
    if samples.dtype.kind in "iu" and samples.dtype != np.int16:
        fits = samples.size and samples.min() >= -(1 << 15) and samples.max() < 1 << 15
        return samples.astype(np.int16 if fits else np.float32)
    return samples


def _checked_shape(samples: Any, where: str) -> tuple[int, ...]:
    shape = tuple(int(n) for n in samples.shape or ())
    kind = samples.dtype.kind
    if kind not in "iufc" and samples.dtype.names != ("real", "imag"):
        raise TrueflowError("wrong type", where=where, found=samples.dtype, expected="real or complex numbers")
    if len(shape) not in (3, 4):
        raise TrueflowError(
            "wrong rank",
            where=where,
            found=f"shape {shape[::-1]}",
            expected="(samples, elements, pulses) or (samples, elements, transmits, pulses)",
        )
    if 0 in shape:
        raise TrueflowError("no samples", where=where, found=f"shape {shape[::-1]}", expected="no empty dimension")
    pulse_bytes = samples.dtype.itemsize * int(np.prod(shape[1:], dtype=object))
    if pulse_bytes > LARGEST_SAMPLE_BYTES:
        raise TrueflowError(
            "implausibly large",
            where=where,
            found=f"shape {shape[::-1]}",
            expected=f"at most {LARGEST_SAMPLE_BYTES / 2**30:g} GiB a pulse",
        )
    return shape


def _plain_type(dtype: Any) -> Any:
    if dtype.kind in "cV":
        return np.complex64
    return np.int16 if dtype == np.int16 else np.float32


def _stored(samples: Any, frame: int, where: str) -> NDArray[Any]:
    """One pulse as int16, float32 or complex64, C-ordered."""
    with broken_file(where):
        block = np.asarray(samples[frame])
    if block.dtype.names is not None:  # version 7.3 stores complex numbers as a pair of fields
        block = block["real"] + 1j * block["imag"]
    with np.errstate(over="ignore", invalid="ignore"):  # infinity is refused right after
        return check_finite(np.ascontiguousarray(block, dtype=_plain_type(samples.dtype)), where)


def _probe(param: Fields, n_elements: int) -> Probe:
    declared = param.optional("Nelements")
    if declared is not None and declared != n_elements:
        raise TrueflowError(
            "does not fit the samples",
            where=param.name("Nelements"),
            found=f"{declared:g}",
            expected=f"{n_elements}, the second dimension of RF",
        )
    pitch_m = param.positive("pitch", expected="element pitch in m")
    width_m = param.optional("width")
    if width_m is None and (kerf_m := param.optional("kerf")) is not None:
        width_m = pitch_m - kerf_m
    bandwidth_percent = param.optional("bandwidth")
    facts: dict[str, Any] = {
        "pitch_m": pitch_m,
        "center_frequency_hz": param.optional("fc"),
        "element_width_m": width_m,
        "bandwidth_fraction": None if bandwidth_percent is None else bandwidth_percent / 100.0,
    }
    radius = param.find("radius")
    if radius is None or (radius.size == 1 and np.isinf(radius).all()):
        return Probe.linear(n_elements, **facts)
    return Probe.convex(n_elements, radius_m=param.positive("radius", expected="radius of curvature in m"), **facts)


def _delays(param: Fields, n_transmits: int, n_elements: int) -> NDArray[np.float64]:
    delays_s = param.array("TXdelay", (None, n_elements), expected="seconds", finite=False)
    if delays_s is None:
        raise param.missing("TXdelay", f"(transmits, {n_elements}) seconds", "zeros make an unsteered plane wave")
    if len(delays_s) != n_transmits:
        raise TrueflowError(
            "does not fit the samples",
            where=param.name("TXdelay"),
            found=f"{len(delays_s)} transmits",
            expected=f"{n_transmits}, the third of the four dimensions of RF"
            if n_transmits > 1
            else "1 for RF (samples, elements, pulses); with more, RF (samples, elements, transmits, pulses)",
        )
    return delays_s
