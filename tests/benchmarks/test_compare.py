"""The comparison: its page says what its document says, and one tiny run goes through everything."""

from __future__ import annotations

import copy
import json
import sys

import pytest
from click.testing import CliRunner

from trueflow.benchmarks import compare as module
from trueflow.benchmarks.command import bench
from trueflow.benchmarks.compare import Extent, as_json, run_compare, write_compare
from trueflow.benchmarks.compare_dealias import CASES
from trueflow.benchmarks.compare_page import as_page
from trueflow.benchmarks.compare_verdict import faster, summary
from trueflow.benchmarks.growth import Plan
from trueflow.benchmarks.growth_jobs import Point
from trueflow.benchmarks.timing import Budget
from trueflow.benchmarks.validation import FRESH_PEAKS, FRESH_SEEDS, ValidationCase

HEAVY = ("ustb", "ultraspy", "numba", "jax", "vbeam", "zea", "zea.doppler", "torch", "rapidphase")


def timing(p50_s: float) -> dict:
    times = {"min_s": 0.9, "p50_s": 1.0, "p95_s": 1.1, "p99_s": 1.2, "max_s": 2.0}
    return {"n_runs": 50, **{name: share * p50_s for name, share in times.items()}}


def row(name: str, n_threads: int, p50_s: float, **rest) -> dict:
    return {"name": name, "variant": "", "n_threads": n_threads, "timing": timing(p50_s), **rest}


def phase_section(rows: list[dict], **rest) -> dict:
    rows = [{**r, "error_p50_rad": 1e-3, "error_p95_rad": 2e-2} for r in rows]
    sizes = {"n_x": 64, "n_z": 64, "n_channels": 128, "n_ensemble": 16}
    return {"case": "femoral", **sizes, "rows": rows, "skipped": [], **rest}


def curve(job: str, name: str, n_threads: int, times_s: list[float], **rest) -> dict:
    sides = (64, 128)[: len(times_s)]
    points = [
        {"point": [side, 128, 16], "size": side**2, "timing": timing(time_s)}
        for side, time_s in zip(sides, times_s, strict=True)
    ]
    return {
        "job": job, "along": "pixels", "name": name, "n_threads": n_threads, "points": points, "exponent": 0.87,
        "last_exponent": 0.98, "left_out": [], **rest,
    }  # fmt: skip


def stored() -> dict:
    """A document in which PyMUST wins with single pulses, region-dealias with wrong folds, and the rest is ours."""
    wrong = {"femoral-3vN": 0.01, "chamber-3vN": 0.0}
    chain = {"n_shown": 900, "n_judged": 800, "wrong_folds": 0.015, "error_p50_v_n": 0.06}
    left_out = [{"point": [128, 128, 16], "reason": "making its matrix would take about 6.2 GB"}]
    made = {
        "date": "2026-01-01", "commit": "abc", "processor": "Toy", "cores": "2", "load_average": [0.0, 0.0, 0.0],
        "library_level": "v3", "packages": {"PyMUST": "0.1.9", "numpy": "2.4.6"},
    }  # fmt: skip
    return {
        "provenance": made,
        "threads": [1, 2],
        "seconds": 123.0,
        "peak_memory_bytes": 3 << 30,
        "das": phase_section(
            [
                row("trueflow", 1, 2e-3, variant="16 pulses at once"),
                row("trueflow", 2, 1e-3, variant="16 pulses at once"),
                row("trueflow", 1, 9e-3, variant="one pulse"),
                row("PyMUST", 1, 4e-3, variant="linear, 16 pulses at once"),
                row("PyMUST", 1, 6e-3, variant="linear, one pulse"),
            ],
            unit="pulse",
            skipped=[{"name": "vbeam", "reason": "not installed (No module named 'vbeam')"}],
        ),
        "doppler": {
            job: phase_section([row("trueflow", 1, 2e-3), row("trueflow", 2, 1e-3), row("PyMUST", 1, 8e-3)], unit="map")
            for job in ("velocity", "clutter")
        },
        "dealias": {
            "unit": "map",
            "cases": {name: {"peak_v_n": 2.9, "shape": [248, 125], "n_shown": 1000} for name in wrong},
            "rows": [
                row("trueflow", 1, 2e-3, wrong_folds=wrong),
                row("region-dealias", 1, 1e-3, wrong_folds={"femoral-3vN": 0.452, "chamber-3vN": 0.0}),
            ],
            "skipped": [],
        },
        "chain": {
            "case": "femoral",
            "summary": "a summary",
            "unit": "frame",
            "rows": [
                row("trueflow", 1, 20e-3, steps_p50_s={"beamform": 12e-3, "dealias": 1e-3}, **chain),
                row("NumPy", 1, 70e-3, steps_p50_s={"das": 50e-3, "dealias": 6e-3}, **chain),
            ],
            "agreement": {
                "mask_iou": 0.992, "difference_p50_v_n": 5e-4, "other_folds": 0.13, "other_folds_in_vessel": 0.003
            },
            "skipped": [],
        },
        "growth": {
            "base": [128, 128, 16],
            "points": [[64, 128, 16], [128, 128, 16]],
            "curves": [
                curve("das", "trueflow", 1, [2e-3, 8e-3]),
                curve("das", "PyMUST", 1, [1e-3], left_out=left_out, exponent=None, last_exponent=None),
            ],
        },
    }  # fmt: skip


