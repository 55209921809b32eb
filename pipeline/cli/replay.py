"""`trueflow replay`: a recording in; data, picture and movie out."""

from __future__ import annotations

import dataclasses
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trueflow.pipeline.cli.common import SOURCE, THREADS, progress_bar, show_json
from trueflow.pipeline.errors import TrueflowError

if TYPE_CHECKING:
    from trueflow.pipeline.acquisition import Acquisition
    from trueflow.pipeline.chain import ColorFlow
    from trueflow.pipeline.cli.run import Sink, Summary
    from trueflow.pipeline.config import Config
    from trueflow.pipeline.output import Outputs
    from trueflow.pipeline.sources import Framing, Recording
    from trueflow.pipeline.sources.recorded_flow import RecordedFlow

__all__ = ["replay"]

FILE = click.Path(path_type=Path)
COUNT = click.IntRange(min=1)


@dataclass(frozen=True, slots=True)
class Options:
    """The command line of one replay."""

    source: Path | str
    result: Path | None
    png: Path | None
    png_frame: int
    mp4: Path | None
    fps: float | None
    config: Path | None
    settings: tuple[str, ...]
    device: str
    threads: int | None
    dealiaser: str | None
    ensemble: int | None
    hop: int | None
    decimate_slow_time: int
    frames: int | None
    as_json: bool


@click.command()
@click.argument("source", type=SOURCE)
@click.option("-o", "--output", "result", type=FILE, metavar="RESULT.h5", help="All maps of all frames, as HDF5.")
@click.option("--png", type=FILE, metavar="FILE", help="A picture of one frame.")
@click.option("--png-frame", type=int, default=0, show_default=True, help="Which: from 0, or from the end if negative.")
@click.option("--mp4", type=FILE, metavar="FILE", help="A movie of all frames.")
@click.option("--fps", type=click.FloatRange(min=1, max=240), help="Of the movie. Default: real time, at most 60.")
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
@click.option("--frames", type=COUNT, help="Stop after this many frames.")
@click.option("--json", "as_json", is_flag=True, help="Summary as JSON (SI units); no progress bar.")
def replay(**values: Any) -> None:
    """Turn the recording SOURCE into color Doppler.

    Files appear whole or not at all. At least one of -o, --png and --mp4 is needed.
    """
    options = Options(**values)
    if options.result is None and options.png is None and options.mp4 is None:
        raise click.UsageError("nothing to write: give at least one of -o/--output, --png, --mp4")
    summary = _replay(options)
    if options.as_json:
        show_json(dataclasses.asdict(summary) | {"source": str(options.source), "outputs": _outputs(options)})
    else:
        click.echo(_summary_line(summary, _outputs(options)))


def _replay(options: Options) -> Summary:
    from trueflow.pipeline.cli.run import count_frames, run
    from trueflow.pipeline.output import Outputs
    from trueflow.pipeline.result import ResultWriter
    from trueflow.pipeline.sources import Framing, files_of, open_source

    framing = Framing(options.ensemble, options.hop, options.decimate_slow_time)
    inputs = [*files_of(options.source), *([options.config] if options.config else [])]
    with Outputs(inputs) as outputs, open_source(options.source) as recording, ExitStack() as stack:
        outputs.protect(recording.beside)
        flow, config = _chain(recording, framing, options)
        acquisition, hop, _ = framing.resolve(recording)
        n_frames = count_frames(recording, framing, options.frames)
        job = _Job(options, config, acquisition, flow, n_frames, _frame_rate_hz(recording, acquisition, hop))
        sinks = job.open_sinks(outputs, stack)
        with progress_bar("frames", enabled=not options.as_json) as advance:
            summary = run(recording, framing, flow, sinks, limit=options.frames, advance=advance)
        for sink in sinks:
            if isinstance(sink, ResultWriter):
                sink.describe_config(flow.config)  # "auto" has been settled by now
        return summary


