"""The figures of dealiasers as one document, ready for JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from operator import add
from typing import Any

from trueflow.benchmarks.contenders import Skipped
from trueflow.benchmarks.dealias import (
    ALL_BANDS,
    BANDS,
    ENGINE,
    CaseResult,
    by_family,
    counted,
    mean_over_families,
    within,
)
from trueflow.benchmarks.dealias_disk import DiskResult
from trueflow.benchmarks.dealias_peers import PEERS, peer_version
from trueflow.benchmarks.dealias_sequences import SETTINGS, SequenceResult
from trueflow.benchmarks.dealias_stagger import StaggerResult
from trueflow.benchmarks.dealias_tally import CONFIDENCE_EDGES, RATES, Tally
from trueflow.benchmarks.dealias_timing import TimedRow
from trueflow.benchmarks.report import SCHEMA
from trueflow.benchmarks.validation import FAMILIES, ValidationCase, cases_of, set_version
from trueflow.pipeline.dealias import DEALIASERS
from trueflow.pipeline.errors import TrueflowError, nearest

__all__ = ["Findings", "as_document", "as_json", "check_names"]


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """What a run measured; None where a part was not run.

    Parameters
    ----------
    scenes, fresh : sequence of CaseResult, optional
        All contenders on the validation set, and on its scenes with fresh seeds.
    evidence : sequence of CaseResult, optional
        The variants of the engine on the validation set.
    sequences : sequence of SequenceResult, optional
    disk : sequence of DiskResult, optional
    stagger : sequence of StaggerResult, optional
    timing : sequence of TimedRow, optional
    skipped : sequence of Skipped
    """

    scenes: Sequence[CaseResult] | None = None
    fresh: Sequence[CaseResult] | None = None
    evidence: Sequence[CaseResult] | None = None
    sequences: Sequence[SequenceResult] | None = None
    disk: Sequence[DiskResult] | None = None
    stagger: Sequence[StaggerResult] | None = None
    timing: Sequence[TimedRow] | None = None
    skipped: Sequence[Skipped] = ()


def check_names(contenders: Sequence[str], families: Sequence[str]) -> tuple[ValidationCase, ...]:
    """The cases of some families (all if none is named).

    Raises
    ------
    TrueflowError
        Unknown dealiaser, peer or family.
    """
    known = [*DEALIASERS, *PEERS]
    for name in contenders:
        if name not in known:
            raise TrueflowError("unknown dealiaser", found=repr(name), advice=nearest(name, known))
    for family in families:
        if family not in FAMILIES:
            raise TrueflowError("unknown family", found=repr(family), advice=nearest(family, FAMILIES))
    return cases_of(tuple(families))


def as_document(findings: Findings, provenance: Mapping[str, object]) -> dict[str, Any]:
    """Everything that was measured, to six digits. nan becomes null; a part that was not run is not there."""
    document: dict[str, Any] = {
        "schema": SCHEMA, "benchmark": "dealias", "set": set_version(), "provenance": dict(provenance),
    }  # fmt: skip
    if findings.scenes is not None:
        document |= _scenes(findings.scenes)
    if findings.fresh is not None:
        document["fresh"] = _scenes(findings.fresh)
    if findings.evidence is not None:
        document["evidence"] = _bands(findings.evidence, dict.fromkeys(r.contender for r in findings.evidence))
    if findings.sequences is not None:
        document["sequences"] = _sequences(findings.sequences)
    if findings.disk is not None:
        document["disk"] = [
            {"contender": r.contender, "k": r.k, "n_pulses": r.n_pulses, "peak_v_n": r.peak,
             "n_flow": r.tally.n_flow, **r.tally.rates()}
            for r in findings.disk
        ]  # fmt: skip
    if findings.stagger is not None:
        document["stagger"] = [
            {"family": r.family, "peak_v_n": r.peak, "setting": r.setting, "coherence_gate": r.coherence_gate,
             "n_flow": r.tally.n_flow, **r.tally.rates()}
            for r in findings.stagger
        ]  # fmt: skip
    if findings.timing is not None:
        document["timing"] = [
            {"n_x": r.size[0], "n_z": r.size[1], "name": r.name, **asdict(r.timing)} for r in findings.timing
        ]
    document["skipped"] = [asdict(s) for s in findings.skipped]
    plain: dict[str, Any] = _plain(document)
    return plain


def as_json(value: Any, *, indent: str = "") -> str:
    """JSON with a line for each row of a table."""
    deeper = indent + " "
    if isinstance(value, dict) and any(isinstance(item, (dict, list)) for item in value.values()):
        items = [f"{json.dumps(key)}: {as_json(item, indent=deeper)}" for key, item in value.items()]
        return "{\n" + ",\n".join(deeper + item for item in items) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        rows = [deeper + json.dumps(item, allow_nan=False) for item in value]
        return "[\n" + ",\n".join(rows) + f"\n{indent}]"
    return json.dumps(value, allow_nan=False)


def _scenes(results: Sequence[CaseResult]) -> dict[str, Any]:
    contenders = list(dict.fromkeys(r.contender for r in results))
    return {
        "families": list(dict.fromkeys(r.case.family for r in results)),
        "contenders": contenders,
        "peer_versions": {name: peer_version(name) for name in contenders if name in PEERS},
        "summary": _bands(results, contenders),
        "by_family": [
            {"contender": name, "band_v_n": list(band), "family": family, "n_flow": pooled.n_flow, **pooled.rates()}
            for name in contenders
            for band in (*BANDS, ALL_BANDS)
            for family, pooled in by_family(within(results, name, band)).items()
        ],
        "confidence": _confidence(within(results, ENGINE)),
        "cases": [
            {**asdict(r.case), "contender": r.contender, "frame_peak_v_n": r.peak, "n_flow": r.tally.n_flow,
             **r.tally.rates()}
            for r in results
        ],
    }  # fmt: skip


def _bands(results: Sequence[CaseResult], names: Iterable[str]) -> list[dict[str, Any]]:
    """Means over families of pooled pixels, by contender and band: those with enough flow; of what is shown, all."""
    rows = []
    for name in names:
        for band in (*BANDS, ALL_BANDS):
            chosen = within(results, name, band)
            if chosen:
                families = by_family(chosen)
                judged = counted(families)
                means = {rate: mean_over_families(families if rate == "coverage" else judged, rate) for rate in RATES}
                counts = {"n_frames": len(chosen), "n_families": len(judged)}
                rows.append({"contender": name, "band_v_n": list(band), **counts, **means})
    return rows


def _confidence(results: Sequence[CaseResult]) -> dict[str, Any] | None:
    """Right folds by the engine's confidence, all frames' pixels pooled."""
    if not results:
        return None
    pooled: Tally = reduce(add, (r.tally for r in results))
    edges = (*CONFIDENCE_EDGES, 1.0)
    bins = [
        {"from": edges[i], "to": edges[i + 1], "n_pixels": int(n), "right": float(right / n) if n else math.nan}
        for i, (n, right) in enumerate(zip(pooled.by_confidence, pooled.right_by_confidence, strict=True))
    ]
    return {"bins": bins, "n_flow": pooled.n_flow, "sure": pooled.sure, "sure_and_right": pooled.sure_and_right}


def _sequences(results: Sequence[SequenceResult]) -> dict[str, Any]:
    """Wrong folds by setting, frame rate and peak: means over families; and each sequence."""
    summary = []
    for setting in SETTINGS:
        chosen = [r for r in results if r.setting == setting]
        for rate_hz, peak in dict.fromkeys((r.sequence.rate_hz, r.sequence.peak) for r in chosen):
            here = {
                r.sequence.family: r.tally for r in chosen if (r.sequence.rate_hz, r.sequence.peak) == (rate_hz, peak)
            }
            wrong = mean_over_families(here, "wrong_fold_rate")
            summary.append({"setting": setting, "rate_hz": rate_hz, "peak_v_n": peak, "wrong_fold_rate": wrong})
    each = [{**asdict(r.sequence), "setting": r.setting, "n_flow": r.tally.n_flow, **r.tally.rates()} for r in results]
    return {"summary": summary, "sequences": each}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
