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
    grid : ImageGrid or None
        Pixels of beamformed data; None for channel data.
    """

    format_name: ClassVar[str]

    path: Path
    acquisition: Acquisition
    n_slow_time: int
    burst_length: int
    grid: ImageGrid | None = None

    @abstractmethod
    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Slow-time samples start..stop-1, touching only that part of the file where the format allows.

        Returns
        -------
        int16, float32 or complex64, C-ordered
            Channel data (stop - start, n_transmits, n_elements, n_samples); beamformed IQ (stop - start, n_z, n_x).
        """

    def truth(self, start: int, stop: int) -> Truth | None:
        """Truth averaged over slow-time samples start..stop-1, where the file knows it."""
        return None

    def close(self) -> None:  # noqa: B027  (most formats hold nothing open)
        """Release the file."""

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
