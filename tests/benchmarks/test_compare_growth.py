"""Growth: exponents, points, who is left out, the picture."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from PIL import Image

from trueflow.benchmarks import growth_jobs
from trueflow.benchmarks.compare_rounds import spread, spread_out
from trueflow.benchmarks.growth import FULL, Plan, exponent, run_growth
from trueflow.benchmarks.growth_jobs import Point, make_cases
from trueflow.benchmarks.growth_picture import draw_growth
from trueflow.benchmarks.timing import Budget

SMALL = Plan(
    Point(32, 16, 8),
    sides=(24, 32),
    channels=(8, 16),
    pulses=(8, 16),
    diagonal=(Point(24, 8, 8), Point(32, 16, 16)),
)


def test_the_exponent_is_the_slope_of_the_logarithms():
    sizes = [1, 2, 4, 8]
    assert exponent(sizes, [3.0 * n**1.5 for n in sizes]) == pytest.approx(1.5)
    assert exponent(sizes, [5.0] * 4) == pytest.approx(0, abs=1e-12)
    # Least squares: symmetric errors leave the slope as it is.
    assert exponent([1, 10, 100], [1 * 2, 10 / 4, 100 * 2]) == pytest.approx(1)
    assert exponent([4], [1.0]) is None
    assert exponent([], []) is None


def test_the_full_plan_ends_at_the_largest_size():
    assert FULL.diagonal[-1] == Point(512, 256, 32)
    for points in FULL.axes().values():
        assert len(points) >= 3
    assert all(FULL.base in FULL.axes()[axis] for axis in ("pixels", "channels", "pulses"))


def test_more_channels_are_narrower_elements_of_the_same_array():
    many, few = (next(make_cases([Point(24, n, 8)])).case for n in (16, 8))
    widths = [np.ptp(case.acquisition.probe.element_positions_m[:, 0]) for case in (many, few)]
    assert widths[0] * 16 / 15 == pytest.approx(widths[1] * 8 / 7)
    assert many.samples.shape == (8, 1, 16, 1040)


@pytest.fixture(scope="module")
def found():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "zea", None)
        patch.setitem(sys.modules, "zea.doppler", None)
        # PyMUST may have what its smaller matrices need.
        case = next(make_cases([Point(24, 16, 8)]))
        weights = growth_jobs.count_weights(case.case.acquisition, case.case.config, case.flow.grid)
        patch.setattr(growth_jobs, "MOST_BYTES", growth_jobs.PYMUST_BYTES_PER_WEIGHT * weights)
        return run_growth(SMALL, (1, 2), Budget(rounds=1), lambda done, total: None)


def test_every_curve_has_its_points_or_says_why_not(found):
    axes = SMALL.axes()
    for curve in found["curves"]:
        there = [tuple(p["point"]) for p in [*curve["points"], *curve["left_out"]]]
        assert sorted(there) == sorted(axes[curve["along"]])
        assert (curve["exponent"] is None) == (len(curve["points"]) < 2)
    ours = {(c["job"], c["along"], c["n_threads"]) for c in found["curves"] if c["name"] == "trueflow"}
    assert ours == {(job, axis, n) for job, kind in growth_jobs.JOBS.items() for axis in kind.axes for n in (1, 2)}


def test_who_needs_too_much_memory_is_left_out_by_name_and_size(found):
    (curve,) = [c for c in found["curves"] if (c["job"], c["along"], c["name"]) == ("das", "pixels", "PyMUST")]
    assert [p["point"] for p in curve["points"]] == [[24, 16, 8]]
    (left_out,) = curve["left_out"]
    assert left_out["point"] == [32, 16, 8]
    assert "GB" in left_out["reason"]


def test_who_is_not_installed_is_left_out_with_the_reason(found):
    curves = [c for c in found["curves"] if c["name"] == "zea"]
    assert curves
    for curve in curves:
        assert not curve["points"]
        assert all("not installed" in p["reason"] for p in curve["left_out"])


def test_the_picture_has_a_panel_for_every_job_and_axis(found, tmp_path):
    draw_growth(found, tmp_path / "growth.png")
    image = np.asarray(Image.open(tmp_path / "growth.png"))
    assert image.shape == (3 * 250, 4 * 330, 3)
    panels = image.reshape(3, 250, 4, 330, 3).transpose(0, 2, 1, 3, 4)
    assert all(panel.max() > 200 for row in panels for panel in row)


def test_the_quick_run_more_often_and_are_spread_over_the_round():
    order = spread([1.0, 0.07, 0.001], most=10)
    assert [order.count(index) for index in range(3)] == [1, 4, 10]
    places = [place for place, index in enumerate(order) if index == 1]
    assert np.ptp(np.diff(places)) <= 2


def test_rounds_are_as_many_as_asked_for_and_the_first_runs_do_not_count():
    calls: list[int] = []

    def run(index: int, duration_s: float):
        return lambda: (calls.append(index), duration_s)[1]

    seen: list[tuple[int, int]] = []
    durations = spread_out(
        [run(0, 0.5), run(1, 0.25)], Budget(rounds=3), lambda done, total: seen.append((done, total)), most=1
    )
    assert durations == [[0.5] * 3, [0.25] * 3]
    assert len(calls) > 6
    assert seen[-1] == (3, 3)
    few = spread_out([run(0, 0.5)], Budget(seconds=0.0, warmup_rounds=1), lambda done, total: None, least=2, most=1)
    assert few == [[0.5] * 2]
