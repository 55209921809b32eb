"""`trueflow bench dealias`: how many folds each dealiaser gets wrong on the validation set."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from trueflow.pipeline.cli.common import progress_bar

__all__ = ["dealias"]

RESULTS = Path(__file__).resolve().parent / "results"


@click.command()
@click.option("--dealiaser", "names", multiple=True, metavar="NAME", help="May be repeated. Default: all.")
@click.option("--family", "families", multiple=True, metavar="NAME", help="May be repeated. Default: all.")
@click.option(
    "--cache", type=click.Path(file_okay=False, path_type=Path), default=Path("out/validation"), show_default=True,
    help="Where simulated cases are kept.",
)  # fmt: skip
@click.option("--json", "json_path", type=click.Path(path_type=Path), metavar="FILE", help="Write all figures.")
@click.option("--worst", type=click.Path(path_type=Path), metavar="PNG", help="Picture of the worst cases.")
@click.option("--update", is_flag=True, help="Write figures, page and picture where the project keeps them.")
def dealias(
    names: Sequence[str], families: Sequence[str], cache: Path, json_path: Path | None, worst: Path | None, update: bool
) -> None:
    """Score dealiasers on frozen scenes with known truth: wrong folds first.

    Twelve families of scenes at 0.8 to 5 v_N, 16 pulses at 15 dB and 8 pulses at 8 dB, nothing supplied. The first run
    simulates them, which takes some minutes.
    """
    from trueflow.benchmarks.dealias import run_dealias
    from trueflow.benchmarks.dealias_report import WorstCases, as_document, as_page, check_names
    from trueflow.benchmarks.provenance import provenance
    from trueflow.kernels.device import get_device
    from trueflow.pipeline.dealias import DEALIASERS

    chosen = list(names or DEALIASERS)
    cases = check_names(chosen, families)
    gallery = WorstCases(chosen)
    with progress_bar("cases", enabled=True) as advance:
        done = iter(range(1, len(cases) + 1))
        results = run_dealias(
            cases, chosen, folder=cache, device=get_device("cpu"), seen=gallery.see,
            advance=lambda: advance(next(done), len(cases)),
        )  # fmt: skip
    document = as_document(results, provenance())
    page = as_page(document)
    click.echo(page)
    if update:
        RESULTS.mkdir(exist_ok=True)
        json_path, worst = RESULTS / "dealias.json", RESULTS / "dealias_worst.png"
        (RESULTS / "dealias.md").write_text(page)
    if json_path:
        json_path.write_text(json.dumps(document, indent=1) + "\n")
    if worst:
        gallery.save(worst)
