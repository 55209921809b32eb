"""The folder of weights that is shipped: ONNX files, their hashes, and the model card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trueflow.models.features import CLASSES, N_CHANNELS
from trueflow.models.metrics import FoldCounts
from trueflow.models.weights import FILES, MANIFEST

__all__ = ["CARD", "SHIPPED", "Provenance", "write_card", "write_manifest"]

CARD = "MODEL_CARD.md"
SHIPPED = tuple(FILES.values())
Metrics = Mapping[str, Mapping[str, FoldCounts]]  # by set of frames, by family


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where weights come from.

    Parameters
    ----------
    version : str
        Of the weights.
    date : str
    command : str
        That makes them.
    n_frames : int
        Trained on.
    epochs, steps, batch : int
    seed : int
    """

    version: str
    date: str
    command: str
    n_frames: int
    epochs: int
    steps: int
    batch: int
    seed: int


def write_manifest(folder: Path, provenance: Provenance, metrics: Metrics) -> None:
    """Write weights.json: hashes, channels and classes, where the weights come from, what they are worth."""
    table: dict[str, Any] = {
        "name": "trueflow-unet",
        **asdict(provenance),
        "channels": N_CHANNELS,
        "classes": list(CLASSES),
        "files": {name: {"sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest()} for name in SHIPPED},
        "metrics": {
            name: {
                family: {"aliased_iou": _rounded(c.aliased_iou), "right_folds": _rounded(c.right)}
                for family, c in families.items()
            }
            for name, families in metrics.items()
        },
    }
    (folder / MANIFEST).write_text(json.dumps(table, indent=2) + "\n")


def _rounded(share: float) -> float | None:
    return None if share != share else round(share, 4)  # JSON has no nan


def write_card(folder: Path, provenance: Provenance, metrics: Metrics) -> None:
    """Write MODEL_CARD.md."""
    tables = "\n\n".join(f"### {name}\n\n{_table(families)}" for name, families in metrics.items())
    p = provenance
    (folder / CARD).write_text(
        _CARD_TEXT.format(
            version=p.version,
            date=p.date,
            command=p.command,
            n_frames=p.n_frames,
            n_seen=p.epochs * p.steps * p.batch,
            epochs=p.epochs,
            steps=p.steps,
            batch=p.batch,
            seed=p.seed,
            sizes=", ".join(f"{name} {(folder / name).stat().st_size / 1e6:.2f} MB" for name in SHIPPED),
            tables=tables,
        )
    )


def _table(families: Mapping[str, FoldCounts]) -> str:
    rows = ["| | aliased IoU | right folds | flow pixels |", "|---|---|---|---|"]
    pooled = sum(families.values(), FoldCounts())
    for family, counts in [*families.items(), ("all, pooled", pooled)]:
        rows.append(f"| {family} | {_share(counts.aliased_iou)} | {_share(counts.right)} | {counts.n_flow} |")
    return "\n".join(rows)


def _share(share: float) -> str:
    return "-" if share != share else f"{share:.3f}"


_CARD_TEXT = """\
# Segmentation network {version}

Says for each pixel of a color Doppler frame by how many folds (-2 to 2) its velocity is aliased, or that there is no
flow. It is evidence for the dealiasing engine, which weighs it against others; its class is never taken as the fold.
Research use only, not for diagnosis.

## What it is

A U-Net of convolutions, ReLU, nearest doubling and joins: most of it at half of the image's resolution and below. Input
float32 (1, 10, H, W), output scores of six classes (1, 6, H, W); H and W are multiples of 16, zeros fill up below and
to the right. The channels are described in `trueflow.models.features`; none jumps where the velocity wraps.
{sizes}.
The int8 file has symmetric Q/DQ pairs and weights per channel; biases and the last layers are in float32.

## How it was made

    {command}

{date}; seed {seed}. {n_frames} frames of scenes drawn at random from ten families of the built-in simulator (straight,
plug, narrow, curved, bifurcation, carotid, stenosis, chamber, cropped, disk): turned, shifted, scaled and perfused in
other ways; peaks of 0.7 to 5.2 v_N, 6 to 32 pulses, 4 to 26 dB, bandwidths of 15 to 60 %, f-numbers of 1 to 2.4,
steering within 16 degrees, PRF of 2.5 to 8 kHz, tissue 15 to 42 dB above blood, at rest or moving. Most frames come
from the beamformed-domain simulation, one scene in fifteen from simulated channel RF through the beamformer; all went
through the chain of this package. Training saw {n_seen} variations of them ({epochs} epochs of {steps} batches of
{batch}): zoom, mirrors, negated flow, artificial aliasing, gains, noise, clutter residue, second phase left out.

**All of the training data is synthetic.** The families `bulb`, `opposed` and `femoral` and all real recordings were
kept out of training and of the choice of the weights; scenes of the trained families with other seeds chose them.

## What it is worth

Within the flow mask, where there is true flow. IoU is that of the aliased pixels (fold other than 0); right folds: the
best of the five folds is the true one (beyond +-2 the nearest of them). Folds are those that neighbours agree on across
steps of the phase (`trueflow.kernels.fold_agreement`), as they are used.

{tables}

## Limits

- Folds beyond +-2 are called +-2: above 5 v_N the answer is wrong by construction.
- The absolute fold of flow without slow borders (plugs, cropped views) rests on the second phase; without one it is
  less certain than that of tubes.
- Small regions: where few pixels are aliased, those at their borders are a good part of them.
- Never seen: valve jets, color Doppler of tissue, phased and convex arrays, staggered PRF, in-vivo clutter.
- Symmetry under negated flow is learned, not exact: two answers of mirrored frames differ in a few pixels.
"""
