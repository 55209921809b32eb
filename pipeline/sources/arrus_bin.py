"""Raw recordings in the form of ARRUS' file device: NAME.bin, NAME.prototxt, and a NAME.toml that says what was fired.

The .bin is int16, frame after frame, each (1, firings, receive channels, samples, 1 or 2), the last axis 2 for I and Q.
The .prototxt names it:

    file: { filepath: "NAME.bin" n_frames: 100 probe_id: { manufacturer: "..." name: "..." } }

Neither says anything about the acquisition (ARRUS takes it from the user's script), so the .toml does:

    [probe]
    kind = "linear"                       # or "phased", "convex"
    n_elements = 192
    pitch_m = 0.2e-3
    # radius_m = 40e-3                    # convex only
    # center_frequency_hz, bandwidth_fraction, element_width_m, name: optional

    [sequence]
    angles_rad = [0.0]                    # plane waves of one slow-time sample, in firing order, or
    # virtual_sources_m = [[0.0, -0.01]]  # diverging waves: x, z of each source behind the array
    n_repeats = 64                        # slow-time samples per frame; default 1
    center_frequency_hz = 5e6             # of the transmitted pulse
    prf_hz = 10e3                         # firing rate
    n_samples = 2048
    # sampling_frequency_hz = 65e6        # the device's nominal rate unless given
    # rx_start_s = 0.0                    # sample 0, after the wavefront has crossed the array's center
    # sound_speed_m_s = 1540.0
    # iq = false
    # demodulation_frequency_hz           # of IQ; default the center frequency
    # n_receive_firings = 1               # firings the receive aperture was split into
    # stagger = "3:4"                     # slow-time intervals alternate; prf_hz is that of the short one

The file device writes metadata over sample 0 of 32 channels: sample 0 of every echo is read as zero.
"""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.acquisition import Acquisition, PlaneWave, Transmit, parse_stagger
from trueflow.pipeline.errors import TrueflowError, nearest
from trueflow.pipeline.probe import Probe
from trueflow.pipeline.sources.base import Recording
from trueflow.pipeline.sources.fields import LARGEST_SAMPLE_BYTES, naming
from trueflow.pipeline.sources.prototxt import read_prototxt
from trueflow.pipeline.sources.transmits import wave_from_source
from trueflow.pipeline.toml_text import read_toml

__all__ = ["ArrusBinRecording"]

NOMINAL_SAMPLING_FREQUENCY_HZ = 65e6

_PROBE_KINDS = ("linear", "phased", "convex")
_PROBE_KEYS = {
    "kind": str, "name": str, "n_elements": int, "pitch_m": float, "radius_m": float, "center_frequency_hz": float,
    "bandwidth_fraction": float, "element_width_m": float,
}
_SEQUENCE_KEYS = {
    "angles_rad": list, "virtual_sources_m": list, "n_repeats": int, "center_frequency_hz": float, "prf_hz": float,
    "n_samples": int, "sampling_frequency_hz": float, "rx_start_s": float, "sound_speed_m_s": float, "iq": bool,
    "demodulation_frequency_hz": float, "n_receive_firings": int, "stagger": str,
}


