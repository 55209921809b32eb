"""A live scanner for `trueflow view --live`: in a window, or without one and with a report at the end."""

from __future__ import annotations

import importlib
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trueflow.pipeline.cli.common import show_json, show_table
from trueflow.pipeline.cli.view import VIEWER, Options, chain_config

if TYPE_CHECKING:
    from trueflow.pipeline.frames import ColorFrame
    from trueflow.pipeline.live.ledger import Report, Spread
    from trueflow.pipeline.live.player import LivePlayer
    from trueflow.pipeline.live.runner import Runner

__all__ = ["Memory", "resident_bytes", "view_live"]

LOOK_S = 0.1
WARM_UP_S = 5.0  # tables are made, memory is mapped
SETTLES_S = 60.0  # after which memory is to stay as it is
PROC = Path("/proc/self/statm")


def view_live(options: Options, *, layout: str) -> None:
    """Open the source, and show it until it is closed, ends, or a limit is reached."""
    viewer: Any = importlib.import_module(VIEWER) if not options.headless or options.shot else None
    if viewer is not None:
        viewer.require(window=not options.headless)

    from trueflow.pipeline.live.player import LivePlayer
    from trueflow.pipeline.live.registry import open_live
    from trueflow.pipeline.output import Outputs

    assert options.live is not None
    config = chain_config(options)
    with Outputs([options.config] if options.config else []) as outputs, ExitStack() as stack:
        part = outputs.add(options.shot) if options.shot is not None else None
        source = open_live(options.live)
        shown: list[Runner] = []
        recorders = [_recorder(options.record, source, stack, shown)] if options.record is not None else []
        player = LivePlayer(
            source,
            config,
            device=options.device,
            n_threads=options.threads,
            sinks=recorders,
            taps=recorders,
            on_error=options.on_error,
        )
        stack.enter_context(player)
        if not options.headless:
            shown.append(player.runner)
            viewer.show(
                player, layout=layout, size=options.size, full_screen=options.full_screen, folder=options.folder
            )
            return
        _watch(player, options)
        if part is not None and player.runner.frame is not None:
            viewer.draw(
                player, player.runner.frame, part, layout=layout, size=options.size, target=options.shot
            )


def _recorder(path: Path, source: Any, stack: ExitStack, shown: list[Runner]) -> Any:
    """A recorder; that it has ended by itself is said here, and in the window of whoever is shown."""
    from trueflow.pipeline.live.description import Description
    from trueflow.pipeline.live.recorder import Recorder

    def ended(message: str) -> None:
        click.echo(message, err=True)
        for runner in shown:
            runner.say(message)

    try:
        return stack.enter_context(Recorder(path, Description.of(source), ended=ended))
    except BaseException:
        source.close()
        raise


class _Newest:
    """Takes frames as a window would, the newest one; after the warm-up it looks at how old they are."""

    def __init__(self, runner: Runner) -> None:
        from trueflow.pipeline.live.ledger import Series

        self._runner, self._latency = runner, Series()
        self._settled: tuple[float, int] | None = None
        self.n_frames = 0

    def deliver(self, frame: ColorFrame, began_s: float, on_device: ColorFrame | None) -> None:
        """Take a frame."""
        self.n_frames += 1
        if self._settled is not None:
            self._latency.add(time.monotonic() - began_s)

    def settle(self) -> None:
        """The warm-up is over."""
        if self._settled is None:
            self._settled = time.monotonic(), self._runner.n_missing

    def to_dict(self, now_s: float) -> dict[str, Any] | None:
        """What happened after the warm-up, ready for JSON."""
        if self._settled is None:
            return None
        seconds, spread = now_s - self._settled[0], self._latency.spread()
        return {
            "seconds": seconds,
            "n_frames": self._latency.n,
            "frames_per_s": self._latency.n / max(seconds, 1e-9),
            "n_missing": self._runner.n_missing - self._settled[1],
            "latency": None if spread is None else asdict(spread),
        }


