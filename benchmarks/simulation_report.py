"""Table and picture of the comparison of the simulator's modes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from trueflow.benchmarks.report import SCHEMA
from trueflow.benchmarks.simulation import BIN_M, LAGS, MODES, RAYLEIGH, Comparison
from trueflow.pipeline.errors import TrueflowError

__all__ = ["as_document", "as_table", "draw"]

LABELS = {"rf": "channel RF", "fast": "fast mode"}
DYNAMIC_RANGE_DB = 60.0
SHOWN_PEAK = 0.9
NEAR_WALL_M = 1.2e-3


def as_document(comparison: Comparison, *, provenance: Mapping[str, object]) -> dict[str, Any]:
    """Figures, ready for JSON."""
    rows = [{"what": what, **dict(zip(MODES, figures, strict=True))} for what, *figures in _rows(comparison)]
    return {"schema": SCHEMA, "benchmark": "simulation", "provenance": dict(provenance), "rows": rows}


def as_table(document: Mapping[str, Any]) -> str:
    """Figures in Markdown, a column for each mode."""
    rows = [[row["what"], *(row[mode] for mode in MODES)] for row in document["rows"]]
    lines = [["", *(LABELS[m] for m in MODES)], ["---"] * (1 + len(MODES)), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _rows(comparison: Comparison) -> list[list[str]]:
    s, leak = comparison.speckle, comparison.leak_db
    rows: list[list[str]] = [
        [f"envelope's mean / deviation (Rayleigh {RAYLEIGH:.2f})", *(f"{s[m].contrast:.2f}" for m in MODES)],
        ["half width of autocorrelation, along (mm)", *(f"{s[m].half_width_z_m * 1e3:.3f}" for m in MODES)],
        ["half width of autocorrelation, across (mm)", *(f"{s[m].half_width_x_m * 1e3:.3f}" for m in MODES)],
        ["correlation with the other mode's IQ", *(f"{comparison.agreement:.3f}" for _ in MODES)],
        ["leakage on the vessel's axis (dB re tissue)", *(f"{leak[m][-4:].mean():.1f}" for m in MODES)],
    ]
    for peak, flows in comparison.flows.items():
        depth = flows["rf"].depth_m
        places = (("near the wall", depth < NEAR_WALL_M), ("further in", depth >= NEAR_WALL_M))
        for where, kept in places:
            for name, part in (("spectral width", "width"), ("bias", "bias")):
                means = (getattr(flows[m], part)[kept].mean() for m in MODES)
                rows.append([f"{name} / v_N, peak {peak:g} v_N, {where}", *(f"{mean:.3f}" for mean in means)])
    for url, seconds in comparison.seconds.items():
        rows.append([f"{url} (s per burst)", *(f"{seconds[m]:.2f}" for m in MODES)])
    return rows


def draw(comparison: Comparison, path: Path) -> None:
    """B-mode, autocorrelation and Doppler spectra of both modes as a PNG.

    Raises
    ------
    TrueflowError
        Without matplotlib.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise TrueflowError(
            "matplotlib is not installed", where="the picture", advice="pip install 'trueflow[bench]'"
        ) from error
    with rc_context({"font.size": 8, "legend.fontsize": 7}):
        figure = Figure(figsize=(11, 6.4), layout="constrained")
        axes = figure.subplots(2, 4)
        for column, mode in enumerate(MODES):
            _bmode(axes[0, column], comparison, mode)
            _spectra(axes[1, column], comparison, mode)
        _correlations(axes[0, 2:], comparison)
        _spectrum(axes[1, 2], comparison)
        _widths(axes[1, 3], comparison)
        figure.savefig(path, dpi=100, format="png")


def _bmode(axis: Any, comparison: Comparison, mode: str) -> None:
    both = comparison.tissue
    envelope = np.abs(both.iq[mode][0, ..., 0])
    level = 20 * np.log10(envelope / np.sqrt(np.mean(envelope[both.tissue] ** 2)) + 1e-6)
    x, z = both.grid.axis_1 * 1e3, both.grid.axis_0 * 1e3
    axis.imshow(
        level,
        extent=(x[0], x[-1], z[-1], z[0]),
        cmap="gray",
        vmin=20 - DYNAMIC_RANGE_DB,
        vmax=20,
        interpolation="bilinear",
    )
    axis.set(title=f"{LABELS[mode]}: tissue 60 dB over blood", xlabel="x (mm)", ylabel="z (mm)")


def _correlations(axes: Any, comparison: Comparison) -> None:
    for axis, along, name in zip(axes, ("z", "x"), ("along the beam", "across"), strict=True):
        for mode, style in zip(MODES, ("-", "--"), strict=True):
            found = comparison.speckle[mode]
            lags_m, value = getattr(found, f"lags_{along}_m"), getattr(found, f"correlation_{along}")
            axis.plot(lags_m[:LAGS] * 1e3, value, style, label=LABELS[mode])
        axis.set(title=f"autocorrelation of speckle {name}", xlabel="lag (mm)", xlim=(0, None), ylim=(0, 1))
    axes[0].legend()


def _spectra(axis: Any, comparison: Comparison, mode: str) -> None:
    found = comparison.flows[SHOWN_PEAK][mode]
    level = 10 * np.log10(found.spectra / found.spectra.max() + 1e-6)
    depth = found.depth_m * 1e3
    edge = BIN_M * 1e3 / 2
    axis.imshow(
        level,
        extent=(-1, 1, depth[-1] + edge, depth[0] - edge),
        cmap="magma",
        vmin=-30,
        vmax=0,
        aspect="auto",
        interpolation="nearest",
    )
    axis.plot(found.true, depth, "w:", label="truth")
    axis.set(title=f"spectra of blood: {LABELS[mode]}", xlabel="velocity / v_N", ylabel="distance from wall (mm)")
    axis.legend(loc="lower left")


def _spectrum(axis: Any, comparison: Comparison) -> None:
    flows = comparison.flows[SHOWN_PEAK]
    for part, color in ((1, "C2"), (-4, "C3")):
        for mode, style in zip(MODES, ("-", "--"), strict=True):
            spectrum = flows[mode].spectra[part]
            velocity = (np.arange(spectrum.size) - spectrum.size // 2) / (spectrum.size / 2)
            level = 10 * np.log10(spectrum / spectrum.max())
            name = f"{flows[mode].depth_m[part] * 1e3:.1f} mm" if mode == "rf" else None
            axis.plot(velocity, level, style, color=color, label=name)
    axis.set(title="two of them (dashed: fast)", xlabel="velocity / v_N", ylabel="dB", ylim=(-35, 2))
    axis.legend(title="from wall", loc="lower left")


def _widths(axis: Any, comparison: Comparison) -> None:
    for index, (peak, flows) in enumerate(comparison.flows.items()):
        for mode, style in zip(MODES, ("-", "--"), strict=True):
            label = f"{peak:g} v_N" if mode == "rf" else None
            axis.plot(flows[mode].depth_m * 1e3, flows[mode].width, style, color=f"C{index}", label=label)
    axis.set(title="spectral width / v_N (dashed: fast)", xlabel="distance from wall (mm)", ylim=(0, None))
    axis.legend(title="peak", loc="upper left")
