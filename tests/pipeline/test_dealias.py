"""The dealias stage: what it may be told, when it forgets, and what its frames keep to the bit."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from flows import blobs, second_phase, smooth, tube
from hypothesis import given, settings
from hypothesis import strategies as st

from trueflow.kernels import get_device
from trueflow.kernels.predictions import ratio_table
from trueflow.kernels.velocity import MAX_FOLD
from trueflow.pipeline import Acquisition, Config, ImageGrid, PlaneWave, Probe, Stamp, TrueflowError
from trueflow.pipeline.config import DopplerConfig, MaskConfig
from trueflow.pipeline.dealias import DEALIASERS, Dealias
from trueflow.pipeline.frames import DopplerFrame, SecondPhase, Segmentation

SHAPE = (57, 49)
GRID = ImageGrid.cartesian(np.arange(SHAPE[1]) * 0.2e-3, 5e-3 + np.arange(SHAPE[0]) * 0.2e-3)
MASK = MaskConfig(least_area_wavelengths2=0.0, speck_radius=0, coherence=0.1)
TABLE = ratio_table(0.1)
INTERVAL_S = 10e-3


@pytest.fixture(scope="module")
def acquisition() -> Acquisition:
    return make_acquisition(4e3)


def make_acquisition(prf_hz):
    probe = Probe.linear(8, pitch_m=0.3e-3, center_frequency_hz=5e6)
    clocks = {"sampling_frequency_hz": 20e6, "center_frequency_hz": 5e6, "prf_hz": prf_hz}
    return Acquisition(probe, (PlaneWave(),), n_samples=400, n_ensemble=8, **clocks)


def stage(acquisition, n_threads=2, **dealias):
    return Dealias(
        get_device("cpu", n_threads=n_threads),
        acquisition,
        GRID,
        doppler=DopplerConfig(),
        mask=MASK,
        config=replace(Config().dealias, **dealias),
    )


@dataclass(frozen=True)
class Flow:
    """A vessel of known speed, as the estimator shows it at some moment."""

    acquisition: Acquisition
    turns: np.ndarray
    mask: np.ndarray

    def frame(self, time_s=0.0, *, index=0, nyquist_velocity_m_s=None, second=False):
        r0 = np.where(self.mask, 1.0, 1e-9).astype(np.float32)
        r1 = (0.8 * self.mask * np.exp(2j * np.pi * self.turns)).astype(np.complex64)
        phasor = second_phase(self.turns, ratio=0.1) if second else None
        return DopplerFrame(
            r1,
            r0,
            nyquist_velocity_m_s or self.acquisition.nyquist_velocity_m_s(),
            Stamp(index, acquisition_time_s=time_s),
            SecondPhase(phasor, TABLE) if second else None,
        )


def plug(acquisition, turns=0.7):
    """Flow that fills the image: its fold is anyone's guess, or the previous frame's."""
    return Flow(acquisition, np.full(SHAPE, turns) + 0.05 * smooth(SHAPE, seed=1, peak_turns=1, scale=8), full())


def full():
    return np.ones(SHAPE, bool)


def vessel(acquisition, peak_v_n, center=28.0, slope=0.1):
    return Flow(acquisition, *tube(SHAPE, center=center, radius=20, peak_v_n=peak_v_n, slope=slope))


def same(one, other):
    names = ("fold", "confidence", "velocity_m_s", "mask")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


# Slow enough for 0.8 v_N in an interval; and as much faster.
SLOW, FAST = {"largest_acceleration_m_s2": 20.0}, {"largest_acceleration_m_s2": 30.0}


def told_then_asked(acquisition, first, then, **dealias):
    """The second frame's velocities, after a first frame that knew its folds from a second phase."""
    dealiaser = stage(acquisition, **dealias)
    told = dealiaser(first)
    assert (told.fold != 0).any()
    return dealiaser(then)


def test_the_previous_frame_carries_folds_on(acquisition):
    flow = plug(acquisition)
    first, then = flow.frame(0, second=True), flow.frame(INTERVAL_S)
    assert (told_then_asked(acquisition, first, then, previous_frame="on").fold == 1).all()
    assert (told_then_asked(acquisition, first, then, previous_frame="off").fold == 0).all()


