"""Other people's phase unwrapping, on the same mask and wrapped phase.

Each leaves open by how many whole turns an island is off, or has a rule of its own for that. For every frame it is
given the better, by the truth, of its own absolute fold and of the rule that flow is slow near walls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.benchmarks.contenders import Skipped
from trueflow.benchmarks.das_peers import import_peer
from trueflow.benchmarks.dealias_tally import true_fold
from trueflow.pipeline.dealias import anchored_at_rim
from trueflow.pipeline.frames import DopplerFrame, VelocityFrame
from trueflow.pipeline.sources.base import Truth

__all__ = ["PEERS", "Peer", "Unwrap", "folded", "given", "installed", "oracle_anchored", "peer_version"]

# Wrapped phase in turns float64, coherence and mask, all (n_z, n_x), to folds: valid inside the mask.
Unwrap = Callable[[NDArray[np.float64], NDArray[Any], NDArray[np.bool_]], NDArray[Any]]

COHERENCE_STEPS = 100  # kamui's min-cost flow takes whole numbers as weights


@dataclass(frozen=True, slots=True, eq=False)
class Peer:
    """Somebody else's function, with what lies before and after it kept apart: times are of the function alone.

    Parameters
    ----------
    prepare : callable
        From wrapped phase, coherence and mask to what the function takes.
    call : callable
        The function.
    read : callable
        From what it returns, wrapped phase and mask to folds.
    """

    prepare: Callable[[NDArray[np.float64], NDArray[Any], NDArray[np.bool_]], tuple[Any, ...]]
    call: Callable[..., Any]
    read: Callable[[Any, NDArray[np.float64], NDArray[np.bool_]], NDArray[Any]]

    def __call__(self, turns: NDArray[np.float64], coherence: NDArray[Any], mask: NDArray[np.bool_]) -> NDArray[Any]:
        """Folds, as an `Unwrap`."""
        return self.read(self.call(*self.prepare(turns, coherence, mask)), turns, mask)


def _skimage() -> Peer:
    """Reliability-sorted unwrapping (Herraez et al. 2002)."""
    return Peer(
        lambda turns, coherence, mask: (np.ma.masked_array(2 * np.pi * turns, ~mask),),
        partial(import_peer("skimage.restoration").unwrap_phase, rng=0),
        lambda unwrapped, turns, mask: np.asarray(np.rint(np.ma.getdata(unwrapped) / (2 * np.pi) - turns)),
    )


def _region_dealias() -> Peer:
    """Py-ART's region method (Helmus and Collis 2016) in Rust; its rule is that most of the image is unaliased."""
    return Peer(
        lambda turns, coherence, mask: (2 * turns, ~mask, 1.0),
        partial(import_peer("region_dealias").sweep_folds, rays_wrap_around=False),
        lambda folds, turns, mask: np.asarray(folds),
    )


def _kamui() -> Peer:
    """The cheapest cuts (Costantini 1998) as a min-cost flow, weighted by coherence; free outside the mask."""
    unwrap_dimensional = import_peer("kamui").unwrap_dimensional

    def prepare(turns: NDArray[np.float64], coherence: NDArray[Any], mask: NDArray[np.bool_]) -> tuple[Any, ...]:
        box = _box(mask)
        quality = np.where(mask, np.clip(np.rint(COHERENCE_STEPS * coherence), 1, None), 0).astype(np.int64)[box]
        start = tuple(map(int, np.unravel_index(quality.argmax(), quality.shape)))
        return np.where(mask, turns, 0.0)[box], start, quality

    def call(phase: NDArray[np.float64], start: tuple[int, ...], quality: NDArray[np.int64]) -> NDArray[np.float64]:
        unwrapped: NDArray[np.float64] = unwrap_dimensional(
            phase, start_pixel=start, period=1.0, weights=quality, merging_method="min"
        )
        return unwrapped

    def read(unwrapped: Any, turns: NDArray[np.float64], mask: NDArray[np.bool_]) -> NDArray[Any]:
        fold, box = np.zeros(mask.shape), _box(mask)
        fold[box] = np.rint(unwrapped - np.where(mask, turns, 0.0)[box])
        return fold

    return Peer(prepare, call, read)


def _box(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The smallest box around the mask."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


# By the name of their package; what is called returns the function that unwraps.
PEERS: dict[str, Callable[[], Peer]] = {"scikit-image": _skimage, "region-dealias": _region_dealias, "kamui": _kamui}


def installed(names: Sequence[str]) -> tuple[dict[str, Peer], tuple[Skipped, ...]]:
    """Those of the named peers that are here, and why the others are not."""
    tried = {name: _tried(name) for name in names}
    found = {name: kind for name, kind in tried.items() if not isinstance(kind, Skipped)}
    return found, tuple(kind for kind in tried.values() if isinstance(kind, Skipped))


def _tried(name: str) -> Peer | Skipped:
    try:
        return PEERS[name]()
    except ImportError as error:
        return Skipped(name, f"not installed ({error}); pip install {name}, or 'trueflow[bench]' for all")


def peer_version(name: str) -> str | None:
    """Of a peer, where it is installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def folded(unwrap: Unwrap, frame: VelocityFrame, doppler: DopplerFrame) -> NDArray[Any]:
    """A peer's folds of one frame; nothing where the mask is empty."""
    if not frame.mask.any():
        return np.zeros(frame.mask.shape)
    return np.where(frame.mask, unwrap(*given(frame, doppler)), 0)


def given(frame: VelocityFrame, doppler: DopplerFrame) -> tuple[NDArray[np.float64], NDArray[Any], NDArray[np.bool_]]:
    """What an `Unwrap` is given of a frame: wrapped phase in turns, coherence, mask."""
    turns = frame.wrapped_velocity_m_s.astype(np.float64) / (2 * frame.nyquist_velocity_m_s)
    coherence = np.abs(doppler.r1) / np.maximum(doppler.r0, np.finfo(np.float32).tiny)
    return turns, coherence, frame.mask


def oracle_anchored(fold: NDArray[Any], frame: VelocityFrame, truth: Truth) -> VelocityFrame:
    """The frame with these folds as they are, or shifted by the near-wall rule: whichever has fewer wrong."""
    flow, true = frame.mask & truth.mask, true_fold(frame, truth)
    own = np.clip(fold, -127, 127).astype(np.int8)
    chosen = min(
        (own, anchored_at_rim(own, frame.mask)), key=lambda kind: np.count_nonzero((kind != true)[flow])
    )  # fmt: skip
    velocity = frame.wrapped_velocity_m_s + np.float32(2 * frame.nyquist_velocity_m_s) * chosen
    return replace(frame, velocity_m_s=velocity.astype(np.float32), fold=chosen)
