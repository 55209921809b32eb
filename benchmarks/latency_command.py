"""`trueflow bench latency`: how old pictures of a live scanner are, and how many there are."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trueflow.benchmarks.refresh import refresh

if TYPE_CHECKING:
    from trueflow.benchmarks.latency import LatencyResult

__all__ = ["latency"]

RESULTS = Path(__file__).resolve().parent / "results"
CASES = ("femoral", "edge192")
PARTS = ("ladder", "overlap", "soak")
QUICK_PARTS, QUICK_RATES_HZ = ("ladder", "soak"), (15.0, 30.0, 60.0)
QUICK_S, QUICK_SOAK_S, QUICK_PACKETS = 6.0, 30.0, 12


@click.command()
@click.option("--part", "parts", multiple=True, type=click.Choice(PARTS), help="May be repeated.")
@click.option("--soak", "with_soak", is_flag=True, help="The same as --part soak beside the others.")
@click.option("--case", "names", multiple=True, type=click.Choice(CASES), help="May be repeated. Default: both.")
@click.option(
    "--seconds", type=click.FloatRange(min=0.5), default=30.0, show_default=True, help="Per rate, after the warm-up."
)
@click.option(
    "--soak-seconds", type=click.FloatRange(min=10), default=300.0, show_default=True, help="Of the soak."
)
@click.option(
    "--quick", is_flag=True, help="Two minutes: few rates, 6 s each; a soak of 30 s; no overlap."
)
@click.option("--packets", type=click.IntRange(min=1), default=30, show_default=True, help="Simulated for the soak.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), metavar="FILE", help="Write all figures.")
@click.option("--update", is_flag=True, help="Everything; write figures and page where the project keeps them.")
def latency(
    parts: Sequence[str],
    with_soak: bool,
    names: Sequence[str],
    seconds: float,
    soak_seconds: float,
    packets: int,
    quick: bool,
    json_path: Path | None,
    update: bool,
) -> None:
    """Measure the time from the first byte received to the picture handed to the display.

    A front end in another process sends `femoral` and `edge192`, at rates from 10 packets/s up to where more than one
    in a hundred gets no picture; then receiving beside the chain and in turn with it, and one frame on all threads
    against a frame on each. The soak is 5 minutes at 30 packets/s through the commands themselves. All of it takes a
    quarter of an hour, and is kept on a page of its own; the quick one is what `trueflow bench all` runs.
    """
    from trueflow.benchmarks.latency_page import as_document, as_page
    from trueflow.benchmarks.provenance import busy, provenance
    from trueflow.pipeline.output import Outputs

    if quick and (set(parts) - set(QUICK_PARTS)):
        raise click.UsageError("--quick leaves the overlap out")
    if update and (parts or names):
        raise click.UsageError("--update keeps a whole run: not with --part or --case")
    if quick:
        parts, seconds, soak_seconds, packets = parts or QUICK_PARTS, QUICK_S, QUICK_SOAK_S, QUICK_PACKETS
    wanted = set(parts or (PARTS if update else PARTS[:2])) | ({"soak"} if with_soak else set())
    name = "latency" if quick else "latency_long"
    json_path = RESULTS / f"{name}.json" if update else json_path
    with Outputs() as outputs:
        part = outputs.add(json_path) if json_path else None  # a name that cannot be written fails now
        made: dict[str, object] = provenance()
        if warning := busy():
            click.echo(f"trueflow bench: {warning}", err=True)
        rates_hz = QUICK_RATES_HZ if quick else None
        measured = _measure(wanted, names or CASES, seconds, soak_seconds, packets, rates_hz)
        made["load_average_after"] = list(os.getloadavg())
        document = as_document(provenance=made, quick=quick, **measured)
        page = as_page(document)
        click.echo(page)
        if part:
            part.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
        if update:
            outputs.add(RESULTS / f"{name}.md").write_text(page)
    if update:
        refresh(name)


def _measure(
    wanted: set[str],
    names: Sequence[str],
    seconds: float,
    soak_seconds: float,
    packets: int,
    rates_hz: Sequence[float] | None,
) -> dict[str, Any]:
    from trueflow.benchmarks.latency import run_ladder
    from trueflow.benchmarks.latency_overlap import run_chains, run_receiving
    from trueflow.benchmarks.latency_soak import run_soak

    measured: dict[str, Any] = {}
    if "soak" in wanted:
        measured["soak"] = run_soak(seconds=soak_seconds, n_packets=packets)
    if "ladder" in wanted:
        ladders = [run_ladder(name, seconds=seconds, rates_hz=rates_hz, advance=_tell) for name in names]
        measured["ladder"] = [result for ladder in ladders for result in ladder]
    if "overlap" in wanted:
        measured["receiving"] = [r for name in names for r in run_receiving(name, seconds=seconds, advance=_tell)]
        measured["chains"] = [r for name in names for r in run_chains(name, seconds=seconds / 3)]
    return measured


def _tell(result: LatencyResult) -> None:
    """A line as it comes: the whole takes minutes."""
    asked = f"{result.rate_hz:g}/s" if result.rate_hz else "all"
    click.echo(
        f"{result.case}, {result.mode}, {asked}: {result.frames_per_s:.1f} shown/s, latency p50 "
        f"{1e3 * result.latency.p50_s:.1f}, p99 {1e3 * result.latency.p99_s:.1f} ms, "
        f"{result.n_lost + result.n_dropped} without a picture",
        err=True,
    )
