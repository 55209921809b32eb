"""What is drawn agrees with the exported pictures on every kind of grid, and controls do what they say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from screens import LINEAR, NYQUIST_M_S, SECTOR, UNEVEN, make_frame

from trueflow.pipeline.config import DisplayConfig
from trueflow.pipeline.grid import ImageGrid
from trueflow.pipeline.picture.compose import ColorScale, Compositor
from trueflow.pipeline.picture.panels import FOLD_INKS, fold_image
from trueflow.pipeline.picture.raster import Raster
from trueflow.viewer.controls import DisplayControls, Fit

GRIDS = {"linear": LINEAR, "sector": SECTOR, "uneven": UNEVEN}
SIZE = 400, 380
SEEN = DisplayConfig(dynamic_range_db=50.0, gain_db=-6.0)


@pytest.fixture(params=GRIDS)
def grid(request: Any) -> ImageGrid:
    return GRIDS[request.param]


@pytest.fixture
def draw(context: None) -> Any:
    """Draws one panel that fills the target: (grid, mode, **controls) -> picture."""

    def draw(grid: ImageGrid, mode: Any, frame: Any = None, **changes: Any) -> np.ndarray:
        from trueflow.viewer import gl
        from trueflow.viewer.renderer import Place, Renderer

        frame = frame or make_frame(grid, 6)
        raster = Raster(grid, height_px=SIZE[1], width_px=SIZE[0])
        rows, columns = raster.shape
        target = gl.Framebuffer(gl.Texture(raster.shape, "u1n", 4))
        controls = DisplayControls.from_config(SEEN).with_(**changes)
        fit = Fit.of([frame])
        renderer = Renderer(grid)
        renderer.upload(frame)
        renderer.prepare(controls, fit)
        place = Place(0, 0, columns, rows, raster.x_m, raster.z_m)
        renderer.draw(place, mode, controls, fit, target=target.id, size=(columns, rows))
        gl.GL.glBindFramebuffer(gl.GL.GL_FRAMEBUFFER, target.id)
        picture = gl.read_pixels(columns, rows)
        gl.check()
        return picture

    return draw


def agreement(one: np.ndarray, other: np.ndarray) -> float:
    return float((np.abs(one.astype(int) - other).max(axis=-1) <= 1).mean())


def expected(grid: ImageGrid, mode: str) -> np.ndarray:
    frame = make_frame(grid, 6)
    raster = Raster(grid, height_px=SIZE[1], width_px=SIZE[0])
    scale = ColorScale(NYQUIST_M_S) if mode == "raw" else ColorScale(Fit.of([frame]).scale_m_s)
    compose = Compositor(raster, SEEN, scale=scale, reference=Fit.of([frame]).envelope)
    if mode == "folds":
        return fold_image(compose(frame, color=False), raster, frame.velocity.fold, frame.velocity.mask)
    return compose(frame, wrapped=mode == "raw", color=mode != "gray")


@pytest.mark.parametrize("mode", ["gray", "raw", "folds", "dealiased"])
def test_the_screen_agrees_with_the_exported_picture(draw: Any, grid: ImageGrid, mode: str) -> None:
    # Not every pixel: where two neighbors are equally near, and at the edge of a level, the last bit decides.
    assert agreement(draw(grid, mode), expected(grid, mode)) > 0.997


def test_color_off_is_the_b_mode(draw: Any) -> None:
    assert (draw(LINEAR, "dealiased", color=False) == draw(LINEAR, "gray")).all()


def test_inverting_swaps_the_directions(draw: Any) -> None:
    plain, inverted = draw(LINEAR, "dealiased").astype(int), draw(LINEAR, "dealiased", invert=True).astype(int)
    red = plain[..., 0] - plain[..., 2] > 80
    assert red.mean() > 0.05
    assert (inverted[red][:, 2] > inverted[red][:, 0]).mean() > 0.99


def test_a_smaller_scale_is_brighter_and_the_raw_panel_keeps_nyquist(draw: Any) -> None:
    wide, narrow = draw(LINEAR, "dealiased", scale_m_s=3.0), draw(LINEAR, "dealiased", scale_m_s=1.0)
    assert narrow.astype(int).sum() > 1.05 * wide.astype(int).sum()
    assert (draw(LINEAR, "raw", scale_m_s=3.0) == draw(LINEAR, "raw")).all()


def test_a_baseline_moves_where_the_raw_panel_wraps(draw: Any) -> None:
    frame = make_frame(LINEAR, 0)  # peak 0.385 m/s: folds once under a baseline of 0, never under 0.15 m/s
    flow = frame.velocity.mask & (frame.velocity.velocity_m_s > 0.02)
    assert frame.velocity.fold[flow].any()
    picture = draw(LINEAR, "raw", frame, baseline_m_s=0.5 * NYQUIST_M_S).astype(int)
    raster = Raster(LINEAR, height_px=SIZE[1], width_px=SIZE[0])
    inside, _ = raster.velocity(frame.velocity.velocity_m_s, flow, nyquist_velocity_m_s=1.0)
    pixels = picture.reshape(-1, 3)[inside]
    assert (pixels[:, 2] > pixels[:, 0] + 40).mean() < 0.002  # nothing looks as if it flowed away


def test_priority_gives_bright_echoes_back_to_the_b_mode(draw: Any) -> None:
    gray = draw(LINEAR, "gray")[..., 0]
    half = draw(LINEAR, "dealiased", priority=0.5).astype(int)
    colored = np.ptp(half, axis=-1) > 0
    assert colored.any()
    assert gray[colored].max() <= 0.5 * 255 + 1


def test_thresholds_hide_weak_and_incoherent_flow(draw: Any) -> None:
    frame = make_frame(LINEAR, 6)
    weak = frame.doppler.r0[frame.velocity.mask]
    least_db = float(10 * np.log10(np.median(weak) / np.quantile(weak, 0.99)))

    def share(**changes: Any) -> float:
        return float((np.ptp(draw(LINEAR, "dealiased", **changes).astype(int), axis=-1) > 0).mean())

    everything = share()
    assert share(power_db=least_db) == pytest.approx(everything / 2, rel=0.15)
    assert 0 < share(coherence=0.8) < 0.8 * everything
    assert share(coherence=0.99) == 0


def test_color_stays_inside_its_box(draw: Any) -> None:
    picture = draw(LINEAR, "dealiased", box_m=(-5e-3, 0.0, 5e-3, 18e-3)).astype(int)
    raster = Raster(LINEAR, height_px=SIZE[1], width_px=SIZE[0])
    rows, columns = np.nonzero(np.ptp(picture, axis=-1))
    x_m = raster.x_m[0] + (columns + 0.5) * raster.pitch_m
    z_m = raster.z_m[0] + (rows + 0.5) * raster.pitch_m
    assert -5e-3 <= x_m.min() < -4.8e-3
    assert 4.8e-3 < x_m.max() <= 5e-3
    assert z_m.max() <= 18e-3


def test_doubt_is_marked_only_where_confidence_is_low(draw: Any) -> None:
    plain, marked = draw(LINEAR, "dealiased"), draw(LINEAR, "dealiased", confidence=True)
    changed = (plain != marked).any(axis=-1)
    frame = make_frame(LINEAR, 6)
    raster = Raster(LINEAR, height_px=SIZE[1], width_px=SIZE[0])
    low = np.zeros(raster.shape, bool)
    low[raster.inside] = raster.smooth(frame.velocity.confidence) < 0.55
    assert changed.mean() > 0.002
    assert low[changed].all()


def test_variance_adds_green_where_coherence_is_low(draw: Any) -> None:
    plain = draw(LINEAR, "dealiased").astype(int)
    turbulent = draw(LINEAR, "dealiased", color_map="variance").astype(int)
    assert ((turbulent - plain)[..., 1] >= 0).all()
    assert (turbulent - plain)[..., 1].max() > 20
    assert (turbulent[..., [0, 2]] == plain[..., [0, 2]]).all()


@pytest.mark.parametrize("sign", [1, -1])
def test_the_folds_of_the_shader_have_the_colors_of_the_pictures(draw: Any, sign: int) -> None:
    frame = make_frame(LINEAR, 6)
    velocity = replace(frame.velocity, fold=(sign * frame.velocity.fold).astype(np.int8))
    picture = draw(LINEAR, "folds", replace(frame, velocity=velocity)).reshape(-1, 3).astype(int)
    for number in (1, 2):
        assert (np.abs(picture - FOLD_INKS[sign * number]).max(axis=1) <= 1).any()
        assert not (np.abs(picture - FOLD_INKS[-sign * number]).max(axis=1) <= 1).any()


def test_letters_keep_one_texture_while_a_window_is_drawn_larger(context: None, monkeypatch: Any) -> None:
    from trueflow.viewer import gl
    from trueflow.viewer.canvas import Canvas, CanvasProgram

    size, made, deleted = (200, 48), [], []
    target = gl.Framebuffer(gl.Texture((size[1], size[0]), "u1n", 4))

    def written(program: Any, em: int) -> np.ndarray:
        canvas = Canvas(em)
        canvas.rectangle(0, 0, *size, (0, 0, 0))
        canvas.text(2, 4, "+30.8 Nyq")
        program.draw(canvas.atlas, [canvas.vertices], target=target.id, size=size)
        return gl.read_pixels(*size)

    create, delete = gl.Texture.__init__, gl.Texture.delete
    monkeypatch.setattr(gl.Texture, "__init__", lambda self, *a, **k: (made.append(self), create(self, *a, **k))[1])
    monkeypatch.setattr(gl.Texture, "delete", lambda self: (deleted.append(self), delete(self))[1])
    program = CanvasProgram()
    pictures = {em: written(program, em) for em in range(9, 25)}
    assert len(made) == 16
    assert len(deleted) == 15
    for em in (9, 16, 24):
        assert (pictures[em] == written(CanvasProgram(), em)).all()
    gl.check()
