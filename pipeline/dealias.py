"""Dealiasers by name: from the wrapped phase to the number of folds per pixel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trueflow.kernels.device import Device
from trueflow.kernels.regions import EvidenceWeights, RegionUnwrapper
from trueflow.kernels.velocity import PhaseCoherence, Unfold, UnwrappedTurns
from trueflow.pipeline.acquisition import Acquisition
from trueflow.pipeline.config import DealiasConfig, DopplerConfig, MaskConfig
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import DopplerFrame, SecondPhase, Segmentation, Stamp, VelocityFrame
from trueflow.pipeline.grid import ImageGrid
from trueflow.pipeline.mask import Mask
from trueflow.pipeline.registry import Registry

__all__ = ["DEALIASERS", "Dealias", "FlowPhase", "Memory", "PhaseMap"]


@dataclass(frozen=True, slots=True, eq=False)
class PhaseMap:
    """What a dealiaser works on, all (n_z, n_x) on the device.

    Parameters
    ----------
    phase_turns, coherence : float32
        Wrapped phase, |R1| / R0.
    mask : bool
        Flow.
    second : SecondPhase, optional
    before_turns : float32, optional
        The previous frame's unwrapped phase, NaN where there was no flow.
    """

    phase_turns: Any
    coherence: Any
    mask: Any
    second: SecondPhase | None = None
    before_turns: Any = None


@dataclass(frozen=True, slots=True, eq=False)
class FlowPhase:
    """What R0 and R1 say of the flow, all (n_z, n_x): phase in turns, wrapped velocity, |R1| / R0, mask."""

    phase_turns: Any
    wrapped_velocity_m_s: Any
    coherence: Any
    mask: Any


class Dealiaser(Protocol):
    """What finds the folds: int8 (n_z, n_x), valid inside the mask, and a confidence, float32 in [0, 1]."""

    @property
    def only_launches(self) -> bool:
        """Whether a call starts work on the device and never waits for it."""

    def __call__(self, phase: PhaseMap, segmentation: Segmentation | None, /) -> tuple[Any, Any]:
        """Fold and confidence of one frame."""


DEALIASERS: Registry[Callable[[Device, tuple[int, int], DealiasConfig], Dealiaser]] = Registry("dealiaser")


@DEALIASERS.register("none")
class _NoDealiaser:
    """Folds of zero: what a scanner shows. Says nothing of folds, so its confidence is 0."""

    only_launches = True

    def __init__(self, device: Device, shape: tuple[int, int], config: DealiasConfig) -> None:
        self._device, self._shape = device, shape

    def __call__(self, phase: PhaseMap, segmentation: Segmentation | None) -> tuple[Any, Any]:
        return self._device.zeros(self._shape, np.int8), self._device.zeros(self._shape, np.float32)


@DEALIASERS.register("skimage")
class _SkimageDealiaser:
    """scikit-image's reliability-sorted unwrapping (Herraez et al. 2002), on the host: the named baseline.

    It leaves each island's absolute fold open; that is set so that most of the island's rim, where flow is slow, has
    fold 0.
    """

    only_launches = False

    def __init__(self, device: Device, shape: tuple[int, int], config: DealiasConfig) -> None:
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
    """Trueflow's engine: regions of continuous phase, merged by what their borders say, anchored by other evidence."""

    only_launches = True

    def __init__(self, device: Device, shape: tuple[int, int], config: DealiasConfig) -> None:
        self._config = config
        wall = {} if config.wall else {"merge_wall": 0.0, "anchor_wall": 0.0}
        self._unwrap = RegionUnwrapper(
            device, shape=shape, weights=EvidenceWeights(**wall), continuity=config.continuity
        )

    def __call__(self, phase: PhaseMap, segmentation: Segmentation | None) -> tuple[Any, Any]:
        second = phase.second if self._config.second_phase else None
        fold, confidence = self._unwrap(
            phase.phase_turns,
            phase.coherence,
            phase.mask,
            second=None if second is None else (second.phasor, second.table),
            before_turns=phase.before_turns,
            classes=segmentation.fold_probability if segmentation and self._config.segmentation else None,
        )
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
        grid: ImageGrid,
        *,
        doppler: DopplerConfig,
        mask: MaskConfig,
        config: DealiasConfig,
        noise_filter: NDArray[np.float64] | None = None,
        reach: NDArray[np.bool_] | None = None,
    ) -> None:
        shape = grid.shape
        nyquist_velocity_m_s = acquisition.nyquist_velocity_m_s(doppler.lag)
        self._phase = PhaseCoherence(device, shape=shape, nyquist_velocity_m_s=nyquist_velocity_m_s)
        self._mask = Mask(
            device,
            grid,
            wavelength_m=acquisition.wavelength_m,
            doppler=doppler,
            config=mask,
            noise_filter=noise_filter,
            reach=reach,
        )
        self._dealiaser = DEALIASERS[config.name](device, shape, config)
        self._unfold = Unfold(device, shape=shape, nyquist_velocity_m_s=nyquist_velocity_m_s)
        self._memory = Memory(device, shape, config)
        self._device, self._nyquist_velocity_m_s = device, nyquist_velocity_m_s

    @property
    def only_launches(self) -> bool:
        """Whether calls start work on the device and never wait for it."""
        return self._dealiaser.only_launches

    def kind(self, stamp: Stamp) -> bool:
        """What the call for a packet decides on the host: whether the previous frame speaks."""
        return self._memory.speaks(stamp, self._nyquist_velocity_m_s)

    def replayed(self, stamp: Stamp) -> None:
        """A recorded frame ran again, with this stamp: what its call would have left on the host."""
        self._memory.note(stamp, self._nyquist_velocity_m_s)

    def flow(self, doppler: DopplerFrame) -> FlowPhase:
        """Phase, wrapped velocity, coherence and flow mask of one Doppler frame."""
        with self._device.together():
            turns, wrapped, coherence = self._phase(doppler.r0, doppler.r1)
            return FlowPhase(turns, wrapped, coherence, self._mask(doppler.r0, turns, coherence))

    def __call__(
        self, doppler: DopplerFrame, segmentation: Segmentation | None = None, *, flow: FlowPhase | None = None
    ) -> VelocityFrame:
        """Velocities of one Doppler frame; `flow` is that of the frame, where it is there already."""
        flow = flow or self.flow(doppler)
        turns, mask, wrapped = flow.phase_turns, flow.mask, flow.wrapped_velocity_m_s
        before = self._memory.recall(doppler)
        evidence = PhaseMap(turns, flow.coherence, mask, second=doppler.second, before_turns=before)
        with self._device.together():
            fold, confidence = self._dealiaser(evidence, segmentation)
            velocity = self._unfold(wrapped, mask, fold)
            self._memory.keep(doppler, turns, mask, fold)
        return VelocityFrame(velocity, wrapped, fold, confidence, mask, doppler.nyquist_velocity_m_s, doppler.stamp)

    def reset(self) -> None:
        """Forget the past (freeze, new settings, another scene)."""
        self._memory.reset()


