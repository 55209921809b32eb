"""Makes the simulated cases that are not kept yet, one on each core: simulating is Python and NumPy mostly."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from trueflow.benchmarks.dealias_sequences import FlowSequence, keep_sequence, sequence_path
from trueflow.benchmarks.processes import spread
from trueflow.benchmarks.validation import ValidationCase, case_path, keep_case
from trueflow.kernels.device import get_device

__all__ = ["make_missing"]

Kept = ValidationCase | FlowSequence


def make_missing(
    wanted: Iterable[Kept],
    folder: Path,
    *,
    n_processes: int | None = None,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Simulate what is not in the folder yet; what is made replaces the same case of earlier versions of the set.

    Parameters
    ----------
    wanted : iterable of ValidationCase or FlowSequence
    folder : Path
        Where they are kept.
    n_processes : int, optional
        Default: one for each core. What is made does not depend on it.
    advance : callable, optional
        Called with (done, total).

    Returns
    -------
    int
        How many were made.
    """
    missing = [item for item in dict.fromkeys(wanted) if not _path(item, folder).exists()]
    spread(partial(_make, folder), missing, n_processes=n_processes, advance=advance)
    for item in missing:
        _remove_older(_path(item, folder))
    return len(missing)


def _remove_older(made: Path) -> None:
    """The same case as earlier versions of the set had it: it is never loaded again."""
    name, _, version = made.stem.rpartition("-")
    older = re.compile(rf"{re.escape(name)}-[0-9a-f]{{{len(version)}}}\.npz")
    made_at = made.stat().st_mtime
    for path in made.parent.iterdir():
        if path != made and older.fullmatch(path.name) and path.stat().st_mtime < made_at:
            path.unlink(missing_ok=True)


def _path(item: Kept, folder: Path) -> Path:
    return case_path(item, folder) if isinstance(item, ValidationCase) else sequence_path(item, folder)


def _make(folder: Path, item: Kept) -> None:
    device = get_device("cpu", n_threads=1)
    if isinstance(item, ValidationCase):
        keep_case(item, folder, device)
    else:
        keep_sequence(item, folder, device)
