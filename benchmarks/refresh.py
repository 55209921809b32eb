"""After a run that is kept: every page and part of a page that tells of it."""

from __future__ import annotations

import click

__all__ = ["refresh"]


def refresh(*names: str) -> None:
    """Write what needs one of these results, all of them where none is named, and say what changed."""
    from trueflow.benchmarks.generated import write_parts

    for path in write_parts(names or None):
        click.echo(f"written: {path}", err=True)
