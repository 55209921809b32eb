"""`trueflow bench compare`: everything side by side with everybody, in one run."""

from __future__ import annotations

from pathlib import Path

import click

from trueflow.benchmarks.refresh import refresh
from trueflow.pipeline.cli.common import progress_bar

__all__ = ["compare"]


@click.command()
@click.option("--update", is_flag=True, help="Write figures, page and picture where the project keeps them.")
@click.option("--seconds", type=click.FloatRange(min=0), default=40.0, show_default=True, help="Of measuring, in all.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), metavar="FILE", help="Write all figures.")
def compare(update: bool, seconds: float, json_path: Path | None) -> None:
    """Compare delay-and-sum, Doppler, dealiasing and the whole chain with others: speed, errors, growth.

    All run in turn on the same data. Delay-and-sum: PyMUST, ustb, ultraspy, vbeam. Doppler: PyMUST, ustb, ultraspy,
    zea. Dealiasing: scikit-image, region-dealias, kamui, rapidphase. The chain: one of NumPy, SciPy and scikit-image.
    Who is not installed is named. Large sizes take long whatever the seconds: with the default all of it takes some
    two and a half minutes on two cores that nobody else uses.
    """
    from trueflow.benchmarks.compare import as_json, fill, reserve, run_compare
    from trueflow.benchmarks.compare_page import as_page
    from trueflow.benchmarks.provenance import busy
    from trueflow.benchmarks.timing import Budget
    from trueflow.pipeline.output import Outputs

    with Outputs() as outputs:
        part = outputs.add(json_path) if json_path else None  # a name that cannot be written fails now
        kept = reserve(outputs) if update else None
        if warning := busy():
            click.echo(f"trueflow bench: {warning}", err=True)
        with progress_bar("compare") as advance:
            document = run_compare(Budget(seconds=seconds), advance)
        click.echo(as_page(document))
        if part:
            part.write_text(as_json(document))
        if kept:
            fill(kept, document)
    if update:
        refresh("compare")
