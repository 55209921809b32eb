"""What several commands share: tables and JSON on stdout, progress on stderr."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import click

__all__ = ["SOURCE", "THREADS", "Advance", "progress_bar", "show_json", "show_table"]

Advance = Callable[[int, int], None]  # (done, total)

PATIENCE_S = 1.0  # a bar appears on what lasts longer


class _Source(click.ParamType):  # type: ignore[type-arg]
    """A path, or a URL such as sim://femoral, which must stay as it was typed."""

    name = "source"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path | str:
        return value if isinstance(value, str) and "://" in value else Path(value)


SOURCE = _Source()
THREADS = click.IntRange(1, 256)  # as many as a CPU device takes


def show_json(values: Any) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(values, indent=2, allow_nan=False))


def show_table(rows: Iterable[tuple[str, ...]], *, title: str | None = None, styles: Iterable[str] = ()) -> None:
    """A table without frames on stdout; the first column holds the names."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", box=None, show_header=False, padding=(0, 2, 0, 0))
    rows = list(rows)
    table.add_column(style="bold", no_wrap=True)
    for _ in range(max(len(row) for row in rows) - 1):
        table.add_column(overflow="fold")
    row_styles = list(styles)
    for index, row in enumerate(rows):
        style = row_styles[index] if index < len(row_styles) else ""
        table.add_row(*(Text(cell) for cell in row), style=style)
    Console(highlight=False).print(table)


@contextlib.contextmanager
def progress_bar(label: str, *, enabled: bool = True) -> Iterator[Advance]:
    """A bar on stderr, if that is a terminal, once the work has lasted a second; call the result with (done, total)."""
    if not (enabled and sys.stderr.isatty()):
        yield lambda done, total: None
        return
    with contextlib.ExitStack() as stack:
        began = time.monotonic()
        update: Advance | None = None

        def advance(done: int, total: int) -> None:
            nonlocal update
            if update is None and time.monotonic() - began >= PATIENCE_S:
                update = _open_bar(stack, label)
            if update is not None:
                update(done, total)

        yield advance


def _open_bar(stack: contextlib.ExitStack, label: str) -> Advance:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    progress = stack.enter_context(Progress(*columns, console=Console(stderr=True), transient=True))
    task = progress.add_task(label, total=None)
    return lambda done, total: progress.update(task, completed=done, total=total)
