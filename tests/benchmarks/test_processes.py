"""Work on all cores gives what it gives on one, and the validation set is made once."""

from __future__ import annotations

import os

import numpy as np
import pytest

from trueflow.benchmarks.processes import spread
from trueflow.benchmarks.validation import all_cases, case_path, load_scene
from trueflow.benchmarks.validation_set import make_missing
from trueflow.kernels import get_device


def described(number: int) -> tuple[int, int]:
    """A number's square, and who has found it."""
    return number**2, os.getpid()


def refuse(number: int) -> int:
    raise ValueError(f"not {number}")


@pytest.mark.parametrize("n_processes", [1, 2])
def test_results_come_in_the_order_of_the_items(n_processes):
    seen: list[tuple[int, int]] = []
    found = spread(described, range(6), n_processes=n_processes, advance=lambda *at: seen.append(at))
    assert [square for square, _ in found] == [0, 1, 4, 9, 16, 25]
    assert seen == [(i + 1, 6) for i in range(6)]
    assert ({where for _, where in found} == {os.getpid()}) == (n_processes == 1)


@pytest.mark.parametrize("n_processes", [1, 2])
def test_what_fails_in_another_process_fails_here(n_processes):
    with pytest.raises(ValueError, match="not 0"):
        spread(refuse, range(5), n_processes=n_processes)


def test_a_case_is_made_once_and_is_the_one_that_is_loaded(tmp_path):
    case = next(case for case in all_cases() if case.family == "straight" and case.n_pulses == 8)
    path = case_path(case, tmp_path)
    earlier = path.with_name(f"{case.name}-0123456789ab.npz")
    others = [path.with_name(name) for name in (f"{case.name}-fresh3-0123456789ab.npz", f"{case.name}-mine.npz")]
    for file in (earlier, *others):
        file.touch()
        os.utime(file, (1, 1))
    assert make_missing([case, case], tmp_path) == 1
    assert sorted(tmp_path.iterdir()) == sorted([path, *others]), "only the same case of an earlier set gives way"
    made = path.stat().st_mtime_ns
    assert make_missing([case], tmp_path) == 0
    scene = load_scene(case, tmp_path, get_device("cpu", n_threads=2))
    assert path.stat().st_mtime_ns == made
    with np.load(path) as kept:
        np.testing.assert_array_equal(scene.doppler.r1, kept["r1"])
