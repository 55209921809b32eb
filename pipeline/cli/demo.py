"""`trueflow demo`: a simulated heartbeat through the whole chain, as a movie, a picture and figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trueflow.pipeline.cli.common import progress_bar, show_json, show_table

if TYPE_CHECKING:
    from trueflow.pipeline.chain import ColorFlow
    from trueflow.pipeline.cli.run import Summary
    from trueflow.pipeline.config import Config
    from trueflow.pipeline.frames import ColorFrame
    from trueflow.pipeline.picture.panels import Panels
    from trueflow.pipeline.score import FoldScore
    from trueflow.pipeline.sources import Truth

__all__ = ["demo"]

CYCLE_S = 1.0  # one heartbeat
SLOW_MOTION, REPEATS = 3.0, 3  # the movie shows the heartbeat three times, three times slower
CAUTION = "Simulated data. Research use only."
# What an operator would set: tissue pushed by the pulse moves at a few percent of v_N and is not to be colored.
SETTINGS = (
    "mask.velocity_fraction=0.04",
    "mask.coherence=0.25",
    "mask.speck_radius=3",
    "display.dynamic_range_db=55",
    "display.gain_db=-8",
)


@dataclass(slots=True)
class _Heartbeat:
    """A sink that keeps everything: one heartbeat fits into memory, and the pictures need all of it."""

    frames: list[ColorFrame] = field(default_factory=list)
    truths: list[Truth] = field(default_factory=list)

    def write(self, frame: ColorFrame, truth: Truth | None) -> None:
        assert truth is not None  # simulations know it
        self.frames.append(frame)
        self.truths.append(truth)


@click.command()
@click.option(
    "--scene",
    default="femoral",
    show_default=True,
    metavar="SCENE",
    help="See `trueflow simulate --list`. Options may follow: 'femoral?peak=3.5vN'.",
)
@click.option("--frames", type=click.IntRange(min=1), default=25, show_default=True, help="In one heartbeat.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Of scatterers and noise.")
@click.option(
    "--dealiaser", default="regions", show_default=True, metavar="NAME", help="regions, skimage or none."
)
@click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("out"),
    show_default=True,
    metavar="DIR",
    help="Where demo.mp4 and demo.png go.",
)
@click.option("--json", "as_json", is_flag=True, help="Figures as JSON (SI units); no progress bar.")
def demo(scene: str, frames: int, seed: int, dealiaser: str, folder: Path, as_json: bool) -> None:
    """Simulate a heartbeat, run the chain on its raw channel data, and show what dealiasing does.

    Writes a movie, and a picture of the systolic peak: raw color, aliased pixels, dealiased. Measures the share of
    pixels with a wrong fold against the simulation's truth. The same seed gives the same files.
    """
    name, _, options = scene.removeprefix("sim://").partition("?")
    ours = f"frames={frames}", f"fps={frames / CYCLE_S:g}", f"cycle={CYCLE_S:g}", f"seed={seed}"
    report = _demo(f"sim://{name}?" + "&".join([*filter(None, [options]), *ours]), dealiaser, folder, quiet=as_json)
    if as_json:
        show_json(report)
    else:
        _show(report)


def _demo(url: str, dealiaser: str, folder: Path, *, quiet: bool) -> dict[str, Any]:
    from trueflow.pipeline.chain import ColorFlow
    from trueflow.pipeline.cli.run import run
    from trueflow.pipeline.config import Config
    from trueflow.pipeline.output import Outputs, write_errors
    from trueflow.pipeline.sources import Framing, open_source

    with write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    config = Config().override([*SETTINGS, f"dealias.name={dealiaser}"])
    mp4, png = folder / "demo.mp4", folder / "demo.png"
    if not quiet:
        click.echo(f"Simulating {url}: raw channel data of one heartbeat, and through the chain", err=True)
    with Outputs() as outputs, open_source(url) as recording:
        parts = outputs.add(mp4), outputs.add(png)
        flow = ColorFlow(recording.acquisition, config, grid=recording.grid)
        beat = _Heartbeat()
        with progress_bar("simulated and processed frames", enabled=not quiet) as advance:
            summary = run(recording, Framing(), flow, [beat], advance=advance)
        panels = _panels(flow, config, beat, url)
        _draw(panels, len(beat.frames), parts, (mp4, png), quiet=quiet)
    report = _report(beat, summary, panels.peak)
    return {"source": url, "dealiaser": dealiaser} | report | {"outputs": {"mp4": str(mp4), "png": str(png)}}


def _panels(flow: ColorFlow, config: Config, beat: _Heartbeat, url: str) -> Panels:
    from trueflow.pipeline.picture.panels import Panels

    folds = _peak_m_s(beat.truths) / beat.frames[0].velocity.nyquist_velocity_m_s
    scene = Path(url.removeprefix("sim://").partition("?")[0]).stem
    return Panels(
        flow.acquisition,
        flow.grid,
        config.display,
        frames=beat.frames,
        truths=beat.truths,
        duration_s=CYCLE_S,
        title=f"Simulated heartbeat, scene '{scene}': flow up to {folds:.1f} times the Nyquist velocity",
        caution=CAUTION,
        dealiaser=config.dealias.name,
    )


def _draw(panels: Panels, n_frames: int, parts: tuple[Path, Path], targets: tuple[Path, Path], *, quiet: bool) -> None:
    from PIL import Image

    from trueflow.pipeline.output import write_errors
    from trueflow.pipeline.picture.movie import MovieWriter, playback_fps

    with write_errors(targets[1]):
        Image.fromarray(panels(panels.peak)).save(parts[1], format="PNG")
    fps = playback_fps(n_frames / (CYCLE_S * SLOW_MOTION))
    n_pictures = REPEATS * n_frames
    with (
        progress_bar("movie frames", enabled=not quiet) as advance,
        MovieWriter(parts[0], fps=fps, target=targets[0]) as movie,
    ):
        for number in range(n_pictures):
            movie.write(panels(number % n_frames))
            advance(number + 1, n_pictures)


def _report(beat: _Heartbeat, summary: Summary, peak: int) -> dict[str, Any]:
    """Figures in SI units, None where there is nothing to measure."""
    import numpy as np

    from trueflow.pipeline.score import fold_score

    velocities = [frame.velocity for frame in beat.frames]
    folded = [fold_score(v, truth) for v, truth in zip(velocities, beat.truths, strict=True)]
    raw = [
        fold_score(replace(v, velocity_m_s=v.wrapped_velocity_m_s, fold=np.zeros_like(v.fold)), truth)
        for v, truth in zip(velocities, beat.truths, strict=True)
    ]
    shown = sum(int(v.mask.sum()) for v in velocities)
    real = sum(int(truth.mask.sum()) for truth in beat.truths)
    hits = sum(score.n_flow_pixels for score in folded)
    laps = {name: [frame.timings_s[name] for frame in beat.frames] for name in beat.frames[0].timings_s}
    if beat.frames[0].segmentation is None:
        laps.pop("segment", None)  # nothing ran
    return {
        "n_frames": summary.n_frames,
        "nyquist_velocity_m_s": summary.nyquist_velocity_m_s,
        "peak_velocity_m_s": _peak_m_s(beat.truths),
        "peak_frame": peak,
        "wrong_fold_rate": {"raw": _pooled(raw), "dealiased": _pooled(folded)},
        "wrong_fold_rate_at_peak": {"raw": _pooled([raw[peak]]), "dealiased": _pooled([folded[peak]])},
        "rmse_m_s": {"raw": _pooled_rmse_m_s(raw), "dealiased": _pooled_rmse_m_s(folded)},
        "false_color_rate": (shown - hits) / shown if shown else None,
        "flow_shown_rate": hits / real if real else None,
        "stages_median_s": {name: float(np.median(lap)) for name, lap in laps.items()},
        "frame_median_s": summary.median_s,
        "frames_per_s": 1.0 / summary.median_s,
        "wall_s": summary.wall_s,
    }


def _peak_m_s(truths: Sequence[Truth]) -> float:
    return max(float(abs(truth.velocity_m_s).max(initial=0.0, where=truth.mask)) for truth in truths)


def _pooled(scores: Sequence[FoldScore]) -> float | None:
    """The share of wrong folds among the flow pixels of several frames."""
    n_pixels = sum(score.n_flow_pixels for score in scores)
    wrong = math.fsum(score.wrong_fold_rate * score.n_flow_pixels for score in scores if score.n_flow_pixels)
    return wrong / n_pixels if n_pixels else None


def _pooled_rmse_m_s(scores: Sequence[FoldScore]) -> float | None:
    n_pixels = sum(score.n_flow_pixels for score in scores)
    squares = math.fsum(score.rmse_m_s**2 * score.n_flow_pixels for score in scores if score.n_flow_pixels)
    return math.sqrt(squares / n_pixels) if n_pixels else None


def _show(report: dict[str, Any]) -> None:
    cycle, peak, rmse = (report[name] for name in ("wrong_fold_rate", "wrong_fold_rate_at_peak", "rmse_m_s"))
    rows = [("", "heartbeat", "systolic peak", "rms error")] + [
        (label, _percent(cycle[kind]), _percent(peak[kind]), _cm_s(rmse[kind]))
        for kind, label in (("raw", "raw color"), ("dealiased", f"dealiased ({report['dealiaser']})"))
    ]
    click.echo("Wrong folds, share of flow pixels, against the simulation's truth")
    show_table(rows, styles=["dim"])
    click.echo(
        f"{_percent(report['flow_shown_rate'])} of the flow is colored (wall filter and flow mask hide the rest); "
        f"{_percent(report['false_color_rate'])} of the color has no flow under it (vessel walls, "
        "moving tissue, places beside the beam)."
    )
    stages = [(name, f"{seconds * 1e3:.2f} ms", "") for name, seconds in report["stages_median_s"].items()]
    total = "whole chain", f"{report['frame_median_s'] * 1e3:.2f} ms", f"{report['frames_per_s']:.0f} frames/s"
    click.echo("\nMedian time per frame, from raw channel data to velocities")
    show_table([*stages, total])
    click.echo("\n" + "\n".join(report["outputs"].values()))


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{100 * share:.2f} %"


def _cm_s(speed_m_s: float | None) -> str:
    return "none" if speed_m_s is None else f"{speed_m_s * 1e2:.1f} cm/s"
