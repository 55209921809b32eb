"""README's results: goals, what was found, where and when; misses too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from trueflow.benchmarks.dealias import ALL_BANDS, BANDS, ENGINE
from trueflow.benchmarks.dealias_goals import (
    DISK_LIMITS,
    FITTED,
    FRESH,
    LIMITS,
    MOST_OF_BEST_PEER,
    NO_DISK,
    best_peer,
    figure,
    percent,
    seed_sets,
)
from trueflow.benchmarks.markdown import short_stamp, table

__all__ = ["SOURCES", "results_section"]

Documents = Mapping[str, Mapping[str, Any]]
Line = tuple[str, str, str, str]  # what, goal, found, verdict

# Results that README shows, in its order: what they are of, and their page.
SOURCES = {
    "dealias": ("wrong folds, disk", "benchmarks/results/dealias.md"),
    "whole": ("RF to image", "benchmarks/results/whole.md"),
    "latency": ("live", "benchmarks/results/latency.md"),
    "compare": ("side by side", "benchmarks/results/compare.md"),
    "limits": ("how close to the limit", "benchmarks/results/limits.md"),
    "viewer": ("viewer", "docs/viewer.md"),
}
WORDS = {True: "met", False: "**missed**", None: ""}


def results_section(results: Documents) -> str:
    """What stands between README's markers, in Markdown.

    Parameters
    ----------
    results : mapping
        Documents by name; those that are not there are not told of.
    """
    return "\n".join(_lines(results)) + "\n"


def _lines(results: Documents) -> Iterator[str]:
    yield from _folds(results["dealias"])
    yield ""
    lines = [*_disk(results["dealias"])]
    for name, tell in (("whole", _whole), ("latency", _latency), ("compare", _compare), ("limits", _limits),
                       ("viewer", _viewer)):  # fmt: skip
        if name in results:
            lines += tell(results[name])
    yield from table(("", "goal", "found", ""), lines)
    yield ""
    for name, (what, page) in SOURCES.items():
        if name in results:
            yield f"* [{what}]({page}), `{_command(name, results[name])}`: {short_stamp(results[name]['provenance'])}"


def _command(name: str, document: Mapping[str, Any]) -> str:
    """What made a document."""
    return f"trueflow bench {name}{' --quick' if document.get('quick') else ''}"


def _folds(document: Mapping[str, Any]) -> Iterator[str]:
    """Wrong folds by band of speeds, mean over families of scenes."""
    sets = seed_sets(document)
    peer = best_peer(sets.get(FRESH, document))
    yield (
        "Wrong folds of the flow that the mask shows, simulated scenes with known truth, mean over\n"
        f"{len(document['families'])} families; speeds in multiples of v_N:"
    )
    yield ""
    head = ["largest speed", "goal", *(f"engine, {seeds}" for seeds in sets), f"{peer}, the best peer", ""]
    yield from table(head, [_band(band, sets, peer) for band in (*BANDS, ALL_BANDS)])


def _band(band: tuple[float, float], sets: Mapping[str, Mapping[str, Any]], peer: str | None) -> list[str]:
    found = {seeds: figure(part, ENGINE, band, "wrong_fold_rate") for seeds, part in sets.items()}
    theirs = {seeds: figure(part, peer or "", band, "wrong_fold_rate") for seeds, part in sets.items()}
    shown = next((theirs[seeds] for seeds in (FRESH, FITTED) if theirs.get(seeds) is not None), None)
    if band == ALL_BANDS:
        said, goal = "all", f"at most {100 * MOST_OF_BEST_PEER:g} % of the best peer's"
        limits = {seeds: None if rate is None else MOST_OF_BEST_PEER * rate for seeds, rate in theirs.items()}
    else:
        said = f"{band[0]:g} to {band[1]:g}{', unaliased' if band == BANDS[0] else ''}"
        goal = _goal(LIMITS[band])
        limits = dict.fromkeys(sets, LIMITS[band])
    pairs = [(found[seeds], limits[seeds]) for seeds in sets]
    judged = [rate <= limit for rate, limit in pairs if rate is not None and limit is not None]
    met = all(judged) if judged else None
    return [said, goal, *(_share(rate) for rate in found.values()), _share(shown), WORDS[met]]


def _share(rate: float | None) -> str:
    """A rate; a few pixels of many are not 0.00 %."""
    if rate is None:
        return ""
    return percent(rate) if rate == 0 or rate >= 5e-5 else f"{100 * rate:.2g} %"


def _disk(document: Mapping[str, Any]) -> Iterator[Line]:
    found = {row["k"]: row["wrong_fold_rate"] for row in document.get("disk", ()) if row["contender"] == ENGINE}
    for k, limit in DISK_LIMITS.items():
        what, goal = f"wrong folds, real rotating disk, one pulse in {k} kept", _goal(limit)
        rate = found.get(k)
        if rate is not None:
            yield what, goal, _share(rate), WORDS[rate <= limit]
        else:
            yield what, goal, "no flow shown" if found else NO_DISK, ""


def _goal(limit: float) -> str:
    return f"at most {100 * limit:g} %" if limit else "no pixel"


def _whole(document: Mapping[str, Any]) -> Iterator[Line]:
    for goal in document["goals"]:
        yield f"`femoral`, RF to RGB image, {goal['what']}", goal["goal"], goal["found"], WORDS[goal["met"]]


def _latency(document: Mapping[str, Any]) -> Iterator[Line]:
    soak = document.get("soak") or {"goals": ()}
    for goal in soak["goals"]:
        run = f"{soak['rate_hz']:g} packets/s for {soak['seconds']:g} s, `{_command('latency', document)}`"
        what = f"live, front end in another process, {run}: {goal['what']}"
        if goal["found"] is None:
            yield what, goal["goal"], "not measured: the run is too short", ""
        else:
            yield what, goal["goal"], f"{goal['found']:.4g}", WORDS[goal["met"]]


def _compare(document: Mapping[str, Any]) -> Iterator[Line]:
    """Our time by threads, and the fastest of the others on as many."""
    from trueflow.benchmarks.compare_verdict import summary

    for line in summary(document):
        if line.peer is not None and line.times is not None:
            ours = ", ".join(f"{_milliseconds(seconds)} ({_threads(n)})" for n, seconds in sorted(line.ours_s.items()))
            theirs = f"{_milliseconds(line.peer['timing']['p50_s'])} ({_threads(line.peer['n_threads'])})"
            yield f"{line.job}, beside {line.peer['name']}", "", f"{ours}; {theirs}, {line.times:.1f} times ours", ""


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:.{1 if seconds >= 1e-3 else 2}f} ms"


def _threads(n: int) -> str:
    return f"{n} thread{'' if n == 1 else 's'}"


def _limits(document: Mapping[str, Any]) -> Iterator[Line]:
    from trueflow.benchmarks.limits_page import least_s

    least = sum(least_s(row) for row in document["rows"])
    whole_s = document["whole_s"]
    found = f"{100 * least / whole_s:.0f} % ({1e3 * least:.1f} of {1e3 * whole_s:.1f} ms)"
    what = f"`{document['case']}`: of a frame's time, what the kernels' own bytes and operations need here"
    yield what, "", found, ""


def _viewer(document: Mapping[str, Any]) -> Iterator[Line]:
    size = document["cases"]["femoral"]["size"]
    for row in document["results"]:
        if row["row"] == "distinct frames":
            what = f"viewer, distinct frames per second, {size[0]} x {size[1]}, software rasteriser"
            yield what, "", f"{row['frames_per_s']:.0f}", ""
