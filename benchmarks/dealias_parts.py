"""The parts of `trueflow bench dealias`, each measured on its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from trueflow.benchmarks.cases import CaseUnavailableError
from trueflow.benchmarks.contenders import Skipped
from trueflow.benchmarks.dealias import ENGINE, Contender, dealiaser, peer, run_dealias
from trueflow.benchmarks.dealias_disk import run_disk
from trueflow.benchmarks.dealias_evidence import run_evidence
from trueflow.benchmarks.dealias_peers import PEERS, installed
from trueflow.benchmarks.dealias_pictures import WorstCases
from trueflow.benchmarks.dealias_report import Findings, as_document, check_names
from trueflow.benchmarks.dealias_sequences import all_sequences, run_sequences
from trueflow.benchmarks.dealias_stagger import run_stagger
from trueflow.benchmarks.dealias_timing import run_timing
from trueflow.benchmarks.provenance import provenance
from trueflow.benchmarks.validation import fresh
from trueflow.benchmarks.validation_set import make_missing
from trueflow.kernels.device import get_device
from trueflow.pipeline.config import DealiasConfig

__all__ = ["Run"]

Advance = Callable[[int, int], None]

# What is measured unless names are given.
CONTENDERS = ("none", "skimage", *PEERS, ENGINE)


class Run:
    """Measures parts and keeps what was found.

    Parameters
    ----------
    names : sequence of str
        Dealiasers and peers; all of `CONTENDERS` where there are none.
    families : sequence of str
        Of the validation set; all where there are none.
    cache : Path
        Where simulated cases are kept.
    rounds : int
        Of the timing.

    Attributes
    ----------
    gallery : WorstCases
        Of the engine, or of the last of the names.

    Raises
    ------
    TrueflowError
        Unknown names.
    """

    def __init__(self, names: Sequence[str], families: Sequence[str], cache: Path, rounds: int) -> None:
        chosen = list(dict.fromkeys(names or CONTENDERS))
        self._cases = check_names(chosen, families)
        self._peers, skipped = installed([name for name in chosen if name in PEERS])
        self._contenders = [found for name in chosen if (found := self._contender(name)) is not None]
        self._cache, self._rounds = cache, rounds
        self._device = get_device("cpu")
        self._provenance = provenance()
        self._findings = Findings(skipped=skipped)
        self.gallery = WorstCases(ENGINE if ENGINE in chosen else chosen[-1])

    def _contender(self, name: str) -> Contender | None:
        if name in self._peers:
            return peer(name, self._peers[name])
        return None if name in PEERS else dealiaser(name, DealiasConfig(name=name))

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """What did not run, and why."""
        return tuple(self._findings.skipped)

    def measure(self, part: str, advance: Advance) -> None:
        """One of "scenes", "fresh", "evidence", "sequences", "disk", "stagger" and "timing"."""
        measured: dict[str, Any] = {}
        try:
            measured[part] = getattr(self, f"_{part}")(advance)
        except CaseUnavailableError as error:
            measured["skipped"] = (*self.skipped, Skipped(part, str(error)))
        self._findings = replace(self._findings, **measured)

    def document(self) -> dict[str, Any]:
        """Everything measured so far."""
        return as_document(self._findings, self._provenance)

    def _scenes(self, advance: Advance) -> Any:
        make_missing(self._cases, self._cache)
        return run_dealias(
            self._cases, self._contenders, folder=self._cache, device=self._device, advance=advance,
            seen=self.gallery.see,
        )  # fmt: skip

    def _fresh(self, advance: Advance) -> Any:
        make_missing(fresh(self._cases), self._cache)
        return run_dealias(
            fresh(self._cases), self._contenders, folder=self._cache, device=self._device, advance=advance
        )  # fmt: skip

    def _evidence(self, advance: Advance) -> Any:
        make_missing(self._cases, self._cache)
        found, skipped = run_evidence(self._cases, folder=self._cache, device=self._device, advance=advance)
        self._findings = replace(self._findings, skipped=(*self.skipped, *skipped))
        return found

    def _sequences(self, advance: Advance) -> Any:
        make_missing(all_sequences(), self._cache)
        return run_sequences(all_sequences(), folder=self._cache, device=self._device, advance=advance)

    def _disk(self, advance: Advance) -> Any:
        return run_disk(self._contenders, device=self._device, advance=advance)

    def _stagger(self, advance: Advance) -> Any:
        return run_stagger(advance=advance)

    def _timing(self, advance: Advance) -> Any:
        return run_timing(self._peers, device=self._device, rounds=self._rounds, advance=advance)