class ArrusBinRecording(Recording):
    """A .bin of ARRUS' file device, read in parts.

    Parameters
    ----------
    path : path to the .bin, its .prototxt or its .toml

    Raises
    ------
    TrueflowError
        Missing or wrong sidecar; a .bin whose size does not fit it.
    """

    format_name = "ARRUS file device"

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        prototxt = self.path if self.path.suffix == ".prototxt" else self.path.with_suffix(".prototxt")
        n_frames, name = None, "unnamed"
        self._bin = self.path.with_suffix(".bin")
        if prototxt == self.path or prototxt.is_file():
            named, n_frames, name = _read_device(prototxt)
            self._bin = named if prototxt == self.path else self._bin
        sidecar = self.path if self.path.suffix == ".toml" else self._bin.with_suffix(".toml")
        self.beside = prototxt, self._bin, sidecar
        tables = _read_sidecar(sidecar)
        with naming(sidecar):
            probe = _probe(tables["probe"], name, where=f"{sidecar} [probe]")
            self._repeats = _count(tables["sequence"], "n_repeats", 1, where=f"{sidecar} [sequence]")
            self.acquisition = _acquisition(tables["sequence"], probe, where=f"{sidecar} [sequence]")
        self._parts = 2 if self.acquisition.sample_kind == "iq" else 1
        n_frames = self._checked_frames(n_frames)
        self.n_slow_time = n_frames * self._repeats
        self.burst_length = self._repeats if self._repeats > 1 else n_frames
        with naming(sidecar):
            self.acquisition = replace(
                self.acquisition, n_ensemble=min(self.burst_length, 1 << 16),
                stagger=_stagger(tables["sequence"], where=f"{sidecar} [sequence]"),
            )

    @property
    def _sample_values(self) -> int:
        """int16 values of one slow-time sample."""
        acquisition = self.acquisition
        return acquisition.n_transmits * acquisition.probe.n_elements * acquisition.n_samples * self._parts

    def _checked_frames(self, n_frames: int | None) -> int:
        frame_bytes = 2 * self._sample_values * self._repeats
        shape = (
            1, self.acquisition.n_transmits * self._repeats, self.acquisition.probe.n_elements,
            self.acquisition.n_samples, self._parts,
        )
        try:
            found = os.stat(self._bin).st_size
        except OSError as error:
            raise TrueflowError("cannot be read", where=str(self._bin), found=error.strerror) from error
        whole = max(1, found // frame_bytes) if n_frames is None else n_frames
        if found != whole * frame_bytes:
            raise TrueflowError(
                "size does not fit the sequence", where=str(self._bin), found=f"{found} bytes",
                expected=f"{whole * frame_bytes} bytes: {whole} frame(s) {shape} of int16",
                advice="check n_samples, n_elements, iq and the transmits in the .toml; is the file truncated?",
            )
        if 2 * self._sample_values > LARGEST_SAMPLE_BYTES:
            raise TrueflowError("implausibly large", where=str(self._bin), found=f"frames of {shape}")
        return whole

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Slow-time samples start..stop-1: (n, n_transmits, n_elements, n_samples), sample 0 of each echo zero."""
        acquisition = self.acquisition
        shape = (stop - start, acquisition.n_transmits, acquisition.probe.n_elements, acquisition.n_samples)
        try:
            with open(self._bin, "rb") as file:
                file.seek(2 * start * self._sample_values)
                values = np.fromfile(file, "<i2", (stop - start) * self._sample_values)
        except OSError as error:
            raise TrueflowError("cannot be read", where=str(self._bin), found=error.strerror) from error
        if values.size != (stop - start) * self._sample_values:
            raise TrueflowError(
                "file ends early", where=str(self._bin),
                found=f"{2 * (start * self._sample_values + values.size)} bytes",
                expected=f"{2 * stop * self._sample_values} bytes", advice="was it changed while it was read?",
            )
        if self._parts == 2:
            pairs = values.reshape(*shape, 2)
            samples: NDArray[Any] = np.empty(shape, np.complex64)
            samples.real, samples.imag = pairs[..., 0], pairs[..., 1]
        else:
            samples = values.reshape(shape).astype(np.int16, copy=False)
        samples[..., 0] = 0
        return samples


def _read_device(path: Path) -> tuple[Path, int, str]:
    """The .bin that a prototxt names (beside it unless absolute), its number of frames, and the probe's name."""
    device = read_prototxt(path).get("file")
    if not isinstance(device, dict):
        raise TrueflowError("missing field", where=f"{path} file", expected="file: { filepath: ... n_frames: ... }")
    filepath, n_frames = device.get("filepath"), device.get("n_frames")
    if not isinstance(filepath, str) or "\0" in filepath or Path(filepath).name in ("", ".."):
        raise TrueflowError("missing field", where=f"{path} file.filepath", found=filepath, expected="the .bin's name")
    if not isinstance(n_frames, float) or not n_frames.is_integer() or not 1 <= n_frames < 1 << 31:
        raise TrueflowError("not a frame count", where=f"{path} file.n_frames", found=n_frames, expected=">= 1")
    probe_id = device.get("probe_id")
    name = probe_id.get("name") if isinstance(probe_id, dict) else None
    return path.parent / filepath, int(n_frames), name if isinstance(name, str) else "unnamed"


def _read_sidecar(path: Path) -> dict[str, dict[str, Any]]:
    tables = read_toml(
        path, what="the acquisition is not described", expected="a .toml beside the .bin with [probe] and [sequence]"
    )
    for name, known in (("probe", _PROBE_KEYS), ("sequence", _SEQUENCE_KEYS)):
        table = tables.get(name)
        if not isinstance(table, dict):
            raise TrueflowError("missing section", where=f"{path} [{name}]", expected=", ".join(known))
        for key, value in table.items():
            if key not in known:
                raise TrueflowError("unknown setting", where=f"{path} [{name}] {key}", advice=nearest(key, known))
            kinds = (int, float) if known[key] is float else (known[key],)
            if not isinstance(value, kinds) or (isinstance(value, bool) and known[key] is not bool):
                raise TrueflowError(
                    "wrong type", where=f"{path} [{name}] {key}", found=type(value).__name__,
                    expected=known[key].__name__,
                )
            if known[key] is float and isinstance(value, int):
                table[key] = float(value)
    return {name: dict(tables[name]) for name in ("probe", "sequence")}


def _needed(table: dict[str, Any], key: str, *, where: str) -> Any:
    if key not in table:
        raise TrueflowError("missing field", where=f"{where} {key}", found="nothing", expected="a value")
    return table[key]


def _count(
    table: dict[str, Any], key: str, default: int | None = None, *, where: str, most: int = 1 << 20
) -> int:
    value = table.get(key, default) if default is not None else _needed(table, key, where=where)
    if not 1 <= value <= most:
        raise TrueflowError("out of range", where=f"{where} {key}", found=value, expected=f"1 to {most}")
    return int(value)


def _probe(table: dict[str, Any], name: str, *, where: str) -> Probe:
    kind = table.get("kind", "linear")
    if kind not in _PROBE_KINDS:
        advice = nearest(kind, _PROBE_KINDS)
        raise TrueflowError("unknown choice", where=f"{where} kind", found=repr(kind), advice=advice)
    pitch_m = _needed(table, "pitch_m", where=where)
    n_elements = _count(table, "n_elements", where=where, most=1 << 14)
    facts = {key: table.get(key) for key in ("center_frequency_hz", "bandwidth_fraction", "element_width_m")}
    if not (math.isfinite(pitch_m) and pitch_m > 0):
        raise TrueflowError("not positive", where=f"{where} pitch_m", found=pitch_m, expected="> 0 (m)")
    if kind != "convex":
        return Probe.linear(n_elements, pitch_m=pitch_m, kind=kind, name=table.get("name", name), **facts)
    radius_m = _needed(table, "radius_m", where=where)
    if not (math.isfinite(radius_m) and radius_m > 0):
        raise TrueflowError("not positive", where=f"{where} radius_m", found=radius_m, expected="> 0 (m)")
    return Probe.convex(n_elements, pitch_m=pitch_m, radius_m=radius_m, name=table.get("name", name), **facts)


def _acquisition(table: dict[str, Any], probe: Probe, *, where: str) -> Acquisition:
    iq = table.get("iq", False)
    return Acquisition(
        probe=probe, transmits=_transmits(table, where=where),
        sampling_frequency_hz=table.get("sampling_frequency_hz", NOMINAL_SAMPLING_FREQUENCY_HZ),
        center_frequency_hz=_needed(table, "center_frequency_hz", where=where),
        prf_hz=_needed(table, "prf_hz", where=where), n_samples=_count(table, "n_samples", where=where), n_ensemble=1,
        rx_start_s=table.get("rx_start_s", 0.0), sound_speed_m_s=table.get("sound_speed_m_s", 1540.0),
        demodulation_frequency_hz=table.get("demodulation_frequency_hz") if iq else None,
        sample_kind="iq" if iq else "rf", n_receive_firings=_count(table, "n_receive_firings", 1, where=where),
    )


def _stagger(table: dict[str, Any], *, where: str) -> tuple[int, int] | None:
    text = table.get("stagger")
    return None if text is None else parse_stagger(text, where=f"{where} stagger")


def _transmits(table: dict[str, Any], *, where: str) -> tuple[Transmit, ...]:
    given = [key for key in ("angles_rad", "virtual_sources_m") if key in table]
    if len(given) != 1:
        raise TrueflowError(
            "transmits are not described", where=where, found=" and ".join(given) or "nothing",
            expected="either angles_rad or virtual_sources_m",
        )
    values = table[given[0]]
    where = f"{where} {given[0]}"
    if not values:
        raise TrueflowError("no transmits", where=where, expected="at least one")
    try:
        numbers = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TrueflowError("not numbers", where=where) from error
    wanted = (len(values),) if given[0] == "angles_rad" else (len(values), 2)
    if numbers.shape != wanted or not np.isfinite(numbers).all():
        raise TrueflowError("wrong shape", where=where, found=numbers.shape, expected=f"{wanted}, finite")
    if given[0] == "angles_rad":
        if np.abs(numbers).max() >= np.pi / 2:
            raise TrueflowError("out of range", where=where, found=np.abs(numbers).max(), expected="below pi / 2")
        return tuple(PlaneWave(float(angle)) for angle in numbers)
    return tuple(wave_from_source(float(x), float(z), where=where) for x, z in numbers)