@pytest.mark.parametrize(("limits", "heard"), [(SLOW, True), (FAST, False)])
def test_auto_hears_the_previous_frame_where_flow_cannot_have_changed_much(acquisition, limits, heard):
    assert 0.8 * acquisition.nyquist_velocity_m_s() == pytest.approx(0.2464)
    flow = plug(acquisition)
    then = told_then_asked(acquisition, flow.frame(0, second=True), flow.frame(INTERVAL_S), **limits)
    assert (then.fold == int(heard)).all()


def test_prf_change_forgets(acquisition):
    """The same phases at another PRF are other velocities."""
    flow = plug(acquisition)
    then = flow.frame(INTERVAL_S, nyquist_velocity_m_s=1.01 * acquisition.nyquist_velocity_m_s())
    velocity = told_then_asked(acquisition, flow.frame(0, second=True), then, previous_frame="on")
    assert same(velocity, stage(acquisition, previous_frame="off")(then))


@pytest.mark.parametrize("interval_s", [0.0, -1.0])
def test_time_that_stands_still_or_runs_back_forgets(acquisition, interval_s):
    flow = plug(acquisition)
    then = flow.frame(interval_s)
    velocity = told_then_asked(acquisition, flow.frame(0, second=True), then, previous_frame="on")
    assert same(velocity, stage(acquisition, previous_frame="off")(then))


def test_reset_forgets(acquisition):
    flow, dealiaser = plug(acquisition), stage(acquisition, previous_frame="on")
    dealiaser(flow.frame(0, second=True))
    dealiaser.reset()
    assert (dealiaser(flow.frame(INTERVAL_S)).fold == 0).all()


@pytest.mark.parametrize("peak_v_n", [-2.6, -3.4])
def test_scene_cut_forgets(acquisition, peak_v_n):
    """Where phases are as if drawn anew the previous frame changes no bit, even of a stage told to hear it."""
    before, after = vessel(acquisition, 2.6), vessel(acquisition, peak_v_n, center=24, slope=-0.4)
    then = after.frame(INTERVAL_S)
    velocity = told_then_asked(acquisition, before.frame(0), then, previous_frame="on")
    assert same(velocity, stage(acquisition, previous_frame="off")(then))


@pytest.mark.parametrize("peak_v_n", [0.6, 0.9, -0.6, 1.7, -2.6])
@pytest.mark.parametrize(("center", "slope"), [(24, -0.4), (20, 0.1), (35, 0.3)])
def test_scene_cut_to_a_vessel_in_much_the_same_place_goes_by_the_second_phase(acquisition, peak_v_n, center, slope):
    """Slow rims look alike, so the previous frame is heard a little; it must not prevail."""
    before, after = vessel(acquisition, 2.6), vessel(acquisition, peak_v_n, center=center, slope=slope)
    then = after.frame(INTERVAL_S, second=True)
    velocity = told_then_asked(acquisition, before.frame(0), then, previous_frame="on")
    np.testing.assert_array_equal(velocity.fold, stage(acquisition, previous_frame="off")(then).fold)
    np.testing.assert_array_equal(velocity.fold, np.where(after.mask, np.rint(after.turns), 0))


def test_a_gap_in_the_flow_is_no_memory(acquisition):
    """Of where there was no flow nothing is remembered; of a frame without flow nothing at all."""
    flow, dealiaser = plug(acquisition), stage(acquisition, previous_frame="on")
    dealiaser(flow.frame(0, second=True))
    dealiaser(replace(flow, mask=~full()).frame(INTERVAL_S))
    assert (dealiaser(flow.frame(2 * INTERVAL_S)).fold == 0).all()


def segmentation(fold):
    probability = (fold == np.arange(-2, 3)[:, None, None]).astype(np.float32)
    return Segmentation(fold.astype(np.int8), np.ones(SHAPE, np.float32), probability, Stamp(0))


@pytest.mark.parametrize("evidence", ["second_phase", "segmentation", "previous_frame"])
def test_evidence_switched_off_changes_no_bit(acquisition, evidence):
    flow = plug(acquisition)

    def asked(given, setting):
        dealiaser = stage(acquisition, **{evidence: setting})
        if evidence == "previous_frame":
            if given:
                dealiaser(flow.frame(0, second=True))
            return dealiaser(flow.frame(INTERVAL_S))
        classes = segmentation(np.ones(SHAPE)) if given and evidence == "segmentation" else None
        return dealiaser(flow.frame(second=given and evidence == "second_phase"), classes)

    on, off = ("on", "off") if evidence == "previous_frame" else (True, False)
    assert same(asked(True, off), asked(False, off))
    assert (asked(True, on).fold == 1).all()