def test_the_page_follows_from_the_document_alone():
    document = stored()
    before = copy.deepcopy(document)
    page = as_page(document)
    assert page == as_page(json.loads(json.dumps(document)))
    assert document == before
    for cell in ("2026-01-01", "commit abc", "PyMUST 0.1.9", "99.2 %", "13.0 %", "45.20 %", "0.87"):
        assert cell in page
    assert page.count("\n## ") == 8
    assert page.endswith("\n")
    assert "\n\n\n" not in page
    for line in page.splitlines():
        assert not line.startswith("|") or line.endswith("|")


def test_the_page_has_its_picture_where_it_is_told_to_be():
    assert "(../../docs/pictures/growth.png)" in as_page(stored())
    assert "(elsewhere.png)" in as_page(stored(), picture="elsewhere.png")


def test_a_table_has_as_many_cells_in_each_line():
    widths: list[int] = []
    for line in as_page(stored()).splitlines():
        if line.startswith("|"):
            widths.append(line.count("|"))
        else:
            assert len(set(widths)) <= 1
            widths = []


def test_who_is_faster_is_said_in_words_with_what_it_costs():
    found = faster(stored())
    assert found == [
        "delay-and-sum, a single pulse: PyMUST (linear, one pulse) takes 6 ms, Trueflow 9 ms, on 1 thread.",
        "dealiasing: region-dealias takes 1 ms, Trueflow 2 ms, on 1 thread; wrong folds 45.2 % against 1.0 % at worst.",
        "as sizes grow, delay-and-sum: PyMUST is 2.00 times as fast on 1 thread, at 64, 128, 16 (pixels across, "
        "channels, pulses).",
    ]
    page = as_page(stored())
    assert all(f"* {sentence}" in page for sentence in found)


def test_if_nobody_is_faster_the_page_says_so():
    document = stored()
    document["das"]["rows"].pop()
    document["dealias"]["rows"].pop()
    document["growth"]["curves"].pop()
    assert faster(document) == []
    assert "Nobody was faster than Trueflow" in as_page(document)


def test_the_summary_compares_on_as_many_threads():
    lines = {line.job: line for line in summary(stored())}
    das = lines["delay-and-sum, a pulse of 16 at once"]
    assert das.ours_s == {1: 2e-3, 2: 1e-3}
    assert das.peer is not None
    assert das.peer["variant"] == "linear, 16 pulses at once"
    assert das.times == pytest.approx(2)
    single = lines["delay-and-sum, a single pulse"]
    assert single.peer is not None
    assert (single.peer["variant"], single.times) == ("linear, one pulse", pytest.approx(6 / 9))


def test_who_did_not_run_is_named_with_the_reason():
    page = as_page(stored())
    assert "* delay-and-sum, a pulse of 16 at once: vbeam: not installed (No module named 'vbeam')" in page
    assert "* delay-and-sum, PyMUST, at 128 x 128, 128, 16: making its matrix would take about 6.2 GB" in page
    assert "| delay-and-sum, ms an ensemble | PyMUST | 1 | 1 | left out |" in page


