"""picture.cu against its reference, at seams of folds, at edges and on what is no number."""

from __future__ import annotations

import numpy as np
import pytest
from tolerances import EPS

from trueflow.kernels.picture import Look, Picture, picture_reference

LOOK = Look(white=3.0, range_db=50.0, gain_db=6.0, low=-0.8, high=0.4, apart=0.3)
COLORS = (np.arange(257)[:, None] * [1, 2, 5] % 251).astype(np.uint8)
# log2_approximate: 1e-7 + 6e-8 |log2|, its argument within 2^+-40, in dB over the range; then a handful of roundings
# of values up to 1 + 6 dB / 50 dB and of intermediate ones up to the level itself.
GRAY = 255 * (6.02 / 50 * (1e-7 + 40 * 6e-8) + 12 * EPS * 40 * 6.02 / 50)


def scene(rng, shape, image_shape):
    """Any corners and fractions, corners at the far edges and outside among them; a map with folds and holes."""
    n_z, n_x = shape
    z, x = rng.integers(0, n_z - 1, image_shape), rng.integers(0, n_x - 1, image_shape)
    corner = z * n_x + x
    corner[0, 0], corner[-1, -1] = 0, (n_z - 2) * n_x + n_x - 2
    corner[rng.random(image_shape) < 0.1] = -1
    fraction = rng.random((2, *image_shape))
    fraction[0, 0], fraction[1, :, 0] = 1.0, 0.0
    envelope = (10 ** rng.normal(0, 1.5, shape)).astype(np.float32)
    velocity = (rng.choice([-0.7, -0.1, 0.1, 0.7], shape) + 0.05 * rng.standard_normal(shape)).astype(np.float32)
    return corner, fraction.astype(np.float32), (envelope, velocity, rng.random(shape) < 0.6)


def pictured(device, maps, look=LOOK, *, corner, fraction, **options):
    plan = Picture(device, shape=maps[0].shape, corner=corner, fraction=fraction, colors=COLORS)
    return device.download(plan(*(device.upload(m) for m in maps), look, **options))


# Image sizes below, at and above a run of pixels.
@pytest.mark.parametrize(
    ("shape", "image_shape"), [((2, 2), (1, 1)), ((9, 7), (5, 13)), ((40, 33), (64, 4)), ((40, 33), (83, 91))]
)
def test_matches_the_reference(device, rng, shape, image_shape):
    corner, fraction, maps = scene(rng, shape, image_shape)
    ours = pictured(device, maps, corner=corner, fraction=fraction)
    gray, shown, expected = picture_reference(*maps, LOOK, corner=corner, fraction=fraction, colors=COLORS)
    assert (ours.shape, ours.dtype) == ((*image_shape, 3), np.uint8)
    flow = ~np.isnan(shown)
    # Where a rounding may decide: whole grays, half-way between two colors (some roundings of 256 entries).
    open_gray = ~flow & (np.abs(gray - np.rint(gray)) < GRAY) & (gray > 0) & (gray < 255)
    entry = 128 * (1 + np.where(shown < 0, shown / -LOOK.low, shown / LOOK.high))
    open_color = flow & (np.abs(entry - np.floor(entry) - 0.5) < 1e-4)
    decided = ~(open_gray | open_color)
    np.testing.assert_array_equal(ours[decided], expected[decided])
    assert np.abs(ours[open_gray].astype(int) - expected[open_gray]).max(initial=0) <= 1
    assert decided.mean() > 0.99 or image_shape == (1, 1)


def test_without_color_there_is_gray_alone(device, rng):
    corner, fraction, maps = scene(rng, (12, 10), (20, 21))
    image = pictured(device, maps, corner=corner, fraction=fraction, in_color=False)
    no_flow = (*maps[:2], np.zeros((12, 10), np.bool_))
    np.testing.assert_array_equal(image, pictured(device, no_flow, corner=corner, fraction=fraction))
    assert (image[corner < 0] == 0).all()


