"""`trueflow bench`: how fast it is here, and how fast others are."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from trueflow.benchmarks.all_command import every_part
from trueflow.benchmarks.compare_command import compare
from trueflow.benchmarks.dealias_command import dealias
from trueflow.benchmarks.latency_command import latency
from trueflow.benchmarks.limits_command import limits
from trueflow.benchmarks.segmentation_command import segmentation
from trueflow.benchmarks.simulation_command import simulation
from trueflow.benchmarks.viewer_command import viewer
from trueflow.benchmarks.whole_command import whole
from trueflow.pipeline.cli.common import progress_bar

if TYPE_CHECKING:
    from trueflow.benchmarks.cases import Case
    from trueflow.benchmarks.contenders import Comparison, Skipped
    from trueflow.benchmarks.report import Table
    from trueflow.benchmarks.timing import Budget

__all__ = ["bench"]

Command = TypeVar("Command", bound=Callable[..., Any])
Job = Callable[[int, "Budget", Callable[[int, int], None]], "Comparison"]

SETTLE_S = 0.005
WIDTH = 140  # of tables that do not go to a terminal


@click.group()
def bench() -> None:
    """Measure speed: per stage, end to end, and side by side with others."""


def _options(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several click options in one decorator."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


_common = _options(
    click.option(
        "--threads", type=click.IntRange(min=1), multiple=True, help="CPU threads; may be repeated. Default: all cores."
    ),
    click.option("--seconds", type=click.FloatRange(min=0), default=10.0, show_default=True, help="Of each run."),
    click.option("--rounds", type=click.IntRange(min=1), help="Exactly so many rounds instead."),
    click.option("--json", "json_path", type=click.Path(path_type=Path), metavar="FILE", help="Write all figures."),
)
_side_by_side = _options(
    click.option("--case", "name", default="femoral", show_default=True, help="Probe, pulses and wave."),
    click.option("--pixels", type=click.IntRange(min=8), default=256, show_default=True, help="Across and down."),
)


@bench.command()
@click.option("--case", "names", multiple=True, metavar="NAME", help="May be repeated. Default: all.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option("--set", "settings", multiple=True, metavar="SECTION.KEY=VALUE", help="Depart from the frozen case.")
@_common
def chain(
    names: Sequence[str],
    device: str,
    settings: Sequence[str],
    threads: Sequence[int],
    seconds: float,
    rounds: int | None,
    json_path: Path | None,
) -> None:
    """Time the stages of the chain, and the whole of it, per packet.

    "rf to dealias input" is demodulation, delay-and-sum, B-mode, clutter filter and Doppler in one go. "x real time" is
    the time an ensemble takes to acquire over the median time it takes to process: from 1 on no pulse is left out.
    """
    from trueflow.benchmarks.cases import CASES
    from trueflow.benchmarks.timing import Budget

    builders = {name: CASES[name] for name in names or CASES}
    budget = Budget(seconds=seconds, rounds=rounds)
    with _run("chain", budget, json_path) as figures:
        for name, build in builders.items():
            with _skipping(name, figures):
                _time_case(build().override(*settings), device, threads or _all_cores(), budget, figures)


@bench.command()
@_side_by_side
@_common
def das(
    name: str, pixels: int, threads: Sequence[int], seconds: float, rounds: int | None, json_path: Path | None
) -> None:
    """Time delay-and-sum per pulse, side by side with PyMUST, ustb, ultraspy and vbeam.

    All get the same channel IQ, pixels and f-number, a boxcar aperture and what they can prepare beforehand. scipy,
    which PyMUST's matrix is multiplied with, uses one thread whatever it is given.
    """
    from trueflow.benchmarks.das import das_problem, run_das

    problem = das_problem(_case(name, pixels))

    def job(n_threads: int, budget: Budget, advance: Callable[[int, int], None]) -> Comparison:
        return run_das(problem, n_threads=n_threads, budget=budget, advance=advance)

    budget = _comparing_budget(seconds, rounds)
    with _run("das", budget, json_path) as figures:
        _compare({"das": job}, problem.case, "pulse", threads or _all_cores(), budget, figures)


@bench.command()
@_side_by_side
@_common
def doppler(
    name: str, pixels: int, threads: Sequence[int], seconds: float, rounds: int | None, json_path: Path | None
) -> None:
    """Time velocity maps and clutter filters per ensemble, side by side with PyMUST, ustb, ultraspy and zea.

    Of all these only Trueflow and zea use threads.
    """
    from trueflow.benchmarks.doppler import JOBS, doppler_problem, run_doppler

    problem = doppler_problem(_case(name, pixels))

    def make(job: str) -> Job:
        return lambda n_threads, budget, advance: run_doppler(
            problem, job, n_threads=n_threads, budget=budget, advance=advance
        )

    budget = _comparing_budget(seconds, rounds)
    with _run("doppler", budget, json_path) as figures:
        _compare({job: make(job) for job in JOBS}, problem.case, "ensemble", threads or _all_cores(), budget, figures)


def _case(name: str, pixels: int) -> Case:
    from trueflow.benchmarks.cases import CASES, CaseUnavailableError
    from trueflow.pipeline.errors import TrueflowError

    try:
        return CASES[name]().override(f"grid.n_x={pixels}", f"grid.n_z={pixels}")
    except CaseUnavailableError as error:
        raise TrueflowError("not available", where=f"--case {name}", found=str(error)) from error


def _comparing_budget(seconds: float, rounds: int | None) -> Budget:
    from trueflow.benchmarks.timing import Budget

    return Budget(seconds=seconds, rounds=rounds, warmup_rounds=1, settle_s=SETTLE_S)


def _all_cores() -> tuple[int, ...]:
    return (len(os.sched_getaffinity(0)),)


@dataclass
class _Figures:
    """What a run has found so far."""

    cases: dict[str, object] = field(default_factory=dict)
    results: list[dict[str, object]] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    def skip(self, what: Skipped) -> None:
        """Say that something did not run, and remember it once."""
        click.echo(f"{what.name}: {what.reason}\n")
        if what not in self.skipped:
            self.skipped.append(what)


@contextmanager
def _skipping(name: str, figures: _Figures) -> Iterator[None]:
    """A case whose data are not here is skipped, and said to be."""
    from trueflow.benchmarks.cases import CaseUnavailableError
    from trueflow.benchmarks.contenders import Skipped

    try:
        yield
    except CaseUnavailableError as error:
        figures.skip(Skipped(name, str(error)))


@contextmanager
def _run(benchmark: str, budget: Budget, json_path: Path | None) -> Iterator[_Figures]:
    """One benchmark run: provenance before, JSON after; says so where the machine is busy."""
    from trueflow.benchmarks.provenance import busy, provenance
    from trueflow.benchmarks.report import document
    from trueflow.pipeline.output import Outputs

    with Outputs() as outputs:
        part = outputs.add(json_path) if json_path else None  # a name that cannot be written fails now, not at the end
        stamp, warning, figures = provenance(), busy(), _Figures()
        if warning:
            click.echo(f"trueflow bench: {warning}", err=True)
        yield figures
        stamp["load_average_after"] = list(os.getloadavg())
        if part:
            values = document(
                benchmark,
                provenance=stamp,
                budget=budget,
                cases=figures.cases,
                results=figures.results,
                skipped=figures.skipped,
            )
            part.write_text(json.dumps(values, indent=2, allow_nan=False) + "\n")


def _time_case(case: Case, device: str, threads: Sequence[int], budget: Budget, figures: _Figures) -> None:
    from trueflow.benchmarks.chain import run_chain
    from trueflow.benchmarks.report import chain_table

    with progress_bar(case.name) as advance:
        results = run_chain(case, device=device, threads=threads, budget=budget, advance=advance)
    figures.cases[case.name] = {"summary": case.summary, "device": device, "config": case.config.to_tables()}
    figures.results += [
        {**asdict(r), "real_time_factor": r.real_time_factor, "frames_per_s": r.frames_per_s} for r in results
    ]
    _show(f"{case.name}: {case.summary}; {device}", chain_table(results))


def _compare(
    jobs: dict[str, Job], case: Case, unit: str, threads: Sequence[int], budget: Budget, figures: _Figures
) -> None:
    from trueflow.benchmarks.report import comparison_table

    grid = case.config.grid
    figures.cases[case.name] = {"summary": case.summary, "unit": unit, "config": case.config.to_tables()}
    for job, run in jobs.items():
        for n_threads in threads:
            with progress_bar(f"{job}, {n_threads} threads") as advance:
                comparison = run(n_threads, budget, advance)
            figures.results += [{"job": job, "requested_threads": n_threads, **asdict(r)} for r in comparison.results]
            _show(f"{job} per {unit}: {case.name}, {grid.n_x} x {grid.n_z} pixels", comparison_table(comparison))
            for what in comparison.skipped:
                figures.skip(what)


def _show(title: str, table: Table) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable

    header, rows = table
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDTH)
    shown = RichTable(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    for index, name in enumerate(header):
        words = any(not row[index][:1].isdigit() for row in rows if row[index])
        shown.add_column(name, justify="left" if words else "right")
    for row in rows:
        shown.add_row(*row)
    console.print(shown)


bench.add_command(every_part)
bench.add_command(compare)
bench.add_command(dealias)
bench.add_command(latency)
bench.add_command(limits)
bench.add_command(segmentation)
bench.add_command(simulation)
bench.add_command(viewer)
bench.add_command(whole)
