"""What is generated is what its results say: pages, and the parts of README and docs between markers."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from trueflow.benchmarks.dealias_goals import DISK_LIMITS, NO_DISK
from trueflow.benchmarks.generated import ROOT, Part, load_results, markers, parts, render, replaced
from trueflow.benchmarks.readme import results_section
from trueflow.pipeline.errors import TrueflowError

RESULTS = load_results()
PARTS = [pytest.param(part, id=part.path) for part in parts()]
PEERS = (
    "pymust", "ustb", "ultraspy", "vbeam", "zea", "scikit-image", "skimage", "region-dealias", "kamui", "rapidphase",
    "numpy", "scipy",
)  # fmt: skip
# How a comparison of times or errors is worded.
COMPARES = re.compile(
    r"\d\s*(?:%|ms|s|times|x)?\s*(?:faster|slower|as fast|as long|better|worse)"
    r"|\b(?:twice|times|half|(?:\w+-)?fold) (?:faster|slower|as (?:fast|long|many|often))"
    r"|\b(?:faster|slower|quicker) than\b|\boutperforms?\b|\bbeats?\b",
    re.IGNORECASE,
)
RUN = re.compile(r"benchmarks/results/|results/\w+\.(?:md|json)|`trueflow bench|`make bench`")


def stale(part: Part, results: dict[str, dict[str, object]]) -> bool:
    before = (ROOT / part.path).read_text()
    return render(part, results, before) != before


@pytest.mark.parametrize("part", PARTS)
def test_what_stands_there_is_what_its_results_say(part: Part) -> None:
    missing = set(part.needs) - set(RESULTS)
    assert not missing, f"{part.path} has no figures of {', '.join(sorted(missing))}: make bench"
    assert not stale(part, RESULTS), f"{part.path} is not what its results say: make pages"


@pytest.mark.parametrize("part", PARTS)
def test_another_commit_or_figure_is_seen(part: Part) -> None:
    name = part.needs[0]
    changed = copy.deepcopy(RESULTS)
    changed[name]["provenance"]["commit"] = "0123456789abcdef"
    for row in changed[name].get("stagger", []):
        row["coverage"] = 0.123
    assert stale(part, changed)


def test_disk_goals_of_readme_do_not_vanish_without_the_recording() -> None:
    results = copy.deepcopy(RESULTS)
    results["dealias"].pop("disk", None)
    assert results_section(results).count(NO_DISK) == len(DISK_LIMITS)


def test_every_result_is_told_of_somewhere() -> None:
    assert set(RESULTS) <= {name for part in parts() for name in part.needs}


def test_a_word_typed_into_a_generated_part_is_seen() -> None:
    part = next(part for part in parts() if part.path == "README.md")
    begin, _ = part.markers or ("", "")
    before = (ROOT / part.path).read_text()
    typed = before.replace(begin, begin + "\nWe are the best.\n")
    assert render(part, RESULTS, typed) == before != typed


@pytest.mark.parametrize("page", ["", "<!-- a: begin -->\n", "<!-- a: end -->\n<!-- a: begin -->\n"])
def test_a_page_without_both_markers_in_order_is_refused(page: str) -> None:
    with pytest.raises(TrueflowError, match="no place"):
        replaced(page, markers("a"), "text\n", where="page.md")


def test_what_stands_between_markers_is_replaced_and_nothing_else() -> None:
    page = "before\n<!-- a: begin -->\nold\n<!-- a: end -->\nafter\n"
    assert replaced(page, markers("a"), "new\n", where="x") == page.replace("old", "new")


def written_by_hand() -> Iterator[tuple[Path, str]]:
    """README and docs without their generated parts, paragraph by paragraph."""
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        text = path.read_text()
        for part in parts():
            if part.path == str(path.relative_to(ROOT)) and part.markers is not None:
                text = replaced(text, part.markers, "", where=part.path)
        for paragraph in re.split(r"\n\s*\n|\n(?=\s*[*|-] )", text):
            yield path, paragraph


def claims_without_a_run(paragraph: str) -> bool:
    """Whether a paragraph compares with a named peer and does not say which run shows it."""
    named = any(re.search(rf"\b{re.escape(peer)}\b", paragraph, re.IGNORECASE) for peer in PEERS)
    return bool(named and COMPARES.search(paragraph) and not RUN.search(paragraph))


def test_every_claim_about_a_peer_names_its_run() -> None:
    assert not [f"{path.name}: {text}" for path, text in written_by_hand() if claims_without_a_run(text)]


@pytest.mark.parametrize(
    "claim",
    [
        "Delay-and-sum is 12 times faster than PyMUST.",
        "It is twice as fast as ultraspy.",
        "kamui is slower than the engine.",
        "The engine outperforms scikit-image.",
    ],
)
def test_a_claim_without_a_run_is_seen(claim: str) -> None:
    assert claims_without_a_run(claim)
    assert not claims_without_a_run(f"{claim} ([the run](benchmarks/results/compare.md))")
    assert not claims_without_a_run("PyMUST reads MATLAB files.")
