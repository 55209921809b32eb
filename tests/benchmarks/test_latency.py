"""The latency benchmark: what it measures is there, and what it says of goals follows from it."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from trueflow.benchmarks import latency as benchmark
from trueflow.benchmarks.latency import LatencyResult, measure, run_ladder
from trueflow.benchmarks.latency_overlap import OverlapResult
from trueflow.benchmarks.latency_page import as_document, as_page, soak_goals
from trueflow.benchmarks.timing import Timing
from trueflow.pipeline.cli import live
from trueflow.pipeline.cli.live import Memory

PROVENANCE = {"processor": "Toy", "cores": "2", "date": "today", "commit": "abc", "load_average": [0.1, 0.2, 0.3]}
TIMING = Timing(300, 0.010, 0.0123, 0.02, 0.03, 0.0404)


def result(rate_hz: float = 30.0, **changes: Any) -> LatencyResult:
    made = LatencyResult(
        "femoral", "overlapped", rate_hz, 10.0, rate_hz, TIMING, TIMING, 1e-3, 2e-3,
        n_lost=0, n_dropped=0, n_missed=0, mean_depth=0.5, deepest=2,
        resident_bytes=200 << 20, growth_bytes=0, cpus=1.0, frontend_cpus=0.1,
    )  # fmt: skip
    return dataclasses.replace(made, **changes)


def soak(**changes: Any) -> dict[str, Any]:
    settled = {"seconds": 295, "n_frames": 8850, "frames_per_s": 30.0, "n_missing": 0}
    latency = {"n": 8850, "p50_s": 0.012, "p95_s": 0.02, "p99_s": 0.03, "max_s": 0.05}
    report = {"settled": {**settled, "latency": latency}, "memory": {"growth": 0.002}}
    report["settled"].update(changes)
    return {"source": "sim://femoral", "rate_hz": 30.0, "seconds": 300.0, "report": report}


def test_a_front_end_process_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("zmq")
    monkeypatch.setattr(benchmark, "WARMUP_S", 0.5)
    found = measure("femoral", 15.0, seconds=1.0)
    assert found.case == "femoral"
    assert 0 < found.latency.min_s <= found.latency.p50_s <= found.latency.max_s < 10
    assert found.from_sent.p50_s > found.latency.p50_s, "it was sent before it came"
    assert found.latency.n_runs + found.n_dropped + found.n_lost >= 5
    assert found.frames_per_s > 0
    assert found.resident_bytes > 1 << 20
    assert found.cpus > 0


def test_the_ladder_ends_at_the_first_rate_that_is_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(name: str, rate_hz: float, *, seconds: float) -> LatencyResult:
        return result(rate_hz, n_dropped=10 if rate_hz >= 50 else 1)

    monkeypatch.setattr(benchmark, "measure", measured)
    assert [row.rate_hz for row in run_ladder("femoral", seconds=1.0)] == [10, 20, 30, 40, 50]


def test_a_share_is_of_what_was_sent() -> None:
    assert result(n_dropped=60, n_lost=40).share_missing == pytest.approx(100 / 400)


def test_goals_are_met_or_missed_as_found() -> None:
    assert all(goal["met"] for goal in soak_goals(soak()))
    harm = {"frames_per_s": 29.0}, {"n_missing": 1}
    for changes in harm:
        assert sum(not goal["met"] for goal in soak_goals(soak(**changes))) == 1
    slow = soak()
    slow["report"]["settled"]["latency"]["p99_s"] = 0.07
    slow["report"]["memory"]["growth"] = 0.011
    assert [goal["met"] for goal in soak_goals(slow)] == [True, False, True, False]


def test_a_soak_of_less_than_a_minute_shows_nothing_of_memory() -> None:
    brief = soak()
    brief["report"]["memory"]["growth"] = None
    assert [goal["met"] for goal in soak_goals(brief)] == [True, True, True, False]
    assert "not measured" in as_page(as_document(provenance=PROVENANCE, soak=brief))


def test_memory_counts_from_the_end_of_the_first_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    residing, memory = iter([100, 400, 300, 303]), Memory()
    monkeypatch.setattr(live, "resident_bytes", lambda: next(residing))
    for _ in range(3):
        memory.look()
        assert memory.growth is None
    memory.began_s -= live.SETTLES_S
    memory.look()
    assert memory.growth == pytest.approx(0.01)
    assert (memory.first_bytes, memory.settled_bytes, memory.most_bytes, memory.last_bytes) == (100, 300, 303, 303)


def test_the_page_shows_what_was_measured_and_nothing_else() -> None:
    document = as_document(
        provenance=PROVENANCE,
        ladder=[result(), result(60.0, case="edge192", n_dropped=7)],
        receiving=[result(0.0, mode="in turn")],
        chains=[OverlapResult("femoral", 2, 1, 55.5, TIMING)],
        soak=soak(),
    )
    json.dumps(document, allow_nan=False)
    page = as_page(document)
    assert "| 30 | 30.0 | 12.3 | 20.0 | 30.0 | 40.4 |" in page
    assert "## `edge192`" in page
    assert "| femoral | in turn | all |" in page
    assert "| femoral | 2 | 1 | 55.5 |" in page
    assert page.count("met |") == 4
    alone = as_page(as_document(provenance=PROVENANCE, ladder=[result()]))
    assert "met" not in alone
    assert "in turn" not in alone
