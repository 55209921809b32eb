"""Captures of the us4us scanners, as gui4us and the examples of ARRUS pickle them.

Forms: {"data": [(array of output 0, of output 1, ...), ...], "metadata": [one per output]}; {"rf": ..., "metadata":
...}; [data, metadata]; or the data alone with the metadata beside it in NAME_metadata.pkl. Of several outputs the first
with channel data is read, in logical or physical order (`us4us_layout`).

Time: sample 0 lies `sample_range[0]` samples after the start of transmission, plus ARRUS' `rx_offset`. The pulse's
middle leaves half its length later, so `rx_start_s` is that much smaller (ARRUS' "burst factor", n_periods / (2 fc)).

Each firing takes `pri`. Where the metadata has a frame-channel mapping, it tells into how many firings the receive
aperture was split, and slow time is that much slower. Captures are taken as separate bursts, unless each holds a single
slow-time sample. On real systems sample 0 of the first module's rows is frame metadata, not echo; it is left as it is.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.acquisition import Acquisition, Transmit
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.probe import Probe
from trueflow.pipeline.sources.base import Recording
from trueflow.pipeline.sources.fields import LARGEST_SAMPLE_BYTES, check_finite, naming
from trueflow.pipeline.sources.pulse_order import PulseOrder, arrange
from trueflow.pipeline.sources.transmits import waves_from_delays
from trueflow.pipeline.sources.us4us_layout import Layout, firing_axis, layout_of
from trueflow.pipeline.sources.us4us_metadata import Firing, bounded, find, firings_of, mapping_of, number, probe_of
from trueflow.pipeline.sources.us4us_objects import FileArray, Inert
from trueflow.pipeline.sources.us4us_remap import ChannelMap, remap_to_logical
from trueflow.pipeline.sources.us4us_unpickle import read_pickle

__all__ = ["Us4usRecording"]


class Us4usRecording(Recording):
    """A capture of a us4R or us4R-lite scanner. Nothing in the file is executed, and samples stay in it until read.

    Parameters
    ----------
    path : path to a .pkl file

    Raises
    ------
    TrueflowError
        Not a capture, or one whose metadata is missing or does not fit the samples.
    """

    format_name = "us4us capture"

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.beside = (_metadata_of(self.path),)
        where = str(self.path)
        captures, metadata = _captures_and_metadata(read_pickle(self.path), self.path)
        with naming(self.path):
            refusals = []
            for output, entry in enumerate(metadata):
                arrays = [_output(capture, output, where=where) for capture in captures]
                firings, probe = _sequence(entry, where=where)
                mapping = mapping_of(find(entry, "_data_char", where=where), where=where)
                shape = arrays[0].shape
                layout = layout_of(arrays[0], firings, mapping)
                if layout is None and len(arrays) == 1:
                    arrays = arrays[0].split()
                    layout = layout_of(arrays[0], firings, mapping) if arrays else None
                if layout is not None:
                    self._adopt(arrays, layout, firings, probe, mapping, entry)
                    return
                refusals.append(str(shape))
            raise TrueflowError(
                "no channel data",
                where=where,
                found=f"outputs of shape {', '.join(refusals)}",
                expected=f"({len(firings)} firings, samples, {firings[0].receives.size} channels), or rows of 32 "
                "channels and a frame-channel mapping",
                advice="capture with an output before beamforming",
            )

    def _adopt(
        self,
        arrays: list[FileArray],
        layout: Layout,
        firings: list[Firing],
        probe: Probe,
        mapping: ChannelMap | None,
        entry: Inert,
    ) -> None:
        where = str(self.path)
        for index, array in enumerate(arrays):
            if array.shape != arrays[0].shape or array.dtype != arrays[0].dtype:
                raise TrueflowError(
                    "captures differ",
                    where=f"{where} data[{index}]",
                    found=f"{array.dtype} {array.shape}",
                    expected=f"{arrays[0].dtype} {arrays[0].shape}, as the first",
                )
        self._arrays, self._layout, self._receives = arrays, layout, [firing.receives for firing in firings]
        center_frequency_hz, n_periods, _ = firings[0].pulse
        sound_speed_m_s = bounded(entry, "_context.medium.speed_of_sound", where=where, low=300.0, high=5000.0)
        waves = waves_from_delays(
            [firing.delays_s for firing in firings], probe, sound_speed_m_s, center_frequency_hz=center_frequency_hz,
            where=f"{where}, raw_sequence.ops tx.delays",
        )
        n_receive_firings = mapping.n_receive_firings if mapping is not None else 1
        sri_s = number(entry, "_context.sequence.sri", where=where, default=0.0)
        self._slow_time = _slow_time(
            waves, firings, len(arrays), layout.n_sequences, sri_s / n_receive_firings, where=f"{where} pri"
        )
        self.n_slow_time, self.burst_length = self._slow_time.n_slow_time, self._slow_time.burst_length
        shape = (len(self._slow_time.transmits), probe.n_elements, layout.n_samples)
        if 8 * math.prod(shape) > LARGEST_SAMPLE_BYTES:
            raise TrueflowError("implausibly large", where=f"{where} data", found=f"{shape} per slow-time sample")
        rx_offset_s = number(entry, "_data_char.custom.rx_offset", where=where, default=0.0)
        self.acquisition = Acquisition(
            probe=probe,
            transmits=self._slow_time.transmits,
            sampling_frequency_hz=number(entry, "_data_char.sampling_frequency", where=where),
            center_frequency_hz=center_frequency_hz,
            prf_hz=self._slow_time.prf_hz,
            n_samples=layout.n_samples,
            n_ensemble=min(self.burst_length, 1 << 16),
            rx_start_s=firings[0].start_s + rx_offset_s - n_periods / (2 * center_frequency_hz),
            sound_speed_m_s=sound_speed_m_s,
            sample_kind="iq" if layout.iq else "rf",
            n_receive_firings=n_receive_firings,
            stagger=self._slow_time.stagger,
        )

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Slow-time samples start..stop-1: (n, n_transmits, n_elements, n_samples)."""
        acquisition = self.acquisition
        shape = (stop - start, acquisition.n_transmits, acquisition.probe.n_elements, acquisition.n_samples)
        stored = self._arrays[0].dtype
        real = np.int16 if stored == np.int16 else np.float32
        samples = np.empty(shape, np.complex64 if self._layout.iq else real)
        with np.errstate(over="ignore", invalid="ignore"):  # infinity is refused right after
            for sequence, firings, place in self._slow_time.spans(start, stop):
                block = self._firings(sequence, firings)
                samples[place] = self._on_elements(block, firings).reshape(samples[place].shape)
            return check_finite(samples, str(self.path))

    def _firings(self, sequence: int, firings: slice) -> NDArray[Any]:
        """Firings of one sequence: (n, n_channels, n_samples)."""
        layout = self._layout
        capture, within = divmod(sequence, layout.n_sequences)
        stored = self._arrays[capture].map()
        n_firings = len(self._receives)
        if layout.mapping is not None:
            first, last, _ = firings.indices(n_firings)
            return remap_to_logical(
                stored,
                layout.mapping,
                n_samples=layout.n_samples,
                start=within * n_firings + first,
                stop=within * n_firings + last,
            )
        block = stored.reshape(layout.n_sequences, n_firings, *stored.shape[firing_axis(stored.shape) + 1 :])
        chosen = np.asarray(block[within, firings])
        if layout.iq and chosen.dtype.kind != "c":
            chosen = chosen[..., 0] + 1j * chosen[..., 1].astype(np.float32)
        return chosen.swapaxes(1, 2) if layout.kind == "samples, channels" else chosen

    def _on_elements(self, block: NDArray[Any], firings: slice) -> NDArray[Any]:
        """Channels moved to the elements they belong to; elements nobody listened to are zero."""
        n_elements = self.acquisition.probe.n_elements
        receives = self._receives[firings]
        if all(np.array_equal(elements, np.arange(n_elements)) for elements in receives):
            return block
        placed = np.zeros((len(receives), n_elements, block.shape[-1]), block.dtype)
        for target, source, elements in zip(placed, block, receives, strict=True):
            target[elements[elements >= 0]] = source[elements >= 0]
        return placed


