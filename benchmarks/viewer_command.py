"""`trueflow bench viewer`: distinct frames per second on the screen, and what the rasteriser costs."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trueflow.benchmarks.refresh import refresh
from trueflow.pipeline.cli.common import progress_bar, show_table

if TYPE_CHECKING:
    from trueflow.benchmarks.viewer import ViewerResult

__all__ = ["viewer"]

RESULTS = Path(__file__).resolve().parent / "results"
LAYOUTS = {"single": "single", "before-after": "before_after", "three-panels": "three_panels"}


@click.command()
@click.option("--layout", type=click.Choice(list(LAYOUTS)), default="three-panels", show_default=True)
@click.option("--size", type=click.IntRange(min=64), nargs=2, default=(1280, 720), show_default=True)
@click.option("--frames", type=click.IntRange(min=2), default=12, show_default=True, help="In one heartbeat.")
@click.option("--rate", type=click.FloatRange(min=1), default=120.0, show_default=True, help="They arrive at, per s.")
@click.option("--seconds", type=click.FloatRange(min=0.1), default=10.0, show_default=True, help="Of each row.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), metavar="FILE", help="Write all figures.")
@click.option("--update", is_flag=True, help="Write the figures where the project keeps them.")
def viewer(
    layout: str, size: tuple[int, int], frames: int, rate: float, seconds: float, json_path: Path | None, update: bool
) -> None:
    """Replay precomputed `femoral` frames in a window, and count the distinct ones that are shown.

    Needs a display; without one: xvfb-run -a -s "-screen 0 1400x900x24" trueflow bench viewer. Vertical
    synchronisation is off. CPU ms is the processor time of all threads per picture, with a software rasteriser its work
    included; what the drawing thread takes of it is Python, PyOpenGL and the driver's front end.
    """
    from trueflow.benchmarks.provenance import busy, provenance
    from trueflow.benchmarks.viewer import SOURCE, Replay, precompute, run_viewer
    from trueflow.pipeline.output import Outputs

    json_path = RESULTS / "viewer.json" if update else json_path
    with Outputs() as outputs:
        part = outputs.add(json_path) if json_path else None
        if warning := busy():
            click.echo(f"trueflow bench: {warning}", err=True)
        stamp = provenance()
        with progress_bar("frames") as advance:
            flow, made = precompute(frames, advance)
        renderer, results = run_viewer(
            Replay(flow, made, rate_hz=rate), layout=LAYOUTS[layout], size=size, seconds=seconds
        )
        stamp["load_average_after"] = list(os.getloadavg())
        head = ("", "per s", "p50 ms", "p95", "p99", "CPU ms", "of it drawing")
        rows = [_row(r) for r in results]
        show_table([head, *rows], title=f"{layout}, {size[0]} x {size[1]}, OpenGL {renderer}", styles=["dim"])
        if part:
            case = {"source": SOURCE.format(frames=frames), "layout": layout, "size": size, "rate_hz": rate}
            values = {
                "schema": "trueflow-bench/1",
                "benchmark": "viewer",
                "provenance": stamp,
                "budget": {"seconds": seconds},
                "cases": {"femoral": case | {"renderer": renderer, "config": flow.config.to_tables()}},
                "results": [asdict(r) for r in results],
                "skipped": [],
            }
            part.write_text(json.dumps(values, indent=2, allow_nan=False) + "\n")
    if update:
        refresh("viewer")


def _row(r: ViewerResult) -> tuple[str, ...]:
    seconds = (r.timing.p50_s, r.timing.p95_s, r.timing.p99_s, r.process_s, r.python_s)
    return r.row, f"{r.frames_per_s:.1f}", *(f"{1e3 * each:.1f}" for each in seconds)