def test_a_job_without_peers_is_no_error():
    document = stored()
    for section in (document["das"], *document["doppler"].values(), document["dealias"], document["chain"]):
        section["rows"] = [r for r in section["rows"] if r["name"] == "trueflow"]
    document["chain"].pop("agreement")
    assert all(line.peer is None for line in summary(document))
    assert "**Trueflow**" in as_page(document)


def test_the_maps_are_of_the_frozen_set_and_nothing_was_fitted_to_them():
    assert {case.seeds for case in CASES} == {FRESH_SEEDS[0]}
    assert {case.peak for case in CASES} <= set(FRESH_PEAKS)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    case = ValidationCase("plug", 1.7, 8, 8.0)
    plan = Plan(Point(24, 8, 8), sides=(16, 24), channels=(8,), pulses=(8,), diagonal=(Point(24, 8, 8),))
    seen: list[tuple[int, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        for name in HEAVY:
            patch.setitem(sys.modules, name, None)
        document = run_compare(
            Budget(rounds=1),
            lambda done, total: seen.append((done, total)),
            extent=Extent(24, (case,), plan),
            folder=tmp_path_factory.mktemp("maps"),
        )
    return document, seen


def test_one_run_measures_everything_and_names_the_rest(tiny):
    document, seen = tiny
    assert {r["name"] for r in document["das"]["rows"]} == {"trueflow", "PyMUST"}
    assert {s["name"] for s in document["das"]["skipped"]} == {"ustb", "ultraspy", "vbeam"}
    assert {s["name"] for s in document["doppler"]["velocity"]["skipped"]} >= {"ultraspy", "zea"}
    assert {s["name"] for s in document["dealias"]["skipped"]} == {"rapidphase"}
    assert {r["name"] for r in document["dealias"]["rows"]} == {"trueflow", "scikit-image", "region-dealias", "kamui"}
    assert {r["n_threads"] for r in document["chain"]["rows"]} == set(document["threads"])
    for r in document["das"]["rows"]:  # with 24 pixels across most are beside the vessel
        assert r["error_p50_rad"] < 0.02
    assert document["chain"]["agreement"]["difference_p50_v_n"] < 2e-3
    assert seen == sorted(seen)
    assert seen[-1] == (1000, 1000)
    assert 0 < document["peak_memory_bytes"] < 64 << 30


def test_a_run_is_written_as_figures_page_and_picture(tiny, tmp_path, monkeypatch):
    document, _ = tiny
    monkeypatch.setattr(module, "RESULTS", tmp_path)
    monkeypatch.setattr(module, "PICTURE", tmp_path / "growth.png")
    write_compare(document)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["compare.json", "compare.md", "growth.png"]
    kept = json.loads((tmp_path / "compare.json").read_text())
    assert (tmp_path / "compare.md").read_text() == as_page(kept)


def test_what_cannot_be_written_is_said_before_anything_is_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "RESULTS", tmp_path / "nowhere")
    monkeypatch.setattr(module, "run_compare", lambda *_: pytest.fail("ran"))
    done = CliRunner().invoke(bench, ["compare", "--update"])
    assert "cannot be written" in str(done.exception)


def test_a_peer_on_other_threads_than_ours_is_not_set_beside_us():
    document = stored()
    document["chain"]["rows"][1]["n_threads"] = 4
    (line,) = [line for line in summary(document) if line.job.startswith("the whole chain")]
    assert (line.peer, line.times) == (None, None)
    assert "nan" not in as_page(document)


def test_the_command_prints_the_page_and_writes_the_figures(tiny, tmp_path, monkeypatch):
    document, _ = tiny
    asked: list[Budget] = []
    monkeypatch.setattr(module, "run_compare", lambda budget, advance: asked.append(budget) or document)
    path = tmp_path / "figures.json"
    done = CliRunner().invoke(bench, ["compare", "--seconds", "7", "--json", str(path)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert asked[0].seconds == 7
    assert as_page(document) in done.output
    assert path.read_text() == as_json(document)
