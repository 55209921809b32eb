"""Frames varied at random: what a scanner, a grid or a faster flow would have changed, with the labels that follow."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trueflow.models.features import SCORES, opposite_flow

if TYPE_CHECKING:
    from trueflow.models.data import Frame

__all__ = ["negated", "resampled", "sped_up", "varied", "with_residue"]

ZOOM_Z, ZOOM_X = (0.75, 1.4), (0.75, 1.9)  # default pixels are twice as wide as deep; other grids have square ones
SPEED_UP, NO_SECOND, RESIDUE = 0.3, 0.25, 0.25  # how often
LOWEST = np.array([-2, -2, 0, -1, -1, *[-2] * 5], np.float32)[:, None, None]
HIGHEST = np.array([2, 2, 1, 0, 0, *[2] * 5], np.float32)[:, None, None]


def varied(frame: Frame, shape: tuple[int, int], random: np.random.Generator) -> tuple[Frame, NDArray[np.float32]]:
    """A frame of the given shape made of another, and where it has pixels (elsewhere it is padded with zeros)."""
    zoom = tuple(float(np.exp(random.uniform(np.log(low), np.log(high)))) for low, high in (ZOOM_Z, ZOOM_X))
    frame, inside = resampled(frame, shape, (zoom[0], zoom[1]), random)
    if random.random() < SPEED_UP:
        frame = sped_up(frame, float(random.uniform(0.4, 1.8)))
    elif random.random() < NO_SECOND:
        frame = _without_second(frame)
    if random.random() < RESIDUE:
        frame = with_residue(frame, random)
    if random.random() < 0.5:
        frame = negated(frame)
    frame = _jittered(frame, inside, random)
    for axis, share in ((-1, 0.5), (-2, 0.25)):
        if random.random() < share:
            frame = _mirrored(frame, axis)
            inside = np.flip(inside, axis)
    return frame, inside.astype(np.float32)


def resampled(
    frame: Frame, shape: tuple[int, int], zoom: tuple[float, float], random: np.random.Generator
) -> tuple[Frame, NDArray[np.bool_]]:
    """A part of a frame on a grid `zoom` times as fine, or all of it, padded below and to the right."""
    places = []
    for size, n, factor in zip(shape, frame.flow.shape, zoom, strict=True):
        room = (n - 1) - (size - 1) / factor
        start = random.uniform(0, room) if room > 0 else 0.0
        places.append(start + np.arange(size) / factor)
    rows, columns = places
    inside = (rows[:, None] <= frame.flow.shape[0] - 1) & (columns <= frame.flow.shape[1] - 1)
    limits = zip(places, frame.flow.shape, strict=True)
    nearest = np.ix_(*(np.minimum(np.rint(place).astype(int), n - 1) for place, n in limits))
    inputs = _between(_between(frame.inputs.astype(np.float32), rows, 1), columns, 2) * inside
    flow, truth = frame.flow[nearest] & inside, frame.truth[nearest] & inside
    return replace(frame, inputs=inputs, true_turns=frame.true_turns[nearest], flow=flow, truth=truth), inside


def _between(values: NDArray[np.float32], places: NDArray[np.float64], axis: int) -> NDArray[np.float32]:
    """Linear interpolation along an axis."""
    below = np.clip(places.astype(int), 0, values.shape[axis] - 2)
    part = np.clip(places - below, 0.0, 1.0).astype(np.float32)
    part = part.reshape([-1 if a == axis else 1 for a in range(values.ndim)])
    lower, upper = np.take(values, below, axis), np.take(values, below + 1, axis)
    return np.asarray(lower + part * (upper - lower))


def sped_up(frame: Frame, factor: float) -> Frame:
    """Artificial aliasing: the flow `factor` times as fast, wrapped anew. What a second phase said is void then."""
    both = frame.flow & frame.truth
    phase = frame.phase_turns
    turns = phase + np.rint(frame.true_turns.astype(np.float32) - phase)
    inputs = frame.inputs.astype(np.float32)
    coherence = np.where(both, np.clip(inputs[2], 0, 1) ** (factor**2), inputs[2])
    ratio = coherence / np.maximum(inputs[2], 1e-3)
    angle = 2 * np.pi * np.where(both, factor * turns, phase)
    length = np.hypot(inputs[0], inputs[1]) * ratio
    inputs[0], inputs[1], inputs[2] = length * np.cos(angle), length * np.sin(angle), coherence
    inputs[SCORES] = 0.0
    return replace(frame, inputs=inputs, true_turns=factor * frame.true_turns.astype(np.float32))


def negated(frame: Frame) -> Frame:
    """All velocities the other way."""
    return replace(frame, inputs=opposite_flow(frame.inputs), true_turns=-frame.true_turns)


def with_residue(frame: Frame, random: np.random.Generator) -> Frame:
    """Patches of moving tissue that pass the clutter filter: slow, strong and coherent. They are background."""
    n_z, n_x = frame.flow.shape
    inputs, flow = frame.inputs.copy(), frame.flow.copy()
    z, x = np.arange(n_z)[:, None], np.arange(n_x)
    for _ in range(int(random.integers(1, 4))):
        middle = random.uniform(0, n_z), random.uniform(0, n_x)
        axes = random.uniform(4, 0.2 * n_z), random.uniform(4, 0.3 * n_x)
        place = (((z - middle[0]) / axes[0]) ** 2 + ((x - middle[1]) / axes[1]) ** 2 < 1) & ~frame.truth
        n = int(place.sum())
        angle = 2 * np.pi * (random.normal(0.0, 0.06) + random.normal(0.0, 0.02, n))
        coherence = np.clip(random.normal(0.9, 0.05, n), 0, 1)
        inputs[0][place], inputs[1][place] = coherence * np.cos(angle), coherence * np.sin(angle)
        inputs[2][place] = coherence
        inputs[3][place] = np.clip(random.uniform(-0.5, 0.0) + random.normal(0.0, 0.05, n), -1, 0)
        inputs[SCORES, place] = 0.0
        flow |= place
    return replace(frame, inputs=inputs, flow=flow)


def _jittered(frame: Frame, inside: NDArray[np.bool_], random: np.random.Generator) -> Frame:
    """Gains, a little noise on the phasor, more or less faith in the second phase."""
    gain, offset = np.ones(10), np.zeros(10)
    gain[[3, 4]] = random.uniform(0.85, 1.15, 2)
    offset[[3, 4]] = random.uniform(-0.12, 0.12, 2)
    gain[SCORES] = random.uniform(0.6, 1.15)
    noise = np.zeros(frame.inputs.shape, np.float32)
    noise[:2] = random.uniform(0.0, 0.08) * random.standard_normal((2, *inside.shape), np.float32)
    inputs = frame.inputs * gain[:, None, None] + offset[:, None, None] + noise
    return replace(frame, inputs=(np.clip(inputs, LOWEST, HIGHEST) * inside).astype(np.float32))


def _without_second(frame: Frame) -> Frame:
    inputs = frame.inputs.copy()
    inputs[SCORES] = 0.0
    return replace(frame, inputs=inputs)


def _mirrored(frame: Frame, axis: int) -> Frame:
    turned: dict[str, Any] = {
        name: np.flip(getattr(frame, name), axis) for name in ("inputs", "true_turns", "flow", "truth")
    }
    return replace(frame, **turned)
