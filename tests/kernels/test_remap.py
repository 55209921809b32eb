"""remap.cu: physical rows into lines, exactly."""

from __future__ import annotations

import numpy as np
import pytest

from trueflow.kernels.remap import ROW_CHANNELS, Remap, remap_reference

N_FRAMES = 5


def capture(rng, *, n_samples, iq):
    parts = (2,) if iq else ()
    rows = rng.integers(-(2**15), 2**15, (N_FRAMES * n_samples, *parts, ROW_CHANNELS))
    return rows.astype(np.int16)


def tables(rng, n_lines):
    """Any frame and channel, some of them more than once, some lines that nobody listened to."""
    channels = rng.integers(-3, ROW_CHANNELS, n_lines)
    return np.where(channels < 0, 10**6, rng.integers(0, N_FRAMES, n_lines)), channels


# Samples below, at and above a run, lines below, at and above a block.
@pytest.mark.parametrize(("n_samples", "n_lines"), [(1, 1), (17, 31), (128, 32), (129, 33), (300, 97), (64, 8)])
@pytest.mark.parametrize("n_blank", [0, 1, 5])
@pytest.mark.parametrize("iq", [False, True])
def test_matches_the_reference(device, rng, n_samples, n_lines, n_blank, iq):
    rows, (frames, channels) = capture(rng, n_samples=n_samples, iq=iq), tables(rng, n_lines)
    plan = Remap(
        device, frames=frames, channels=channels, n_frames=N_FRAMES, n_samples=n_samples, n_blank=n_blank, iq=iq
    )
    ours = device.download(plan(device.upload(rows)))
    expected = remap_reference(rows, frames=frames, channels=channels, n_samples=n_samples, n_blank=n_blank)
    assert ours.dtype == expected.dtype
    np.testing.assert_array_equal(ours, expected)


def test_writes_every_sample_where_it_is_told_to(device, rng):
    rows, (frames, channels) = capture(rng, n_samples=130, iq=False), tables(rng, 40)
    lines = device.upload(np.full((4, 10, 130), 77, np.int16))
    plan = Remap(device, frames=frames, channels=channels, n_frames=N_FRAMES, n_samples=130, n_blank=1)
    assert plan(device.upload(rows), lines) is lines
    expected = remap_reference(rows, frames=frames, channels=channels, n_samples=130, n_blank=1)
    np.testing.assert_array_equal(device.download(lines).reshape(40, 130), expected)


@pytest.mark.parametrize(
    ("frames", "channels"),
    [([0, 5], [0, 0]), ([-1, 0], [0, 0]), ([0, 0], [0, 32]), ([0], [0, 1]), ([[0]], [[0]]), ([], [])],
)
def test_tables_that_point_outside_are_refused(device, frames, channels):
    with pytest.raises(ValueError, match="frames, channels"):
        Remap(device, frames=np.array(frames), channels=np.array(channels), n_frames=N_FRAMES, n_samples=10)


def test_other_shapes_are_refused(device, rng):
    plan = Remap(device, frames=np.zeros(4, int), channels=np.zeros(4, int), n_frames=N_FRAMES, n_samples=10)
    with pytest.raises(ValueError, match="rows: shape"):
        plan(device.upload(np.zeros((49, 32), np.int16)))
    with pytest.raises(ValueError, match="lines: shape"):
        plan(device.upload(np.zeros((50, 32), np.int16)), device.upload(np.zeros((4, 9), np.int16)))


def test_captures_that_are_too_large_for_32_bits_are_refused(device):
    with pytest.raises(ValueError, match="32 bits"):
        Remap(device, frames=np.zeros(4, int), channels=np.zeros(4, int), n_frames=1 << 12, n_samples=1 << 14)
