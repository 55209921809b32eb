"""What the dealiasing engine should reach, held against a document of figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trueflow.benchmarks.dealias import ALL_BANDS, BANDS, ENGINE
from trueflow.benchmarks.dealias_peers import PEERS
from trueflow.benchmarks.dealias_timing import ENGINE_ROW, STAGE_ROW

__all__ = ["FITTED", "FRESH", "NO_DISK", "Goal", "best_peer", "figure", "goals", "seed_sets"]

FITTED, FRESH = "fitted seeds", "fresh seeds"

LIMITS = dict(zip(BANDS, (0.0, 0.005, 0.015, 0.04), strict=True))  # wrong folds, mean over families
LEAST_SURE_AND_RIGHT = 0.99
MOST_OF_BEST_PEER = 0.5
DISK_LIMITS = {2: 0.0, 3: 0.0, 4: 0.0, 5: 0.003, 6: 0.003}
MEDIAN_LIMITS_S = {(192, 256): 3e-3, (512, 512): 8e-3}
NO_DISK = "not run here: the public recording of a rotating disk is not at hand"
ROUNDING = 5e-5  # rates are held against each other as they are printed: to 0.01 %


@dataclass(frozen=True, slots=True)
class Goal:
    """One goal: in words, its limit and what was found, and whether it is met; None: it was not measured."""

    what: str
    limit: str
    found: str
    met: bool | None


def goals(document: Mapping[str, Any]) -> list[Goal]:
    """Those goals that the document has figures for, or a reason why not; of the engine on either set of seeds."""
    sets = {seeds: part for seeds, part in seed_sets(document).items() if ENGINE in part["contenders"]}
    found: list[Goal] = []
    for band in LIMITS:
        for seeds, part in sets.items():
            found += _wrong_folds(part, band, seeds)
    for of in (_against_peers, _confidence):
        for seeds, part in sets.items():
            found += of(part, seeds)
    return [*found, *_disk(document), *_times(document)]


def seed_sets(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What was found with the seeds that the engine was fitted to, and with fresh ones, as far as it is there."""
    sets = {FITTED: document} if "summary" in document else {}
    return sets | ({FRESH: document["fresh"]} if "fresh" in document else {})


def figure(document: Mapping[str, Any], contender: str, band: tuple[float, float], rate: str) -> float | None:
    """Mean over families of a contender's rate in a band."""
    for row in document["summary"]:
        if row["contender"] == contender and tuple(row["band_v_n"]) == band:
            value: float | None = row[rate]
            return value
    return None


def best_peer(document: Mapping[str, Any]) -> str | None:
    """The peer with the fewest wrong folds over all."""
    rates = {
        name: rate
        for name in document["contenders"]
        if name in PEERS and (rate := figure(document, name, ALL_BANDS, "wrong_fold_rate")) is not None
    }
    return min(rates, key=lambda name: rates[name]) if rates else None


def percent(value: float) -> str:
    """As it is printed everywhere."""
    return f"{100 * value:.2f} %"


def _wrong_folds(document: Mapping[str, Any], band: tuple[float, float], seeds: str) -> Iterator[Goal]:
    rate = figure(document, ENGINE, band, "wrong_fold_rate")
    if rate is not None:
        what = f"wrong folds, {band[0]:g} to {band[1]:g} v_N{', unaliased' if band == BANDS[0] else ''}, {seeds}"
        yield _at_most(what, LIMITS[band], rate, _shown(document, band))


def _shown(document: Mapping[str, Any], band: tuple[float, float]) -> str:
    """Of how much flow the folds are judged: a mask that shows little is seldom wrong."""
    coverage = figure(document, ENGINE, band, "coverage") or 0.0
    n, n_all = figure(document, ENGINE, band, "n_families"), len(document["families"])
    families = "" if n == n_all else f", {n} of {n_all} families"
    return f" ({100 * coverage:.0f} % of the flow shown{families})"


