"""region_*.cu: what is no number, of another shape or beyond the bounds neither breaks nor misleads the engine."""

from __future__ import annotations

import numpy as np
import pytest
from flows import second_phase, tube, wrapped

from trueflow.kernels import get_device
from trueflow.kernels.predictions import ratio_table
from trueflow.kernels.regions import MOST_PIXELS, RegionUnwrapper

SHAPE = (64, 64)
RATIO = 0.1
TURNS, MASK = tube(SHAPE, center=32, radius=20, peak_v_n=2.5)
PHASE, TRUTH = wrapped(TURNS)
NO_NUMBERS = [np.nan, np.inf, -np.inf, 1e20, -1e38]


@pytest.fixture
def plan():
    return RegionUnwrapper(get_device("cpu", n_threads=2), shape=SHAPE)


def evidence():
    """All of it, right everywhere."""
    classes = np.zeros((5, *SHAPE), np.float32)
    np.put_along_axis(classes, np.clip(TRUTH, -2, 2)[None].astype(int) + 2, 1, axis=0)
    return {
        "second": (second_phase(TURNS, ratio=RATIO), ratio_table(RATIO)),
        "before_turns": TURNS.astype(np.float32),
        "classes": classes,
    }


def spoilt(name, array, value):
    """A speck and a column of it are no numbers."""
    spoilt = array.copy()
    spoilt[..., 30:33, 40] = value
    spoilt[..., :, 20] = value
    return spoilt


@pytest.mark.parametrize("value", NO_NUMBERS)
@pytest.mark.parametrize("name", ["phase", "coherence", "second", "before_turns", "classes"])
def test_what_is_no_number_stays_where_it_is(plan, name, value):
    phase, coherence, given = PHASE, np.full(SHAPE, 0.9, np.float32), evidence()
    if name == "phase":
        phase = spoilt(name, phase, value)
    elif name == "coherence":
        coherence = spoilt(name, coherence, value)
    elif name == "second":
        given["second"] = (spoilt(name, given["second"][0], value), given["second"][1])
    else:
        given[name] = spoilt(name, given[name], value)
    fold, confidence = plan(phase, coherence, MASK, **given)
    whole = MASK.copy()
    if name in ("phase", "coherence"):
        whole[30:33, 40] = whole[:, 20] = False
        assert not fold[MASK & ~whole].any()
        assert not confidence[MASK & ~whole].any()
    np.testing.assert_array_equal(fold[whole], TRUTH[whole])
    assert np.isfinite(confidence).all()


def test_nothing_but_no_numbers_is_no_flow(plan):
    nothing = np.full(SHAPE, np.nan, np.float32)
    fold, confidence = plan(nothing, nothing, np.ones(SHAPE, bool), before_turns=nothing)
    assert not fold.any()
    assert not confidence.any()


@pytest.mark.parametrize("name", ["phase_turns", "coherence", "mask", "second", "before_turns", "classes"])
def test_arrays_of_another_shape_are_refused(plan, name):
    arrays = {"phase_turns": PHASE, "coherence": np.ones(SHAPE, np.float32), "mask": MASK, **evidence()}
    if name == "second":
        arrays["second"] = (arrays["second"][0][:-1].copy(), arrays["second"][1])
    else:
        arrays[name] = arrays[name][..., :-1].copy()
    with pytest.raises(ValueError, match=f"{name}: shape"):
        plan(arrays.pop("phase_turns"), arrays.pop("coherence"), arrays.pop("mask"), **arrays)


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (1, MOST_PIXELS + 1)])
def test_sizes_that_the_sums_cannot_hold_are_refused(shape):
    with pytest.raises(ValueError, match="expected 1 to"):
        RegionUnwrapper(get_device("cpu"), shape=shape)
