"""README's results: goals, what was found, where and when; misses too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from trueflow.benchmarks.dealias import ALL_BANDS, BANDS, ENGINE
from trueflow.benchmarks.dealias_goals import (
    DISK_LIMITS,
    FRESH,
    LIMITS,
    MOST_OF_BEST_PEER,
    NO_DISK,
    best_peer,
    figure,
    goals,
    percent,
    seed_sets,
)
from trueflow.benchmarks.markdown import short_stamp, table
from trueflow.benchmarks.segmentation_page import goals as network_goals

__all__ = ["SOURCES", "results_section"]

Documents = Mapping[str, Mapping[str, Any]]
Line = tuple[str, str, str, str]  # what, goal, found, verdict

# Results that README shows, in its order: what they are of, and their page.
SOURCES = {
    "dealias": ("wrong folds, disk", "benchmarks/results/dealias.md"),
    "segmentation": ("the network", "benchmarks/results/segmentation.md"),
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
    lines = [*_disk(results["dealias"]), *_goals(results["dealias"])]
    for name, tell in (("segmentation", _network), ("whole", _whole), ("latency", _latency), ("limits", _limits),
                       ("viewer", _viewer)):  # fmt: skip
        if name in results:
            lines += tell(results[name])
    yield from table(("", "goal", "found", ""), lines)
    yield ""
    yield from (
        "`femoral` is a frozen packet made for timing, one straight vessel, and not the scene `sim://femoral`.",
        "",
    )
    if "compare" in results:
        yield from _compare(results["compare"])
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
    peer = best_peer(sets.get(FRESH, document)) or ""
    yield (
        "Wrong folds of the flow that the mask shows, simulated scenes with known truth, mean over families of\n"
        "scenes; speeds in multiples of v_N. In brackets: how much of the flow is shown, and the families with enough "
        "of\nit."
    )
    yield ""
    who = [f"{name}, {seeds}" for name in ("engine", peer) for seeds in sets]
    head = ["largest speed", "goal", *who, ""]
    yield from table(head, [_band(band, sets, peer) for band in (*BANDS, ALL_BANDS)])
    yield ""
    yield f"{peer} is the best of the peers. {_second_phase(document)}"


def _second_phase(document: Mapping[str, Any]) -> str:
    """What the engine has and peers have not."""
    said = "The engine hears a second phase from the channel data's\nsub-bands, which peers have no part for"
    rates = {
        row["contender"]: row["wrong_fold_rate"]
        for row in document.get("evidence", ())
        if tuple(row["band_v_n"]) == ALL_BANDS
    }
    if "without second phase" not in rates:
        return f"{said}."
    rate = percent(rates["without second phase"])
    return f"{said}: without it {rate} of its folds over all are wrong (fitted seeds)."


def _band(band: tuple[float, float], sets: Mapping[str, Mapping[str, Any]], peer: str) -> list[str]:
    found = {seeds: figure(part, ENGINE, band, "wrong_fold_rate") for seeds, part in sets.items()}
    theirs = {seeds: figure(part, peer, band, "wrong_fold_rate") for seeds, part in sets.items()}
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
    ours = (f"{_share(found[seeds])} ({_shown(part, band)})" for seeds, part in sets.items())
    return [said, goal, *ours, *map(_share, theirs.values()), WORDS[met]]


def _shown(document: Mapping[str, Any], band: tuple[float, float]) -> str:
    """Of how much flow the folds are judged."""
    coverage = figure(document, ENGINE, band, "coverage") or 0.0
    n = figure(document, ENGINE, band, "n_families")
    return f"{100 * coverage:.0f} %, {n} of {len(document['families'])}"


def _share(rate: float | None) -> str:
    """A rate; a few pixels of many are not 0.00 %."""
    if rate is None:
        return ""
    return percent(rate) if rate == 0 or rate >= 5e-5 else f"{100 * rate:.2g} %"


def _goals(document: Mapping[str, Any]) -> Iterator[Line]:
    """What the tables above do not say: families that a peer is better on, and confidence."""
    for goal in goals(document):
        if goal.what.startswith(("families", "right folds")):
            yield goal.what, goal.limit, goal.found, WORDS[goal.met]


def _network(document: Mapping[str, Any]) -> Iterator[Line]:
    for goal in network_goals(document):
        yield f"the network: {goal.what}", goal.limit, goal.found, WORDS[goal.met]


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
        scene = soak["source"].partition("?")[0]
        what = f"live, `{scene}`, engine alone, front end in another process, {run}: {goal['what']}"
        if goal["found"] is None:
            yield what, goal["goal"], "the run is too short ([of 5 minutes](benchmarks/results/latency_long.md))", ""
        else:
            yield what, goal["goal"], f"{goal['found']:.4g}", WORDS[goal["met"]]


def _compare(document: Mapping[str, Any]) -> Iterator[str]:
    """Our time by threads, and the fastest of the others on as many."""
    from trueflow.benchmarks.compare_verdict import milliseconds, summary, threads_in_words

    lines = []
    for line in summary(document):
        if line.peer is None or line.times is None:
            continue
        ours = (f"{milliseconds(line.ours_s[n])}" if n in line.ours_s else "" for n in (1, 2))
        variant = f" ({line.peer['variant']})" if line.peer.get("variant") else ""
        threads = threads_in_words(line.peer["n_threads"])
        theirs = f"{milliseconds(line.peer['timing']['p50_s'])} ({threads})"
        lines.append((line.job, *ours, f"{line.peer['name']}{variant}", theirs, f"{line.times:.1f}"))
    head = ("", "Trueflow, 1 thread, ms", "2 threads", "the fastest beside it", "ms", "times Trueflow's on as many")
    yield from table(head, lines)


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
