"""What every recording offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.acquisition import Acquisition
from trueflow.pipeline.grid import ImageGrid

__all__ = ["Recording", "Truth"]


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What the estimator should have seen: velocity (m/s, positive towards the probe) and flow mask, (n_z, n_x)."""

    velocity_m_s: NDArray[np.float32]
    mask: NDArray[np.bool_]

    def fold(self, nyquist_velocity_m_s: float) -> NDArray[np.int8]:
        """Nyquist intervals between the wrapped and the true velocity: |velocity - 2 fold v_N| <= v_N."""
        fold = np.rint(self.velocity_m_s / np.float64(2 * nyquist_velocity_m_s))
        return np.asarray(np.where(self.mask, fold, 0), np.int8)


class Recording(ABC):
    """A finite run of slow-time samples, readable in any order; a context manager.

    Attributes
    ----------
    path : Path
    acquisition : Acquisition
        `n_ensemble` is what the file suggests; `packets` takes what the user asks for.
    n_slow_time : int
        Slow-time samples in the file.
    burst_length : int
        Slow-time samples recorded without a gap; the file is n_slow_time / burst_length such bursts.
    burst_interval_s : float or None
        From one burst's start to the next; None where they follow back to back, or it is not known.
    grid : ImageGrid or None
        Pixels of beamformed data; None for channel data.
    suggested_ensemble : int or None
        Packet length that the recording was made for, where it has one.
    beside : tuple of Path
        Further files that it is made of.
    remarks : tuple of str
        What is to be known about this file: what is missing or damaged.
    """

    format_name: ClassVar[str]

    path: Path
    acquisition: Acquisition
    n_slow_time: int
    burst_length: int
    burst_interval_s: float | None = None
    grid: ImageGrid | None = None
    suggested_ensemble: int | None = None
    beside: tuple[Path, ...] = ()
    remarks: tuple[str, ...] = ()

    @abstractmethod
    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Slow-time samples start..stop-1, touching only that part of the file where the format allows.

        Returns
        -------
        int16, float32 or complex64, C-ordered
            Channel data (stop - start, n_transmits, n_elements, n_samples); beamformed IQ (stop - start, n_z, n_x).
        """

    def slow_time_s(self, sample: int) -> float:
        """When a slow-time sample's first pulse was fired, since the recording began."""
        if self.burst_interval_s is None:
            return self.acquisition.slow_time_s(sample)
        burst, within = divmod(sample, self.burst_length)
        return burst * self.burst_interval_s + self.acquisition.slow_time_s(within)

    def runs_on(self, start: int) -> bool:
        """Whether a slow-time sample follows the one before it without a gap."""
        return start % self.burst_length != 0

    def truth(self, start: int, stop: int, grid: ImageGrid) -> Truth | None:
        """Truth for slow-time samples start..stop-1 on the pixels of a grid, where the recording knows it."""
        return None

    def close(self) -> None:  # noqa: B027  (most formats hold nothing open)
        """Release the file."""

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
