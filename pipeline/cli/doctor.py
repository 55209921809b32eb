"""`trueflow doctor`: what this machine offers, and what to install for the rest."""

from __future__ import annotations

import dataclasses

import click

from trueflow.pipeline.cli.common import show_json, show_table

__all__ = ["doctor"]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
def doctor(as_json: bool) -> None:
    """Show what this machine offers and what is missing."""
    from trueflow import __version__
    from trueflow.pipeline.machine import facts

    found = facts()
    if as_json:
        show_json({"trueflow": __version__, "facts": [dataclasses.asdict(fact) for fact in found]})
        return
    rows = [(fact.name, "ok" if fact.ok else "missing", fact.found, "" if fact.ok else fact.advice) for fact in found]
    show_table(rows, title=f"trueflow {__version__}", styles=["" if fact.ok else "yellow" for fact in found])
