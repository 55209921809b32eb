"""What the pictures of one frame's evidence show, in numbers: stored, and told of in docs/dealiasing.md."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from trueflow.benchmarks.evidence import Evidence
from trueflow.benchmarks.markdown import short_stamp, table
from trueflow.benchmarks.refresh import refresh
from trueflow.benchmarks.report import SCHEMA

__all__ = ["as_document", "as_part", "keep", "numbers"]

RESULTS = Path(__file__).resolve().parent / "results"
LEAST_VESSEL = 500  # pixels of the truth


def numbers(evidence: Evidence) -> dict[str, float]:
    """Shares are of the pixels that show flow and have it; confidences and coherences are medians."""
    velocity, doppler, judged = evidence.frame.velocity, evidence.frame.doppler, evidence.judged
    wrong = judged & (velocity.fold != evidence.true_fold)
    right = judged & ~wrong
    vein = judged & _slowest_vessel(evidence)
    known = np.isfinite(evidence.before)
    coherence = np.abs(doppler.r1) / np.maximum(doppler.r0, np.finfo(np.float32).tiny)
    return {
        "regions": float(evidence.regions.max() + 1),
        "wrong_as_it_came": 1 - evidence.share_right(np.zeros_like(velocity.fold)),
        "second_pixels_right": evidence.share_right(evidence.second_pixels),
        "second_regions_right": evidence.share_right(evidence.second_regions),
        "before_right": evidence.share_right(np.where(known, evidence.before, 0), known),
        "wrong_as_shown": float(wrong.sum() / judged.sum()),
        "confidence_vein": float(np.median(velocity.confidence[vein])),
        "confidence_right": float(np.median(velocity.confidence[right])),
        "confidence_wrong": float(np.median(velocity.confidence[wrong])),
        "coherence_right": float(np.median(coherence[right])),
        "coherence_wrong": float(np.median(coherence[wrong])),
    }


def _slowest_vessel(evidence: Evidence) -> Any:
    """Of the true vessels, which do not touch, the one whose fastest pixel is slowest."""
    labels, n_vessels = ndimage.label(evidence.truth.mask)
    vessels = [labels == number for number in range(1, n_vessels + 1)]
    speed = np.abs(evidence.truth.velocity_m_s)
    return min((v for v in vessels if v.sum() >= LEAST_VESSEL), key=lambda v: float(speed[v].max()))


def as_document(found: Mapping[str, float], *, source: str, index: int, made: Mapping[str, object]) -> dict[str, Any]:
    """Ready for JSON."""
    return {
        "schema": SCHEMA,
        "benchmark": "evidence",
        "provenance": dict(made),
        "source": source,
        "index": index,
        "numbers": dict(found),
    }


def as_part(document: Mapping[str, Any]) -> str:
    """A table and its stamp, in Markdown."""
    n = document["numbers"]
    rows = [
        ("regions", f"{n['regions']:.0f}"),
        ("flow with the wrong fold as it came", _percent(n["wrong_as_it_came"])),
        ("fold right by the second phase, each pixel on its own", _percent(n["second_pixels_right"])),
        ("fold right by the second phase, summed by region", _percent(n["second_regions_right"])),
        ("fold right by the frame before", _percent(n["before_right"])),
        ("flow with the wrong fold as it is shown", _percent(n["wrong_as_shown"])),
        ("confidence: vein", f"{n['confidence_vein']:.2f}"),
        ("confidence: where the fold is right, wrong", f"{n['confidence_right']:.2f}, {n['confidence_wrong']:.2f}"),
        ("coherence: where the fold is right, wrong", f"{n['coherence_right']:.2f}, {n['coherence_wrong']:.2f}"),
    ]
    lines = [
        *table(("of the flow that is judged; medians", ""), rows),
        "",
        f"Frame {document['index']} of `{document['source']}`; {short_stamp(document['provenance'])}.",
    ]
    return "\n".join(lines) + "\n"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def keep(document: Mapping[str, Any]) -> None:
    """Write the figures, and the page that tells of them, where the project keeps them."""
    from trueflow.pipeline.output import Outputs

    with Outputs() as outputs:
        outputs.add(RESULTS / "evidence.json").write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
    refresh("evidence")
