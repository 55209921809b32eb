"""`trueflow bench segmentation`: what the segmentation network is worth, alone and to the engine, and what it costs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trueflow.benchmarks.refresh import refresh
from trueflow.pipeline.cli.common import progress_bar

if TYPE_CHECKING:
    from trueflow.kernels.device import Device

__all__ = ["segmentation"]

RESULTS = Path(__file__).resolve().parent / "results"
PARTS = ("scenes", "disk", "timing")
PRECISIONS = ("int8", "fp32")


@click.command()
@click.option("--part", "parts", multiple=True, type=click.Choice(PARTS), help="May be repeated. Default: all.")
@click.option("--family", "families", multiple=True, metavar="NAME", help="May be repeated. Default: all.")
@click.option(
    "--precision", "precisions", multiple=True, type=click.Choice(("int8", "fp16", "fp32")),
    help="May be repeated; the engine hears the first. Default: int8 and fp32.",
)  # fmt: skip
@click.option(
    "--cache", type=click.Path(file_okay=False, path_type=Path), default=Path("out/validation"), show_default=True,
    help="Where simulated cases are kept.",
)  # fmt: skip
@click.option("--rounds", type=click.IntRange(min=1), default=120, show_default=True, help="Of the timing.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), metavar="FILE", help="Write all figures.")
@click.option("--update", is_flag=True, help="Write figures and page where the project keeps them.")
def segmentation(
    parts: Sequence[str], families: Sequence[str], precisions: Sequence[str], cache: Path, rounds: int,
    json_path: Path | None, update: bool,
) -> None:  # fmt: skip
    """Score the segmentation network against known truth, alone and as evidence of the dealiasing engine.

    The validation set of `trueflow bench dealias`, of which the families bulb, opposed and femoral were held out of
    training; the real rotating disk with one pulse in 2, 3 and 4 kept; times of network, engine and whole chain.
    """
    from trueflow.benchmarks.dealias_report import check_names
    from trueflow.benchmarks.provenance import provenance
    from trueflow.benchmarks.segmentation_page import as_document, as_page
    from trueflow.kernels.device import get_device
    from trueflow.models.weights import manifest
    from trueflow.pipeline.output import Outputs

    if update and (parts or families or precisions):
        raise click.UsageError("--update keeps a whole run: not with --part, --family or --precision")
    cases = check_names([], families)
    if update:
        json_path = RESULTS / "segmentation.json"
    with Outputs() as outputs:
        part = outputs.add(json_path) if json_path else None  # a name that cannot be written fails now
        made = provenance()
        measured = _measure(parts or PARTS, cases, tuple(precisions or PRECISIONS), cache, rounds, get_device("cpu"))
        network = {key: value for key, value in manifest().items() if key != "files"}
        document: dict[str, Any] = as_document(network=network, provenance=made, **measured)
        page = as_page(document)
        click.echo(page)
        if part:
            part.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
        if update:
            outputs.add(RESULTS / "segmentation.md").write_text(page)
    if update:
        refresh("segmentation")


def _measure(
    parts: Sequence[str], cases: Sequence[Any], precisions: tuple[str, ...], cache: Path, rounds: int, device: Device
) -> dict[str, Any]:
    from trueflow.benchmarks.cases import CaseUnavailableError
    from trueflow.benchmarks.contenders import Skipped
    from trueflow.benchmarks.segmentation import run_disk, run_scenes
    from trueflow.benchmarks.segmentation_timing import run_timing
    from trueflow.benchmarks.validation_set import make_missing

    measured: dict[str, Any] = {}
    for name in parts:
        with progress_bar(name) as advance:
            try:
                if name == "scenes":
                    make_missing(cases, cache)  # on all cores; loading would make them one by one
                    measured[name] = run_scenes(cases, precisions, folder=cache, device=device, advance=advance)
                elif name == "disk":
                    measured[name] = run_disk(precisions, device=device, advance=advance)
                else:
                    measured[name] = run_timing(precisions, device=device, rounds=rounds, advance=advance)
            except CaseUnavailableError as error:
                measured["skipped"] = [*measured.get("skipped", ()), Skipped(name, str(error))]
    for what in measured.get("skipped", ()):
        click.echo(f"{what.name}: {what.reason}", err=True)
    return measured
