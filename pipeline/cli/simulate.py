"""`trueflow simulate`: a simulated scan as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from trueflow.pipeline.cli.common import progress_bar, show_json

__all__ = ["simulate"]

FILE = click.Path(path_type=Path)


@click.command()
@click.argument("scene", required=False)
@click.option("-o", "--output", type=FILE, metavar="FILE", help="The recording, in zea's HDF5 layout, with truth.")
@click.option("--list", "listing", is_flag=True, help="Name the scenes.")
@click.option("--show", is_flag=True, help="Print the scene as TOML: something to begin from.")
@click.option("--set", "settings", multiple=True, metavar="OPTION=VALUE", help="As after the ? of a sim:// source.")
@click.option("--frames", type=click.IntRange(min=1), help="Frames to simulate.")
@click.option("--seed", type=click.IntRange(min=0), help="Another seed is another draw of scatterers and noise.")
@click.option("--peak", metavar="SPEED", help="Largest velocity: m/s, or as in 2.5vN.")
@click.option("--snr", type=float, metavar="DB", help="Blood over noise after beamforming, per pulse.")
@click.option(
    "--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True, help="What computes."
)
@click.option("--json", "as_json", is_flag=True, help="Summary as JSON (SI units); no progress bar.")
def simulate(
    scene: str | None,
    output: Path | None,
    listing: bool,
    show: bool,
    settings: tuple[str, ...],
    device: str,
    as_json: bool,
    **named: Any,
) -> None:
    """Simulate SCENE, a name or a TOML file, and write what a scanner would have recorded.

    SCENE may carry options: "femoral?peak=2.5vN&prf=5000".
    """
    if listing:
        from trueflow.pipeline.sim.library import SCENES

        click.echo("\n".join(SCENES))
        return
    if scene is None or (output is None and not show):
        raise click.UsageError("give a scene and an output: trueflow simulate SCENE -o FILE (or --list, --show)")
    url = _url(scene, [*settings, *(f"{name}={value}" for name, value in named.items() if value is not None)])
    if show:
        click.echo(_toml(url))
    if output is not None:
        summary = _simulate(url, output, device, as_json=as_json)
        if as_json:
            show_json(summary)
        else:
            click.echo(_line(summary))


def _url(scene: str, settings: list[str]) -> str:
    name, _, options = scene.removeprefix("sim://").partition("?")
    return f"sim://{name}?" + "&".join([*filter(None, [options]), *settings])


def _toml(url: str) -> str:
    from trueflow.pipeline.sim.recording import SimRecording

    return SimRecording.from_url(url).scene.to_toml()


def _simulate(url: str, output: Path, device: str, *, as_json: bool) -> dict[str, Any]:
    from trueflow.pipeline.chain import open_device
    from trueflow.pipeline.config import GridConfig
    from trueflow.pipeline.geometry import make_grid
    from trueflow.pipeline.output import Outputs
    from trueflow.pipeline.sim.export import write_zea
    from trueflow.pipeline.sim.options import parse_url
    from trueflow.pipeline.sim.recording import SimRecording

    name, _ = parse_url(url)
    with Outputs([name] if name.endswith(".toml") else []) as outputs:
        part = outputs.add(output)
        recording = SimRecording.from_url(url, device=open_device(device))
        grid = make_grid(recording.acquisition, GridConfig())
        with progress_bar("frames", enabled=not as_json) as advance:
            write_zea(part, recording, grid, target=output, advance=advance)
    acquisition = recording.acquisition
    return {
        "output": str(output),
        "source": url,
        "n_frames": recording.n_slow_time // recording.burst_length,
        "n_ensemble": acquisition.n_ensemble,
        "nyquist_velocity_m_s": acquisition.nyquist_velocity_m_s(),
        "frame_rate_hz": 1 / recording.burst_interval_s,
    }


def _line(summary: dict[str, Any]) -> str:
    return (
        f"{summary['n_frames']} frame{'s' * (summary['n_frames'] != 1)} of {summary['n_ensemble']} pulses, Nyquist "
        f"±{summary['nyquist_velocity_m_s'] * 1e2:.1f} cm/s: {summary['output']}"
    )
