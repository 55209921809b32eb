"""From R0 and R1 to phase, coherence, flow mask and velocity (maps.cu, flow_mask.cu)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trueflow.kernels.device import Device, source
from trueflow.kernels.launch import pixel_launch

__all__ = [
    "MAX_FOLD",
    "FlowMask",
    "PhaseCoherence",
    "Unfold",
    "UnwrappedTurns",
    "flow_mask_reference",
    "fold_steps",
    "noise_coherence",
    "phase_coherence_reference",
    "unfold_reference",
]

MAX_FOLD = 16
STRONG_FRACTION = 0.01  # the power reference: the strongest per cent of pixels lie above it
FLOW_BINS = 2048
NOISE_TRIALS = 4096


class PhaseCoherence:
    """arg(R1) in turns, the wrapped velocity and |R1| / R0, all float32 (n_z, n_x)."""

    def __init__(self, device: Device, *, shape: tuple[int, int], nyquist_velocity_m_s: float) -> None:
        self._device, self._shape = device, shape
        self._params = source("maps").struct(
            "PhaseParams", n_pixels=shape[0] * shape[1], velocity_per_turn=2 * nyquist_velocity_m_s
        )
        self._kernel = device.kernel("maps", "phase_coherence")

    def __call__(self, r0: Any, r1: Any) -> tuple[Any, Any, Any]:
        """Returns phase_turns in [-1/2, 1/2], wrapped velocity (m/s) and coherence in [0, 1]."""
        phase, wrapped, coherence = (self._device.empty(self._shape, np.float32) for _ in range(3))
        self._kernel(*pixel_launch(self._device, r0.size), self._params, r0, r1, phase, wrapped, coherence)
        return phase, wrapped, coherence


def noise_coherence(
    noise_filter: NDArray[np.float64], *, lag: int, n_looks: float, quantile: float = 0.9, step: int = 1
) -> float:
    """What |R1| / R0 white noise reaches after a slow-time filter: few pulses and a filter's own memory make it large.

    Parameters
    ----------
    noise_filter : (n_out, n_in) float64
        The clutter filter's matrix.
    lag : int
    n_looks : float
        Independent pixels that R1 and R0 are averaged over.
    quantile : float
        Of noise pixels that stay below.
    step : int
        R1 is over the pairs that begin with pulses 0, step, 2 step, ...
    """
    n_in = noise_filter.shape[1]
    looks = max(1, round(n_looks))
    random = np.random.default_rng(0)
    noise = random.standard_normal((NOISE_TRIALS, looks, n_in)) + 1j * random.standard_normal(
        (NOISE_TRIALS, looks, n_in)
    )
    x = noise @ noise_filter.T
    r1 = (x[..., lag::step] * x[..., :-lag:step].conj()).mean(axis=(1, 2))
    r0 = (np.abs(x) ** 2).mean(axis=(1, 2))
    return float(np.quantile(np.abs(r1) / r0, quantile))


class FlowMask:
    """Where there is flow: gates on power, coherence and speed within the waves' reach, cleaned by a majority vote.

    Parameters
    ----------
    power_db : float
        Least R0, relative to the frame's strongest per cent.
    coherence : float
        Least |R1| / R0.
    velocity_fraction : float
        Least wrapped speed over v_N.
    radius : int
        Of the voting window; 0 for no vote.
    fraction : float
        Of the window's pixels that must have passed.
    reach : (n_z, n_x) bool, optional
        Where a transmitted wave passes. Default: everywhere.
    """

    def __init__(
        self,
        device: Device,
        *,
        shape: tuple[int, int],
        power_db: float,
        coherence: float,
        velocity_fraction: float = 0.0,
        radius: int = 2,
        fraction: float = 0.5,
        reach: NDArray[np.bool_] | None = None,
    ) -> None:
        if not 0 <= radius <= 100 or not 0 <= fraction < 1:
            raise ValueError(
                f"flow mask radius {radius}, fraction {fraction}: expected radius 0 to 100, 0 <= fraction < 1"
            )
        if reach is not None and reach.shape != shape:
            raise ValueError(f"flow mask reach: shape {reach.shape}, expected {shape}")
        self._device, self._shape = device, shape
        n_pixels = shape[0] * shape[1]
        self._reach = device.upload(np.ones(shape, np.bool_) if reach is None else np.ascontiguousarray(reach))
        self._n_strong = max(1, round(STRONG_FRACTION * n_pixels))
        self._gate_params = source("flow_mask").struct(
            "FlowGateParams",
            n_pixels=n_pixels,
            power_fraction=10 ** (power_db / 10),
            coherence=coherence,
            phase_turns=velocity_fraction / 2,
        )
        self._majority_params = source("flow_mask").struct(
            "MajorityParams", n_x=shape[1], n_z=shape[0], radius=radius, fraction=fraction
        )
        self._histogram = device.zeros(FLOW_BINS, np.int32)
        self._reference = device.zeros(1, np.float32)
        self._kernels = {
            name: device.kernel("flow_mask", name)
            for name in ("power_histogram", "power_reference", "flow_gate", "count_along_x", "majority")
        }

    def __call__(self, r0: Any, phase_turns: Any, coherence: Any) -> Any:
        """Returns the mask, bool (n_z, n_x)."""
        launch, n_pixels = pixel_launch(self._device, r0.size), r0.size
        self._histogram[...] = 0
        self._kernels["power_histogram"](*launch, n_pixels, r0, self._histogram)
        self._kernels["power_reference"]((1, 1, 1), (1, 1, 1), self._n_strong, self._histogram, self._reference)
        gate = self._device.empty(self._shape, np.bool_)
        self._kernels["flow_gate"](
            *launch, self._gate_params, r0, phase_turns, coherence, self._reference, self._reach, gate
        )
        if self._majority_params["radius"] == 0:
            return gate
        count = self._device.empty(self._shape, np.uint8)
        mask = self._device.empty(self._shape, np.bool_)
        self._kernels["count_along_x"](*launch, self._majority_params, gate, count)
        self._kernels["majority"](*launch, self._majority_params, count, self._reach, mask)
        return mask


class Unfold:
    """Velocities from wrapped velocities and folds: velocity == wrapped + 2 * fold * v_N, one rounding."""

    def __init__(self, device: Device, *, shape: tuple[int, int], nyquist_velocity_m_s: float) -> None:
        self._device, self._shape = device, shape
        self._step = device.upload(fold_steps(nyquist_velocity_m_s))
        self._kernel = device.kernel("maps", "unfold")

    def __call__(self, wrapped: Any, mask: Any, fold: Any) -> Any:
        """Returns the velocity (m/s); sets `fold` to 0 outside the mask."""
        velocity = self._device.empty(self._shape, np.float32)
        self._kernel(
            *pixel_launch(self._device, fold.size), fold.size, MAX_FOLD, self._step, wrapped, mask, fold, velocity
        )
        return velocity


class UnwrappedTurns:
    """The unwrapped phase, NaN outside the mask: what the next frame is held against."""

    def __init__(self, device: Device, *, shape: tuple[int, int]) -> None:
        self._device, self._shape = device, shape
        self._kernel = device.kernel("maps", "unwrapped_turns")

    def __call__(self, phase_turns: Any, mask: Any, fold: Any, *, out: Any = None) -> Any:
        """Returns phase_turns + fold, float32 (n_z, n_x): in `out`, where that is given."""
        turns = self._device.empty(self._shape, np.float32) if out is None else out
        self._kernel(*pixel_launch(self._device, fold.size), fold.size, phase_turns, mask, fold, turns)
        return turns


def fold_steps(nyquist_velocity_m_s: float) -> NDArray[np.float32]:
    """2 * fold * v_N for every fold from -MAX_FOLD to MAX_FOLD, rounded once to float32."""
    return (2.0 * np.arange(-MAX_FOLD, MAX_FOLD + 1) * nyquist_velocity_m_s).astype(np.float32)


def phase_coherence_reference(r0: NDArray[Any], r1: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The specification of `PhaseCoherence`, in float64."""
    r = r1.astype(np.complex128)
    return np.angle(r) / (2 * np.pi), np.minimum(np.abs(r) / np.maximum(r0.astype(float), 1e-37), 1.0)