def _metadata_of(path: Path) -> Path:
    return path.with_name(f"{path.stem}_metadata.pkl")


def _captures_and_metadata(content: object, path: Path) -> tuple[list[object], list[Inert]]:
    """The captured frames and one metadata object per output, whichever way they were put into the file."""
    data, metadata = content, None
    if isinstance(content, dict):
        data = content.get("data", content.get("rf"))
        metadata = content.get("metadata")
    elif isinstance(content, (list, tuple)) and len(content) == 2 and _entries(content[1]):
        data, metadata = content
    elif isinstance(content, Inert):
        raise TrueflowError(
            "metadata without samples",
            where=str(path),
            found=content.class_name,
            expected="captured frames",
            advice="open the file with the data",
        )
    beside = _metadata_of(path)
    if metadata is None and beside.is_file():
        metadata = read_pickle(beside)
    entries = _entries(metadata)
    if not entries:
        raise TrueflowError(
            "missing field",
            where=f"{path} metadata",
            found=type(metadata).__name__,
            expected=f"ARRUS' ConstMetadata in the file or in {beside.name}",
        )
    captures = list(data) if isinstance(data, (list, tuple)) else [data]
    if not captures:
        raise TrueflowError("no pulses", where=f"{path} data", found="no captured frames", expected="at least one")
    return captures, entries


