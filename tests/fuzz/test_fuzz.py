"""Each reader on its corpus, on what was once found, and on some hundred inputs made of them; and the fuzzer itself."""

from __future__ import annotations

from random import Random

import pytest

from .engine import Finding, Input, make_input
from .minimise import minimised, verdict
from .runner import fuzz
from .targets import CORPUS, CRASHES, TARGETS

# Inputs of one run: about three seconds each on a slow core.
EXECUTIONS = {"scene": 200, "network": 5, "verasonics": 60, "zea": 120, "uff": 120, "must": 150, "us4us": 300}
LARGEST_CORPUS_BYTES = 300_000


@pytest.mark.parametrize("target", list(TARGETS))
def test_an_input_is_valid_or_one_error_within_bounds(target: str) -> None:
    n = EXECUTIONS.get(target, 400)
    outcome = fuzz(target, seed=1, executions=n, coverage=False)
    findings = [f"{finding.signature}\n{finding.detail}" for finding, _ in outcome.findings.values()]
    assert not findings, "\n".join(findings)
    assert outcome.executions >= n
    assert outcome.valid >= len(list((CORPUS / target).iterdir()))


@pytest.mark.parametrize(
    ("planted", "kind"),
    [
        ("raises", "exception"), ("warns", "exception"), ("swallows", "memory"), ("grows", "memory"),
        ("grows_without_end", "memory"), ("hangs", "hang"), ("crashes", "crash"), ("writes", "forbidden"),
        ("writes_and_goes_on", "forbidden"), ("starts", "forbidden"), ("follows", "forbidden"),
        ("answers_wrongly", "invalid"),
    ],
)  # fmt: skip
def test_what_a_reader_must_not_do_is_noticed(planted: str, kind: str) -> None:
    outcome = fuzz(f"planted {planted}", seed=1, executions=1, coverage=False)
    assert [finding.kind for finding, _ in outcome.findings.values()] == [kind]


def test_a_refusal_is_no_finding() -> None:
    outcome = fuzz("planted harmless", seed=1, executions=5, coverage=False)
    assert not outcome.findings


@pytest.mark.parametrize("target", list(TARGETS))
def test_the_same_seed_makes_the_same_inputs(target: str) -> None:
    seeds = [Input(path.read_bytes()) for path in sorted((CORPUS / target).iterdir())]
    made = [[make_input(Random(f"1 {i}"), TARGETS[target], seeds, []).data for i in range(8)] for _ in range(2)]
    assert made[0] == made[1]
    assert len(set(made[0])) > 4


def test_a_finding_is_made_small() -> None:
    name, content = "planted refuses_an_x", b"aaaaxaaa"
    found = verdict(name, content)
    assert found is not None
    assert minimised(name, content, Finding("exception", found), seconds=60) == b"x"


def test_the_corpus_stays_small() -> None:
    files = [path for folder in (CORPUS, CRASHES) for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= LARGEST_CORPUS_BYTES
    assert {path.parent.name for path in files} == set(TARGETS)