class Memory:
    """The previous frame's unwrapped phase, where it may speak.

    It may where flow can have changed by no more than 0.8 v_N since: faster changes lock wrong folds in.
    """

    def __init__(self, device: Device, shape: tuple[int, int], config: DealiasConfig) -> None:
        self._config = config
        self._unwrapped = UnwrappedTurns(device, shape=shape)
        # Made once: a recorded frame looks for it where it was.
        self._turns = device.empty(shape, np.float32) if config.previous_frame != "off" else None
        self._then: tuple[Stamp, float] | None = None

    def speaks(self, now: Stamp, nyquist_velocity_m_s: float) -> bool:
        """Whether the frame before is recalled in a frame with this stamp."""
        if self._then is None or self._config.previous_frame == "off":
            return False
        then, then_nyquist_m_s = self._then
        interval_s = now.acquisition_time_s - then.acquisition_time_s
        if interval_s <= 0 or nyquist_velocity_m_s != then_nyquist_m_s:
            return False
        change_m_s = self._config.largest_acceleration_m_s2 * interval_s
        return change_m_s < 0.8 * nyquist_velocity_m_s or self._config.previous_frame == "on"

    def recall(self, now: DopplerFrame) -> Any:
        """Unwrapped phase in turns, NaN where there was no flow; None where there is nothing to go by."""
        return self._turns if self.speaks(now.stamp, now.nyquist_velocity_m_s) else None

    def keep(self, frame: DopplerFrame, turns: Any, mask: Any, fold: Any) -> None:
        """Remember a frame."""
        if self._turns is not None:
            self._unwrapped(turns, mask, fold, out=self._turns)
        self.note(frame.stamp, frame.nyquist_velocity_m_s)

    def note(self, stamp: Stamp, nyquist_velocity_m_s: float) -> None:
        """Remember when a frame was."""
        self._then = stamp, nyquist_velocity_m_s

    def reset(self) -> None:
        """Forget."""
        self._then = None
