"""`trueflow view`: a window on a recording, or one picture without a window."""

from __future__ import annotations

import dataclasses
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from trueflow.pipeline.cli.common import SOURCE

__all__ = ["view"]

FILE = click.Path(path_type=Path)
COUNT = click.IntRange(min=1)
VIEWER = "trueflow.viewer.application"  # named, not imported: the pipeline does not depend on what shows its frames
LAYOUTS = {"single": "single", "before-after": "before_after", "three-panels": "three_panels"}


@dataclass(frozen=True, slots=True)
class Options:
    """The command line."""

    source: Path | str
    layout: str
    headless: bool
    frames: int | None
    shot: Path | None
    size: tuple[int, int]
    full_screen: bool
    folder: Path
    config: Path | None
    settings: tuple[str, ...]
    device: str
    threads: int | None
    dealiaser: str | None
    ensemble: int | None
    hop: int | None
    decimate_slow_time: int


@click.command()
@click.argument("source", type=SOURCE)
@click.option("--layout", type=click.Choice(list(LAYOUTS)), default="three-panels", show_default=True)
@click.option("--size", type=COUNT, nargs=2, default=(1600, 900), show_default=True, metavar="WIDTH HEIGHT")
@click.option("--full-screen", is_flag=True)
@click.option(
    "--folder", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="For screenshots and movies."
)
@click.option("--headless", is_flag=True, help="No window: process --frames frames and write the last one to --shot.")
@click.option("--frames", type=COUNT, help="Play only so many frames of the recording.")
@click.option("--shot", type=FILE, metavar="FILE.png", help="With --headless: the picture to write.")
@click.option("--config", type=FILE, metavar="FILE.toml", help="Settings of the chain.")
@click.option("--set", "settings", multiple=True, metavar="SECTION.KEY=VALUE", help="One setting; may be repeated.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option("--threads", type=COUNT, help="CPU threads. Default: all cores.")
@click.option("--dealiaser", metavar="NAME", help="The same as --set dealias.name=NAME.")
@click.option("--ensemble", type=COUNT, help="Pulses per frame. Default: what the recording suggests.")
@click.option("--hop", type=COUNT, help="Pulses from one frame to the next. Default: back to back.")
@click.option("--decimate-slow-time", type=COUNT, default=1, show_default=True, help="Keep every k-th pulse.")
def view(**values: Any) -> None:
    """Show the recording SOURCE, a file or sim://SCENE, in a window: H lists the keys, Ctrl+Q quits."""
    options = Options(**values)
    if options.headless != (options.shot is not None):
        raise click.UsageError("--headless and --shot FILE.png belong together")
    _view(options)


def _view(options: Options) -> None:
    viewer = importlib.import_module(VIEWER)
    viewer.require(window=not options.headless)  # what is missing is said before anything is computed

    from trueflow.pipeline.cli.playback import FilePlayer
    from trueflow.pipeline.config import Config
    from trueflow.pipeline.output import Outputs
    from trueflow.pipeline.sources import Framing, open_source

    config = (Config.load(options.config) if options.config else Config()).override(options.settings)
    if options.dealiaser is not None:
        config = dataclasses.replace(config, dealias=dataclasses.replace(config.dealias, name=options.dealiaser))
    framing = Framing(options.ensemble, options.hop, options.decimate_slow_time)
    inputs = [path for path in (options.source, options.config) if isinstance(path, Path)]
    with Outputs(inputs) as outputs, open_source(options.source) as recording:
        part = outputs.add(options.shot) if options.shot is not None else None
        with FilePlayer(
            recording, framing, config, device=options.device, n_threads=options.threads, limit=options.frames
        ) as player:
            layout = LAYOUTS[options.layout]
            if part is not None:
                viewer.shoot(player, part, layout=layout, size=options.size, target=options.shot)
            else:
                viewer.show(
                    player, layout=layout, size=options.size, full_screen=options.full_screen, folder=options.folder
                )
    if options.shot is not None:
        click.echo(str(options.shot))
