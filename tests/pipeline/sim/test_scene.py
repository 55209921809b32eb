"""Scenes as data, and the options of a sim:// source."""

from __future__ import annotations

import pytest

from trueflow.pipeline import TrueflowError, open_source
from trueflow.pipeline.sim.library import SCENES, make_scene
from trueflow.pipeline.sim.options import Options, parse_url
from trueflow.pipeline.sim.recording import SimRecording, view_of
from trueflow.pipeline.sim.scene import Dropout, Scene, Tissue, speed_m_s
from trueflow.pipeline.sim.vessels import Tube


@pytest.mark.parametrize("name", list(SCENES))
def test_every_scene_survives_toml(name, grid):
    scene = make_scene(name, view_of(grid))
    assert scene.name == name
    assert Scene.from_toml(scene.to_toml()) == scene


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("radius_m = 0.004", "radius = 0.004"), "did you mean 'radius_m'"),
        (('kind = "tube"', 'kind = "tub"'), "did you mean 'tube'"),
        (('waveform = "constant"', 'waveform = "konstant"'), "did you mean 'constant'"),
        (("share = 1.0", 'share = "all"'), "wrong type"),
        (("share = 1.0", "share = nan"), "wrong type"),
        (("cycle_s = 0.9", "cycle_s = 90.0"), "out of range"),
        (('peak = "0.8vN"', 'peak = "fast"'), "not a speed"),
        (("points_m", "points"), "points"),
        (("name", "[name"), "not TOML"),
    ],
)
def test_mistakes_in_a_scene_are_named(change, message):
    text = Scene("t", (Tube(((-0.03, 0.02), (0.03, 0.02)), 4e-3),)).to_toml()
    assert change[0] in text
    with pytest.raises(TrueflowError, match=message):
        Scene.from_toml(text.replace(*change, 1))


def test_a_scene_without_vessels_or_with_a_point_for_a_path_is_refused():
    with pytest.raises(TrueflowError, match="no vessels"):
        Scene("empty", ())
    with pytest.raises(TrueflowError, match="not a path"):
        Tube(((0.0, 0.02), (0.0, 0.02)))
    with pytest.raises(TrueflowError, match="radius_m"):
        Tube(((0.0, 0.02), (0.01, 0.02)), (1e-3, 2e-3, 3e-3))


def test_speeds_in_metres_per_second_and_in_nyquist_velocities():
    assert speed_m_s(0.7, 0.3) == (0.7, False)
    assert speed_m_s("0.7", 0.3) == (0.7, False)
    assert speed_m_s("2.5vN", 0.3) == (0.75, True)
    assert speed_m_s(" -1.5 v_n", 0.2) == (pytest.approx(-0.3), True)


def test_options_of_a_url():
    name, options = parse_url("sim://femoral?peak=2.5vN&frames=20&seed=3&angle=-5,0,5&motion=none&fps=12.5")
    assert name == "femoral"
    assert (options.peak, options.frames, options.seed, options.fps) == ("2.5vN", 20, 3, 12.5)
    assert options.angle == (-5.0, 0.0, 5.0)
    assert options.acquisition().n_transmits == 3
    assert parse_url("sim://disk") == ("disk", Options())


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sim://femral", "did you mean 'femoral'"),
        ("sim://disk?sead=3", "did you mean 'seed'"),
        ("sim://disk?seed=3.5", "a whole number"),
        ("sim://disk?snr=loud", "a number"),
        ("sim://disk?snr=nan", "a number"),
        ("sim://disk?seed", "option=value"),
        ("sim://disk?seed=1&seed=2", "each once"),
        ("sim://disk?waveform=carotit", "did you mean 'carotid'"),
        ("sim://disk?peak=2.5vM", "not a speed"),
        ("sim://disk?pulses=1", "out of range"),
        ("sim://disk?angle=60", "out of range"),
        ("sim://disk?fps=1000", "at most 225"),
        ("sim://nothing/here.toml", "cannot be read"),
        ("sim://", "sim://SCENE"),
    ],
)
def test_mistakes_in_a_url_are_named(url, message):
    with pytest.raises(TrueflowError, match=message):
        open_source(url)


def test_the_default_is_the_femoral_workload(simulated):
    a = simulated("sim://straight").acquisition
    assert (a.probe.n_elements, a.center_frequency_hz, a.sampling_frequency_hz) == (128, 5e6, 20e6)
    assert (a.n_samples, a.n_ensemble, a.prf_hz, a.n_transmits) == (1040, 16, 4e3, 1)


def test_options_change_the_scene(grid):
    scene = make_scene("opposed", view_of(grid))
    changed = Options(peak="1.2", tissue=50.0, waveform="constant", profile="plug", motion="pulse").apply(scene)
    assert changed.peak == "1.2"
    assert (changed.tissue.level_db, changed.tissue.motion) == (50.0, "pulse")
    assert {(v.flow.waveform, v.flow.profile) for v in changed.vessels} == {("constant", "plug")}
    assert [v.flow.share for v in changed.vessels] == [v.flow.share for v in scene.vessels]
    assert Options().apply(scene) == scene


def test_a_scene_from_a_file(tmp_path):
    tube = Tube(((-0.03, 0.02), (0.03, 0.024)), 4e-3)
    (tmp_path / "mine.toml").write_text(Scene("mine", (tube,), peak="0.5vN").to_toml())
    recording = open_source(f"sim://{tmp_path / 'mine.toml'}?frames=2")
    assert isinstance(recording, SimRecording)
    assert recording.scene.vessels == (tube,)
    assert recording.n_slow_time == 32


def test_what_no_body_does_is_refused_at_once():
    for make, name in (
        (lambda: Tissue(motion="pulse", motion_m=(0.0, 5.0)), "motion_m_z"),
        (lambda: Dropout((0.0, 0.02), (0.0, 0.01)), "semi_axis_x_m"),
        (lambda: open_source("sim://straight?peak=90&pulses=64"), "too far during a burst"),
    ):
        with pytest.raises(TrueflowError, match=name):
            make()
