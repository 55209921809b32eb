"""The dealiasing engine as a whole: what each kind of evidence may do, and what no field may change."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from flows import blobs, second_phase, smooth, tube, wrapped
from hypothesis import given, settings
from hypothesis import strategies as st

from trueflow.kernels import get_device
from trueflow.kernels.predictions import ratio_table
from trueflow.kernels.regions import EvidenceWeights, RegionUnwrapper

SHAPE = (61, 53)  # odd: every second row hears the second phase, and a mirrored image hears the same rows
RATIO = 0.1
TABLE = ratio_table(RATIO)
NO_WALL = EvidenceWeights(merge_wall=0.0, anchor_wall=0.0)
SEEDS = st.integers(0, 2**32 - 1)
# Fields are drawn from the same seeds each time: a tie between two folds is rare, but would be no one's mistake.
FIELDS = settings(max_examples=30, deadline=None, derandomize=True)


@cache
def plan(n_threads=2, **options):
    return RegionUnwrapper(get_device("cpu", n_threads=n_threads), shape=SHAPE, **options)


def steady(value=0.9):
    return np.full(SHAPE, value, np.float32)


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def scene(seed, peak_turns=1.2):
    """Phase, coherence, mask, folds and evidence of a random field, half of it flow.

    Phases are (n + 0.3) / 1021 turns: none lies on the border of an eighth or a 64th, no two are half a turn apart.
    """
    rng = np.random.default_rng(seed)
    turns = smooth(SHAPE, seed=seed, peak_turns=peak_turns, scale=9.0) + 0.01 * rng.standard_normal(SHAPE)
    turns = (np.floor(turns * 1021) + 0.3) / 1021
    phase, fold = wrapped(turns)
    evidence = {
        "second": (second_phase(turns, ratio=RATIO), TABLE),
        "before_turns": (turns + 0.1 * rng.standard_normal(SHAPE)).astype(np.float32),
        "classes": class_probabilities(fold),
    }
    coherence = rng.uniform(0.4, 1, SHAPE).astype(np.float32)
    return phase, coherence, blobs(SHAPE, seed=seed, share=0.5), fold, evidence


def class_probabilities(fold):
    """A classifier that is sure of these folds: (5, n_z, n_x) for -2 to 2."""
    return (np.clip(fold, -2, 2) == np.arange(-2, 3)[:, None, None]).astype(np.float32)


PLUG = 1.1 + 0.2 * np.exp(-(((np.arange(61)[:, None] - 30) / 25) ** 2)) * np.ones(SHAPE)
EVERYWHERE = np.ones(SHAPE, bool)


@pytest.mark.parametrize("kind", ["second", "before_turns", "classes"])
def test_each_evidence_alone_finds_the_fold_of_a_plug(kind):
    phase, fold = wrapped(PLUG)
    evidence = {
        "second": (second_phase(PLUG, ratio=RATIO), TABLE),
        "before_turns": PLUG.astype(np.float32),
        "classes": class_probabilities(fold),
    }
    np.testing.assert_array_equal(plan()(phase, steady(), EVERYWHERE, **{kind: evidence[kind]})[0], fold)
    assert not np.array_equal(plan()(phase, steady(), EVERYWHERE)[0], fold)


@pytest.mark.parametrize("kind", ["second", "before", "class"])
def test_evidence_of_no_weight_changes_no_bit(kind):
    phase, coherence, mask, _, evidence = scene(5)
    given = {"second": "second", "before": "before_turns", "class": "classes"}[kind]
    evidence = {given: evidence[given]}
    deaf = plan(weights=EvidenceWeights(**{f"merge_{kind}": 0.0, f"anchor_{kind}": 0.0}))
    silent = deaf(phase, coherence, mask)
    assert same(deaf(phase, coherence, mask, **evidence), silent)
    assert not same(plan()(phase, coherence, mask, **evidence), silent)


def test_without_wall_evidence_it_does_not_matter_what_a_wall_is():
    phase, coherence, mask, _, _ = scene(6)
    results = [plan(wall_run=n, weights=NO_WALL)(phase, coherence, mask) for n in (2, 50)]
    assert same(*results)
    assert not same(*[plan(wall_run=n)(phase, coherence, mask) for n in (2, 50)])


def test_without_continuity_regions_do_not_hear_each_other():
    """What happens in one vessel changes nothing in the other that touches it."""
    up, upper = tube(SHAPE, center=17, radius=13, peak_v_n=2.4, slope=0.0)
    down, lower = tube(SHAPE, center=43, radius=13, peak_v_n=-2.4, slope=0.0)
    turns = up + down + 0.01 * np.random.default_rng(0).standard_normal(SHAPE)
    phase, _ = wrapped(turns)
    evidence = {"second": (second_phase(turns, ratio=RATIO), TABLE)}
    for continuity in (False, True):
        engine = plan(weights=NO_WALL, continuity=continuity)
        both, alone = (engine(phase, steady(), mask, **evidence)[1] for mask in (upper | lower, upper))
        assert np.array_equal(both[upper], alone[upper]) == (not continuity)


def test_with_nothing_to_go_by_every_region_keeps_its_phase():
    turns, mask = tube(SHAPE, center=30, radius=25, peak_v_n=3.0)
    assert not plan(weights=NO_WALL, continuity=False)(wrapped(turns)[0], steady(), mask)[0].any()


@pytest.mark.parametrize("kind", ["dead", "upside down"])
def test_a_classifier_that_does_not_step_where_the_phase_wraps_is_not_heard(kind):
    turns, mask = tube(SHAPE, center=30, radius=25, peak_v_n=3.0)
    phase, fold = wrapped(turns)
    right = class_probabilities(fold)
    classes = {"dead": class_probabilities(np.zeros_like(fold)), "upside down": np.ascontiguousarray(right[::-1])}[kind]
    silent = plan()(phase, steady(), mask)
    assert same(plan()(phase, steady(), mask, classes=classes), silent)
    assert not same(plan()(phase, steady(), mask, classes=right), silent)


def test_a_table_of_another_shape_is_refused():
    phase, coherence, mask, _, evidence = scene(0)
    with pytest.raises(ValueError, match="table of the second phase"):
        plan()(phase, coherence, mask, second=(evidence["second"][0], TABLE[:4]))


@FIELDS
@given(seed=SEEDS, peak=st.floats(0.05, 0.45), share=st.floats(0.05, 1))
def test_unaliased_smooth_flow_never_gets_a_fold(seed, peak, share):
    turns = smooth(SHAPE, seed=seed, peak_turns=peak, scale=12.0)
    mask = blobs(SHAPE, seed=seed + 1, share=share)
    phase, fold = wrapped(turns)
    assert not fold.any()
    evidence = {"second": (second_phase(turns, ratio=RATIO), TABLE), "before_turns": phase}
    for given_too in ({}, evidence):
        assert not plan()(phase, steady(), mask, **given_too)[0].any()


@FIELDS
@given(seed=SEEDS)
def test_what_lies_outside_the_mask_changes_nothing(seed):
    """Not whole turns, not noise, not other evidence: outside the mask there is nothing."""
    phase, coherence, mask, _, evidence = scene(seed)
    (second, table), other = evidence["second"], scene(seed + 1)
    elsewhere = {
        "second": (np.where(mask, second, other[4]["second"][0]), table),
        "before_turns": np.where(mask, evidence["before_turns"], other[4]["before_turns"] + 3),
        "classes": np.where(mask, evidence["classes"], other[4]["classes"]),
    }
    changed = plan()(np.where(mask, phase, other[0]), np.where(mask, coherence, other[1]), mask, **elsewhere)
    assert same(changed, plan()(phase, coherence, mask, **evidence))


@FIELDS
@given(seed=SEEDS, turns=st.integers(-1, 1))
def test_whole_turns_added_to_all_evidence_are_added_to_the_folds(seed, turns):
    """The phase does not know of them; the evidence of absolute folds does."""
    phase, coherence, mask, fold, _ = scene(seed, peak_turns=0.45)
    before = (phase + fold + turns).astype(np.float32)
    np.testing.assert_array_equal(
        plan(weights=NO_WALL)(phase, coherence, mask, before_turns=before)[0][mask], fold[mask] + turns
    )


@FIELDS
@given(seed=SEEDS)
def test_flow_the_other_way_gives_the_opposite_folds(seed):
    phase, coherence, mask, _, evidence = scene(seed)
    fold, confidence = plan()(phase, coherence, mask, **evidence)
    reversed_evidence = {
        "second": (evidence["second"][0].conj(), TABLE),
        "before_turns": -evidence["before_turns"],
        "classes": np.ascontiguousarray(evidence["classes"][::-1]),
    }
    back = plan()(-phase, coherence, mask, **reversed_evidence)
    assert same(back, (-fold, confidence))


@FIELDS
@given(seed=SEEDS, axis=st.integers(0, 1))
def test_a_mirrored_image_gives_mirrored_folds(seed, axis):
    """Confidences not to the bit: slopes are summed, and runs of pixels rounded, in another order."""
    phase, coherence, mask, _, evidence = scene(seed)

    def mirror(array):
        return np.ascontiguousarray(np.flip(array, axis - 2))

    fold, _ = plan()(phase, coherence, mask, **evidence)
    mirrored_evidence = {
        "second": (mirror(evidence["second"][0]), TABLE),
        "before_turns": mirror(evidence["before_turns"]),
        "classes": mirror(evidence["classes"]),
    }
    mirrored = plan()(mirror(phase), mirror(coherence), mirror(mask), **mirrored_evidence)[0]
    np.testing.assert_array_equal(mirror(mirrored), fold)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, noise=st.floats(0, 0.5), share=st.floats(0.02, 0.5))
def test_same_bits_for_any_number_of_threads_and_for_a_second_call(seed, noise, share):
    phase, coherence, _, _, evidence = scene(seed)
    phase = wrapped(phase + noise * np.random.default_rng(seed).standard_normal(SHAPE))[0]
    mask = blobs(SHAPE, seed=seed + 1, share=share)
    first = plan(n_threads=1)(phase, coherence, mask, **evidence)
    assert first[1].min() >= 0
    assert first[1].max() <= 1
    assert not first[0][~mask].any()
    assert not first[1][~mask].any()
    for n_threads in (1, 2, 3):
        assert same(plan(n_threads=n_threads)(phase, coherence, mask, **evidence), first)