@pytest.mark.parametrize("evidence", ["continuity", "wall"])
def test_continuity_and_wall_can_be_switched_off(acquisition, evidence):
    """A vessel needs both: continuity to lift its middle, the wall to say from where."""
    frame = vessel(acquisition, 2.6).frame()
    rest = {"wall": False} if evidence == "continuity" else {}
    with_it, without = (stage(acquisition, **rest | {evidence: on})(frame) for on in (True, False))
    assert with_it.fold.any()
    assert not np.array_equal(with_it.confidence, without.confidence)
    if evidence == "continuity":
        assert not without.fold.any()


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    prf_hz=st.floats(300, 2e4),
    share=st.floats(0.02, 0.9),
    noise=st.floats(0, 0.3),
    second=st.booleans(),
)
def test_velocities_are_wrapped_plus_folds_to_the_bit_and_nothing_outside_is_touched(
    seed, prf_hz, share, noise, second
):
    rng = np.random.default_rng(seed)
    turns = smooth(SHAPE, seed=seed, peak_turns=1.8, scale=7) + noise * rng.standard_normal(SHAPE)
    here = make_acquisition(prf_hz)
    frame = Flow(here, turns, blobs(SHAPE, seed=seed + 1, share=share)).frame(second=second)
    results = [stage(here, n_threads)(frame) for n_threads in (1, 2, 3)]
    v = results[0]
    v_n = np.float64(here.nyquist_velocity_m_s())
    # One rounding of 2 fold v_N, one of the sum: `kernels.velocity.fold_steps`.
    step = (2.0 * v.fold.astype(np.float64) * v_n).astype(np.float32)
    assert v.velocity_m_s.dtype == v.wrapped_velocity_m_s.dtype == np.float32
    np.testing.assert_array_equal(v.velocity_m_s, v.wrapped_velocity_m_s + step)
    np.testing.assert_array_equal(v.velocity_m_s[~v.mask], v.wrapped_velocity_m_s[~v.mask])
    assert not v.fold[~v.mask].any()
    assert np.abs(v.wrapped_velocity_m_s).max() <= np.float32(v_n) * (1 + 1e-6)
    assert v.confidence.min() >= 0
    assert v.confidence.max() <= 1
    assert np.abs(v.fold).max() <= MAX_FOLD
    assert all(same(v, other) for other in results[1:])


@pytest.mark.parametrize("name", sorted(DEALIASERS))
def test_no_flow_at_all(acquisition, name):
    v = stage(acquisition, name=name)(Flow(acquisition, np.zeros(SHAPE), ~full()).frame())
    assert not v.fold.any()
    assert not v.confidence[~v.mask].any()


def test_the_phase_and_mask_may_be_given(acquisition):
    frame, dealiaser = vessel(acquisition, 2.6).frame(), stage(acquisition, previous_frame="off")
    assert same(dealiaser(frame, flow=dealiaser.flow(frame)), dealiaser(frame))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("dealias.previous_frame=sometimes", r"previous_frame: unknown choice; found 'sometimes'; .*auto, off, on"),
        ("dealias.previous_frame=of", "did you mean 'off'"),
        ("dealias.previous_frame=true", "previous_frame: unknown choice"),
        ("dealias.continuity=1", "continuity: wrong type; found 1; expected bool"),
        ("dealias.wall=no", "wall: wrong type"),
        ("dealias.second_phase=maybe", "second_phase: wrong type"),
        ("dealias.segmentation=0.5", "segmentation: wrong type"),
        ("dealias.largest_acceleration_m_s2=-1", r"\[dealias\] largest_acceleration_m_s2: out of range"),
        ("dealias.previous=on", "did you mean 'previous_frame'"),
    ],
)
def test_settings_that_make_no_sense_are_answered_with_what_would_do(setting, message):
    with pytest.raises(TrueflowError, match=message):
        Config().override([setting])


def test_settings_go_through_toml(tmp_path):
    choices = ["dealias.previous_frame=on", "dealias.wall=false", "dealias.second_phase=false"]
    config = Config().override([*choices, "dealias.largest_acceleration_m_s2=7", "mask.least_area_wavelengths2=0"])
    path = tmp_path / "c.toml"
    path.write_text(config.to_toml())
    assert Config.load(path) == config
    assert (config.dealias.previous_frame, config.dealias.wall, config.dealias.second_phase) == ("on", False, False)
