"""The messages between stages: frozen, slotted, each with what the next box needs.

Arrays belong to the device that made them (NumPy on the CPU, CuPy on a GPU); their annotations name the NumPy form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BACKGROUND",
    "BmodeFrame",
    "ColorFrame",
    "DopplerFrame",
    "IqEnsemble",
    "RfPacket",
    "SecondPhase",
    "Segmentation",
    "Stamp",
    "VelocityFrame",
]


BACKGROUND = -128  # a fold class: no flow here


@dataclass(frozen=True, slots=True)
class Stamp:
    """Which packet this is and when it was acquired and received.

    Parameters
    ----------
    index : int
        Number of the packet in its stream, from 0.
    acquisition_time_s : float
        Time of the packet's first pulse since the stream began.
    receive_time_s : float
        `time.monotonic()` when its first byte arrived (0 for replays).
    continuous : bool
        Whether slow time runs on from the previous packet without a gap (a filter may then keep its state).
    """

    index: int
    acquisition_time_s: float = 0.0
    receive_time_s: float = 0.0
    continuous: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class RfPacket:
    """Channel data of one ensemble, or beamformed IQ where the source holds that.

    Parameters
    ----------
    samples : int16, float32 or complex64
        Channel data (n_ensemble, n_transmits, n_elements, n_samples); channel IQ is complex64. Beamformed IQ:
        (n_ensemble, n_z, n_x) complex64. NumPy's; for a chain on a GPU channel data may be there already (arrays with
        `__cuda_array_interface__`, C-contiguous, in the GPU's primary context), and is copied.
    stamp : Stamp
    """

    samples: NDArray[Any]
    stamp: Stamp


@dataclass(frozen=True, slots=True, eq=False)
class IqEnsemble:
    """Beamformed IQ, slow time contiguous: complex64 (n_z, n_x, n_ensemble)."""

    iq: NDArray[np.complex64]
    stamp: Stamp


@dataclass(frozen=True, slots=True, eq=False)
class BmodeFrame:
    """Echo envelope, linear: float32 (n_z, n_x)."""

    envelope: NDArray[np.float32]
    stamp: Stamp


@dataclass(frozen=True, slots=True, eq=False)
class SecondPhase:
    """A second measurement of the same velocity that aliases elsewhere.

    Parameters
    ----------
    phasor : (n_z, n_x) complex64
        Its length, about 1 at most, says how much it can be trusted.
    table : (8, 64, 7) complex64
        What it should be, by coherence and phase of R1, for folds of -3 to 3 (`kernels.predictions`). The same object
        from frame to frame.
    """

    phasor: NDArray[np.complex64]
    table: NDArray[np.complex64]


@dataclass(frozen=True, slots=True, eq=False)
class DopplerFrame:
    """Autocorrelation estimates: r1 complex64, r0 float32, both (n_z, n_x); a second phase where there is one."""

    r1: NDArray[np.complex64]
    r0: NDArray[np.float32]
    nyquist_velocity_m_s: float
    stamp: Stamp
    second: SecondPhase | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation:
    """What the network makes of a frame.

    Parameters
    ----------
    fold_class : (n_z, n_x) int8
        Likeliest fold, or `BACKGROUND`.
    probability : (n_z, n_x) float32
        Of that class.
    fold_probability : (5, n_z, n_x) float32
        Of folds -2 to 2, given that there is flow.
    """

    fold_class: NDArray[np.int8]
    probability: NDArray[np.float32]
    fold_probability: NDArray[np.float32]
    stamp: Stamp


@dataclass(frozen=True, slots=True, eq=False)
class VelocityFrame:
    """Velocities, all (n_z, n_x); velocity == wrapped + 2 * fold * v_N exactly, positive towards the probe.

    Outside the flow mask fold is 0 and the velocity is the wrapped one: only a display hides it.
    """

    velocity_m_s: NDArray[np.float32]
    wrapped_velocity_m_s: NDArray[np.float32]
    fold: NDArray[np.int8]
    confidence: NDArray[np.float32]
    mask: NDArray[np.bool_]
    nyquist_velocity_m_s: float
    stamp: Stamp


@dataclass(frozen=True, slots=True, eq=False)
class ColorFrame:
    """Everything known about one displayed image."""

    bmode: BmodeFrame
    doppler: DopplerFrame
    segmentation: Segmentation | None
    velocity: VelocityFrame
    timings_s: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def stamp(self) -> Stamp:
        """The packet's stamp."""
        return self.velocity.stamp
