"""Pictures show what the numbers say: right place, right color, right scale."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from trueflow.pipeline.config import DisplayConfig
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import ColorFrame
from trueflow.pipeline.grid import ImageGrid
from trueflow.pipeline.picture.color_maps import color_map, color_map_names
from trueflow.pipeline.picture.compose import ColorScale, Compositor, choose_scale_m_s
from trueflow.pipeline.picture.draw import Painter, side_by_side
from trueflow.pipeline.picture.movie import MovieWriter, playback_fps
from trueflow.pipeline.picture.raster import Raster

REST = 128


def lightness(colors: np.ndarray) -> np.ndarray:
    """Relative luminance of sRGB colors (IEC 61966-2-1)."""
    value = colors / 255.0
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("name", color_map_names())
def test_color_maps_are_black_at_rest_and_lighter_with_speed(name: str) -> None:
    colors = color_map(name)
    assert colors.shape == (257, 3)
    assert (colors[REST] == 0).all()
    light = lightness(colors)
    assert (np.diff(light[REST:]) >= 0).all()
    assert (np.diff(light[: REST + 1]) <= 0).all()


@pytest.mark.parametrize("name", color_map_names())
def test_towards_the_probe_is_the_warm_side(name: str) -> None:
    colors = color_map(name).astype(int)
    towards, away = colors[REST + 60], colors[REST - 60]
    assert towards[0] > towards[2] + 50
    assert away[2] > away[0] + 50


def test_unknown_color_map_names_the_nearest() -> None:
    with pytest.raises(TrueflowError, match="did you mean 'red_blue'"):
        color_map("redblue")


def test_scale_ends_have_the_last_colors_and_rest_stays_black_under_a_baseline_shift() -> None:
    scale = ColorScale(0.4, baseline_m_s=0.1)
    entries = scale.entries(np.array([-9.0, -0.3, -0.15, 0.0, 0.25, 0.5, 9.0], np.float32))
    assert entries.tolist() == [0, 0, 64, REST, 192, 256, 256]


def test_a_baseline_that_pushes_rest_off_the_scale_is_refused() -> None:
    with pytest.raises(TrueflowError, match="rest is off the scale"):
        ColorScale(0.2, baseline_m_s=-0.2)


def test_scale_is_nyquist_unless_flow_is_faster(vessel: Any) -> None:
    assert choose_scale_m_s([vessel.frame(peak_m_s=0.2)]) == 0.3
    assert choose_scale_m_s([vessel.frame(peak_m_s=0.5)]) == 0.5
    assert choose_scale_m_s([vessel.frame(peak_m_s=0.2), vessel.frame(peak_m_s=0.5)]) == 0.5
    assert choose_scale_m_s([vessel.frame(peak_m_s=0.5)], wrapped=True) == 0.3


def test_scale_of_a_frame_without_flow_is_nyquist(vessel: Any) -> None:
    frame = vessel.frame()
    frame.velocity.mask[:] = False
    assert choose_scale_m_s([frame]) == 0.3


def compositor(vessel: Any, frame: ColorFrame, **display: Any) -> tuple[Compositor, Raster]:
    raster = Raster(vessel.grid, height_px=380, width_px=600)
    return Compositor(raster, DisplayConfig(**display), scale=ColorScale(0.5), reference=1.0), raster


def at(raster: Raster, image: np.ndarray, *, x_m: float, z_m: float) -> np.ndarray:
    row = round((z_m - raster.z_m[0]) / raster.pitch_m - 0.5)
    column = round((x_m - raster.x_m[0]) / raster.pitch_m - 0.5)
    return image[row, column].astype(int)


def test_pixels_are_square_whatever_the_grid_spacing(vessel: Any) -> None:
    raster = Raster(vessel.grid, height_px=380, width_px=600)
    assert raster.shape == (380, 300)  # 19 mm by 15 mm
    assert raster.pitch_m == pytest.approx(0.05e-3)


def test_an_image_too_wide_for_its_box_is_fitted_to_the_width() -> None:
    grid = ImageGrid.cartesian(np.linspace(0, 40e-3, 50), np.linspace(0, 10e-3, 20))
    assert Raster(grid, height_px=400, width_px=400).shape == (100, 400)


@pytest.mark.parametrize("form", ["vessel", "sector"])
def test_flow_is_red_where_it_is_and_tissue_is_gray(form: str, request: pytest.FixtureRequest) -> None:
    vessel = request.getfixturevalue(form)
    frame = vessel.frame()
    compose, raster = compositor(vessel, frame)
    image = compose(frame)
    red, green, blue = at(raster, image, x_m=0.5e-3, z_m=10e-3)
    assert red > 200
    assert blue < 120
    assert red > green
    red, green, blue = at(raster, image, x_m=0.5e-3, z_m=18e-3)
    assert red == green == blue > 0


def test_wrapped_view_shows_the_fold_as_the_other_color(vessel: Any) -> None:
    frame = vessel.frame()  # 0.5 m/s wraps to -0.1 m/s
    compose, raster = compositor(vessel, frame)
    red, _, blue = at(raster, compose(frame, wrapped=True), x_m=0.0, z_m=10e-3)
    assert blue > red + 50


def test_no_color_outside_the_mask_or_without_color(vessel: Any) -> None:
    frame = vessel.frame()
    compose, _ = compositor(vessel, frame)
    plain = compose(frame, color=False)
    assert (plain[..., 0] == plain[..., 2]).all()
    frame.velocity.mask[:] = False
    np.testing.assert_array_equal(compose(frame), plain)


def test_velocity_is_not_blended_across_a_fold_or_with_what_is_no_flow() -> None:
    grid = ImageGrid.cartesian([0.0, 1e-3, 2e-3, 3e-3], [0.0, 1e-3])
    velocity = np.array([[0.28, -0.28, -0.1, 99.0]] * 2, np.float32)
    mask = np.array([[True, True, True, False]] * 2)
    _, values = Raster(grid, height_px=20, width_px=200).velocity(velocity, mask, nyquist_velocity_m_s=0.3)
    allowed = (np.abs(values - 0.28) < 1e-6) | ((values > -0.281) & (values < -0.099))
    assert allowed.all()
    assert len(np.unique(values.round(4))) > 10  # between -0.28 and -0.1 it is smooth


def test_velocity_keeps_its_value_at_grid_points(vessel: Any) -> None:
    frame = vessel.frame()
    grid = vessel.grid
    n_z, n_x = grid.shape
    raster = Raster(grid, height_px=20 * (n_z - 1), width_px=10_000)
    shown, values = raster.velocity(frame.velocity.velocity_m_s, frame.velocity.mask, nyquist_velocity_m_s=0.3)
    picture = np.full(raster.shape, np.nan)
    picture.reshape(-1)[np.flatnonzero(raster.inside)[shown]] = values
    z_index, x_index = n_z // 2, n_x // 2
    row = round((grid.axis_0[z_index] - raster.z_m[0]) / raster.pitch_m)
    column = round((grid.axis_1[x_index] - raster.x_m[0]) / raster.pitch_m)
    assert picture[row, column] == pytest.approx(frame.velocity.velocity_m_s[z_index, x_index], abs=0.01)


def test_black_outside_a_sector(sector: Any) -> None:
    frame = sector.frame()
    compose, raster = compositor(sector, frame)
    image = compose(frame)
    assert (image[-1, 0] == 0).all()
    assert not raster.inside[-1, 0]
    assert raster.inside[raster.shape[0] // 2, raster.shape[1] // 2]


def test_gain_and_dynamic_range_are_in_decibels(vessel: Any) -> None:
    frame = vessel.frame()
    frame.bmode.envelope[:] = 0.1  # -20 dB
    frame.velocity.mask[:] = False
    for settings, gray in (
        ({"dynamic_range_db": 40.0}, 127),
        ({"dynamic_range_db": 40.0, "gain_db": 10.0}, 191),
        ({"dynamic_range_db": 20.0}, 0),
        ({"dynamic_range_db": 20.0, "gain_db": 30.0}, 255),
        ({"dynamic_range_db": 40.0, "gain_db": -10.0}, 63),
    ):
        compose, _ = compositor(vessel, frame, **settings)
        assert np.abs(compose(frame).astype(int) - gray).max() <= 1, settings


def test_painter_frames_are_even_sized_and_contain_the_image(vessel: Any) -> None:
    frame = vessel.frame()
    painter = Painter(vessel.acquisition, vessel.grid, DisplayConfig(), first=[frame], n_frames=7, height_px=301)
    picture = painter(frame)
    assert picture.shape == (*painter.shape, 3)
    assert picture.shape[0] % 2 == picture.shape[1] % 2 == 0
    image = Compositor(
        Raster(vessel.grid, height_px=301, width_px=960),
        DisplayConfig(),
        scale=painter.scale,
        reference=float(np.quantile(frame.bmode.envelope, 0.999)),
    )(frame)
    windows = np.lib.stride_tricks.sliding_window_view(picture[..., 0], image.shape[:2])
    assert any(np.array_equal(window, image[..., 0]) for row in windows for window in row)


def test_only_the_frame_counter_differs_between_equal_frames(vessel: Any) -> None:
    frame = vessel.frame(0)
    painter = Painter(vessel.acquisition, vessel.grid, DisplayConfig(), first=[frame], n_frames=7)
    later = dataclasses.replace(
        frame, velocity=dataclasses.replace(frame.velocity, stamp=dataclasses.replace(frame.stamp, index=3))
    )
    rows = np.flatnonzero((painter(frame) != painter(later)).any(axis=(1, 2)))
    assert rows.size
    assert rows.max() < 60  # in the header


def test_nyquist_is_marked_only_where_the_scale_exceeds_it(vessel: Any) -> None:
    accent = np.array([255, 215, 80])

    def marks(scale_m_s: float) -> int:
        display = DisplayConfig(scale_m_s=scale_m_s)
        frame = vessel.frame()
        picture = Painter(vessel.acquisition, vessel.grid, display, first=[frame])(frame)
        return int((picture[100:, picture.shape[1] // 2 :] == accent).all(axis=-1).sum())

    assert marks(0.3) == 0
    assert marks(0.6) > 20


def test_a_grid_of_one_column_has_no_picture(vessel: Any) -> None:
    grid = ImageGrid.cartesian([0.0], np.linspace(0, 1e-2, 10))
    with pytest.raises(TrueflowError, match="too few pixels"):
        Raster(grid, height_px=100, width_px=100)


def test_pictures_side_by_side_share_the_top() -> None:
    row = side_by_side([np.full((4, 2, 3), 9, np.uint8), np.full((2, 6, 3), 7, np.uint8)])
    assert row.shape == (4, 8, 3)
    assert (row[:2, 2:] == 7).all()
    assert (row[2:, 2:] == 0).all()


def test_movie_comes_back_with_its_frames_rate_and_colors(vessel: Any, tmp_path: Path) -> None:
    frames = [vessel.frame(index) for index in range(5)]
    painter = Painter(vessel.acquisition, vessel.grid, DisplayConfig(), first=frames, height_px=200)
    path = tmp_path / "movie.mp4"
    with MovieWriter(path, fps=25) as movie:
        for frame in frames:
            movie.write(painter(frame))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == 25
        decoded = [picture.to_ndarray(format="rgb24") for picture in container.decode(video=0)]
    assert len(decoded) == 5
    error = np.abs(decoded[0].astype(int) - painter(frames[0]))
    assert error.mean() < 4  # of 255: what 4:2:0 and quantisation cost; a wrong color matrix costs more
    assert np.abs(decoded[0][..., 0].astype(float).mean() - painter(frames[0])[..., 0].mean()) < 2


def test_the_same_frames_give_the_same_movie(vessel: Any, tmp_path: Path) -> None:
    frames = [vessel.frame(index) for index in range(3)]
    painter = Painter(vessel.acquisition, vessel.grid, DisplayConfig(), first=frames, height_px=100)
    contents = []
    for name in ("a.mp4", "b.mp4"):
        with MovieWriter(tmp_path / name, fps=30) as movie:
            for frame in frames:
                movie.write(painter(frame))
        contents.append((tmp_path / name).read_bytes())
    assert contents[0] == contents[1]


def test_odd_and_changing_sizes_are_refused(tmp_path: Path) -> None:
    with MovieWriter(tmp_path / "m.mp4", fps=30) as movie:
        with pytest.raises(TrueflowError, match="odd size"):
            movie.write(np.zeros((11, 10, 3), np.uint8))
        movie.write(np.zeros((20, 20, 3), np.uint8))
        with pytest.raises(TrueflowError, match="size changes"):
            movie.write(np.zeros((20, 22, 3), np.uint8))


@pytest.mark.parametrize(("real", "played"), [(0.2, 1.0), (25.0, 25.0), (312.5, 60.0)])
def test_movies_play_at_the_real_rate_within_reason(real: float, played: float) -> None:
    assert playback_fps(real) == played
