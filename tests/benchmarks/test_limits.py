"""The limits: work is counted as the kernels do it, and the page says what follows from its figures."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from trueflow.benchmarks.command import bench
from trueflow.benchmarks.limits import NETWORK, REST, Machine, Row, measure_machine
from trueflow.benchmarks.limits_page import as_document, as_page, remaining
from trueflow.benchmarks.limits_work import FLOPS, filled_shares, launch_bytes
from trueflow.kernels import get_device
from trueflow.kernels.regions import RegionUnwrapper
from trueflow.kernels.source import KERNEL_FOLDER, load_source

PROVENANCE = {
    "processor": "Toy (fma)", "cores": "2", "date": "2026-01-01", "commit": "abc", "load_average": [0.1, 0.2, 0.3],
    "library_level": "x86-64-v3",
}  # fmt: skip
MACHINE = Machine(2, 1e11, ((1e3, 1e-6), (1e6, 1e-4), (1e8, 1e-2)))


def document(*rows: Row) -> dict[str, Any]:
    found = {"machine": MACHINE, "rows": rows, "whole_s": 9e-3, "numbers": {"pixels": 1.0}}
    return as_document(found, Machine(1, 5e10, MACHINE.copies), case="femoral", provenance=PROVENANCE)


def test_a_copy_takes_what_was_measured_and_beyond_the_largest_its_rate():
    assert MACHINE.copy_s(1e6) == pytest.approx(1e-4)
    assert 1e-6 < MACHINE.copy_s(5e5) < 1e-4
    assert MACHINE.copy_s(3e8) == pytest.approx(3e-2)
    assert MACHINE.bytes_per_s == pytest.approx(1e10)


def test_a_machine_can_do_something():
    found = measure_machine(1, seconds=0.05)
    assert found.flops_per_s > 1e8
    assert found.bytes_per_s > 1e8
    sizes = [n_bytes for n_bytes, _ in found.copies]
    assert sizes == sorted(sizes)


def test_an_array_of_a_launch_counts_once_and_a_table_as_far_as_it_is_filled():
    one, table = np.zeros(1000, np.float32), np.zeros(250, np.float32)
    assert launch_bytes([one, one], {}) == 4000
    assert launch_bytes([one, table], {table.ctypes.data: 0.1}) == 4100


def test_the_engines_tables_are_filled_by_its_regions():
    shape = (64, 48)
    unwrap = RegionUnwrapper(get_device("cpu", n_threads=1), shape=shape)
    turns = np.linspace(0, 2.4, shape[1], dtype=np.float32)[None] + np.zeros((shape[0], 1), np.float32)
    turns -= np.rint(turns)
    unwrap(turns, np.ones(shape, np.float32), np.ones(shape, np.bool_))
    shares = filled_shares(unwrap)
    assert 0 < shares[unwrap._sums.ctypes.data] < 0.5
    assert unwrap._region.ctypes.data not in shares, "a map of pixels is moved whole"


def test_counted_kernels_are_kernels():
    known = {f"{path.stem}.{name}" for path in KERNEL_FOLDER.glob("*.cu") for name in load_source(path.stem).kernels}
    assert set(FLOPS) <= known


def test_what_remains_is_told_most_first_and_what_binds():
    made = document(
        Row("das.das", 1, 4e-3, 1e6, 2e8, 1e-4, 2e-3),
        Row("maps.unfold", 1, 1e-3, 1e6, 1e3, 4e-4, 1e-8),
        Row("maps.blend", 2, 2e-5, 1e3, 1e3, 1e-6, 1e-8),
        Row(REST, 0, 1.5e-3, 0, 0, 0, 0),
        Row(NETWORK, 1, 2e-3, 0, 0, 0, 1.9e-3),
    )
    json.dumps(made, allow_nan=False)
    assert [row["kernel"] for row, _ in remaining(made)] == ["das.das", REST, "maps.unfold", NETWORK, "maps.blend"]
    page = as_page(made)
    assert "| `das.das` | 1 | 4.00 | 1.0 | 200.0 | 0.10 | 2.00 | arithmetic | 50 % | 2.00 |" in page
    assert "| `maps.unfold` | 1 | 1.00 | 1.0 | 0.0 | 0.40 | 0.00 | memory | 40 % | 0.60 |" in page
    assert "| 1 others |" in page
    assert "Most of that is in `das.das` 2.0 ms, between kernels (Python) 1.5 ms, `maps.unfold` 0.6 ms." in page
    assert "needs 4.3 ms at least: 48 % of the measured frame" in page
    assert "not a minimum for the job" in page


def test_a_kernel_faster_than_a_copy_leaves_nothing():
    ((_, left_s),) = remaining(document(Row("maps.unfold", 1, 1e-4, 1e6, 0, 2e-4, 0)))
    assert left_s == 0


def test_the_command_writes_its_figures(tmp_path):
    pytest.importorskip("openvino")
    path = tmp_path / "limits.json"
    done = CliRunner().invoke(bench, ["limits", "--seconds", "0.4", "--threads", "1", "--json", str(path)])
    assert done.exit_code == 0, done.output
    made = json.loads(path.read_text())
    kernels = {row["kernel"]: row for row in made["rows"]}
    assert {"das.das", "clutter.slow_time_matrix", "region_votes.region_votes", NETWORK, REST} <= set(kernels)
    assert all(row["seconds"] > 0 for row in made["rows"])
    pixels, pulses = made["numbers"]["pixels"], made["numbers"]["pulses"]
    assert kernels["autocorrelate.envelope"]["bytes"] == pixels * (8 * pulses + 4)
    assert kernels["das.das"]["flops"] > 1e8
    assert as_page(made) in done.output
