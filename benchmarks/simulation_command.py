"""`trueflow bench simulation`: the simulator's fast mode against channel RF."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["simulation"]


@click.command()
@click.option("--picture", type=click.Path(path_type=Path), metavar="PNG", help="Draw the comparison (matplotlib).")
def simulation(picture: Path | None) -> None:
    """Compare the simulator's fast mode with channel RF: speckle, Doppler spectra, levels, speed.

    Both image the same scene; channel RF goes through the chain's beamformer, which the times exclude.
    """
    from trueflow.benchmarks.simulation import compare
    from trueflow.benchmarks.simulation_report import as_table, draw
    from trueflow.pipeline.output import Outputs

    with Outputs() as outputs:
        part = outputs.add(picture) if picture else None
        found = compare()
        click.echo(as_table(found), nl=False)
        if part:
            draw(found, part)
