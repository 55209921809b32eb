"""Work that is Python and NumPy for the most part, on all cores: a process on each."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import TypeVar

__all__ = ["spread"]

Item = TypeVar("Item")
Result = TypeVar("Result")

# A process of its own costs a second or two before it begins.
FEWEST = 4


def spread(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    n_processes: int | None = None,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> list[Result]:
    """What `work` makes of each item, in their order.

    Parameters
    ----------
    work : callable
        That another process can import: a function of a module, or a partial of one.
    items : sequence
    n_processes : int, optional
        Default: one for each core. Few items are worked on here.
    advance : callable, optional
        Called with (done, total).
    """
    n_processes = n_processes or len(os.sched_getaffinity(0))
    if len(items) < FEWEST or n_processes < 2:
        results = []
        for index, item in enumerate(items):
            results.append(work(item))
            advance(index + 1, len(items))
        return results
    with ProcessPoolExecutor(n_processes, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(work, item) for item in items]
        for index, _ in enumerate(as_completed(jobs)):
            advance(index + 1, len(jobs))
        return [job.result() for job in jobs]