def _entries(metadata: object) -> list[Inert]:
    """Metadata objects, one per output; none where it is something else."""
    entries = list(metadata) if isinstance(metadata, (list, tuple)) else [metadata]
    known = [entry for entry in entries if isinstance(entry, Inert) and "_context" in entry.attributes]
    return known if len(known) == len(entries) else []


def _output(capture: object, output: int, *, where: str) -> FileArray:
    parts = capture if isinstance(capture, (list, tuple)) else (capture,)
    part = parts[output] if output < len(parts) else None
    if not isinstance(part, FileArray):
        raise TrueflowError(
            "not an array", where=f"{where} data", found=type(part).__name__, expected=f"an array for output {output}"
        )
    return part


def _sequence(entry: Inert, *, where: str) -> tuple[list[Firing], Probe]:
    context = find(entry, "_context", where=where)
    probe = probe_of(find(context, "device", where=where), where=where)
    firings = firings_of(context, probe, where=where)
    first = firings[0]
    for index, firing in enumerate(firings):
        for name in ("pulse", "start_s", "n_samples"):
            if getattr(firing, name) != getattr(first, name):
                raise TrueflowError(
                    "firings differ",
                    where=f"{where}, raw_sequence.ops[{index}] {name}",
                    found=getattr(firing, name),
                    expected=f"{getattr(first, name)}, as in the first",
                )
        if firing.receives.size != first.receives.size:
            raise TrueflowError(
                "firings differ",
                where=f"{where}, raw_sequence.ops[{index}].rx",
                found=firing.receives.size,
                expected=f"{first.receives.size} channels, as in the first",
            )
    return firings, probe


def _slow_time(
    waves: list[Transmit], firings: list[Firing], n_captures: int, n_sequences: int, sri_s: float, *, where: str
) -> PulseOrder:
    """Slow time of all captures; `sri_s` is the sequence repetition interval, 0 where there is none."""
    intervals_s = np.array([firing.interval_s for firing in firings])
    intervals_s[-1] = max(intervals_s[-1], sri_s - intervals_s[:-1].sum())
    capture = arrange(waves, n_sequences, np.tile(intervals_s, n_sequences), where=where)
    if capture.n_slow_time == 1:
        return arrange(waves, n_captures, np.tile(intervals_s, n_captures), where=where)
    return replace(capture, n_frames=n_captures * n_sequences)
