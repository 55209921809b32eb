"""`trueflow bench whole`: from channel RF to a color image, sustained."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from trueflow.benchmarks.refresh import refresh

__all__ = ["whole"]

RESULTS = Path(__file__).resolve().parent / "results"


@click.command()
@click.option(
    "--seconds", type=click.FloatRange(min=0.5), default=20.0, show_default=True, help="Of each of four runs."
)
@click.option("--json", "json_path", type=click.Path(path_type=Path), metavar="FILE", help="Write all figures.")
@click.option("--update", is_flag=True, help="Write figures and page where the project keeps them.")
def whole(seconds: float, json_path: Path | None, update: bool) -> None:
    """Time `femoral` from packets of channel RF to RGB images: with the segmentation network, and without it.

    Back to back, and at 30 packets a second. The goal is 30 images a second with network and dealiasing engine, and no
    more than one image in a hundred later than 50 ms.
    """
    from trueflow.benchmarks.provenance import busy, provenance
    from trueflow.benchmarks.whole import NETWORK, run_whole
    from trueflow.benchmarks.whole_page import as_document, as_page
    from trueflow.pipeline.output import Outputs

    json_path = RESULTS / "whole.json" if update else json_path
    with Outputs() as outputs:
        part = outputs.add(json_path) if json_path else None  # a name that cannot be written fails now
        made = provenance()
        if warning := busy():
            click.echo(f"trueflow bench: {warning}", err=True)
        results = [
            run_whole(network, pace, seconds=seconds) for network in NETWORK for pace in ("back to back", "30 /s")
        ]
        made["load_average_after"] = list(os.getloadavg())
        document = as_document(results, provenance=made)
        page = as_page(document)
        click.echo(page, nl=False)
        if part:
            part.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
        if update:
            outputs.add(RESULTS / "whole.md").write_text(page)
    if update:
        refresh("whole")
