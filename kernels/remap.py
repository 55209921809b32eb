"""The us4R's physical rows to lines of samples (remap.cu)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.kernels.device import Device, source
from trueflow.kernels.launch import blocks

__all__ = ["ROW_CHANNELS", "Remap", "remap_reference"]

ROW_CHANNELS = 32  # of remap.cu
RUN = {"cpu": 128, "cuda": 1}  # REMAP_RUN of remap.cu
# Samples and lines per block. CPU: a run, and the lines that share its rows. GPU: 256 threads.
TILE = {"cpu": (128, 32), "cuda": (32, 8)}


class Remap:
    """Plan for captures of one shape.

    Parameters
    ----------
    device : Device
    frames : (n_lines,) integer
        Physical firing of each line, counted through all modules.
    channels : (n_lines,) integer
        Its channel, 0 to 31; negative: the line is zero.
    n_frames, n_samples : int
        Physical firings of a capture, and samples of each.
    n_blank : int
        Samples at the beginning of each line that are read as zero.
    iq : bool
        Rows hold I and Q.
    """

    def __init__(
        self,
        device: Device,
        *,
        frames: NDArray[Any],
        channels: NDArray[Any],
        n_frames: int,
        n_samples: int,
        n_blank: int = 0,
        iq: bool = False,
    ) -> None:
        if frames.ndim != 1 or frames.shape != channels.shape or not frames.size:
            raise ValueError(f"frames, channels: {frames.shape} and {channels.shape}, expected (n_lines,) for both")
        heard = channels >= 0
        if channels.max() >= ROW_CHANNELS or not ((frames[heard] >= 0) & (frames[heard] < n_frames)).all():
            raise ValueError(f"frames, channels: expected frames below {n_frames}, channels below {ROW_CHANNELS}")
        self._rows = (n_frames * n_samples, *((2,) if iq else ()), ROW_CHANNELS)
        if max(2 * n_frames * n_samples * ROW_CHANNELS, frames.size * n_samples) >= 2**31 or n_samples < 1:
            raise ValueError("remap.cu indexes with 32 bits: fewer firings or samples per capture")
        self.shape, self.dtype = (frames.size, n_samples), np.dtype(np.complex64 if iq else np.int16)
        self._device = device
        self._params = source("remap").struct(
            "RemapParams", n_lines=frames.size, n_samples=n_samples, n_blank=n_blank
        )
        self._kernel = device.kernel("remap", "remap_iq" if iq else "remap_rf")
        self._frames = device.upload(np.where(heard, frames, 0).astype(np.int32))
        self._channels = device.upload(np.where(heard, channels, -1).astype(np.int32))

    def __call__(self, rows: Any, lines: Any = None) -> Any:
        """Put one capture into order.

        Parameters
        ----------
        rows : int16 (n_frames * n_samples, 32), or (n_frames * n_samples, 2, 32) for I and Q
        lines : array, optional
            Where to, C-ordered, as what is returned. Default: a new one.

        Returns
        -------
        int16 or complex64 (n_lines, n_samples)
        """
        if rows.shape != self._rows:
            raise ValueError(f"rows: shape {rows.shape}, expected {self._rows}")
        if lines is None:
            lines = self._device.empty(self.shape, self.dtype)
        elif lines.size != self.shape[0] * self.shape[1]:
            raise ValueError(f"lines: shape {lines.shape}, expected {self.shape} or any split of the first axis")
        n_lines, n_samples = self.shape
        samples, at_once = TILE[self._device.name]
        grid = (blocks(n_samples, samples), blocks(n_lines, at_once), 1)
        block = (samples // RUN[self._device.name], at_once, 1)
        self._kernel(grid, block, self._params, rows, self._frames, self._channels, lines)
        return lines


def remap_reference(
    rows: NDArray[Any], *, frames: NDArray[Any], channels: NDArray[Any], n_samples: int, n_blank: int = 0
) -> NDArray[Any]:
    """The specification of `Remap`."""
    by_frame = rows.reshape(-1, n_samples, *rows.shape[1:])
    iq = rows.ndim == 3
    lines = np.zeros((frames.size, n_samples), np.complex64 if iq else np.int16)
    for line, (frame, channel) in enumerate(zip(frames, channels, strict=True)):
        if channel >= 0:
            echo = by_frame[frame, ..., channel]
            lines[line] = echo[:, 0] + 1j * echo[:, 1] if iq else echo
    lines[:, :n_blank] = 0
    return lines
