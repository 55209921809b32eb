"""Which pulses of a file make one slow-time sample.

Files hold frames of transmits. Transmits that are all alike are slow time themselves; a cycle of different transmits
that repeats within the frame makes one compounded slow-time sample per turn; different transmits that do not repeat
make one per frame. Slow-time intervals may alternate (staggered PRF).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.acquisition import LARGEST_STAGGER, Transmit
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.sources.transmits import MOST_WAVES, same_wave

__all__ = ["PulseOrder", "arrange"]

EVEN = 0.01  # intervals within 1 % of each other are one rate: 1 % of v_N is below what an ensemble resolves
SAME_RATIO = 0.002  # ratios of whole numbers up to 16 are at least twice as far apart


@dataclass(frozen=True, slots=True)
class PulseOrder:
    """Slow time of a file.

    Parameters
    ----------
    transmits : tuple of Transmit
        What is compounded into one slow-time sample.
    n_frames, n_repeats : int
        Frames in the file, slow-time samples per frame.
    burst_length : int
        Slow-time samples without a gap.
    prf_hz : float
        Such that prf_hz / len(transmits) is the slow-time rate: where the transmits of one sample are followed by a
        pause, it is lower than the rate at which they were fired.
    burst_interval_s : float or None
        From one burst's start to the next, on average; None where there is one burst, or no word of the gaps.
    stagger : (int, int) or None
        As in `Acquisition.stagger`; `prf_hz` is then that of the short interval.
    """

    transmits: tuple[Transmit, ...]
    n_frames: int
    n_repeats: int
    burst_length: int
    prf_hz: float
    burst_interval_s: float | None = None
    stagger: tuple[int, int] | None = None

    @property
    def n_slow_time(self) -> int:
        """Slow-time samples in the file."""
        return self.n_frames * self.n_repeats

    def spans(self, start: int, stop: int) -> Iterator[tuple[int, slice, slice]]:
        """Where slow-time samples start..stop-1 lie: (frame, its transmits, their place in the output)."""
        assert 0 <= start <= stop <= self.n_slow_time, "slow-time samples outside the recording"
        n_transmits = len(self.transmits)
        for frame in range(start // self.n_repeats, -(-stop // self.n_repeats)):
            first = max(start - frame * self.n_repeats, 0)
            last = min(stop - frame * self.n_repeats, self.n_repeats)
            place = frame * self.n_repeats + first - start
            yield frame, slice(first * n_transmits, last * n_transmits), slice(place, place + last - first)


def arrange(
    transmits: Sequence[Transmit], n_frames: int, interval_s: float | NDArray[np.float64], *, where: str
) -> PulseOrder:
    """Find slow time in `n_frames` frames of these transmits.

    Parameters
    ----------
    transmits : sequence of Transmit
        Of one frame, in firing order.
    n_frames : int
    interval_s : float or array
        Time from each pulse to the next, all frames in one row (n_frames * n_tx - 1 of them, or one more). A single
        number says nothing about gaps between frames: frames of several slow-time samples are then taken to be bursts,
        frames of one to follow each other evenly.
    where : str
        File and field, for messages.

    Raises
    ------
    TrueflowError
        Transmits in an order that cannot be compounded; slow time that is not evenly sampled.
    """
    n_cycle = _cycle(transmits, where)
    n_repeats = len(transmits) // n_cycle
    cycle = tuple(transmits[:n_cycle])
    n_slow_time = n_frames * n_repeats
    if np.ndim(interval_s) == 0:
        burst = n_repeats if n_repeats > 1 else n_frames
        return PulseOrder(cycle, n_frames, n_repeats, burst, 1.0 / float(interval_s))
    intervals = np.asarray(interval_s, dtype=np.float64)
    if n_slow_time * n_cycle > 1:
        intervals = intervals[: n_slow_time * n_cycle - 1]  # what follows the last pulse says nothing about slow time
    if not (intervals.size and np.isfinite(intervals).all() and (intervals > 0).all()):
        shortest = f"{np.min(intervals):g} s" if intervals.size else "none"
        raise TrueflowError("not positive", where=where, found=shortest, expected="seconds > 0 between pulses")
    if n_slow_time == 1:
        return PulseOrder(cycle, n_frames, n_repeats, 1, 1.0 / float(np.median(intervals)))
    starts_s = np.concatenate([[0.0], np.cumsum(intervals)])[::n_cycle]
    stagger = _stagger(np.diff(starts_s), n_repeats)
    if stagger is None:
        burst, step_s = _bursts(np.diff(starts_s), n_slow_time, n_repeats, where)
    else:  # pairs of samples are evenly spaced
        pairs, pair_s = _bursts(np.diff(starts_s[::2]), n_slow_time // 2, max(1, n_repeats // 2), where)
        burst, step_s = 2 * pairs, pair_s * stagger[0] / sum(stagger)
    between_s = float(np.diff(starts_s[::burst]).mean()) if burst < n_slow_time else None
    return PulseOrder(cycle, n_frames, n_repeats, burst, n_cycle / step_s, between_s, stagger)


def _cycle(transmits: Sequence[Transmit], where: str) -> int:
    """Length of the shortest cycle that the transmits of a frame repeat."""
    n_transmits = len(transmits)
    if n_transmits == 0:
        raise TrueflowError("no transmits", where=where, expected="at least one")
    kinds = _kinds(transmits, where)
    length = next(
        n for n in range(1, n_transmits + 1) if n_transmits % n == 0 and (kinds[n:] == kinds[: n_transmits - n]).all()
    )
    if length > 1 and (kinds[1:length] == kinds[: length - 1]).any():
        raise TrueflowError(
            "transmits cannot be compounded",
            where=where,
            found=f"{n_transmits} transmits that neither are all different nor repeat one cycle",
            expected="a cycle such as 1 2 3 1 2 3, or one transmit throughout",
            advice="reorder the pulses, or store one track or file per transmit",
        )
    return length


def _kinds(transmits: Sequence[Transmit], where: str) -> NDArray[np.int64]:
    """Numbers that are equal where transmits are the same wave."""
    known: list[Transmit] = []
    numbers: dict[Transmit, int] = {}
    for transmit in transmits:
        if transmit in numbers:
            continue
        number = next((i for i, one in enumerate(known) if same_wave(one, transmit)), len(known))
        if number == len(known):
            known.append(transmit)
        if len(known) > MOST_WAVES:
            raise TrueflowError(
                "implausibly many different transmits", where=where, found=f"more than {MOST_WAVES}",
                expected=f"<= {MOST_WAVES} in a slow-time sample",
            )
        numbers[transmit] = number
    return np.array([numbers[transmit] for transmit in transmits])


def _stagger(steps_s: NDArray[np.float64], n_repeats: int) -> tuple[int, int] | None:
    """The ratio m:n of slow-time intervals that alternate; None where they do not.

    An interval of twice the other or more is a gap between bursts of two.
    """
    in_pairs = steps_s.size % 2 == 1 and (n_repeats == 1 or n_repeats % 2 == 0)
    if steps_s.size < 3 or not in_pairs:
        return None
    short_s, long_s = float(np.median(steps_s[0::2])), float(steps_s[1])
    if (np.abs(steps_s[0::2] - short_s) > EVEN * short_s).any() or not (1 + EVEN) * short_s < long_s < 2 * short_s:
        return None
    ratio = Fraction(short_s / long_s).limit_denominator(LARGEST_STAGGER)
    if abs(float(ratio) * long_s - short_s) > SAME_RATIO * short_s:
        return None
    return ratio.numerator, ratio.denominator


def _bursts(steps_s: NDArray[np.float64], n_slow_time: int, n_repeats: int, where: str) -> tuple[int, float]:
    """Burst length and the slow-time interval within a burst."""
    at_frame_end = np.arange(1, n_slow_time) % n_repeats == 0
    inside = steps_s if n_repeats == 1 else steps_s[~at_frame_end]
    step_s = float(np.median(inside))
    gap = np.abs(steps_s - step_s) > EVEN * step_s
    if not gap.any():
        return n_slow_time, float(steps_s.mean())
    burst = int(np.argmax(gap)) + 1
    if n_repeats > 1 and not gap[~at_frame_end].any():
        burst = n_repeats
    expected = np.arange(1, n_slow_time) % burst == 0
    shorter = gap & (steps_s < step_s)  # no pause, but pulses whose intervals alternate
    if n_slow_time % burst or (gap & ~expected).any() or burst == 1 or shorter.any():
        raise TrueflowError(
            "slow time is not evenly sampled",
            where=where,
            found=f"intervals from {steps_s.min():.6g} to {steps_s.max():.6g} s",
            expected="one interval within 1 %, bursts of equal length, or two that alternate, the short one first",
        )
    return burst, float(np.median(steps_s[~expected]))
