"""Dealiasers by name: from the wrapped phase to the number of folds per pixel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trueflow.kernels.device import Device
from trueflow.kernels.regions import RegionUnwrapper
from trueflow.kernels.velocity import FlowMask, PhaseCoherence, Unfold, noise_coherence
from trueflow.pipeline.acquisition import Acquisition
from trueflow.pipeline.config import DealiasConfig, DopplerConfig, MaskConfig
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import DopplerFrame, Segmentation, VelocityFrame
from trueflow.pipeline.registry import Registry

__all__ = ["DEALIASERS", "Dealias", "PhaseMap"]


@dataclass(frozen=True, slots=True, eq=False)
class PhaseMap:
    """What a dealiaser works on, all (n_z, n_x) on the device: phase in turns, |R1|/R0, flow mask."""

    phase_turns: Any
    coherence: Any
    mask: Any


# A dealiaser returns fold int8 (valid inside the mask) and confidence float32 in [0, 1].
Dealiaser = Callable[[PhaseMap, Segmentation | None], tuple[Any, Any]]
DEALIASERS: Registry[Callable[[Device, tuple[int, int]], Dealiaser]] = Registry("dealiaser")


@DEALIASERS.register("none")
class _NoDealiaser:
    """Folds of zero: what a scanner shows. Says nothing of folds, so its confidence is 0."""

    def __init__(self, device: Device, shape: tuple[int, int]) -> None:
        self._device, self._shape = device, shape

    def __call__(self, phase: PhaseMap, segmentation: Segmentation | None) -> tuple[Any, Any]:
        return self._device.zeros(self._shape, np.int8), self._device.zeros(self._shape, np.float32)


@DEALIASERS.register("skimage")
class _SkimageDealiaser:
    """scikit-image's reliability-sorted unwrapping (Herraez et al. 2002), on the host: the named baseline.

    It leaves each island's absolute fold open; that is set so that most of the island's rim, where flow is slow, has
    fold 0.
    """

    def __init__(self, device: Device, shape: tuple[int, int]) -> None:
        try:
            from skimage.restoration import unwrap_phase
        except ImportError as error:
            raise TrueflowError(
                "dealiaser 'skimage' needs scikit-image", advice="pip install 'trueflow[skimage]'"
            ) from error
        self._device = device
        self._unwrap: Any = unwrap_phase

    def __call__(self, phase: PhaseMap, segmentation: Segmentation | None) -> tuple[Any, Any]:
        turns, mask = self._device.download(phase.phase_turns), self._device.download(phase.mask)
        fold = np.zeros(mask.shape, np.int8)
        if min(mask.shape) >= 2 and mask.any():
            wrapped = np.ma.masked_array(2 * np.pi * turns.astype(np.float64), ~mask)
            unwrapped = np.ma.getdata(self._unwrap(wrapped, rng=0))
            fold = anchored_at_rim(np.rint(unwrapped / (2 * np.pi) - turns), mask)
        return self._device.upload(fold), self._device.zeros(mask.shape, np.float32)


@DEALIASERS.register("regions")
class _RegionDealiaser:
    """Trueflow's engine: regions of continuous phase, merged by what their borders say, anchored where flow is slow."""

    def __init__(self, device: Device, shape: tuple[int, int]) -> None:
        self._unwrap = RegionUnwrapper(device, shape=shape)

    def __call__(self, phase: PhaseMap, segmentation: Segmentation | None) -> tuple[Any, Any]:
        fold, confidence = self._unwrap(phase.phase_turns, phase.coherence, phase.mask)
        return fold, confidence


def anchored_at_rim(fold: NDArray[Any], mask: NDArray[np.bool_]) -> NDArray[np.int8]:
    """Shift each island of the mask so that the commonest fold on its rim is 0."""
    islands, n_islands = ndimage.label(mask, np.ones((3, 3)))
    rim = mask & ~ndimage.binary_erosion(mask, border_value=1)
    rim = np.where(np.isin(islands, islands[rim]), rim, mask)  # an island that fills the image has no rim
    shifted = np.zeros(mask.shape, np.int8)
    for island in range(1, n_islands + 1):
        inside = islands == island
        values, counts = np.unique(fold[inside & rim], return_counts=True)
        shifted[inside] = np.clip(fold[inside] - values[counts.argmax()], -127, 127)
    return shifted


class Dealias:
    """The dealias stage: phase, flow mask, folds, velocities."""

    def __init__(
        self,
        device: Device,
        acquisition: Acquisition,
        *,
        shape: tuple[int, int],
        doppler: DopplerConfig,
        mask: MaskConfig,
        config: DealiasConfig,
        noise_filter: NDArray[np.float64] | None = None,
    ) -> None:
        nyquist_velocity_m_s = acquisition.nyquist_velocity_m_s(doppler.lag)
        self._phase = PhaseCoherence(device, shape=shape, nyquist_velocity_m_s=nyquist_velocity_m_s)
        try:
            self._mask = FlowMask(
                device,
                shape=shape,
                power_db=mask.power_db,
                coherence=least_coherence(mask, doppler, noise_filter),
                velocity_fraction=mask.velocity_fraction,
                radius=mask.speck_radius,
                fraction=mask.speck_fraction,
            )
        except ValueError as error:
            raise TrueflowError(str(error), where="config [mask]") from error
        self._dealiaser = DEALIASERS[config.name](device, shape)
        self._unfold = Unfold(device, shape=shape, nyquist_velocity_m_s=nyquist_velocity_m_s)

    def __call__(self, doppler: DopplerFrame, segmentation: Segmentation | None = None) -> VelocityFrame:
        """Velocities of one Doppler frame."""
        turns, wrapped, coherence = self._phase(doppler.r0, doppler.r1)
        mask = self._mask(doppler.r0, turns, coherence)
        fold, confidence = self._dealiaser(PhaseMap(turns, coherence, mask), segmentation)
        velocity = self._unfold(wrapped, mask, fold)
        return VelocityFrame(velocity, wrapped, fold, confidence, mask, doppler.nyquist_velocity_m_s, doppler.stamp)


# A pixel of the default grid is about a third of a resolution cell each way, so that n averaged pixels are some n / 4
# independent looks.
PIXELS_PER_LOOK = 4.0
COHERENCE_WITHOUT_FILTER = 0.3
# With four pulses noise is as coherent as blood: no gate parts them, and the blood is shown.
MOST_COHERENCE = 0.75


def least_coherence(mask: MaskConfig, doppler: DopplerConfig, noise_filter: NDArray[np.float64] | None) -> float:
    """The flow mask's gate on |R1| / R0: as given, or what noise would hardly reach."""
    if mask.coherence is not None:
        return mask.coherence
    if noise_filter is None:
        return COHERENCE_WITHOUT_FILTER
    n_looks = max(1.0, doppler.average_z * doppler.average_x / PIXELS_PER_LOOK)
    return min(MOST_COHERENCE, noise_coherence(noise_filter, lag=doppler.lag, n_looks=n_looks))
