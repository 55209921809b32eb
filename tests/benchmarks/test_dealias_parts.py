"""Sequences, disk, times, goals and pictures of the dealiasing benchmark."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from trueflow.benchmarks.command import bench
from trueflow.benchmarks.dealias import ENGINE, dealiaser
from trueflow.benchmarks.dealias_command import STAGGER
from trueflow.benchmarks.dealias_disk import KEPT, disk_scene, run_disk
from trueflow.benchmarks.dealias_goals import FITTED, FRESH, NO_DISK, best_peer, goals
from trueflow.benchmarks.dealias_markdown import BEGIN, END, with_table
from trueflow.benchmarks.dealias_page import as_page
from trueflow.benchmarks.dealias_peers import Peer
from trueflow.benchmarks.dealias_pictures import draw_reliability
from trueflow.benchmarks.dealias_report import Findings, as_document
from trueflow.benchmarks.dealias_sequences import RATES_HZ, SETTINGS, FlowSequence, all_sequences, run_sequences
from trueflow.benchmarks.dealias_stagger import FAMILIES as STAGGER_FAMILIES
from trueflow.benchmarks.dealias_stagger import PEAKS as STAGGER_PEAKS
from trueflow.benchmarks.dealias_stagger import SETTINGS as STAGGER_SETTINGS
from trueflow.benchmarks.dealias_stagger import run_stagger
from trueflow.benchmarks.dealias_timing import ENGINE_ROW, SIZES, STAGE_ROW, run_timing
from trueflow.kernels import get_device
from trueflow.pipeline.config import DealiasConfig

MADE = {"date": "2026-01-01", "commit": "abc", "processor": "x", "cores": "2", "load_average": [0.0, 0.0, 0.0]}


def rows(contender: str, wrong: float, families=("straight", "plug")) -> dict[str, list[dict]]:
    """Summary and families of a contender that has the same rate everywhere."""
    bands = ([0.0, 1.0], [1.0, 1.75], [1.75, 3.1], [3.1, 5.2], [0.0, 5.2])
    rates = {"wrong_fold_rate": wrong, "coverage": 1.0}
    of = {"contender": contender, "n_families": len(families), **rates}
    return {
        "summary": [{**of, "band_v_n": band} for band in bands],
        "by_family": [
            {**of, "n_flow": 9999, "band_v_n": b, "family": f} for b, f in itertools.product(bands, families)
        ],
    }


def document(**wrong: float) -> dict:
    parts = [rows(name.replace("_", "-"), rate) for name, rate in wrong.items()]
    told = {"sure": 0.8, "sure_and_right": 0.995, "n_flow": 10, "bins": []}
    return {
        "contenders": [name.replace("_", "-") for name in wrong], "confidence": told, "families": ["straight", "plug"],
        "peer_versions": {},
        **{key: [row for part in parts for row in part[key]] for key in ("summary", "by_family")},
    }  # fmt: skip


def met(found: dict) -> dict[str, bool]:
    return {goal.what: goal.met for goal in goals(found)}


def test_goals_are_met_by_an_engine_without_wrong_folds_only():
    assert set(met(document(regions=0.0, kamui=0.1)).values()) == {True}
    assert set(met(document(regions=0.2, kamui=0.1)).values()) - {True}


def test_each_band_has_its_limit():
    found = met(document(regions=0.012, kamui=0.1))
    assert [found[w] for w in found if w.startswith("wrong folds, ")] == [False, False, True, True]


def test_no_wrong_fold_is_not_a_few_of_them():
    (found,) = [goal for goal in goals(document(regions=1e-6)) if "unaliased" in goal.what]
    assert (found.limit, found.met) == ("no pixel", False)
    assert found.found.startswith("0.0001 % ")


def test_fresh_seeds_have_goals_of_their_own():
    both = document(regions=0.0, kamui=0.1) | {"fresh": document(regions=0.2, kamui=0.1)}
    found = met(both)
    assert {found[w] for w in found if FITTED in w} == {True}
    assert {found[w] for w in found if FRESH in w and "confidence" not in w} == {False}
    assert len(found) == 2 * len(met(document(regions=0.0, kamui=0.1)))


def test_a_mask_that_shows_nothing_of_a_family_is_not_a_success_unsaid():
    found = document(regions=0.0)
    found["summary"][3] |= {"n_families": 1, "coverage": 0.25}
    told = {goal.what: goal.found for goal in goals(found)}
    assert told[f"wrong folds, 3.1 to 5.2 v_N, {FITTED}"] == "0.00 % (25 % of the flow shown, 1 of 2 families)"
    assert told[f"wrong folds, 1.75 to 3.1 v_N, {FITTED}"] == "0.00 % (100 % of the flow shown)"


def test_half_of_the_best_peer_s_wrong_folds_are_allowed_over_all():
    best = document(regions=0.02, kamui=0.1, region_dealias=0.03)
    assert best_peer(best) == "region-dealias"
    over_all = [goal for goal in goals(best) if "best peer" in goal.what]
    assert [goal.met for goal in over_all] == [False]
    assert over_all[0].limit == "at most 1.50 %"


def test_a_family_where_a_peer_is_better_is_named():
    found = document(regions=0.001, kamui=0.1)
    for row in found["by_family"]:
        if (row["contender"], row["family"]) == ("kamui", "plug"):
            row["wrong_fold_rate"] = 0.0
    (worse,) = [goal for goal in goals(found) if "families" in goal.what]
    assert not worse.met
    assert "plug" in worse.found
    assert "straight" not in worse.found


def test_without_peers_there_is_nothing_to_be_better_than():
    assert best_peer(document(regions=0.0)) is None
    assert not [what for what in met(document(regions=0.0)) if "peer" in what]


def test_sequences_differ_in_scene_speed_and_frame_rate():
    sequences = all_sequences()
    assert {s.rate_hz for s in sequences} == set(RATES_HZ)
    assert len({s.url for s in sequences}) == len(sequences)


def test_the_previous_frame_replaces_what_is_switched_off(tmp_path):
    """Without a second phase a quarter of this flow is wrong; it was unaliased a moment ago."""
    device = get_device("cpu", n_threads=2)
    sequence = FlowSequence("femoral", 3.0, 100)
    wrong = {r.setting: r.tally.wrong_fold_rate for r in run_sequences([sequence], folder=tmp_path, device=device)}
    assert set(wrong) == set(SETTINGS)
    assert wrong["continuity alone"] > 0.1
    assert wrong["continuity and previous frame"] < 0.02
    assert wrong["previous frame alone"] < wrong["continuity alone"] / 2
    (kept,) = tmp_path.iterdir()
    made = kept.stat().st_mtime_ns
    run_sequences([sequence], folder=tmp_path, device=device)
    assert kept.stat().st_mtime_ns == made


def test_a_second_interval_settles_what_nothing_else_does():
    found = run_stagger(families=["cropped"], peaks=[1.7], seeds=[1])
    wrong = {r.setting: r.tally.wrong_fold_rate for r in found}
    assert set(wrong) == set(STAGGER_SETTINGS)
    assert wrong.pop("no second phase") > 0.9
    assert max(wrong.values()) < 0.01
    gate = {r.setting: r.coherence_gate for r in found}
    assert gate["3:4"] > gate["sub-bands"]  # noise in half the pairs
    page = as_page(as_document(Findings(stagger=found), MADE))
    assert "| cropped, 1.7 v_N | 100.00 % of 1.00 | 0.00 % of 1.00 |" in page


def test_the_page_on_stagger_has_a_table_that_the_command_can_replace():
    page = STAGGER.read_text()
    for scene in (f"| {family}, {peak:g} v_N | " for family in STAGGER_FAMILIES for peak in STAGGER_PEAKS):
        assert scene in page.partition(BEGIN)[2].partition(END)[0]
    once = with_table(page, ["| new |"])
    assert once.partition(BEGIN)[0] == page.partition(BEGIN)[0]
    assert once.partition(END)[2] == page.partition(END)[2]
    assert once.count("| new |") == 1
    assert with_table(once, ["| new |"]) == once
    with pytest.raises(ValueError, match="expected one table between"):
        with_table("no place", ["| new |"])


@pytest.mark.recordings
def test_of_the_disk_the_rim_is_aliased_and_its_folds_are_known(recordings):
    device = get_device("cpu", n_threads=2)
    scene = disk_scene(4, device)
    speed = np.abs(scene.truth.velocity_m_s[scene.truth.mask]) / scene.doppler.nyquist_velocity_m_s
    assert 3 < scene.peak == pytest.approx(speed.max())
    found = run_disk([dealiaser(name, DealiasConfig(name=name)) for name in ("none", ENGINE)], device=device)
    assert [r.k for r in found if r.contender == ENGINE] == list(KEPT)
    aliased = {k: [r.tally.wrong_fold_rate for r in found if r.k == k] for k in (2, 4)}
    assert 0.1 < aliased[2][0] < aliased[4][0] < 0.9
    assert aliased[2][1] < 0.01
    assert "| k = 2 |" in as_page(as_document(Findings(disk=found), MADE))


@pytest.mark.recordings
def test_the_command_measures_a_part_on_its_own(recordings, tmp_path):
    options = ["--part", "disk", "--dealiaser", "none", "--dealiaser", ENGINE, "--json", str(tmp_path / "disk.json")]
    done = CliRunner().invoke(bench, ["dealias", *options], catch_exceptions=False)
    assert done.exit_code == 0
    assert "real disk, one pulse in 6 kept" in done.output
    kept = json.loads((tmp_path / "disk.json").read_text())
    assert {row["contender"] for row in kept["disk"]} == {"none", ENGINE}
    assert "summary" not in kept
    assert "timing" not in kept


def test_without_the_recording_the_disk_is_left_out_and_the_page_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr("trueflow.benchmarks.dealias_disk.RECORDING", tmp_path / "none.mat")
    done = CliRunner().invoke(bench, ["dealias", "--part", "disk", "--dealiaser", "none"], catch_exceptions=False)
    assert done.exit_code == 0
    assert "disk was left out: the recording PWI_disk.mat is not on this machine" in done.output


def test_everything_is_timed_as_often_but_what_is_slow():
    prepared, called = [], []

    def prepare(turns, coherence, mask):
        prepared.append(turns.shape)
        return (turns,)

    peer = Peer(prepare, called.append, lambda returned, turns, mask: 0 * turns)
    size = (96, 128)
    found = run_timing(
        {"scikit-image": peer, "kamui": peer}, device=get_device("cpu", n_threads=2), rounds=8, sizes=[size],
        scenes=["femoral"],
    )  # fmt: skip
    # A peer's function is called on arrays that were made ready before.
    assert prepared == [size[::-1]] * 2
    assert len(called) > 8
    runs = {row.name: row.timing.n_runs for row in found}
    assert runs.pop("kamui") < 8
    assert set(runs.values()) == {8}
    assert ENGINE_ROW in runs
    assert all(row.size == size and row.timing.p50_s > 0 for row in found)
    page = as_page(as_document(Findings(timing=found), MADE))
    assert "| 96 x 128, median |" in page


def test_the_goal_of_the_kernels_names_the_whole_stage_s_time_beside_theirs():
    size = {"n_x": 192, "n_z": 256}
    timed = [{**size, "name": ENGINE_ROW, "p50_s": 2e-3}, {**size, "name": STAGE_ROW, "p50_s": 4e-3}]
    (found,) = goals({"timing": timed})
    assert "the kernels on ready maps" in found.what
    assert (found.found, found.met) == (f"2.0 ms ({STAGE_ROW}: 4.0 ms)", True)


def test_the_sizes_that_have_a_limit_are_those_that_are_timed():
    from trueflow.benchmarks.dealias_goals import MEDIAN_LIMITS_S

    assert set(MEDIAN_LIMITS_S) == set(SIZES)


def test_the_reliability_diagram_shows_a_bar_where_there_are_pixels(tmp_path):
    bins = [
        {"from": 0.0, "to": 0.5, "n_pixels": 0, "right": None},
        {"from": 0.5, "to": 1.0, "n_pixels": 9, "right": 1.0},
    ]
    draw_reliability({"bins": bins, "n_flow": 9}, tmp_path / "reliability.png")
    image = np.asarray(Image.open(tmp_path / "reliability.png"))
    blue = (image == (0x5B, 0x9B, 0xD5)).all(axis=-1).any(axis=0)
    assert blue.any()
    assert not blue[: blue.size // 2].any()


def test_disk_goals_without_the_recording_say_so_and_do_not_vanish():
    left_out = {"timing": [], "skipped": [{"name": "disk", "reason": "the recording is not on this machine"}]}
    found = goals(left_out)
    assert [goal.limit for goal in found] == ["no pixel"] * 3 + ["at most 0.3 %"] * 2
    assert {(goal.found, goal.met) for goal in found} == {(NO_DISK, None)}
    assert not goals({"timing": []}), "nobody asked for the disk"
