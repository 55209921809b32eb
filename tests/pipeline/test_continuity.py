"""What the chain may carry over when packets are missing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from live_packets import live_packet

from trueflow.pipeline import Acquisition, ColorFlow, Config, RfPacket, Stamp
from trueflow.pipeline.continuity import Continuity

SAMPLES = np.zeros((1, 1, 1, 1), np.int16)


def follow(*stamps: Stamp) -> list[tuple[bool, bool]]:
    """(continuous, forget) of each."""
    continuity = Continuity()
    followed = [continuity.follow(RfPacket(SAMPLES, stamp)) for stamp in stamps]
    return [(packet.stamp.continuous, forget) for packet, forget in followed]


def test_a_filter_keeps_its_state_only_from_a_packet_to_the_very_next() -> None:
    stamps = [Stamp(index, index * 0.02, continuous=True) for index in (3, 4, 6, 7)]
    assert [continuous for continuous, _ in follow(*stamps)] == [False, True, False, True]


def test_what_was_not_continuous_does_not_become_so() -> None:
    assert follow(Stamp(0), Stamp(1, 0.02))[1] == (False, False)


@pytest.mark.parametrize(
    ("times_s", "forgets"),
    [
        ([0, 0.03, 0.06, 0.20, 0.23], [False] * 5),  # four packets lost in a row
        ([0, 0.03, 0.06, 0.40, 0.43], [False, False, False, True, False]),
        ([0, 2.0, 4.0, 6.0], [False] * 4),  # a slow stream is no gap
        ([0, 2.0, 11.0, 13.0], [False, False, True, False]),
        ([5.0, 5.03, 0.0, 0.03], [False, False, True, False]),  # it began anew
        ([0, 0, 0], [False] * 3),  # nobody said when
    ],
)
def test_frames_are_forgotten_after_a_long_gap_or_when_time_runs_backwards(
    times_s: list[float], forgets: list[bool]
) -> None:
    stamps = [Stamp(index, time_s) for index, time_s in enumerate(times_s)]
    assert [forget for _, forget in follow(*stamps)] == forgets


SETTINGS = (
    "persistence.factor=0.8", "dealias.previous_frame=on", "mask.coherence=0.1", "clutter.name=polynomial",
    "grid.n_x=16", "grid.n_z=24",
)  # fmt: skip


def test_the_picture_after_a_stall_owes_nothing_to_the_one_before(acquisition: Acquisition) -> None:
    config = Config().override(SETTINGS)
    stalled, fresh = ColorFlow(acquisition, config), ColorFlow(acquisition, config)
    for index in range(3):
        stalled(live_packet(acquisition, index))
    late = live_packet(acquisition, 3)
    late = replace(late, stamp=replace(late.stamp, acquisition_time_s=2.0))
    after, alone = stalled(late), fresh(late)
    np.testing.assert_array_equal(after.doppler.r1, alone.doppler.r1)
    np.testing.assert_array_equal(after.velocity.fold, alone.velocity.fold)


def test_a_single_lost_packet_leaves_the_average_over_frames_in_place(acquisition: Acquisition) -> None:
    config = Config().override(SETTINGS)
    flow, fresh = ColorFlow(acquisition, config), ColorFlow(acquisition, config)
    for index in (0, 1):
        flow(live_packet(acquisition, index))
    packet = live_packet(acquisition, 3)
    assert not np.array_equal(flow(packet).doppler.r1, fresh(packet).doppler.r1)


def test_a_chain_that_was_reset_is_as_new(acquisition: Acquisition) -> None:
    config = Config().override([*SETTINGS, "clutter.name=iir", "clutter.keep_state=true"])
    flow, fresh = ColorFlow(acquisition, config), ColorFlow(acquisition, config)
    for index in (0, 1):
        flow(live_packet(acquisition, index, continuous=index > 0))
    flow.reset()
    packet = live_packet(acquisition, 2, continuous=True)
    np.testing.assert_array_equal(flow(packet).doppler.r1, fresh(packet).doppler.r1)
