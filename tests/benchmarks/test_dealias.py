"""The validation set and its scores, on one small family."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from click.testing import CliRunner

from trueflow.benchmarks.command import bench
from trueflow.benchmarks.dealias import (
    BANDS,
    ENGINE,
    EVIDENCE,
    CaseResult,
    by_family,
    dealiaser,
    mean_over_families,
    peer,
    run_dealias,
    within,
)
from trueflow.benchmarks.dealias_page import as_page
from trueflow.benchmarks.dealias_report import Findings, as_document, as_json, check_names
from trueflow.benchmarks.validation import FAMILIES, PEAKS, VARIANTS, all_cases, cases_of
from trueflow.kernels import get_device
from trueflow.pipeline import TrueflowError
from trueflow.pipeline.config import DealiasConfig

MADE = {"date": "2026-01-01", "commit": "abc", "processor": "x", "cores": "2", "load_average": [0.0, 0.0, 0.0]}


def no_folds(turns, coherence, mask):
    return 0 * turns


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> list[CaseResult]:
    cases = [case for case in cases_of(("straight",)) if case.peak == 1.7]
    contenders = [dealiaser(name, DealiasConfig(name=name)) for name in ("none", ENGINE)]
    contenders += [peer("kamui", no_folds), dealiaser("wall alone", EVIDENCE["wall alone"])]
    return run_dealias(
        cases, contenders, folder=tmp_path_factory.mktemp("cases"), device=get_device("cpu", n_threads=2)
    )


def test_every_family_is_there_at_every_speed_and_noise():
    cases = all_cases()
    assert len(cases) == len(FAMILIES) * len(PEAKS) * len(VARIANTS)
    assert len({case.name for case in cases}) == len(cases)
    assert len({case.url for case in cases}) == len(cases)


def test_aliased_flow_is_wrong_without_a_dealiaser_and_right_with_one(results):
    assert all(r.tally.wrong_fold_rate > 0.2 for r in within(results, "none"))
    assert all(r.tally.wrong_fold_rate < 0.02 for r in within(results, ENGINE))
    assert all(r.tally.n_flow > 1000 and r.tally.coverage > 0.5 for r in results)
    assert all(r.band == BANDS[1] for r in results)


def test_no_dealiaser_folds_nothing(results):
    assert all(r.tally.false_fold_rate_on_unaliased == 0 for r in within(results, "none"))


def test_a_peer_is_judged_on_the_pixels_and_phases_of_our_own_stage(results):
    raw, theirs = within(results, "none"), within(results, "kamui")
    assert [r.tally.n_flow for r in theirs] == [r.tally.n_flow for r in raw]
    assert [r.tally.n_wrong for r in theirs] == [r.tally.n_wrong for r in raw]  # it folds nothing


def test_evidence_that_is_switched_off_is_missed(results):
    assert all(r.tally.wrong_fold_rate > 0.2 for r in within(results, "wall alone"))


def test_a_band_has_its_frames_only(results):
    assert within(results, ENGINE, BANDS[1]) == within(results, ENGINE)
    assert within(results, ENGINE, BANDS[2]) == []


def test_the_document_is_json_and_the_page_names_every_contender(results):
    document = as_document(Findings(scenes=results, evidence=results), MADE)
    assert json.loads(as_json(document)) == document
    assert len(as_json(document).splitlines()) < 200
    assert {row["contender"] for row in document["cases"]} == {"none", ENGINE, "kamui", "wall alone"}
    page = as_page(document)
    assert "| none |" in page
    assert "(the engine)" in page
    assert "kamui (oracle's offset)" in page
    assert "| straight |" in page
    assert "## Evidence, alone and together" in page
    assert "nan" not in page


def test_a_family_counts_its_pixels_alike_and_families_count_alike(results):
    families = by_family(within(results, "none"))
    straight = families["straight"]
    assert straight.n_flow == sum(r.tally.n_flow for r in within(results, "none"))
    engine = by_family(within(results, ENGINE))["straight"]
    mean = mean_over_families({"a": straight, "b": straight + straight, "c": engine}, "wrong_fold_rate")
    assert mean == pytest.approx((2 * straight.wrong_fold_rate + engine.wrong_fold_rate) / 3)
    assert math.isnan(mean_over_families({}, "wrong_fold_rate"))


def test_a_kept_case_is_the_case_that_was_made(tmp_path):
    from trueflow.benchmarks.validation import load_scene

    device, case = get_device("cpu", n_threads=2), cases_of(("straight",))[0]
    made, kept = (load_scene(case, tmp_path, device) for _ in range(2))
    np.testing.assert_array_equal(made.doppler.r1, kept.doppler.r1)
    assert len(list(tmp_path.iterdir())) == 1


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(TrueflowError, match="did you mean 'femoral'"):
        check_names(["none"], ["femorl"])
    with pytest.raises(TrueflowError, match="did you mean 'regions'"):
        check_names(["region"], [])
    with pytest.raises(TrueflowError, match="did you mean 'kamui'"):
        check_names(["kamuy"], [])


def test_the_command_has_its_options():
    shown = CliRunner().invoke(bench, ["dealias", "--help"])
    assert shown.exit_code == 0
    for option in ("--update", "--part", "--dealiaser", "--reliability"):
        assert option in shown.output


def test_what_the_project_keeps_is_a_whole_run():
    refused = CliRunner().invoke(bench, ["dealias", "--update", "--part", "disk"])
    assert refused.exit_code == 2
    assert "a whole run" in refused.output
