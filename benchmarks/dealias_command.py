"""`trueflow bench dealias`: how many folds the engine and its peers get wrong, and how long they take."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trueflow.benchmarks.refresh import refresh
from trueflow.pipeline.cli.common import progress_bar

if TYPE_CHECKING:
    from trueflow.benchmarks.dealias_parts import Run

__all__ = ["dealias"]

RESULTS = Path(__file__).resolve().parent / "results"
DOCS = RESULTS.parents[1] / "docs"
PICTURES, STAGGER = DOCS / "pictures", DOCS / "stagger.md"
PARTS = ("scenes", "fresh", "evidence", "sequences", "disk", "stagger", "timing")


@click.command()
@click.option("--part", "parts", multiple=True, type=click.Choice(PARTS), help="May be repeated. Default: all.")
@click.option("--dealiaser", "names", multiple=True, metavar="NAME", help="Or a peer; may be repeated. Default: all.")
@click.option("--family", "families", multiple=True, metavar="NAME", help="May be repeated. Default: all.")
@click.option(
    "--cache", type=click.Path(file_okay=False, path_type=Path), default=Path("out/validation"), show_default=True,
    help="Where simulated cases are kept.",
)  # fmt: skip
@click.option("--rounds", type=click.IntRange(min=1), default=120, show_default=True, help="Of the timing.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), metavar="FILE", help="Write all figures.")
@click.option("--worst", type=click.Path(path_type=Path), metavar="PNG", help="Picture of the worst cases.")
@click.option("--reliability", type=click.Path(path_type=Path), metavar="PNG", help="Picture of the confidence.")
@click.option("--update", is_flag=True, help="Write figures, page and pictures where the project keeps them.")
def dealias(
    parts: Sequence[str], names: Sequence[str], families: Sequence[str], cache: Path, rounds: int,
    json_path: Path | None, worst: Path | None, reliability: Path | None, update: bool,
) -> None:  # fmt: skip
    """Score the dealiasing engine and its peers against known truth: wrong folds first.

    Twelve families of scenes at 0.8 to 5 v_N, 16 pulses at 15 dB and 8 pulses at 8 dB, nothing supplied, with the seeds
    that the engine was fitted to and with fresh ones; the engine with each kind of evidence left out and on its own;
    short sequences; the real rotating disk; staggered pulses; times. The first run simulates the scenes, which takes
    some ten minutes.
    """
    from trueflow.benchmarks.dealias_parts import Run

    if update and (parts or names or families):
        raise click.UsageError("--update keeps a whole run: not with --part, --dealiaser or --family")
    run = Run(names, families, cache, rounds)
    for part in parts or PARTS:
        with progress_bar(part) as advance:
            run.measure(part, advance)
    for what in run.skipped:
        click.echo(f"{what.name}: {what.reason}", err=True)
    if update:
        RESULTS.mkdir(exist_ok=True)
        json_path, worst = RESULTS / "dealias.json", RESULTS / "dealias_worst.png"
        reliability = PICTURES / "reliability.png"
    _write(run, json_path, worst, reliability, RESULTS / "dealias.md" if update else None)
    if update:
        refresh("dealias")


def _write(run: Run, json_path: Path | None, worst: Path | None, reliability: Path | None, page: Path | None) -> None:
    from trueflow.benchmarks.dealias_markdown import with_table
    from trueflow.benchmarks.dealias_page import as_page
    from trueflow.benchmarks.dealias_pictures import draw_reliability
    from trueflow.benchmarks.dealias_report import as_json
    from trueflow.benchmarks.dealias_sections import stagger_table
    from trueflow.pipeline.output import Outputs

    document: dict[str, Any] = run.document()
    text = as_page(document, reliability="../../docs/pictures/reliability.png" if page else None)
    click.echo(text)
    with Outputs() as outputs:
        if page:
            outputs.add(page).write_text(text)
        if json_path:
            outputs.add(json_path).write_text(as_json(document) + "\n")
        if worst and "summary" in document:
            run.gallery.save(outputs.add(worst))
        told = document.get("fresh", document).get("confidence")  # of the seeds that nothing was fitted to, if there
        if reliability and told:
            draw_reliability(told, outputs.add(reliability))
        if page and "stagger" in document:
            outputs.add(STAGGER).write_text(with_table(STAGGER.read_text(), stagger_table(document["stagger"])))
