"""The part of the comparison's page on growth: picture, times at each size, exponents, who was left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trueflow.benchmarks.compare_verdict import OURS, milliseconds, threads_in_words, times
from trueflow.benchmarks.markdown import table

__all__ = ["PICTURE_FROM_PAGE", "growth_lines"]

Document = Mapping[str, Any]

PICTURE_FROM_PAGE = "../../docs/pictures/growth.png"
TITLES = {
    "chain": "chain, ms a frame", "das": "delay-and-sum, ms an ensemble", "doppler": "velocity, ms a map",
    "dealias": "dealiasing, ms a map",
}  # fmt: skip


def growth_lines(growth: Document, picture: str) -> Iterator[str]:
    """Markdown; `picture` is where it is, seen from the page."""
    side, channels, pulses = growth["base"]
    yield from ("", "## Growth", "")
    yield (
        f"`femoral` with dealiasing at {side} x {side} pixels, {channels} channels and {pulses} pulses, one of them "
        "varied at a time, then all together; beside Trueflow one peer each, the same at all points. The array stays "
        "as wide as it is: more channels are narrower elements. "
        "Few runs a point (two and more). The exponent is the slope of log p50 over log size, by least squares: 1 is "
        "twice the time for twice the size; \"last\" is that of the last step alone, where fixed costs weigh least."
    )
    yield from ("", f"![Time against size]({picture})")
    for along in ("pixels", "channels", "pulses", "all"):
        curves = [c for c in growth["curves"] if c["along"] == along and c["points"]]
        if curves:
            yield from ("", *_axis(along, curves))
    yield from _threads(growth["curves"])
    yield from _left_out(growth["curves"])


def _threads(curves: Sequence[Document]) -> Iterator[str]:
    """What more threads give us: the ratio of times at every point of an axis."""
    ours = {(c["job"], c["along"], c["n_threads"]): c for c in curves if c["name"] == OURS}
    most = max((n for _, _, n in ours), default=1)
    rows = []
    for job, along in dict.fromkeys((job, along) for job, along, _ in ours):
        one, many = ours.get((job, along, 1)), ours.get((job, along, most))
        if one is None or many is None or most == 1:
            continue
        at = {p["size"]: p["timing"]["p50_s"] for p in many["points"]}
        gains = [
            f"{_label(p['point'], along)}: {times(p['timing']['p50_s'] / at[p['size']])}"
            for p in one["points"]
            if p["size"] in at
        ]
        rows.append([TITLES[job].partition(",")[0], _title(along), "; ".join(gains)])
    if rows:
        yield ""
        yield from table(["Trueflow", "along", f"times as fast on {threads_in_words(most)} as on one"], rows)


def _axis(along: str, curves: Sequence[Document]) -> Iterator[str]:
    sizes = sorted({(p["size"], tuple(p["point"])) for c in curves for p in c["points"]})
    head = [_title(along), "who", "threads", *(_label(point, along) for _, point in sizes), "exponent", "last"]
    rows = []
    for curve in curves:
        found = {p["size"]: milliseconds(p["timing"]["p50_s"]) for p in curve["points"]}
        name = "**Trueflow**" if curve["name"] == OURS else curve["name"]
        cells = [found.get(size, "left out") for size, _ in sizes]
        slopes = [_slope(curve["exponent"]), _slope(curve["last_exponent"])]
        rows.append([TITLES[curve["job"]], name, str(curve["n_threads"]), *cells, *slopes])
    yield from table(head, rows)


def _title(along: str) -> str:
    return {"all": "pixels, channels, pulses"}.get(along, along)


def _label(point: Sequence[int], along: str) -> str:
    side, channels, pulses = point
    labels = {"pixels": f"{side} x {side}", "channels": str(channels), "pulses": str(pulses)}
    return labels.get(along, f"{side} x {side}, {channels}, {pulses}")


def _slope(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _left_out(curves: Sequence[Document]) -> Iterator[str]:
    """Each reason once, with the points it holds for."""
    reasons: dict[tuple[str, str, str], dict[str, None]] = {}
    for curve in curves:
        for p in curve["left_out"]:
            reasons.setdefault((TITLES[curve["job"]], curve["name"], p["reason"]), {})[_label(p["point"], "all")] = None
    if reasons:
        yield from ("", "Left out (pixels, channels, pulses):", "")
    for (title, name, reason), points in reasons.items():
        yield f"* {title.partition(',')[0]}, {name}, at {'; '.join(points)}: {reason}"