def flow_mask_reference(
    r0: NDArray[np.float32],
    phase_turns: NDArray[Any],
    coherence: NDArray[Any],
    *,
    power_db: float,
    coherence_min: float,
    velocity_fraction: float = 0.0,
    radius: int = 2,
    fraction: float = 0.5,
    reach: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_]:
    """The specification of `FlowMask`."""
    within = np.ones(r0.shape, np.bool_) if reach is None else reach
    n_strong = max(1, round(STRONG_FRACTION * r0.size))
    bins = np.where(r0 > 0, r0.view(np.int32) >> 20, 0)
    strongest = np.sort(bins.ravel())[::-1][n_strong - 1]
    reference = np.array(strongest << 20, np.int32).view(np.float32)
    gate = (
        (r0 > 0)
        & (r0 >= np.float32(10 ** (power_db / 10)) * reference)
        & (coherence >= coherence_min)
        & (np.abs(phase_turns) >= velocity_fraction / 2)
        & within
    )
    if radius == 0:
        return np.asarray(gate)
    window = np.ones((2 * radius + 1, 2 * radius + 1))
    votes = ndimage.convolve(gate.astype(float), window, mode="constant")
    voters = ndimage.convolve(np.ones(gate.shape), window, mode="constant")
    return np.asarray((votes > fraction * voters) & within)


def unfold_reference(
    wrapped: NDArray[np.float32], mask: NDArray[np.bool_], fold: NDArray[np.int8], *, nyquist_velocity_m_s: float
) -> NDArray[np.float32]:
    """The specification of `Unfold`: exact, so in the precision of its result."""
    step = fold_steps(nyquist_velocity_m_s)
    return np.asarray(wrapped + step[np.where(mask, fold, 0) + MAX_FOLD])
