"""One round of every benchmark, and what it writes."""

from __future__ import annotations

import json
import sys

import pytest
from click.testing import CliRunner

from trueflow.benchmarks import cases, das_peers
from trueflow.benchmarks.chain import ROWS
from trueflow.benchmarks.command import bench
from trueflow.benchmarks.report import SCHEMA

TIMES = ("min_s", "p50_s", "p95_s", "p99_s", "max_s")


def run(tmp_path, *arguments: str) -> tuple[str, dict]:
    path = tmp_path / "figures.json"
    done = CliRunner().invoke(bench, [*arguments, "--rounds", "1", "--json", str(path)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output, json.loads(path.read_text())


def check(document: dict, benchmark: str) -> None:
    assert set(document) == {"schema", "benchmark", "provenance", "budget", "cases", "results", "skipped"}
    assert (document["schema"], document["benchmark"]) == (SCHEMA, benchmark)
    provenance = document["provenance"]
    for key in ("date", "trueflow", "commit", "processor", "cores", "library_level", "python", "packages"):
        assert key in provenance
    assert len(provenance["load_average"]) == len(provenance["load_average_after"]) == 3
    assert document["results"]
    for row in document["results"]:
        times = [row["timing"][key] for key in TIMES]
        assert times[0] > 0
        assert times == sorted(times)
        assert row["timing"]["n_runs"] == 1


def test_chain_times_every_stage_for_every_thread_count(tmp_path):
    output, document = run(
        tmp_path, "chain", "--case", "femoral", "--threads", "1", "--threads", "2", "--set", "grid.n_x=32"
    )
    check(document, "chain")
    rows = [row for row in ROWS if row != "upload"]  # nothing moves on a CPU
    assert [(r["n_threads"], r["row"]) for r in document["results"]] == [(n, row) for n in (1, 2) for row in rows]
    assert document["cases"]["femoral"]["config"]["grid"]["n_x"] == 32
    assert "rf to dealias input" in output
    for row in document["results"]:
        assert row["real_time_factor"] == pytest.approx(4e-3 / row["timing"]["p50_s"])
        assert row["frames_per_s"] == pytest.approx(1 / row["timing"]["p50_s"])


def test_the_sum_of_the_stages_is_the_time_to_the_dealias_input(tmp_path):
    _, document = run(tmp_path, "chain", "--case", "femoral", "--set", "grid.n_x=32")
    times = {r["row"]: r["timing"]["p50_s"] for r in document["results"]}
    parts = sum(times[row] for row in ("demodulate", "das", "bmode", "clutter", "doppler", "flow", "second_phase"))
    assert times["rf_to_dealias_input"] == pytest.approx(parts, rel=0.05, abs=5e-5)


def test_a_case_without_data_is_skipped_with_the_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(cases, "RECORDING", tmp_path / "nothing.mat")
    output, document = run(tmp_path, "chain", "--case", "disk", "--case", "femoral", "--set", "grid.n_x=16")
    assert "PWI_disk.mat is not on this machine" in output
    assert [s["name"] for s in document["skipped"]] == ["disk"]
    assert set(document["cases"]) == {"femoral"}


def test_das_compares_with_what_is_installed_and_names_the_rest(tmp_path, monkeypatch):
    for name in ("ustb", "ultraspy"):  # an import raises ModuleNotFoundError
        monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.setitem(sys.modules, "numba", None)
    output, document = run(tmp_path, "das", "--pixels", "24", "--threads", "1")
    check(document, "das")
    assert document["results"][0]["times_slower"] == 1
    who = {r["name"] for r in document["results"]} | {s["name"] for s in document["skipped"]}
    assert who == {"trueflow", *das_peers.PEERS}
    assert "ultraspy: not installed" in output
    for row in document["results"]:
        # Nearest samples are off by up to half a sample of 5 MHz IQ; everything else computes the same sum.
        assert row["phase_difference_p50_rad"] < (5e-3 if "nearest" in row["variant"] else 1e-4)


def test_doppler_compares_both_jobs(tmp_path, monkeypatch):
    for name in ("pymust", "ustb", "ultraspy", "zea.doppler"):
        monkeypatch.setitem(sys.modules, name, None)
    output, document = run(tmp_path, "doppler", "--pixels", "24", "--threads", "1")
    check(document, "doppler")
    assert [r["job"] for r in document["results"]] == ["velocity", "clutter"]
    assert {s["name"] for s in document["skipped"]} == {"PyMUST", "ustb", "ultraspy", "zea"}
    assert "PyMUST: not installed" in output


def test_a_peer_that_breaks_costs_its_row_only(tmp_path, monkeypatch):
    def broken(*_):
        raise AttributeError("no attribute 'ndims'")

    monkeypatch.setattr(das_peers, "PEERS", {"PyMUST": broken})
    output, document = run(tmp_path, "das", "--pixels", "24", "--threads", "1")
    assert document["skipped"] == [{"name": "PyMUST", "reason": "does not run: AttributeError: no attribute 'ndims'"}]
    assert "does not run" in output


def test_an_unknown_case_is_answered_with_the_nearest():
    from trueflow.pipeline import TrueflowError

    with pytest.raises(TrueflowError, match="femoral"):
        CliRunner().invoke(bench, ["chain", "--case", "femorl"], catch_exceptions=False)
