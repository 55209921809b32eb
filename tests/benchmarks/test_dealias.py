"""The validation set and its scores, on one small family."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from trueflow.benchmarks.command import bench
from trueflow.benchmarks.dealias import (
    BANDS,
    ENGINE,
    LEAST_FLOW,
    CaseResult,
    by_family,
    counted,
    dealiaser,
    mean_over_families,
    peer,
    run_dealias,
    within,
)
from trueflow.benchmarks.dealias_evidence import EVIDENCE, NETWORK_EVIDENCE, run_evidence
from trueflow.benchmarks.dealias_goals import FITTED, FRESH, goals
from trueflow.benchmarks.dealias_page import as_page
from trueflow.benchmarks.dealias_report import Findings, as_document, as_json, check_names
from trueflow.benchmarks.validation import (
    FAMILIES,
    FRESH_PEAKS,
    FRESH_SEEDS,
    PEAKS,
    VARIANTS,
    all_cases,
    cases_of,
    fresh,
    load_scene,
)
from trueflow.kernels import get_device
from trueflow.models.weights import NetworkError
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


def test_fresh_cases_are_the_faster_ones_with_seeds_of_their_own():
    cases = all_cases()
    drawn = fresh(cases)
    assert {case.peak for case in drawn} == set(FRESH_PEAKS) < set(PEAKS)
    for seeds in FRESH_SEEDS:
        assert [c.scene for c in drawn if c.seeds == seeds] == [c.name for c in cases if c.peak in FRESH_PEAKS]
    assert len({case.url for case in (*cases, *drawn)}) == len(cases) + len(drawn)
    assert len({case.name for case in (*cases, *drawn)}) == len(cases) + len(drawn)


def test_a_fresh_case_shows_the_same_flow_in_other_speckle(results, tmp_path):
    device = get_device("cpu", n_threads=2)
    (case,) = (c for c in cases_of(("straight",)) if (c.peak, c.n_pulses) == (FRESH_PEAKS[0], VARIANTS[1][0]))
    fitted, drawn = (load_scene(c, tmp_path, device) for c in (case, fresh([case])[0]))
    np.testing.assert_array_equal(drawn.truth.velocity_m_s, fitted.truth.velocity_m_s)
    assert not np.array_equal(drawn.doppler.r1, fitted.doppler.r1)


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


def test_the_page_shows_both_sets_of_seeds_and_goals_hold_for_each(results):
    document = as_document(Findings(scenes=results, fresh=results), MADE)
    assert json.loads(as_json(document)) == document
    what = [goal.what for goal in goals(document)]
    for seeds in (FITTED, FRESH):
        assert f"wrong folds, 1 to 1.75 v_N, {seeds}" in what
        assert f"right folds where the confidence is 0.9 or more, {seeds}" in what
    page = as_page(document)
    assert page.count("\n| none | ") == 2
    n_flow = by_family(within(results, ENGINE))["straight"].n_flow
    assert page.count(f"| {n_flow:,} (") == 4  # in its band and over all
    only = as_document(Findings(fresh=results), MADE)
    assert all(FRESH in goal.what for goal in goals(only))
    assert FRESH in as_page(only)


def test_a_family_of_which_little_is_shown_is_not_counted_but_what_is_shown_is(results):
    """For nobody: the pixels of a band are the same for all contenders."""
    few = [
        replace(r, case=replace(r.case, family="plug"), tally=replace(r.tally, n_flow=LEAST_FLOW // 4)) for r in results
    ]
    assert set(counted(by_family(within([*results, *few], "none")))) == {"straight"}
    alone, both = (as_document(Findings(scenes=found), MADE) for found in (results, [*results, *few]))
    for one, other in zip(alone["summary"], both["summary"], strict=True):
        assert one["wrong_fold_rate"] == other["wrong_fold_rate"]
        assert one["n_families"] == other["n_families"] == 1
        assert one["coverage"] > other["coverage"]
    wrong, shown = [line.split(" | ") for line in as_page(both).splitlines() if line.startswith("| plug | ")]
    assert wrong[2].startswith("(")
    assert shown[2] == f"{2 * (LEAST_FLOW // 4)} ({100 * both['by_family'][-1]['coverage']:.0f} %)"


def test_without_its_runtime_the_network_is_left_out_with_the_reason(monkeypatch, tmp_path):
    def missing(*args, **kwargs):
        raise NetworkError("inference engine 'openvino' needs OpenVINO: pip install openvino")

    monkeypatch.setattr("trueflow.models.segmenter.make_engine", missing)
    case = cases_of(("straight",))[2]
    found, (skipped,) = run_evidence([case], folder=tmp_path, device=get_device("cpu", n_threads=2))
    assert [r.contender for r in found] == list(EVIDENCE)
    assert "needs OpenVINO" in skipped.reason


def test_the_network_is_evidence_alone_and_beside_the_rest(tmp_path):
    pytest.importorskip("openvino", reason="OpenVINO is not installed: pip install openvino")
    (case,) = (c for c in cases_of(("cropped",)) if (c.peak, c.n_pulses) == (1.7, 16))
    found, skipped = run_evidence([case], folder=tmp_path, device=get_device("cpu", n_threads=2))
    assert not skipped
    wrong = {r.contender: r.tally.wrong_fold_rate for r in found}
    assert set(wrong) == {*EVIDENCE, *NETWORK_EVIDENCE}
    assert wrong["continuity alone"] > 0.9  # no border in sight
    assert max(wrong[name] for name in NETWORK_EVIDENCE) < 0.05
    page = as_page(as_document(Findings(evidence=found), MADE))
    assert all(f"| {name} | " in page for name in wrong)


def test_a_family_counts_its_pixels_alike_and_families_count_alike(results):
    families = by_family(within(results, "none"))
    straight = families["straight"]
    assert straight.n_flow == sum(r.tally.n_flow for r in within(results, "none"))
    engine = by_family(within(results, ENGINE))["straight"]
    mean = mean_over_families({"a": straight, "b": straight + straight, "c": engine}, "wrong_fold_rate")
    assert mean == pytest.approx((2 * straight.wrong_fold_rate + engine.wrong_fold_rate) / 3)
    assert math.isnan(mean_over_families({}, "wrong_fold_rate"))


def test_a_kept_case_is_the_case_that_was_made(tmp_path):
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