def _chain(recording: Recording, framing: Framing, options: Options) -> tuple[ColorFlow | RecordedFlow, Config]:
    """The chain and the settings it begins with: those given, or those recorded with --set on top of them."""
    from trueflow.pipeline.chain import ColorFlow
    from trueflow.pipeline.config import Config
    from trueflow.pipeline.sources.recorded import LiveRecording
    from trueflow.pipeline.sources.recorded_flow import RecordedFlow

    def adapt(config: Config) -> Config:
        config = config.override(options.settings)
        if options.dealiaser is None:
            return config
        return dataclasses.replace(config, dealias=dataclasses.replace(config.dealias, name=options.dealiaser))

    where: dict[str, Any] = {"device": options.device, "n_threads": options.threads}
    if options.config is None and isinstance(recording, LiveRecording) and (live := recording.settings(0)) is not None:
        recorded = RecordedFlow(recording, framing, adapt=adapt, **where)
        config = adapt(live.config)
        recording.acquisition = config.acquisition.applied_to(recording.acquisition)
        return recorded, config
    config = adapt(Config.load(options.config) if options.config else Config())
    recording.acquisition = config.acquisition.applied_to(recording.acquisition)
    return ColorFlow(framing.resolve(recording)[0], config, grid=recording.grid, **where), config


def _frame_rate_hz(recording: Recording, acquisition: Acquisition, hop: int) -> float:
    if recording.burst_interval_s is not None and hop >= acquisition.n_ensemble:
        per_burst = max(1, recording.burst_length // (hop * acquisition.slow_time_decimation))
        return per_burst / recording.burst_interval_s
    return 1 / acquisition.slow_time_s(hop)


@dataclass(frozen=True, slots=True)
class _Job:
    options: Options
    config: Config
    acquisition: Acquisition
    flow: ColorFlow | RecordedFlow
    n_frames: int
    frame_rate_hz: float

    def open_sinks(self, outputs: Outputs, stack: ExitStack) -> list[Sink]:
        """Everything that was asked for; closed with `stack`, and before `outputs` renames it."""
        options = self.options
        sinks: list[Sink] = []
        if options.result is not None:
            from trueflow.pipeline.result import ResultWriter

            with progress_bar("hash, MB", enabled=not options.as_json) as hashed:
                writer = ResultWriter(
                    outputs.add(options.result),
                    self.acquisition,
                    self.flow.grid,
                    self.config,
                    options.source,
                    target=options.result,
                    hashed=hashed,
                )
            sinks.append(stack.enter_context(writer))
        if options.png is not None:
            sinks.append(self._picture_sink(outputs.add(options.png), options.png))
        if options.mp4 is not None:
            from trueflow.pipeline.cli.sinks import MovieSink
            from trueflow.pipeline.picture.movie import playback_fps

            fps = options.fps or playback_fps(self.frame_rate_hz)
            movie = MovieSink(outputs.add(options.mp4), self._painter, fps=fps, target=options.mp4)
            sinks.append(stack.enter_context(movie))
        return sinks

    def _picture_sink(self, part: Path, target: Path) -> Sink:
        from trueflow.pipeline.cli.sinks import PictureSink

        index = self.options.png_frame
        if not -self.n_frames <= index < self.n_frames:
            raise TrueflowError(
                "no such frame", where="--png-frame", found=index, expected=f"{-self.n_frames} to {self.n_frames - 1}"
            )
        return PictureSink(part, self._painter, index=index % self.n_frames, target=target)

    def _painter(self, first: Any) -> Any:
        from trueflow.pipeline.picture.draw import Painter

        name = self.config.dealias.name
        label = "not dealiased" if name == "none" else f"dealiased: {name}"
        return Painter(
            self.acquisition,
            self.flow.grid,
            self.config.display,
            first=first,
            n_frames=self.n_frames,
            label=label,
            n_threads=self.options.threads,
        )


def _outputs(options: Options) -> dict[str, str]:
    named = {"result": options.result, "png": options.png, "mp4": options.mp4}
    return {kind: str(path) for kind, path in named.items() if path is not None}


def _summary_line(summary: Summary, outputs: dict[str, str]) -> str:
    return (
        f"{summary.n_frames} frame{'s' * (summary.n_frames != 1)}, {summary.median_s * 1e3:.1f} ms each (median; "
        f"p95 {summary.p95_s * 1e3:.1f} ms), Nyquist ±{summary.nyquist_velocity_m_s * 1e2:.1f} cm/s: "
        + ", ".join(outputs.values())
    )
