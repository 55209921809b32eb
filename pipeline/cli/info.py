"""`trueflow info`: what a recording holds."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trueflow.pipeline.cli.common import SOURCE, show_json, show_table

if TYPE_CHECKING:
    from trueflow.pipeline.acquisition import Transmit
    from trueflow.pipeline.sources import Recording

__all__ = ["describe", "info"]

LISTED_ANGLES = 8


@click.command()
@click.argument("file", type=SOURCE)
@click.option("--json", "as_json", is_flag=True, help="SI values as JSON instead of a table.")
def info(file: Path | str, as_json: bool) -> None:
    """Show what the recording FILE holds, in clinical units."""
    from trueflow.pipeline.sources import open_source

    with open_source(file) as recording:
        facts = describe(recording)
    if as_json:
        show_json(facts)
    else:
        show_table(_rows(facts), title=str(file))


def describe(recording: Recording) -> dict[str, Any]:
    """All facts about a recording in SI units, ready for JSON. Reads one slow-time sample."""
    acquisition, probe = recording.acquisition, recording.acquisition.probe
    sample = recording.read(0, 1)
    grid = recording.grid
    return {
        "path": str(recording.path),
        "format": recording.format_name,
        "size_bytes": recording.path.stat().st_size if recording.path.is_file() else None,
        "probe": {
            "name": probe.name,
            "kind": probe.kind,
            "n_elements": probe.n_elements,
            "aperture_m": math.dist(probe.element_positions_m[0], probe.element_positions_m[-1]),
            "center_frequency_hz": probe.center_frequency_hz,
            "bandwidth_fraction": probe.bandwidth_fraction,
        },
        "transmits": [_transmit(transmit) for transmit in acquisition.transmits],
        "n_receive_firings": acquisition.n_receive_firings,
        "center_frequency_hz": acquisition.center_frequency_hz,
        "demodulation_frequency_hz": acquisition.demodulation_frequency_hz,
        "sampling_frequency_hz": acquisition.sampling_frequency_hz,
        "prf_hz": acquisition.prf_hz,
        "slow_time_rate_hz": acquisition.slow_time_rate_hz,
        "stagger": acquisition.stagger,
        "nyquist_velocity_m_s": acquisition.nyquist_velocity_m_s(),
        "sound_speed_m_s": acquisition.sound_speed_m_s,
        "max_depth_m": acquisition.max_depth_m,
        "n_samples": acquisition.n_samples,
        "n_slow_time": recording.n_slow_time,
        "burst_length": recording.burst_length,
        "n_bursts": recording.n_slow_time // recording.burst_length,
        "duration_s": recording.slow_time_s(recording.n_slow_time - 1) + 1 / acquisition.slow_time_rate_hz,
        "sample_kind": acquisition.sample_kind,
        "sample_dtype": str(sample.dtype),
        "grid_shape": None if grid is None else list(grid.shape),
        "remarks": list(recording.remarks),
    }


def _transmit(transmit: Transmit) -> dict[str, Any]:
    from trueflow.pipeline.acquisition import PlaneWave

    if isinstance(transmit, PlaneWave):
        return {"kind": "plane", "angle_rad": transmit.angle_rad}
    return {"kind": "diverging", "source_x_m": transmit.source_x_m, "source_z_m": transmit.source_z_m}


def _rows(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """The table: mm, cm/s, MHz, degrees."""
    probe = facts["probe"]
    response = f", {probe['center_frequency_hz'] / 1e6:.2f} MHz" if probe["center_frequency_hz"] else ""
    if probe["bandwidth_fraction"]:
        response += f", bandwidth {100 * probe['bandwidth_fraction']:.0f} %"
    kinds = {"rf": "channel RF", "iq": "channel IQ", "beamformed": "beamformed IQ"}
    pixels = "" if facts["grid_shape"] is None else " on {} x {} pixels".format(*facts["grid_shape"])
    bursts = facts["n_bursts"]
    slow_time = f"{facts['n_slow_time']} pulses"
    if bursts > 1:
        slow_time += f" in {bursts} bursts of {facts['burst_length']}"
    rate = facts["slow_time_rate_hz"]
    per_sample = "" if rate == facts["prf_hz"] else f" ({rate / 1e3:.4g} kHz in slow time)"
    if facts["stagger"] is not None:
        per_sample += ", intervals staggered {}:{}".format(*facts["stagger"])
    return [
        ("Format", facts["format"]),
        ("Size", "made when read" if facts["size_bytes"] is None else f"{facts['size_bytes'] / 1e6:.1f} MB"),
        (
            "Probe",
            f"{probe['name']}, {probe['kind']}, {probe['n_elements']} elements over "
            f"{probe['aperture_m'] * 1e3:.1f} mm{response}",
        ),
        ("Transmits", _transmit_text(facts["transmits"], facts["n_receive_firings"])),
        (
            "Frequency",
            f"{facts['center_frequency_hz'] / 1e6:.2f} MHz"
            f" (mixed with {facts['demodulation_frequency_hz'] / 1e6:.2f} MHz)",
        ),
        ("Sampling", f"{facts['sampling_frequency_hz'] / 1e6:.2f} MHz, {facts['n_samples']} samples"),
        ("PRF", f"{facts['prf_hz'] / 1e3:.4g} kHz{per_sample}"),
        ("Nyquist velocity", f"{facts['nyquist_velocity_m_s'] * 1e2:.1f} cm/s"),
        ("Speed of sound", f"{facts['sound_speed_m_s']:g} m/s"),
        ("Depth", f"{facts['max_depth_m'] * 1e3:.1f} mm"),
        ("Slow time", f"{slow_time}, {facts['duration_s'] * 1e3:.1f} ms"),
        ("Samples", f"{kinds[facts['sample_kind']]}{pixels}, {facts['sample_dtype']}"),
        *(("Remark", remark) for remark in facts["remarks"]),
    ]


def _transmit_text(transmits: list[dict[str, Any]], n_receive_firings: int) -> str:
    kinds = {transmit["kind"] for transmit in transmits}
    if len(kinds) > 1:
        text = f"{len(transmits)} plane and diverging waves"
    elif kinds == {"plane"}:
        angles = [f"{math.degrees(transmit['angle_rad']):.1f}" for transmit in transmits]
        if len(angles) > LISTED_ANGLES:
            angles = [*angles[:3], "...", angles[-1]]
        text = f"{len(transmits)} plane wave{'s' * (len(transmits) > 1)} at {', '.join(angles)} degrees"
    else:
        sources = [f"({t['source_x_m'] * 1e3:.1f}, {t['source_z_m'] * 1e3:.1f})" for t in transmits[:LISTED_ANGLES]]
        more = ", ..." if len(transmits) > LISTED_ANGLES else ""
        text = f"{len(transmits)} diverging wave{'s' * (len(transmits) > 1)} from {', '.join(sources)}{more} mm (x, z)"
    return text + (f", each received in {n_receive_firings} firings" if n_receive_firings > 1 else "")
