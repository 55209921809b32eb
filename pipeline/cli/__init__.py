"""The `trueflow` command. A command's module is imported only when it runs, so that help and version come at once."""

from __future__ import annotations

import importlib
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from trueflow.pipeline.errors import TrueflowError, nearest

__all__ = ["COMMANDS", "cli", "main"]

BAD_INPUT, INTERRUPTED, TERMINATED = 2, 130, 143

COMMANDS: dict[str, tuple[str, str]] = {  # name: ("module:attribute", what it does)
    "demo": ("trueflow.pipeline.cli.demo:demo", "Simulate a heartbeat and show what dealiasing does: movie, picture."),
    "info": ("trueflow.pipeline.cli.info:info", "Show what a recording holds."),
    "replay": ("trueflow.pipeline.cli.replay:replay", "Turn a recording into color Doppler: data, picture, movie."),
    "view": ("trueflow.pipeline.cli.view:view", "Show a recording or a live scanner in a window."),
    "frontend": ("trueflow.pipeline.cli.frontend:frontend", "Play a recording as a live scanner, for `view --live`."),
    "simulate": ("trueflow.pipeline.cli.simulate:simulate", "Simulate a scan with known truth, as a recording."),
    "doctor": ("trueflow.pipeline.cli.doctor:doctor", "Show what this machine offers and what is missing."),
    "train": ("trueflow.pipeline.cli.train:train", "Train the segmentation network from nothing."),
    "bench": ("trueflow.benchmarks.command:bench", "Measure speed: per stage, end to end, side by side with others."),
}


class _LazyGroup(click.Group):
    """A group that imports a command when it is called, and lists commands without importing any."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"no command {args[0]!r}; {nearest(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


def _show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from trueflow import __version__

        click.echo(f"trueflow {__version__}")
        ctx.exit()


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show the version."
)
def cli() -> None:
    """Color Doppler without aliasing, from raw ultrasound channel data. Research use only."""


def _terminate(*_: object) -> NoReturn:
    """Unwind, so that no half-written file remains; told twice, do not break that off."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(TERMINATED)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 2 bad input (one line on stderr), 130 interrupted.

    Parameters
    ----------
    arguments : sequence of str, optional
        Default: those of the process.
    """
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = cli.main(None if arguments is None else list(arguments), prog_name="trueflow", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except TrueflowError as error:
        click.echo(f"trueflow: error: {' '.join(str(error).split())}", err=True)
        sys.exit(BAD_INPUT)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)
