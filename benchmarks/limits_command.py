"""`trueflow bench limits`: how close each kernel of the chain comes to what this machine can do."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from trueflow.benchmarks.refresh import refresh
from trueflow.pipeline.cli.common import progress_bar

__all__ = ["limits"]

RESULTS = Path(__file__).resolve().parent / "results"
CASE = "femoral"


@click.command()
@click.option("--threads", type=click.IntRange(min=1), help="Default: all cores.")
@click.option("--seconds", type=click.FloatRange(min=0.1), default=24.0, show_default=True, help="Altogether, about.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), metavar="FILE", help="Write all figures.")
@click.option("--update", is_flag=True, help="Write figures and page where the project keeps them.")
def limits(threads: int | None, seconds: float, json_path: Path | None, update: bool) -> None:
    """Hold each kernel of a `femoral` frame against this machine's copies and sums of products.

    The frame has the dealiasing engine and the segmentation network. Of each kernel: its time, the bytes and the
    operations that it cannot do without, the time that the machine needs for these at least, and what remains.
    """
    from trueflow.benchmarks.limits import measure_machine, run_limits
    from trueflow.benchmarks.limits_page import as_document, as_page
    from trueflow.benchmarks.provenance import busy, provenance
    from trueflow.pipeline.output import Outputs

    n_threads = threads or len(os.sched_getaffinity(0))
    json_path = RESULTS / "limits.json" if update else json_path
    with Outputs() as outputs:
        part = outputs.add(json_path) if json_path else None  # a name that cannot be written fails now
        made = provenance()
        if warning := busy():
            click.echo(f"trueflow bench: {warning}", err=True)
        alone = measure_machine(1, seconds=seconds / 4)
        with progress_bar("limits") as advance:
            found = run_limits(n_threads=n_threads, seconds=3 * seconds / 4, advance=advance)
        document = as_document(found, alone, case=CASE, provenance=made)
        page = as_page(document)
        click.echo(page, nl=False)
        if part:
            part.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
        if update:
            outputs.add(RESULTS / "limits.md").write_text(page)
    if update:
        refresh("limits")
