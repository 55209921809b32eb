"""Everything side by side in one run: delay-and-sum, Doppler, dealiasing, the whole chain, and how all of it grows."""

from __future__ import annotations

import json
import os
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from trueflow.benchmarks.compare_chain import compare_chain
from trueflow.benchmarks.compare_dealias import CASES, compare_dealias
from trueflow.benchmarks.compare_page import as_page
from trueflow.benchmarks.compare_stages import compare_das, compare_doppler
from trueflow.benchmarks.growth import FULL, Plan, run_growth
from trueflow.benchmarks.growth_page import PICTURE_FROM_PAGE
from trueflow.benchmarks.growth_picture import draw_growth
from trueflow.benchmarks.provenance import provenance
from trueflow.benchmarks.report import SCHEMA
from trueflow.benchmarks.timing import Budget
from trueflow.benchmarks.validation import ValidationCase
from trueflow.pipeline.output import Outputs

__all__ = [
    "EVERYTHING", "PICTURE_FROM_PAGE", "Extent", "Kept", "as_json", "fill", "reserve", "run_compare", "write_compare",
]  # fmt: skip

RESULTS = Path(__file__).resolve().parent / "results"
PICTURE = RESULTS.parents[1] / "docs" / "pictures" / "growth.png"

SETTLE_S = 0.005
CHAIN_SETTLE_S = 0.03  # NumPy's matrix products leave threads that spin on for some 25 ms
# Of the seconds, and of the progress.
SHARES = {"dealias": 0.12, "das": 0.3, "doppler": 0.08, "chain": 0.2, "growth": 0.3}

Advance = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is compared.

    Parameters
    ----------
    pixels : int
        Across and down, for delay-and-sum and Doppler.
    maps : sequence of ValidationCase
        For dealiasing.
    growth : Plan
    """

    pixels: int = 256
    maps: Sequence[ValidationCase] = CASES
    growth: Plan = FULL


EVERYTHING = Extent()


def run_compare(
    budget: Budget,
    advance: Advance = lambda done, total: None,
    *,
    extent: Extent = EVERYTHING,
    folder: Path = Path("out/validation"),
) -> dict[str, Any]:
    """Measure everything; what is not installed, or too large here, is listed with the reason.

    Parameters
    ----------
    budget : Budget
        Its seconds are divided between the parts; its rounds, where given, are those of each part.
    advance : callable, optional
        Called with (done, total).
    extent : Extent
    folder : Path
        Where simulated maps are kept.

    Returns
    -------
    dict
        Ready for JSON, and for `as_page` and `write_compare`.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # no thread of a peer spins on after its work
    began = time.perf_counter()
    n_cores = len(os.sched_getaffinity(0))
    threads = tuple(sorted({1, n_cores}))
    stamp = provenance()
    parts = _parts(budget, advance)
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "benchmark": "compare",
        "provenance": stamp,
        "budget": asdict(budget),
        "threads": list(threads),
        # The frozen maps may have to be made first, on all cores: before others' threads are there.
        "dealias": compare_dealias(threads, *parts["dealias"], folder=folder, cases=extent.maps),
        "das": compare_das(extent.pixels, threads, *parts["das"]),
        "doppler": compare_doppler(extent.pixels, threads, *parts["doppler"]),
        "chain": compare_chain(threads, *parts["chain"]),
        "growth": run_growth(extent.growth, threads, *parts["growth"]),
    }
    stamp["load_average_after"] = list(os.getloadavg())
    document["seconds"] = time.perf_counter() - began
    document["peak_memory_bytes"] = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return document


def _parts(budget: Budget, advance: Advance) -> dict[str, tuple[Budget, Advance]]:
    """Each part's budget and its place in the progress."""
    parts: dict[str, tuple[Budget, Advance]] = {}
    start = 0.0
    for name, share in SHARES.items():
        seconds = share * budget.seconds / (2 if name == "doppler" else 1)  # two jobs
        settle_s = CHAIN_SETTLE_S if name == "chain" else SETTLE_S

        def ahead(done: int, total: int, start: float = start, share: float = share) -> None:
            advance(round(1000 * (start + share * done / max(total, 1))), 1000)

        parts[name] = (Budget(seconds, budget.rounds, warmup_rounds=1, settle_s=settle_s), ahead)
        start += share
    return parts


def as_json(document: dict[str, Any]) -> str:
    """The document as text."""
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def write_compare(document: dict[str, Any]) -> None:
    """Write figures, page and picture where the project keeps them."""
    with Outputs() as outputs:
        fill(reserve(outputs), document)


class Kept(NamedTuple):
    """Where figures, page and picture are written to."""

    figures: Path
    page: Path
    picture: Path


def reserve(outputs: Outputs) -> Kept:
    """Places for what the project keeps.

    Raises
    ------
    TrueflowError
        Where one cannot be written.
    """
    return Kept(*(outputs.add(path) for path in (RESULTS / "compare.json", RESULTS / "compare.md", PICTURE)))


def fill(kept: Kept, document: dict[str, Any]) -> None:
    """Write figures, page and picture."""
    kept.figures.write_text(as_json(document))
    kept.page.write_text(as_page(document, picture=PICTURE_FROM_PAGE))
    draw_growth(document["growth"], kept.picture)
