"""How slow time is cut: ensemble, hop, decimation, bursts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from trueflow.pipeline import Acquisition, Framing, PlaneWave, Probe, Recording, TrueflowError, packets


class Counting(Recording):
    """Samples that are their own slow-time index; remembers what was read."""

    format_name = "counting"

    def __init__(self, n_slow_time: int, burst_length: int | None = None) -> None:
        self.path = Path("counting")
        self.acquisition = Acquisition(
            Probe.linear(2, pitch_m=1e-3), (PlaneWave(),), 20e6, 5e6, 1e3, n_samples=3, n_ensemble=1
        )
        self.n_slow_time, self.burst_length = n_slow_time, burst_length or n_slow_time
        self.longest_read = 0

    def read(self, start, stop):
        assert 0 <= start < stop <= self.n_slow_time
        self.longest_read = max(self.longest_read, stop - start)
        return np.broadcast_to(np.arange(start, stop, dtype=np.int16)[:, None, None, None], (stop - start, 1, 2, 3))


def cut(recording, **framing):
    acquisition, n, stream = packets(recording, Framing(**framing))
    cut = [(p.samples[:, 0, 0, 0].tolist(), p.stamp) for p in stream]
    assert len(cut) == n
    return acquisition, [c[0] for c in cut], [c[1] for c in cut]


def test_back_to_back_is_the_default():
    _, got, stamps = cut(Counting(10), ensemble=4)
    assert got == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert [s.continuous for s in stamps] == [False, True]
    assert [s.acquisition_time_s for s in stamps] == [0.0, 4e-3]


def test_sliding_ensembles_overlap_and_are_not_continuous():
    _, got, stamps = cut(Counting(6), ensemble=4, hop=1)
    assert got == [[0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5]]
    assert not any(s.continuous for s in stamps)


def test_every_kth_pulse_lowers_the_nyquist_velocity():
    whole, _, _ = cut(Counting(12), ensemble=3)
    kept, got, _ = cut(Counting(12), ensemble=3, decimate=2)
    assert got == [[0, 2, 4], [6, 8, 10]]
    assert kept.nyquist_velocity_m_s() == pytest.approx(whole.nyquist_velocity_m_s() / 2)


def test_bursts_are_never_joined():
    _, got, stamps = cut(Counting(10, burst_length=5), ensemble=2)
    assert got == [[0, 1], [2, 3], [5, 6], [7, 8]]
    assert [s.continuous for s in stamps] == [False, True, False, True]


def test_a_short_burst_is_one_ensemble_and_a_long_run_gives_sixteen():
    assert cut(Counting(60, burst_length=12))[0].n_ensemble == 12
    assert cut(Counting(600))[0].n_ensemble == 16


def test_no_more_is_read_than_one_packet_needs():
    recording = Counting(1000)
    cut(recording, ensemble=8, decimate=3)
    assert recording.longest_read == 22


@pytest.mark.parametrize(
    ("framing", "message"),
    [({"ensemble": 11}, "fewer pulses"), ({"ensemble": 6, "decimate": 2}, "fewer pulses"), ({"hop": 0}, "hop"),
     ({"ensemble": -1}, "ensemble"), ({"decimate": 0}, "decimate"), ({"ensemble": 1}, "no velocity")],
)  # fmt: skip
def test_framings_that_do_not_fit_are_refused(framing, message):
    with pytest.raises(TrueflowError, match=message):
        cut(Counting(10), **framing)


def test_the_recording_keeps_its_own_acquisition():
    recording = Counting(10)
    before = replace(recording.acquisition)
    cut(recording, ensemble=2, decimate=2)
    assert recording.acquisition == before
