"""us4R's physical data order to the logical one: which module, firing and channel each echo came from.

Each us4OEM module digitizes 32 channels and sends its firings as rows of 32 samples, in the order
[module][sequence of the batch][firing][sample][32] (with hardware demodulation [sample][I, Q][32]). A receive aperture
wider than the modules' channels is split into several firings. The frame-channel mapping of ARRUS says where each
(logical firing, channel) is: row order and offsets as in ARRUS' `us4r_remap_gpu.cu`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.errors import TrueflowError

__all__ = ["N_MODULE_CHANNELS", "ChannelMap", "remap_to_logical"]

N_MODULE_CHANNELS = 32


@dataclass(frozen=True, slots=True, eq=False)
class ChannelMap:
    """Where each (logical firing, channel) of one sequence is in the physical data.

    Parameters
    ----------
    frames : (n_firings, n_channels) integer
        Physical firing, counted within its module.
    channels : (n_firings, n_channels) integer
        Physical channel 0 to 31; negative where there is none (reads as zero).
    modules : (n_firings, n_channels) integer
        us4OEM number.
    frame_offsets : (n_modules,) integer
        Physical firings that lie before each module's first.
    n_frames : (n_modules,) integer
        Physical firings of each module, in one sequence.
    batch_size : int
        Sequences in one capture.

    Raises
    ------
    TrueflowError
        For shapes that disagree or entries that point outside.
    """

    frames: NDArray[np.int64]
    channels: NDArray[np.int64]
    modules: NDArray[np.int64]
    frame_offsets: NDArray[np.int64]
    n_frames: NDArray[np.int64]
    batch_size: int = 1

    def __post_init__(self) -> None:
        shapes = (self.frames.shape, self.channels.shape, self.modules.shape)
        if len(set(shapes)) != 1 or self.frames.ndim != 2 or self.frames.size == 0:
            raise TrueflowError(
                "wrong shape",
                where="frame_channel_mapping",
                found=f"frames, channels, us4oems of {shapes}",
                expected="(n_firings, n_channels) for all three",
            )
        if self.frame_offsets.ndim != 1 or self.frame_offsets.shape != self.n_frames.shape or self.n_frames.size == 0:
            raise TrueflowError(
                "wrong shape",
                where="frame_channel_mapping",
                found=f"{self.frame_offsets.shape}, {self.n_frames.shape}",
                expected="frame_offsets and n_frames of (n_us4oems,)",
            )
        used = self.channels >= 0
        modules, frames = self.modules[used], self.frames[used]
        ends = self.frame_offsets + self.n_frames * self.batch_size
        if not (
            self.batch_size >= 1
            and (self.n_frames >= 0).all()
            and (self.frame_offsets >= 0).all()
            and (ends <= self.n_physical_frames).all()
            and self.channels.max() < N_MODULE_CHANNELS
            and ((modules >= 0) & (modules < self.n_frames.size)).all()
            and ((frames >= 0) & (frames < self.n_frames[modules])).all()
        ):
            raise TrueflowError(
                "points outside the data",
                where="frame_channel_mapping",
                expected=f"us4oems < {self.n_frames.size}, frames < n_frames, channels < {N_MODULE_CHANNELS}, "
                f"frame_offsets within {self.n_physical_frames} firings",
            )

    @property
    def n_firings(self) -> int:
        """Logical firings in one sequence."""
        return int(self.frames.shape[0])

    @property
    def n_channels(self) -> int:
        """Logical channels of the receive aperture."""
        return int(self.frames.shape[1])

    @property
    def n_physical_frames(self) -> int:
        """Firings of all modules in one capture."""
        return int(self.n_frames.sum()) * self.batch_size

    @property
    def n_receive_firings(self) -> int:
        """Physical firings per logical one: how often a wide receive aperture was split."""
        return max(1, int(-(-self.n_frames.max() // self.n_firings)))


def remap_to_logical(
    samples: NDArray[Any], mapping: ChannelMap, *, n_samples: int, start: int = 0, stop: int | None = None
) -> NDArray[Any]:
    """Echoes in logical order, channels before samples.

    Parameters
    ----------
    samples : (n_rows, 32) or (n_rows, 2, 32) int16
        One capture in physical order; the second form holds I and Q.
    mapping : ChannelMap
    n_samples : int
        Samples of one physical firing.
    start, stop : int, optional
        Logical firings to take, counted through the whole batch.

    Returns
    -------
    (n_firings, n_channels, n_samples) of the type of `samples`, or complex64 for I and Q
    """
    n_rows = mapping.n_physical_frames * n_samples
    if (
        samples.ndim not in (2, 3)
        or samples.shape[0] != n_rows
        or samples.shape[-1] != N_MODULE_CHANNELS
        or (samples.ndim == 3 and samples.shape[1] != 2)
    ):
        raise TrueflowError(
            "wrong shape",
            where="us4R data",
            found=samples.shape,
            expected=f"({n_rows}, 32) or ({n_rows}, 2, 32)",
            advice="n_rows = physical firings x samples",
        )
    firings = np.arange(start, mapping.n_firings * mapping.batch_size if stop is None else stop)
    sequence, firing = np.divmod(firings, mapping.n_firings)
    channels = mapping.channels[firing]
    missing = channels < 0
    modules = np.where(missing, 0, mapping.modules[firing])
    frames = mapping.frame_offsets[modules] + sequence[:, None] * mapping.n_frames[modules] + mapping.frames[firing]
    frames = np.where(missing, 0, frames)
    channels = np.where(missing, 0, channels)
    by_frame = samples.reshape(mapping.n_physical_frames, n_samples, *samples.shape[1:])
    if samples.ndim == 2:
        logical = np.ascontiguousarray(by_frame[frames, :, channels])
    else:
        pairs = by_frame[frames, :, :, channels]
        logical = np.empty(pairs.shape[:-1], np.complex64)
        logical.real, logical.imag = pairs[..., 0], pairs[..., 1]
    logical[missing] = 0
    return logical
