"""`trueflow bench simulation`: the simulator's fast mode against channel RF."""

from __future__ import annotations

import json
from pathlib import Path

import click

from trueflow.benchmarks.refresh import refresh

__all__ = ["simulation"]

RESULTS = Path(__file__).resolve().parent / "results"
PICTURE = RESULTS.parents[1] / "docs" / "pictures" / "fast_versus_rf.png"


@click.command()
@click.option("--picture", type=click.Path(path_type=Path), metavar="PNG", help="Draw the comparison (matplotlib).")
@click.option("--json", "json_path", type=click.Path(path_type=Path), metavar="FILE", help="Write all figures.")
@click.option("--update", is_flag=True, help="Write figures and picture where the project keeps them.")
def simulation(picture: Path | None, json_path: Path | None, update: bool) -> None:
    """Compare the simulator's fast mode with channel RF: speckle, Doppler spectra, levels, speed.

    Both image the same scene; channel RF goes through the chain's beamformer, which the times exclude.
    """
    from trueflow.benchmarks.provenance import provenance
    from trueflow.benchmarks.simulation import compare
    from trueflow.benchmarks.simulation_report import as_document, as_table, draw
    from trueflow.pipeline.output import Outputs

    if update:
        picture, json_path = PICTURE, RESULTS / "simulation.json"
    with Outputs() as outputs:
        part = outputs.add(picture) if picture else None
        kept = outputs.add(json_path) if json_path else None
        made = provenance()
        found = compare()
        document = as_document(found, provenance=made)
        click.echo(as_table(document), nl=False)
        if kept:
            kept.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
        if part:
            draw(found, part)
    if update:
        refresh("simulation")
