"""From ARRUS' metadata (as inert objects) to probe, firings and channel map."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.probe import Probe
from trueflow.pipeline.sources.us4us_objects import FileArray, Inert
from trueflow.pipeline.sources.us4us_remap import ChannelMap

__all__ = ["Firing", "bounded", "find", "firings_of", "mapping_of", "number", "probe_of"]

LONGEST_DELAY_S = 1e-3
_MAX_METADATA_ENTRIES = 1 << 24


@dataclass(frozen=True, slots=True, eq=False)
class Firing:
    """One transmit and its reception.

    Parameters
    ----------
    delays_s : (n_elements,) float64
        NaN for elements that do not fire.
    pulse : tuple
        Center frequency (Hz), number of periods, polarity.
    start_s : float
        From the start of transmission (delay 0) to sample 0.
    n_samples : int
    interval_s : float
        To the next firing.
    receives : (n_channels,) int64
        Element that each channel belongs to; -1 for padding.
    """

    delays_s: NDArray[np.float64]
    pulse: tuple[float, float, bool]
    start_s: float
    n_samples: int
    interval_s: float
    receives: NDArray[np.int64]


def find(root: object, dotted: str, *, where: str, optional: bool = False) -> Any:
    """The attribute or key at a dotted path below an inert object; None if optional and not there."""
    value: object = root
    for name in dotted.split("."):
        table = value.attributes if isinstance(value, Inert) else value
        if not isinstance(table, dict) or table.get(name) is None:
            if optional:
                return None
            raise TrueflowError("missing field", where=where, found=f"no {dotted!r}", expected=f"{name!r} to be there")
        value = table[name]
    return value


def number(root: object, dotted: str, *, where: str, default: float | None = None) -> float:
    """A finite number at a dotted path."""
    value = find(root, dotted, where=where, optional=default is not None)
    if value is None and default is not None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        found = value if isinstance(value, float) else type(value).__name__
        raise TrueflowError("not a finite number", where=f"{where}, {dotted}", found=found)
    return float(value)


def bounded(root: object, dotted: str, *, where: str, low: float, high: float) -> float:
    """A number within what it can be."""
    value = number(root, dotted, where=where)
    if not low <= value <= high:
        raise TrueflowError("out of range", where=f"{where}, {dotted}", found=value, expected=f"{low:g} to {high:g}")
    return value


def vector(value: object, *, where: str, n_dimensions: int = 1) -> NDArray[np.float64]:
    """A small metadata array, or a list of numbers, in memory."""
    if isinstance(value, FileArray) and math.prod(value.shape) <= _MAX_METADATA_ENTRIES and value.dtype.kind in "biuf":
        array = np.array(value.map(), dtype=np.float64)
    elif isinstance(value, (list, tuple)) and all(isinstance(item, (bool, int, float)) for item in value):
        array = np.array([float(item) for item in value])
    else:
        raise TrueflowError("not an array of numbers", where=where, found=type(value).__name__)
    if array.ndim != n_dimensions or not np.isfinite(array).all():
        raise TrueflowError(
            "not a usable array",
            where=where,
            found=f"shape {array.shape}",
            expected=f"{n_dimensions} dimension(s), no NaN",
        )
    return array


def probe_of(device: object, *, where: str) -> Probe:
    """The probe; elements along a line, or an arc where the curvature radius is given.

    ARRUS >= 0.11 lists several probes: the first is the one that is used.
    """
    probes = find(device, "probe", where=where)
    if isinstance(probes, (list, tuple)):
        if not probes:
            raise TrueflowError("missing field", where=f"{where}, device.probe", found="an empty list")
        probes = probes[0]
    model = find(probes, "model", where=f"{where}, probe")
    where = f"{where}, probe model"
    n_elements = number(model, "n_elements", where=where)
    if n_elements != int(n_elements) or not 1 <= n_elements <= 1 << 14:
        raise TrueflowError("not an element count", where=f"{where}, n_elements", found=n_elements)
    pitch_m = bounded(model, "pitch", where=where, low=1e-6, high=0.01)
    name = find(model, "model_id.name", where=where, optional=True)
    name = name[:64] if isinstance(name, str) else "unnamed"
    radius = find(model, "curvature_radius", where=where, optional=True)
    curved = isinstance(radius, float) and math.isfinite(radius) and radius != 0
    if curved:
        if not n_elements * pitch_m / 6 < abs(radius) < 10:  # less than once around, and not flat
            raise TrueflowError("out of range", where=f"{where}, curvature_radius", found=radius, expected="m")
        return Probe.convex(int(n_elements), pitch_m=pitch_m, radius_m=abs(radius), name=name)
    return Probe.linear(int(n_elements), pitch_m=pitch_m, name=name)


def firings_of(context: object, probe: Probe, *, where: str) -> list[Firing]:
    """The firings of one sequence.

    `raw_sequence` is what the device was given: transmit delays per element, apertures as masks, and sample ranges
    counted from the start of transmission, whatever `init_delay` the user had asked for. (ARRUS adds the delay of
    "tx_center" to the range when it makes the raw sequence.)
    """
    sequence = find(context, "raw_sequence", where=where, optional=True)
    if sequence is None:
        raise TrueflowError(
            "missing field", where=where, found="no 'raw_sequence'", expected="metadata of ARRUS 0.9 or later"
        )
    ops = find(sequence, "ops", where=f"{where}, raw_sequence")
    if not isinstance(ops, (list, tuple)) or not ops:
        raise TrueflowError("no pulses", where=f"{where}, raw_sequence.ops", expected="at least one TxRx")
    rate_hz = number(context, "device.data_sampling_frequency", where=where, default=0.0)
    nominal_hz = number(context, "device.sampling_frequency", where=where, default=0.0)
    firings = []
    for index, op in enumerate(ops):
        op_where = f"{where}, raw_sequence.ops[{index}]"
        op_rate_hz = rate_hz or nominal_hz / max(1.0, number(op, "rx.downsampling_factor", where=op_where, default=1.0))
        if op_rate_hz <= 0:
            raise TrueflowError("missing field", where=f"{where}, device", found="no sampling frequency")
        firings.append(_firing(op, probe, op_rate_hz, where=op_where))
    return firings


def _firing(op: object, probe: Probe, rate_hz: float, *, where: str) -> Firing:
    delays = np.full(probe.n_elements, np.nan)
    active = _mask(find(op, "tx.aperture", where=where), probe, where=f"{where}.tx.aperture")
    given = vector(find(op, "tx.delays", where=where), where=f"{where}.tx.delays")
    if given.size == active.sum():
        delays[active] = given
    elif given.size == probe.n_elements:
        delays[active] = given[active]
    else:
        raise TrueflowError(
            "wrong length",
            where=f"{where}.tx.delays",
            found=given.size,
            expected=f"{int(active.sum())}, one per firing element",
        )
    if np.abs(given).max() > LONGEST_DELAY_S:
        found = f"{np.abs(given).max():g} s"
        raise TrueflowError("out of range", where=f"{where}.tx.delays", found=found, expected="below 1 ms")
    pulse = (
        bounded(op, "tx.excitation.center_frequency", where=where, low=1e4, high=2e8),
        bounded(op, "tx.excitation.n_periods", where=where, low=0.1, high=1e4),
        find(op, "tx.excitation.inverse", where=where, optional=True) is True,
    )
    start, stop = _sample_range(find(op, "rx.sample_range", where=where), where=f"{where}.rx.sample_range")
    heard = np.flatnonzero(_mask(find(op, "rx.aperture", where=where), probe, where=f"{where}.rx.aperture"))
    padding = vector(find(op, "rx.padding", where=where, optional=True) or (0, 0), where=f"{where}.rx.padding")
    if padding.shape != (2,) or not ((padding >= 0) & (padding <= probe.n_elements)).all():
        raise TrueflowError("out of range", where=f"{where}.rx.padding", found=padding[:4], expected="(left, right)")
    left, right = padding.astype(int)
    receives = np.concatenate([np.full(left, -1), heard, np.full(right, -1)]).astype(np.int64)
    interval_s = bounded(op, "pri", where=where, low=1e-6, high=10.0)
    return Firing(delays, pulse, start / rate_hz, stop - start, interval_s, receives)


def _mask(value: object, probe: Probe, *, where: str) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] = vector(value, where=where) != 0
    if mask.shape != (probe.n_elements,) or not mask.any():
        raise TrueflowError(
            "not an aperture",
            where=where,
            found=f"{int(mask.sum())} of {mask.size} elements",
            expected=f"a mask of {probe.n_elements} elements, some of them on",
        )
    return mask


def _sample_range(value: object, *, where: str) -> tuple[int, int]:
    limits = vector(value, where=where)
    if limits.shape != (2,) or not 0 <= limits[0] < limits[1] <= 1 << 24:
        raise TrueflowError("not a sample range", where=where, found=limits.tolist()[:4], expected="(start, end)")
    return int(limits[0]), int(limits[1])


def mapping_of(description: object, *, where: str) -> ChannelMap | None:
    """The frame-channel mapping, where the metadata has one."""
    mapping = find(description, "custom.frame_channel_mapping", where=where, optional=True)
    if mapping is None:
        return None
    where = f"{where}, frame_channel_mapping"

    def table(name: str, n_dimensions: int) -> NDArray[np.int64]:
        value = find(mapping, name, where=where)
        return vector(value, where=f"{where}.{name}", n_dimensions=n_dimensions).astype(np.int64)

    batch_size = number(mapping, "batch_size", where=where, default=1.0)
    if batch_size != int(batch_size) or not 1 <= batch_size <= 1 << 16:
        raise TrueflowError("out of range", where=f"{where}.batch_size", found=batch_size)
    return ChannelMap(
        table("frames", 2),
        table("channels", 2),
        table("us4oems", 2),
        table("frame_offsets", 1),
        table("n_frames", 1),
        int(batch_size),
    )
