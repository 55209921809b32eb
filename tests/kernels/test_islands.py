"""islands.cu: small islands out of a mask."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from trueflow.kernels import get_device
from trueflow.kernels.islands import LargeIslands, large_islands_reference

SHAPE = (41, 37)


def kept(mask, least_area, n_threads=2):
    before = mask.copy()
    ours = LargeIslands(get_device("cpu", n_threads=n_threads), shape=mask.shape, least_area=least_area)(mask)
    np.testing.assert_array_equal(mask, before)  # the mask that was given stays as it is
    np.testing.assert_array_equal(ours, large_islands_reference(mask, least_area=least_area))
    return ours


# Where islands just begin to join into one (0.59) they are of all sizes and most crooked.
@pytest.mark.parametrize("share", [0.1, 0.5, 0.59, 0.7])
@pytest.mark.parametrize("least_area", [1, 2, 9, 100])
def test_matches_the_reference_on_noise_whatever_the_thread_count(rng, share, least_area):
    mask = rng.random((130, 113)) < share
    results = [kept(mask, least_area, n) for n in (1, 2, 3)]
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


@settings(max_examples=60, deadline=None)
@given(mask=npst.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))), least_area=st.integers(1, 30))
def test_matches_the_reference_on_small_images(mask, least_area):
    kept(mask, least_area, n_threads=1)


def snake():
    """One line of pixels that goes to and fro over the whole image: 41 rows of 37, every second one only a turn."""
    mask = np.zeros(SHAPE, bool)
    mask[::2] = True
    mask[1::4, -1] = True
    mask[3::4, 0] = True
    return mask


def comb():
    """Teeth that only the last row joins."""
    mask = np.zeros(SHAPE, bool)
    mask[:, ::2] = True
    mask[-1] = True
    return mask


@pytest.mark.parametrize("shape", [snake, comb])
@pytest.mark.parametrize("turned", [False, True])
def test_crooked_islands_are_one(shape, turned):
    mask = np.ascontiguousarray(shape()[::-1, ::-1].T) if turned else shape()
    area = int(mask.sum())
    assert kept(mask, area).sum() == area
    assert not kept(mask, area + 1).any()


def test_pixels_that_touch_at_corners_are_islands_of_one():
    checkerboard = np.indices(SHAPE).sum(axis=0) % 2 == 0
    assert not kept(checkerboard, 2).any()
    assert kept(checkerboard, 1).any()


def test_the_end_of_a_row_does_not_touch_the_start_of_the_next():
    mask = np.zeros(SHAPE, bool)
    mask[5, -1] = mask[6, 0] = True
    assert not kept(mask, 2).any()


@pytest.mark.parametrize("full", [False, True])
def test_empty_and_full_masks(full):
    mask = np.full(SHAPE, full)
    assert (kept(mask, mask.size) == full).all()
    assert not kept(mask, mask.size + 1).any()


def test_every_frame_is_counted_anew(device, rng):
    plan = LargeIslands(device, shape=SHAPE, least_area=20)
    for share in (0.9, 0.4, 0.6):
        mask = rng.random(SHAPE) < share
        np.testing.assert_array_equal(plan(mask), large_islands_reference(mask, least_area=20))


def test_an_area_of_nothing_is_refused(device):
    with pytest.raises(ValueError, match="least_area: 0"):
        LargeIslands(device, shape=SHAPE, least_area=0)
