"""The validation set and its scores, on one small family."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from click.testing import CliRunner

from trueflow.benchmarks.command import bench
from trueflow.benchmarks.dealias import BANDS, mean_over_families, run_dealias
from trueflow.benchmarks.dealias_report import as_document, as_page, check_names
from trueflow.benchmarks.validation import FAMILIES, PEAKS, VARIANTS, all_cases, cases_of
from trueflow.kernels import get_device
from trueflow.pipeline import TrueflowError


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    cases = [case for case in cases_of(("straight",)) if case.peak == 1.7]
    return run_dealias(
        cases, ["none", "regions"], folder=tmp_path_factory.mktemp("cases"), device=get_device("cpu", n_threads=2)
    )


def test_every_family_is_there_at_every_speed_and_noise():
    cases = all_cases()
    assert len(cases) == len(FAMILIES) * len(PEAKS) * len(VARIANTS)
    assert len({case.name for case in cases}) == len(cases)
    assert len({case.url for case in cases}) == len(cases)


def test_aliased_flow_is_wrong_without_a_dealiaser_and_right_with_one(results):
    by_name = {name: [r for r in results if r.dealiaser == name] for name in ("none", "regions")}
    assert all(r.score.wrong_fold_rate > 0.2 for r in by_name["none"])
    assert all(r.score.wrong_fold_rate < 0.02 for r in by_name["regions"])
    assert all(r.score.n_flow_pixels > 1000 and r.coverage > 0.5 for r in results)
    assert all(r.band == BANDS[1] for r in results)


def test_no_dealiaser_folds_nothing(results):
    assert all(r.score.false_fold_rate_on_unaliased == 0 for r in results if r.dealiaser == "none")


def test_the_document_is_json_and_the_page_names_every_dealiaser(results):
    document = as_document(results, {"date": "2026-01-01", "commit": "abc", "processor": "x"})
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    page = as_page(document)
    assert "## none" in page
    assert "## regions" in page
    assert "| straight |" in page


def test_families_count_alike_however_many_frames_they_have(results):
    constant = mean_over_families(results, lambda r: 1.0)
    assert constant == 1.0
    assert math.isnan(mean_over_families(results, lambda r: math.nan))


def test_a_kept_case_is_the_case_that_was_made(tmp_path):
    device, case = get_device("cpu", n_threads=2), cases_of(("straight",))[0]
    from trueflow.benchmarks.validation import load_scene

    made, kept = (load_scene(case, tmp_path, device) for _ in range(2))
    np.testing.assert_array_equal(made.doppler.r1, kept.doppler.r1)
    assert len(list(tmp_path.iterdir())) == 1


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(TrueflowError, match="did you mean 'femoral'"):
        check_names(["none"], ["femorl"])
    with pytest.raises(TrueflowError, match="did you mean 'regions'"):
        check_names(["region"], [])


def test_the_command_has_its_options():
    shown = CliRunner().invoke(bench, ["dealias", "--help"])
    assert shown.exit_code == 0
    assert "--update" in shown.output
