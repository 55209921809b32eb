"""Slow time in frames of transmits, against the order written out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from trueflow.pipeline.acquisition import PlaneWave
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.sources.pulse_order import PulseOrder, arrange

A, B, C = PlaneWave(-0.1), PlaneWave(0.0), PlaneWave(0.1)
STEP = 1e-4


def intervals(n_frames: int, n_transmits: int, frame_gap_s: float = STEP) -> np.ndarray:
    table = np.full((n_frames, n_transmits), STEP)
    table[:, -1] = frame_gap_s
    return table.reshape(-1)


def order(transmits: list[PlaneWave], n_frames: int, interval_s: float | np.ndarray) -> PulseOrder:
    return arrange(transmits, n_frames, interval_s, where="here")


@pytest.mark.parametrize(
    ("transmits", "n_frames", "gap_s", "n_transmits", "n_slow", "burst", "rate_hz"),
    [
        ([A], 8, STEP, 1, 8, 8, 1e4),  # one pulse a frame
        ([A, B, C], 5, STEP, 3, 5, 5, 1e4 / 3),  # compounded frames, evenly fired
        ([A, B, C], 5, 8e-4, 3, 5, 5, 1e3),  # compounded frames with a pause after each: 1 ms from frame to frame
        ([A] * 6, 4, STEP, 1, 24, 24, 1e4),  # slow time within frames that follow without a gap
        ([A] * 6, 4, 1e-2, 1, 24, 6, 1e4),  # the same, with gaps
        ([A, B] * 3, 4, 1e-2, 2, 12, 3, 5e3),  # round robin
        ([A, B] * 3, 4, STEP, 2, 12, 12, 5e3),
        ([A, B, C, B], 6, STEP, 4, 6, 6, 2.5e3),  # up and down
    ],
)
def test_slow_time_is_found(
    transmits: list[PlaneWave], n_frames: int, gap_s: float, n_transmits: int, n_slow: int, burst: int, rate_hz: float
) -> None:
    found = order(transmits, n_frames, intervals(n_frames, len(transmits), gap_s))
    assert found.transmits == tuple(transmits[:n_transmits])
    assert (found.n_slow_time, found.burst_length) == (n_slow, burst)
    assert found.prf_hz / n_transmits == pytest.approx(rate_hz)


def test_bursts_may_be_groups_of_frames() -> None:
    steps = np.full(12, STEP)
    steps[3::4] = 1.0
    found = order([A], 12, steps)
    assert (found.burst_length, found.prf_hz) == (4, pytest.approx(1e4))


def test_without_times_only_frames_of_several_samples_are_bursts() -> None:
    assert order([A, B], 9, STEP).burst_length == 9
    assert order([A] * 5, 3, STEP).burst_length == 5


def test_the_last_interval_does_not_matter() -> None:
    steps = intervals(4, 2)
    steps[-1] = 0.0
    assert order([A, B], 4, steps).prf_hz == pytest.approx(1e4)


def test_half_a_percent_of_jitter_is_one_rate() -> None:
    steps = STEP * (1 + 0.004 * np.random.default_rng(2).uniform(-1, 1, 32))
    found = order([A], 32, steps)
    assert found.burst_length == 32
    assert found.prf_hz == pytest.approx(1 / steps[:31].mean())


@pytest.mark.parametrize("transmits", [[A, A, B, B], [A, B, C, B, B, B]])
def test_blocks_and_mixtures_are_refused(transmits: list[PlaneWave]) -> None:
    with pytest.raises(TrueflowError, match=r"here: transmits cannot be compounded.*reorder the pulses"):
        order(transmits, 4, STEP)


@pytest.mark.parametrize(
    "steps", [STEP * np.array([1.0, 1.5, 1.0, 1.7, 1.2, 1.0]), np.array([STEP, STEP, 1.0, STEP, 1.0, STEP, STEP])]
)
def test_uneven_slow_time_is_refused(steps: np.ndarray) -> None:
    with pytest.raises(TrueflowError, match="slow time is not evenly sampled; found intervals from"):
        order([A], steps.size + 1, steps)


@pytest.mark.parametrize("ratio", [(3, 4), (2, 3), (15, 16), (9, 16)])
@pytest.mark.parametrize("n_cycle", [1, 2])
@pytest.mark.parametrize(
    ("n_frames", "n_repeats", "gap_s", "burst"),
    [(1, 12, 0.0, 12), (3, 8, 0.05, 8), (3, 8, None, 24), (16, 1, None, 16), (10, 4, 0.05, 4), (8, 2, None, 16)],
)
def test_alternating_intervals_are_staggered_pulses(
    ratio: tuple[int, int], n_cycle: int, n_frames: int, n_repeats: int, gap_s: float | None, burst: int
) -> None:
    """With and without compounding, gaps between frames, float32 times."""
    m, n = ratio
    transmits = [A, B][:n_cycle] * n_repeats
    short_s = 3e-4
    pulses = np.arange(n_frames * n_repeats)
    starts = (pulses // 2 * (m + n) / m + pulses % 2) * short_s
    if gap_s is not None:
        starts += pulses // n_repeats * gap_s
    fired = (starts[:, None] + np.arange(n_cycle) * 1e-4).ravel()
    found = order(transmits, n_frames, np.diff(fired).astype(np.float32))
    assert found.stagger == ratio
    assert found.burst_length == burst
    assert found.prf_hz / n_cycle == pytest.approx(1 / short_s, rel=1e-4)
    if gap_s:
        expected = n_repeats // 2 * (m + n) / m * short_s + gap_s
        assert found.burst_interval_s == pytest.approx(expected, rel=1e-4)


def test_bursts_of_two_are_not_staggered() -> None:
    found = order([A] * 2, 8, intervals(8, 2, 2.5 * STEP))
    assert (found.stagger, found.burst_length) == (None, 2)


def test_the_long_interval_first_is_refused() -> None:
    with pytest.raises(TrueflowError, match="the short one first"):
        order([A], 12, STEP * np.array([4, 3] * 5 + [4]) / 3)


@pytest.mark.parametrize("bad", [0.0, -STEP, np.nan])
def test_impossible_intervals_are_refused(bad: float) -> None:
    steps = intervals(4, 1)
    steps[1] = bad
    with pytest.raises(TrueflowError, match="not positive"):
        order([A], 4, steps)


def test_spans_cover_any_range_once() -> None:
    found = order([A, B] * 3, 4, STEP)
    table = np.arange(4 * 6).reshape(4, 6)
    for start in range(13):
        for stop in range(start, 13):
            out = np.full((stop - start, 2), -1)
            for frame, transmits, place in found.spans(start, stop):
                out[place] = table[frame, transmits].reshape(-1, 2)
            np.testing.assert_array_equal(out, np.arange(24).reshape(12, 2)[start:stop])