def _at_most(what: str, limit: float, rate: float, of: str = "") -> Goal:
    found = percent(rate) if limit or not rate else f"{100 * rate:.2g} %"  # a few pixels of many are not 0.00 %
    return Goal(what, _words(limit), found + of, rate <= limit)


def _words(limit: float) -> str:
    return f"at most {100 * limit:g} %" if limit else "no pixel"


def _against_peers(document: Mapping[str, Any], seeds: str) -> Iterator[Goal]:
    peer = best_peer(document)
    ours = figure(document, ENGINE, ALL_BANDS, "wrong_fold_rate")
    if peer is None or ours is None:
        return
    theirs = figure(document, peer, ALL_BANDS, "wrong_fold_rate") or 0.0
    limit = MOST_OF_BEST_PEER * theirs
    yield Goal(
        f"wrong folds over all, {seeds}; {peer}, the best peer: {percent(theirs)}", f"at most {percent(limit)}",
        percent(ours), ours <= limit,
    )  # fmt: skip
    worse = _families_with_better_peer(document)
    yield Goal(f"families on which any peer is better, {seeds}", "none", ", ".join(worse) or "none", not worse)


def _families_with_better_peer(document: Mapping[str, Any]) -> Sequence[str]:
    rates: dict[str, dict[str, float]] = {}
    for row in document["by_family"]:
        if tuple(row["band_v_n"]) == ALL_BANDS and row["wrong_fold_rate"] is not None:
            rates.setdefault(row["family"], {})[row["contender"]] = row["wrong_fold_rate"]
    found = []
    for family, by_name in rates.items():
        peers = {name: rate for name, rate in by_name.items() if name in PEERS}
        if not peers or ENGINE not in by_name:
            continue
        best = min(peers, key=lambda name: peers[name])
        if by_name[ENGINE] > peers[best] + ROUNDING:
            found.append(f"{family} ({percent(by_name[ENGINE])}, {best} {percent(peers[best])})")
    return found


def _confidence(document: Mapping[str, Any], seeds: str) -> Iterator[Goal]:
    told = document["confidence"]
    if told is None:
        return
    right, sure = told["sure_and_right"], told["sure"]
    found = "no such pixels" if right is None else f"{percent(right)} of {percent(sure)} of the flow pixels"
    yield Goal(
        f"right folds where the confidence is 0.9 or more, {seeds}", f"at least {100 * LEAST_SURE_AND_RIGHT:g} %",
        found, right is not None and right >= LEAST_SURE_AND_RIGHT,
    )  # fmt: skip


def _disk(document: Mapping[str, Any]) -> Iterator[Goal]:
    found = {row["k"]: row["wrong_fold_rate"] for row in document.get("disk", ()) if row["contender"] == ENGINE}
    left_out = any(s["name"] == "disk" for s in document.get("skipped", ()))
    for k, limit in DISK_LIMITS.items():
        rate, what = found.get(k), f"wrong folds, real disk, one pulse in {k} kept"
        if rate is not None:
            yield _at_most(what, limit, rate)
        elif left_out:
            yield Goal(what, _words(limit), NO_DISK, None)


def _times(document: Mapping[str, Any]) -> Iterator[Goal]:
    rows = document.get("timing", ())
    stages_s = {(row["n_x"], row["n_z"]): row["p50_s"] for row in rows if row["name"] == STAGE_ROW}
    for row in rows:
        size = row["n_x"], row["n_z"]
        limit_s = MEDIAN_LIMITS_S.get(size)
        if row["name"] == ENGINE_ROW and limit_s is not None:
            stage = f" ({STAGE_ROW}: {1e3 * stages_s[size]:.1f} ms)" if size in stages_s else ""
            yield Goal(
                f"median time of the engine, the kernels on ready maps, {size[0]} x {size[1]}",
                f"at most {1e3 * limit_s:g} ms", f"{1e3 * row['p50_s']:.1f} ms{stage}", row["p50_s"] <= limit_s,
            )  # fmt: skip
