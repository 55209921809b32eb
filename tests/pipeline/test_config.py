"""Config: TOML in and out, helpful refusals."""

from __future__ import annotations

import pytest

from trueflow.pipeline import Config, TrueflowError


def test_toml_round_trip(tmp_path):
    config = Config().override(["clutter.name=fir", "clutter.order=4", "grid.n_x=192", "dealias.name=skimage"])
    path = tmp_path / "c.toml"
    path.write_text(config.to_toml())
    assert Config.load(path) == config


def test_defaults_round_trip(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text(Config().to_toml())
    assert Config.load(path) == Config()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("cluter.order=2", "did you mean 'clutter'"),
        ("clutter.ordr=2", "did you mean 'order'"),
        ("clutter.order=two", "expected int"),
        ("clutter.order=1.5", "expected int"),
        ("clutter.keep_state=1", "expected bool"),
        ("beamform.window=haning", "did you mean 'hann'"),
        ("grid.n_x=wide", "expected int"),
        ("order=2", "section.key=value"),
        ("clutter.order", "section.key=value"),
    ],
)
def test_bad_settings_are_answered_with_what_would_do(setting, message):
    with pytest.raises(TrueflowError, match=message):
        Config().override([setting])


def test_an_optional_setting_can_be_taken_back():
    config = Config().override(["grid.n_x=192"]).override(["grid.n_x=none"])
    assert config.grid.n_x is None


def test_integers_serve_where_floats_are_wanted():
    assert Config().override(["beamform.f_number=2"]).beamform.f_number == 2.0


def test_a_file_that_is_not_toml_is_named(tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text("[clutter\norder=")
    with pytest.raises(TrueflowError, match=r"bad\.toml: not TOML"):
        Config.load(path)
    with pytest.raises(TrueflowError, match="cannot be read"):
        Config.load(tmp_path / "none.toml")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TrueflowError, match="not TOML"):
        Config.load(path)


@pytest.mark.parametrize(
    "setting",
    ["mask.power_db=4000", "mask.power_db=nan", "mask.coherence=7", "grid.spacing_wavelengths=0",
     "grid.spacing_wavelengths=-1", "grid.n_x=99999999999999999999", "display.dynamic_range_db=0",
     "display.gain_db=nan", "demodulate.bandwidth_fraction=-0.5", "display.scale_m_s=0", "clutter.cutoff_fraction=1.5",
     "persistence.factor=1"],
)  # fmt: skip
def test_numbers_out_of_range_are_refused_by_name(setting):
    name = setting.split("=")[0].replace(".", r"\] ")
    with pytest.raises(TrueflowError, match=rf"{name}: out of range"):
        Config().override([setting])
