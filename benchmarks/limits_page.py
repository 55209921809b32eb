"""How close to the machine's limits, as a document and as a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from trueflow.benchmarks.limits import NETWORK, REST, Machine
from trueflow.benchmarks.markdown import stamp_line, table
from trueflow.benchmarks.report import SCHEMA

__all__ = ["as_document", "as_page", "least_s", "remaining"]

Document = Mapping[str, Any]

# Rows of which less remains than this share of the frame are told as one.
LEAST_SHARE = 0.01
SAID = {REST: "between kernels (Python)", NETWORK: "segmentation network (OpenVINO)"}


def as_document(
    found: Mapping[str, Any], alone: Machine, *, case: str, provenance: Mapping[str, object]
) -> dict[str, Any]:
    """Everything that was measured, ready for JSON.

    Parameters
    ----------
    found : mapping
        From `run_limits`.
    alone : Machine
        One thread.
    case : str
    provenance : mapping
    """
    return {
        "schema": SCHEMA,
        "benchmark": "limits",
        "provenance": dict(provenance),
        "case": case,
        "machines": [_machine(machine) for machine in (alone, found["machine"])],
        "n_threads": found["machine"].n_threads,
        "frame_s": sum(row.seconds for row in found["rows"]),
        "whole_s": found["whole_s"],
        "numbers": dict(found["numbers"]),
        "rows": [asdict(row) for row in found["rows"]],
    }


def _machine(machine: Machine) -> dict[str, Any]:
    return {
        "n_threads": machine.n_threads,
        "flops_per_s": machine.flops_per_s,
        "bytes_per_s": machine.bytes_per_s,
        "copies": [{"bytes": n_bytes, "seconds": seconds} for n_bytes, seconds in machine.copies],
    }


def least_s(row: Document) -> float:
    """What the machine needs at least for a row's own bytes and operations."""
    return max(float(row["memory_s"]), float(row["arithmetic_s"]))


def remaining(document: Document) -> list[tuple[Document, float]]:
    """Rows and what could still be taken out of them (s), most first."""
    rows = [(row, max(float(row["seconds"]) - least_s(row), 0.0)) for row in document["rows"]]
    return sorted(rows, key=lambda item: -item[1])


def as_page(document: Document) -> str:
    """The page, in Markdown."""
    return "\n".join(_lines(document)) + "\n"


def _lines(document: Document) -> Iterator[str]:
    yield "# How close to the limit"
    yield ""
    yield "Made by `trueflow bench limits`."
    yield ""
    yield stamp_line(document["provenance"])
    yield ""
    yield from _method()
    yield ""
    yield from _machines(document["machines"])
    yield ""
    yield f"## A frame of `{document['case']}`, with engine and network, on {document['n_threads']} threads"
    yield ""
    yield from _in_words(document)
    yield ""
    yield from _rows(document)


def _method() -> Iterator[str]:
    yield (
        "A kernel as it is written cannot be faster than this machine moves its arrays and does its sums. Bytes and "
        "operations are the kernel's own, not a minimum for the job: another way to do it may need fewer. Bytes: each "
        "array of a launch once, in or out; of the engine's tables, what a frame fills. Operations: floating-point "
        "ones, counted in the kernels' text (benchmarks/limits_work.py); integers are not counted. The least time is "
        "the longer one of a copy of as many bytes and of the operations at the best rate of fused products and sums "
        "of float32, both measured here, in the same minute, by kernels of the same library (kernels/probe.cu); "
        "products of 8 bit, the network's, count a quarter. What one kernel leaves in a cache the next one finds "
        "there, as a copy does that is repeated. Kernels run one by one for this, so that each has a time; the chain "
        "launches them in lists."
    )


def _machines(machines: Sequence[Document]) -> Iterator[str]:
    sizes = (2**20, 2**23, 2**28)
    head = ["threads", "float32 Gflop/s", *(f"copy of {size // 2**20} MiB, GB/s" for size in sizes)]
    rows = []
    for machine in machines:
        by_size = {int(copy["bytes"]): copy["bytes"] / copy["seconds"] for copy in machine["copies"]}
        copies = [f"{by_size[size] / 1e9:.1f}" if size in by_size else "" for size in sizes]
        rows.append([str(machine["n_threads"]), f"{machine['flops_per_s'] / 1e9:.0f}", *copies])
    yield from table(head, rows)


def _in_words(document: Document) -> Iterator[str]:
    frame_s, least = document["frame_s"], sum(least_s(row) for row in document["rows"])
    most = [(row, left_s) for row, left_s in remaining(document) if left_s > 0][:3]
    named = ", ".join(f"{_name(row)} {1e3 * left_s:.1f} ms" for row, left_s in most)
    yield (
        f"A frame takes {1e3 * document['whole_s']:.1f} ms (median); where kernels run one by one, as in the table, "
        f"{1e3 * frame_s:.1f} ms. For the kernels' own bytes and operations the machine needs {1e3 * least:.1f} ms at "
        f"least: {100 * least / document['whole_s']:.0f} % of the measured frame. One by one, "
        f"{1e3 * (frame_s - least):.1f} ms remain. Most of that is in {named}."
    )


def _name(row: Document) -> str:
    return SAID.get(row["kernel"], f"`{row['kernel']}`")


def _rows(document: Document) -> Iterator[str]:
    head = ("kernel", "launches", "ms", "MB", "Mflop", "bytes need ms", "operations", "binds", "reached", "remain ms")
    everything, least = remaining(document), LEAST_SHARE * document["frame_s"]
    shown, rest = [item for item in everything if item[1] >= least], [item for item in everything if item[1] < least]
    lines = [_row(_name(row), row, left_s) for row, left_s in shown]
    if rest:
        pooled = _pooled([row for row, _ in rest])
        lines.append(_row(f"{len(rest)} others", pooled, sum(left_s for _, left_s in rest)))
    lines.append(_row("**all**", _pooled(document["rows"]), sum(left_s for _, left_s in everything)))
    yield from table(head, lines)


def _pooled(rows: Sequence[Document]) -> dict[str, Any]:
    keys = ("launches", "seconds", "bytes", "flops", "memory_s", "arithmetic_s")
    return {key: sum(row[key] for row in rows) for key in keys} | {"least_s": sum(least_s(row) for row in rows)}


def _row(name: str, row: Document, left_s: float) -> list[str]:
    least = row.get("least_s", least_s(row))
    pooled = "least_s" in row
    binds = "" if pooled or not least else "memory" if row["memory_s"] >= row["arithmetic_s"] else "arithmetic"
    return [
        name,
        str(row["launches"] or ""),
        f"{1e3 * row['seconds']:.2f}",
        f"{row['bytes'] / 1e6:.1f}",
        f"{row['flops'] / 1e6:.1f}",
        f"{1e3 * row['memory_s']:.2f}",
        f"{1e3 * row['arithmetic_s']:.2f}",
        binds,
        f"{100 * least / row['seconds']:.0f} %",
        f"{1e3 * left_s:.2f}",
    ]
