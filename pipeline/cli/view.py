"""`trueflow view`: a window on a recording or a live scanner, or none."""

from __future__ import annotations

import dataclasses
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trueflow.pipeline.cli.common import SOURCE, THREADS

if TYPE_CHECKING:
    from trueflow.pipeline.config import Config

__all__ = ["VIEWER", "Options", "chain_config", "view"]

FILE = click.Path(path_type=Path)
COUNT = click.IntRange(min=1)
VIEWER = "trueflow.viewer.application"  # named, not imported: the pipeline does not depend on what shows its frames
LAYOUTS = {"single": "single", "before-after": "before_after", "three-panels": "three_panels"}


@dataclass(frozen=True, slots=True)
class Options:
    """The command line."""

    source: Path | str | None
    layout: str
    headless: bool
    live: str | None
    seconds: float | None
    on_error: str
    record: Path | None
    as_json: bool
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
@click.argument("source", type=SOURCE, required=False)
@click.option("--live", metavar="URL", help="Show a live scanner in place of SOURCE: ipc://PATH, tcp://HOST:PORT, ...")
@click.option(
    "--layout", type=click.Choice(list(LAYOUTS)), default="three-panels", show_default=True, help="To begin with."
)
@click.option(
    "--size", type=COUNT, nargs=2, default=(1600, 900), show_default=True, metavar="WIDTH HEIGHT",
    help="Of the window or picture, in pixels.",
)  # fmt: skip
@click.option("--full-screen", is_flag=True, help="Begin with the whole screen.")
@click.option(
    "--folder", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="For screenshots and movies."
)
@click.option("--headless", is_flag=True, help="No window: process --frames frames and write the last one to --shot.")
@click.option("--frames", type=COUNT, help="Play only so many frames of the recording; live and headless: end then.")
@click.option("--seconds", type=click.FloatRange(min=0), help="Live and headless: end after so long.")
@click.option("--shot", type=FILE, metavar="FILE.png", help="With --headless: the picture to write.")
@click.option("--record", type=FILE, metavar="FILE.tfr", help="Live: record all packets, for `trueflow replay`.")
@click.option(
    "--on-error", type=click.Choice(["stop", "skip"]), default="stop", show_default=True,
    help="Live: what happens when a frame fails.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Live and headless: the report as JSON (SI units).")
@click.option("--config", type=FILE, metavar="FILE.toml", help="Settings of the chain.")
@click.option("--set", "settings", multiple=True, metavar="SECTION.KEY=VALUE", help="One setting; may be repeated.")
@click.option(
    "--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True, help="What computes."
)
@click.option("--threads", type=THREADS, help="CPU threads. Default: all cores.")
@click.option("--dealiaser", metavar="NAME", help="The same as --set dealias.name=NAME.")
@click.option("--ensemble", type=COUNT, help="Pulses per frame. Default: what the recording suggests.")
@click.option("--hop", type=COUNT, help="Pulses from one frame to the next. Default: back to back.")
@click.option("--decimate-slow-time", type=COUNT, default=1, show_default=True, help="Keep every k-th pulse.")
def view(**values: Any) -> None:
    """Show the recording SOURCE, a file or sim://SCENE, or a live scanner, in a window: H lists the keys, Ctrl+Q quits.

    A live scanner without a window is processed until it ends, or for --seconds or --frames, and a report says how many
    pictures were made, what was lost, and how old pictures were.
    """
    options = Options(**values)
    _check(options)
    if options.live is not None:
        from trueflow.pipeline.cli.live import view_live

        view_live(options, layout=LAYOUTS[options.layout])
    else:
        _view(options)
    if options.shot is not None:
        click.echo(str(options.shot), err=options.as_json)


def _check(options: Options) -> None:
    """Refuse what does not go together."""
    if (options.live is None) == (options.source is None):
        raise click.UsageError("give either a SOURCE or --live URL")
    if options.live is None:
        if options.headless != (options.shot is not None):
            raise click.UsageError("--headless and --shot FILE.png belong together")
        if options.seconds is not None or options.record is not None or options.as_json:
            raise click.UsageError("--seconds, --record and --json are for --live")
        return
    cut = options.ensemble, options.hop, options.decimate_slow_time
    if cut != (None, None, 1):
        raise click.UsageError("--ensemble, --hop and --decimate-slow-time are for recordings")
    if not options.headless and (options.shot is not None or options.as_json or options.seconds or options.frames):
        raise click.UsageError("--shot, --json, --seconds and --frames need --headless")


def chain_config(options: Options) -> Config:
    """The settings asked for."""
    from trueflow.pipeline.config import Config

    config = (Config.load(options.config) if options.config else Config()).override(options.settings)
    if options.dealiaser is not None:
        config = dataclasses.replace(config, dealias=dataclasses.replace(config.dealias, name=options.dealiaser))
    return config


def _view(options: Options) -> None:
    viewer = importlib.import_module(VIEWER)
    viewer.require(window=not options.headless)  # what is missing is said before anything is computed

    from trueflow.pipeline.cli.playback import FilePlayer
    from trueflow.pipeline.output import Outputs
    from trueflow.pipeline.sources import Framing, files_of, open_source

    assert options.source is not None  # _check has seen to that
    config = chain_config(options)
    framing = Framing(options.ensemble, options.hop, options.decimate_slow_time)
    inputs = [*files_of(options.source), *([options.config] if options.config else [])]
    with Outputs(inputs) as outputs, open_source(options.source) as recording:
        outputs.protect(recording.beside)
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