def test_a_fold_is_no_blend(device):
    """Between +0.3 and -0.3 a pixel shows one of them, never the rest in between."""
    velocity = np.array([[0.3, -0.3], [0.3, -0.3]], np.float32)
    maps = np.ones((2, 2), np.float32), velocity, np.ones((2, 2), np.bool_)
    fraction = np.stack([np.full((1, 9), 0.5), np.linspace(0, 1, 9)[None]]).astype(np.float32)
    image = pictured(device, maps, corner=np.zeros((1, 9), int), fraction=fraction)
    towards, away = COLORS[round(128 * (1 + 0.3 / 0.4))], COLORS[round(128 * (1 - 0.3 / 0.8))]
    np.testing.assert_array_equal(image[0], [towards] * 5 + [away] * 4)  # of equals the first


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_stays_within_its_pixels(device, rng, bad):
    corner, fraction, maps = scene(rng, (12, 10), (30, 31))
    clean = pictured(device, maps, corner=corner, fraction=fraction)
    for which in (0, 1):
        hurt = [m.copy() for m in maps]
        hurt[which][5, 5] = bad
        image = pictured(device, hurt, corner=corner, fraction=fraction)
        far = ~np.isin(corner, [4 * 10 + 4, 4 * 10 + 5, 5 * 10 + 4, 5 * 10 + 5])
        np.testing.assert_array_equal(image[far], clean[far])


def test_what_is_no_number_is_black(device):
    fraction, corner = np.zeros((2, 2, 2), np.float32), np.array([[0, 1], [3, 4]])
    maps = [np.full((3, 3), value, np.float32) for value in (3.0, 0.2)]
    for which, flow in ((0, False), (1, True)):
        hurt = [m.copy() for m in maps]
        hurt[which][0, 0], hurt[which][1, 1] = np.nan, np.inf
        image = pictured(device, (*hurt, np.full((3, 3), flow)), corner=corner, fraction=fraction)
        assert (image[[0, 1], [0, 1]] == (COLORS[128] if flow else 0)).all()
        assert (image[[0, 1], [1, 0]] == (COLORS[192] if flow else 255)).all()


def test_maps_of_another_shape_are_refused(device):
    plan = Picture(device, shape=(12, 10), corner=np.zeros((4, 4), int), fraction=np.zeros((2, 4, 4)), colors=COLORS)
    maps = [np.zeros((12, 10), kind) for kind in (np.float32, np.float32, np.bool_)]
    for which, name in enumerate(("envelope", "velocity", "mask")):
        wrong = [m[:-1] if i == which else m for i, m in enumerate(maps)]
        with pytest.raises(ValueError, match=name):
            plan(*(device.upload(np.ascontiguousarray(m)) for m in wrong), LOOK)


def test_another_look_is_seen_at_once(device, rng):
    corner, fraction, maps = scene(rng, (12, 10), (8, 9))
    plan = Picture(device, shape=(12, 10), corner=corner, fraction=fraction, colors=COLORS)
    arrays = [device.upload(m) for m in maps]
    dim = Look(white=30.0, range_db=50.0, gain_db=0.0, low=-1.0, high=1.0, apart=2.0)
    first, other = device.download(plan(*arrays, LOOK)).copy(), device.download(plan(*arrays, dim)).copy()
    assert (first != other).any()
    np.testing.assert_array_equal(device.download(plan(*arrays, LOOK)), first)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"corner": np.full((4, 4), 110)}, "corner"),  # of 12 x 10: in the last row
        ({"corner": np.full((4, 4), 19)}, "corner"),  # in the last column
        ({"fraction": np.full((2, 4, 4), 1.5)}, "fraction"),
        ({"fraction": np.full((2, 4, 4), np.nan)}, "fraction"),
        ({"fraction": np.zeros((4, 4))}, "fraction"),
        ({"colors": COLORS[:256]}, "colors"),
    ],
)
def test_what_points_beyond_the_maps_is_refused(device, change, message):
    good = {"corner": np.zeros((4, 4), int), "fraction": np.zeros((2, 4, 4)), "colors": COLORS}
    with pytest.raises(ValueError, match=message):
        Picture(device, shape=(12, 10), **good | change)
