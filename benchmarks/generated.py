"""What is written from stored results: pages, and the parts of README and docs between markers. One registry of all."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from trueflow.benchmarks import dealias_markdown
from trueflow.benchmarks.readme import SOURCES
from trueflow.pipeline.errors import TrueflowError

__all__ = ["RESULTS", "ROOT", "Part", "load_results", "parts", "render", "replaced", "write_parts"]

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"

Documents = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Part:
    """A page, or a part of one between two markers.

    Parameters
    ----------
    path : str
        Below the project's folder.
    needs : tuple of str
        Results, by the names of their JSON files, without which it cannot be written.
    text : callable
        From all results there are, by name, to the text.
    markers : (str, str), optional
        Lines around it; None: the whole page.
    """

    path: str
    needs: tuple[str, ...]
    text: Callable[[Documents], str]
    markers: tuple[str, str] | None = None


def markers(name: str) -> tuple[str, str]:
    """What stands around a generated part."""
    return f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"


def parts() -> list[Part]:
    """Everything that is generated from results."""
    pages = [
        _page("latency", "latency_page"),
        _page("latency_long", "latency_page"),
        _page("limits", "limits_page"),
        _page("segmentation", "segmentation_page"),
        _page("whole", "whole_page"),
    ]
    return [
        Part("benchmarks/results/compare.md", ("compare",), _compare_page),
        Part("benchmarks/results/dealias.md", ("dealias",), _dealias_page),
        *pages,
        Part("README.md", tuple(SOURCES), _readme, markers("results")),
        Part("docs/viewer.md", ("viewer",), _viewer, markers("figures")),
        Part("docs/dealiasing.md", ("evidence",), _evidence, markers("figures")),
        Part("docs/simulation.md", ("simulation",), _simulation, markers("figures")),
        Part("docs/stagger.md", ("dealias",), _stagger, (dealias_markdown.BEGIN, dealias_markdown.END)),
    ]


def load_results(folder: Path = RESULTS) -> dict[str, dict[str, Any]]:
    """All stored results, by name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def render(part: Part, results: Documents, before: str) -> str:
    """The page as it should be.

    Parameters
    ----------
    part : Part
    results : mapping
        By name.
    before : str
        The page as it is.

    Raises
    ------
    TrueflowError
        The page has not both markers.
    """
    text = part.text(results)
    if part.markers is None:
        return text
    return replaced(before, part.markers, f"\n{text}\n", where=part.path)


def replaced(page: str, around: tuple[str, str], text: str, *, where: str) -> str:
    """A page with what stands between two markers replaced."""
    begin, end = around
    if page.count(begin) != 1 or page.count(end) != 1 or page.index(begin) > page.index(end):
        raise TrueflowError("no place for a generated part", where=where, expected=f"{begin.strip()} ... {end.strip()}")
    head, _, rest = page.partition(begin)
    return head + begin + text + end + rest.partition(end)[2]


def write_parts(names: Sequence[str] | None = None) -> list[str]:
    """Write what can be written from the results there are, and say which pages changed.

    Parameters
    ----------
    names : sequence of str, optional
        Only what needs one of these results.
    """
    from trueflow.pipeline.output import Outputs

    results = load_results()
    pages: dict[Path, str] = {}
    for part in parts():
        if not set(part.needs) <= set(results) or (names is not None and not set(part.needs) & set(names)):
            continue
        path = ROOT / part.path
        before = pages.get(path, path.read_text() if path.exists() else "")
        pages[path] = render(part, results, before)
    changed = {path: text for path, text in pages.items() if not path.exists() or path.read_text() != text}
    with Outputs() as outputs:
        for path, text in changed.items():
            outputs.add(path).write_text(text)
    return sorted(str(path.relative_to(ROOT)) for path in changed)


def _page(name: str, module: str) -> Part:
    def text(results: Documents) -> str:
        made: str = import_module(f"trueflow.benchmarks.{module}").as_page(results[name])
        return made

    return Part(f"benchmarks/results/{name}.md", (name,), text)


def _dealias_page(results: Documents) -> str:
    from trueflow.benchmarks.dealias_page import as_page

    return as_page(results["dealias"], reliability="../../docs/pictures/reliability.png")


def _compare_page(results: Documents) -> str:
    from trueflow.benchmarks.compare import PICTURE_FROM_PAGE
    from trueflow.benchmarks.compare_page import as_page

    return as_page(dict(results["compare"]), picture=PICTURE_FROM_PAGE)


def _stagger(results: Documents) -> str:
    from trueflow.benchmarks.dealias_sections import stagger_table

    return "\n".join(stagger_table(results["dealias"]["stagger"])) + "\n"


def _readme(results: Documents) -> str:
    from trueflow.benchmarks.readme import results_section

    return results_section(results)


def _simulation(results: Documents) -> str:
    from trueflow.benchmarks.markdown import stamp_line
    from trueflow.benchmarks.simulation_report import as_table

    document = results["simulation"]
    return f"{as_table(document)}\n{stamp_line(document['provenance'])}\n"


def _evidence(results: Documents) -> str:
    from trueflow.benchmarks.evidence_page import as_part

    return as_part(results["evidence"])


def _viewer(results: Documents) -> str:
    from trueflow.benchmarks.markdown import stamp_line

    document = results["viewer"]
    case, rows = document["cases"]["femoral"], {row["row"]: row for row in document["results"]}
    distinct, empty = rows["distinct frames"], rows["empty window"]
    return (
        f"{case['layout'].replace('-', ' ').capitalize()} at {case['size'][0]} x {case['size'][1]}, OpenGL "
        f"{case['renderer']}: {distinct['frames_per_s']:.0f} distinct frames per second. One picture cost "
        f"{1e3 * distinct['process_s']:.1f} ms of processor time over all threads, "
        f"{1e3 * distinct['python_s']:.1f} ms of it in the drawing thread (Python, PyOpenGL, uploads), the rest in the "
        f"rasteriser; an empty window cost {1e3 * empty['process_s']:.1f} ms.\n\n{stamp_line(document['provenance'])}\n"
    )
