"""From RF to a color image: the image is one, packets keep their pace, goals are met or missed as found."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import pytest

from trueflow.benchmarks import whole
from trueflow.benchmarks.timing import Timing
from trueflow.benchmarks.whole import WholeResult, run_whole
from trueflow.benchmarks.whole_page import as_document, as_page

PROVENANCE = {
    "processor": "Toy (fma)", "cores": "2", "date": "2026-01-01", "commit": "abc", "load_average": [0.1, 0.2, 0.3],
    "library_level": "x86-64-v3",
}  # fmt: skip
TIMING = Timing(600, 0.010, 0.02, 0.03, 0.04, 0.05)


def result(**changes: Any) -> WholeResult:
    made = WholeResult("femoral", "on", "back to back", (256, 267), 20.0, 45.0, TIMING, TIMING, 0, 1.5)
    return dataclasses.replace(made, **changes)


def verdicts(*results: WholeResult) -> list[bool]:
    return [goal["met"] for goal in as_document(results, provenance=PROVENANCE)["goals"]]


def test_images_are_made_of_femoral() -> None:
    found = run_whole("off", "back to back", seconds=0.3)
    assert found.image[0] == 256
    assert found.latency.n_runs >= 1
    assert found.picture.p50_s < found.latency.p50_s
    assert found.frames_per_s == pytest.approx(found.latency.n_runs / found.seconds)


def test_an_image_has_color_where_there_is_flow() -> None:
    image = whole._Chain("off")()
    spread = image.max(axis=2).astype(int) - image.min(axis=2)
    assert image.dtype.name == "uint8"
    assert 0.02 < (spread > 40).mean() < 0.9


def test_latency_counts_from_when_a_packet_was_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole, "RATE_HZ", 50.0)

    class Slow:
        n = 0

        def __call__(self) -> None:
            self.n += 1
            time.sleep(0.05 if self.n == 1 else 0.001)

    latencies, n_dropped = whole._paced(Slow(), 0.4)  # type: ignore[arg-type]
    assert len(latencies) + n_dropped == 20
    assert n_dropped >= 1, "a packet whose successor was due is dropped"
    assert latencies[0] >= 0.05


def test_goals_are_met_or_missed_as_found() -> None:
    assert verdicts(result(frames_per_s=61.0)) == [True, True, True]
    assert verdicts(result()) == [True, True, False]
    assert verdicts(result(frames_per_s=29.0)) == [False, True, False]
    assert verdicts(result(latency=dataclasses.replace(TIMING, p99_s=0.051))) == [True, False, False]
    assert verdicts(result(pace="30 /s", frames_per_s=29.98)) == [True, True]


def test_a_short_run_meets_no_goal() -> None:
    assert not any(verdicts(result(seconds=5.0, frames_per_s=100.0)))


def test_the_page_says_what_was_found() -> None:
    page = as_page(as_document([result(), result(network="off", n_dropped=3)], provenance=PROVENANCE))
    assert "| engine and network | back to back | 45.0 | 20.0 | 30.0 | 40.0 | 50.0 | 20.0 | 0 | 1.50 |" in page
    assert "| engine alone | back to back |" in page
    assert "**missed**" in page