@dataclass(slots=True)
class Memory:
    """What the process has resided in over time (bytes): at first, a minute later, at most since, at the end."""

    first_bytes: int = 0
    settled_bytes: int = 0
    most_bytes: int = 0
    last_bytes: int = 0
    is_settled: bool = False
    began_s: float = field(default_factory=time.monotonic)

    def look(self) -> None:
        """Take a sample."""
        self.last_bytes = resident_bytes()
        self.first_bytes = self.first_bytes or self.last_bytes
        self.is_settled = time.monotonic() - self.began_s >= SETTLES_S
        if not self.is_settled:
            self.settled_bytes = self.most_bytes = self.last_bytes
        self.most_bytes = max(self.most_bytes, self.last_bytes)

    @property
    def growth(self) -> float | None:
        """From the first minute's end to the end; None where the run was over before, or nobody says."""
        return self.last_bytes / self.settled_bytes - 1 if self.is_settled and self.settled_bytes else None


def resident_bytes() -> int:
    """Memory this process resides in; 0 where the system does not say."""
    import resource

    try:
        return int(PROC.read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return 0


def _watch(player: LivePlayer, options: Options) -> None:
    """Run until the source ends, a limit is reached, or somebody interrupts; a report in any case."""
    runner = player.runner
    newest, memory = _Newest(runner), Memory()
    player.start(newest.deliver)
    began_s = time.monotonic()
    try:
        while not runner.wait(LOOK_S):
            _say(runner)
            memory.look()
            seconds = time.monotonic() - began_s
            if seconds >= WARM_UP_S:
                newest.settle()
            if seconds >= (options.seconds or float("inf")) or newest.n_frames >= (options.frames or float("inf")):
                break
    finally:
        ended_s = time.monotonic()
        player.close()
        memory.look()
        _say(runner)
        if options.as_json:
            _show_json(runner.report(), newest.to_dict(ended_s), memory, ended_s - began_s)
        else:
            _show(runner.report(), memory, ended_s - began_s)


def _say(runner: Runner) -> None:
    while (message := runner.take_message()) is not None:
        click.echo(message, err=True)


def _show_json(report: Report, settled: dict[str, Any] | None, memory: Memory, wall_s: float) -> None:
    facts = {name: value for name, value in asdict(memory).items() if name not in ("began_s", "is_settled")}
    show_json(
        {**report.to_dict(), "wall_s": wall_s, "settled": settled, "memory": {**facts, "growth": memory.growth}}
    )


def _show(report: Report, memory: Memory, wall_s: float) -> None:
    s, rows = report.source, []
    rows.append(("pictures", f"{report.n_frames} in {wall_s:.1f} s, {report.n_frames / max(wall_s, 1e-9):.1f} per s"))
    rows.append(("received", f"{s.n_received}; lost {s.n_lost} (late {s.n_late}, corrupt {s.n_corrupt})"))
    rows.append(("dropped", f"{report.n_dropped} by newer ones, {report.n_failed} failed, {s.n_rejected} rejected"))
    rows.append(("after the deadline", f"{report.n_missed}"))
    rows.append(("silences", f"{report.n_silences}, front end restarted {s.n_restarts} times"))
    for name, spread in (("latency", report.latency), ("of it waiting", report.waited)):
        if spread is not None:
            rows.append((name, _quantiles(spread)))
    growth = f", {100 * memory.growth:+.2f} % after the first minute" if memory.growth is not None else ""
    rows.append(("memory", f"{memory.last_bytes / 2**20:.0f} MB{growth}"))
    show_table(rows)


def _quantiles(spread: Spread) -> str:
    parts = zip(("p50", "p95", "p99", "max"), (spread.p50_s, spread.p95_s, spread.p99_s, spread.max_s), strict=True)
    return ", ".join(f"{name} {1e3 * value:.1f}" for name, value in parts) + " ms"
