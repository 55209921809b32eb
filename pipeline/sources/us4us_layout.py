"""How one captured array holds its firings.

Logical data, after ARRUS' RemapToLogicalOrder, is (sequences, firings, samples, channels), or channels before samples
where it was transposed; one sequence may come without the first axis, and demodulated data with a last axis of I and Q.
Physical data is rows of 32 channels, described by a frame-channel mapping.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.sources.us4us_metadata import Firing
from trueflow.pipeline.sources.us4us_objects import FileArray
from trueflow.pipeline.sources.us4us_remap import N_MODULE_CHANNELS, ChannelMap

__all__ = ["Layout", "firing_axis", "layout_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Shape and order of a captured array.

    Parameters
    ----------
    n_sequences, n_samples : int
    kind : str
        "physical", or the order of the last axes of logical data: "samples, channels" or "channels, samples".
    iq : bool
        Complex numbers, or I and Q on an axis of their own.
    mapping : ChannelMap or None
        Of physical data.
    """

    n_sequences: int
    n_samples: int
    kind: str
    iq: bool
    mapping: ChannelMap | None = None


def firing_axis(shape: tuple[int, ...]) -> int:
    """Which axis of logical data counts firings: the second, unless there is none for sequences."""
    return 0 if len(shape) == 3 else 1


def layout_of(array: FileArray, firings: list[Firing], mapping: ChannelMap | None) -> Layout | None:
    """How the array holds these firings, or None where it does not."""
    shape, n_channels = array.shape, firings[0].receives.size
    if 0 in shape or array.dtype.kind not in "ifc":
        return None
    is_rows = len(shape) in (2, 3) and shape[-1] == N_MODULE_CHANNELS and shape[1:-1] in ((), (2,))
    if mapping is not None and is_rows and array.dtype == np.int16:
        return _physical_layout(array, firings, mapping)
    if not 3 <= len(shape) <= 5 or shape[firing_axis(shape)] != len(firings):
        return None
    pairs = len(shape) == 5 and shape[4] == 2 and array.dtype.kind != "c"
    if len(shape) == 5 and not pairs:
        return None
    first, second = shape[firing_axis(shape) + 1 :][:2]
    n_sequences = 1 if len(shape) == 3 else shape[0]
    iq = pairs or array.dtype.kind == "c"
    if second == n_channels and not (pairs and first == n_channels):  # pairs come channels first
        return Layout(n_sequences, first, "samples, channels", iq)
    return Layout(n_sequences, second, "channels, samples", iq) if first == n_channels else None


def _physical_layout(array: FileArray, firings: list[Firing], mapping: ChannelMap) -> Layout:
    if (mapping.n_firings, mapping.n_channels) != (len(firings), firings[0].receives.size):
        raise TrueflowError(
            "does not fit the sequence",
            where="frame_channel_mapping",
            found=mapping.frames.shape,
            expected=f"({len(firings)} firings, {firings[0].receives.size} channels)",
        )
    n_samples = firings[0].n_samples
    if array.shape[0] != mapping.n_physical_frames * n_samples:
        raise TrueflowError(
            "does not fit the samples",
            where="frame_channel_mapping",
            found=f"{array.shape[0]} rows",
            expected=f"{mapping.n_physical_frames} physical firings of {n_samples} samples",
        )
    return Layout(mapping.batch_size, n_samples, "physical", len(array.shape) == 3, mapping)
