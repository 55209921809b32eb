"""Writes docs/cli.md and docs/configuration.md from the commands and the config's sections.

`python -m trueflow.pipeline.cli.reference FOLDER`, or `make docs`. It stands beside the commands because it needs
nothing but them and the config; a test holds the pages to what it would write.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import textwrap
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import click

from trueflow.pipeline.acquisition import BOUNDS, LARGEST_STAGGER
from trueflow.pipeline.cli import cli
from trueflow.pipeline.clutter import CLUTTER_FILTERS
from trueflow.pipeline.config import Config
from trueflow.pipeline.dealias import DEALIASERS
from trueflow.pipeline.picture.color_maps import color_map_names

__all__ = ["PAGES", "cli_page", "command_lines", "configuration_page", "section_lines", "write_pages"]

WRITTEN = "<!-- Written by `make docs` from the code: change it there. -->"

CLI_HEAD = f"""# The command line

{WRITTEN}

Every command also says this itself: `trueflow COMMAND --help`. SOURCE is a recording ([formats.md](formats.md)), a
simulation such as `'sim://femoral?peak=2.5vN&frames=20'` ([simulation.md](simulation.md)) or a live recording with
options, `tfr://` ([recording-format.md](recording-format.md)).

Exit codes: 0 done, 1 failed, 2 bad input or usage (one line on stderr says what, where, and what to do), 130
interrupted, 143 terminated. Results go to stdout, progress and errors to stderr. Tables are in clinical units (mm,
cm/s, MHz, degrees), `--json` is in SI units.
"""

CONFIGURATION_HEAD = f"""# Settings

{WRITTEN}

Settings come from a TOML file (`--config FILE.toml`) and single ones from `--set SECTION.KEY=VALUE`, which may be
repeated and wins over the file. In Python: `Config.load(path)`, `Config().override(["clutter.order=2"])`, or the
dataclasses of `trueflow.pipeline.config`. Unknown keys are answered with the nearest known one; what is out of range or
of another type is refused before anything is computed. `--set SECTION.KEY=none` takes a setting back to its default
(but `clutter.name=none` and `dealias.name=none` name what does nothing).

A default "follows" where it is derived from the recording or from other settings, as the last column says. Units are
SI; v_N is the Nyquist velocity, 1 a plain ratio, wavelengths are those of the center frequency in the medium.
"""

# What the types of these settings do not say.
ALLOWED: dict[str, Callable[[], Iterable[str]]] = {
    "acquisition.stagger": lambda: [f"m:n, m < n <= {LARGEST_STAGGER}, no common factor"],
    "clutter.name": lambda: _quoted(CLUTTER_FILTERS),
    "dealias.name": lambda: _quoted(DEALIASERS),
    "display.color_map": lambda: _quoted(color_map_names()),
    "segment.network": lambda: ["path"],
}
TOML_TYPES = {str: "string", bool: "boolean", int: "integer", float: "float"}
UNITS = {"_hz": "Hz", "_m_s2": "m/s^2", "_m_s": "m/s", "_s": "s", "_m": "m", "_rad": "rad", "_db": "dB"}


def command_lines(command: click.Command, path: str, *, level: int = 2) -> Iterator[str]:
    """Markdown of one command and of its own commands.

    Parameters
    ----------
    command : click.Command
    path : str
        What is typed to call it, for example "trueflow bench".
    level : int
        Of the heading.
    """
    context = click.Context(command, info_name=path)
    yield f"{'#' * level} `{path}`\n"
    yield f"    {path} {' '.join(command.collect_usage_pieces(context))}\n"
    yield inspect.cleandoc(command.help or "") + "\n"
    options = [p for p in command.params if isinstance(p, click.Option) and not p.hidden]
    if options:
        yield "| option | value | default | |"
        yield "|---|---|---|---|"
        yield from (_row(_option_name(o), _value(o), _default(o), _meaning(o)) for o in options)
        yield ""
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            if (below := command.get_command(context, name)) is not None:
                yield from command_lines(below, f"{path} {name}", level=level + 1)


def cli_page() -> str:
    """The text of docs/cli.md."""
    context = click.Context(cli, info_name="trueflow")
    lines = [CLI_HEAD]
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None  # it has just been listed
        lines += command_lines(command, f"trueflow {name}")
    return "\n".join(lines).rstrip() + "\n"


def _option_name(option: click.Option) -> str:
    names = [*option.opts, *option.secondary_opts]
    metavar = "" if option.is_flag else f" {option.metavar}" if option.metavar else ""
    return ", ".join(f"`{name}`" for name in names[:-1]) + (", " if names[1:] else "") + f"`{names[-1]}{metavar}`"


def _value(option: click.Option) -> str:
    kind = option.type
    if option.is_flag:
        return ""
    if isinstance(kind, click.Choice):
        return ", ".join(f"`{choice}`" for choice in kind.choices)
    if isinstance(kind, (click.IntRange, click.FloatRange)):
        noun = "whole number" if isinstance(kind, click.IntRange) else "number"
        text = f"{noun} {_range(kind.min, kind.max)}"
    elif isinstance(kind, click.Path):
        text = "folder" if not kind.file_okay else "path"
    else:
        text = {"integer": "whole number", "float": "number"}.get(kind.name, "text")
    return text if option.nargs == 1 else f"{option.nargs} times: {text}"


def _range(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return f"from {_number(low)}" if low is not None else f"up to {_number(high or 0)}"
    return f"{_number(low)} to {_number(high)}"


def _number(value: float) -> str:
    return re.sub(r"e([+-])0*", lambda match: "e" + match[1].strip("+"), f"{value:g}")


def _default(option: click.Option) -> str:
    if option.required:
        return "required"
    if not option.show_default or option.default is None:
        return ""
    if option.is_flag:
        return f"`{(option.opts if option.default else option.secondary_opts)[0]}`"
    values = option.default if isinstance(option.default, tuple) else (option.default,)
    return f"`{' '.join(str(value) for value in values)}`"


def _meaning(option: click.Option) -> str:
    text = " ".join((option.help or "").split())
    return f"{text} May be repeated.".strip() if option.multiple and "repeated" not in text else text


def section_lines(name: str, section: type[Any]) -> Iterator[str]:
    """Markdown of one section of the config.

    Raises
    ------
    ValueError
        A setting that the section's docstring leaves out, or describes with another type or unit than the code has;
        or one that is described and is not there.
    """
    summary, described = _docstring(section)
    hints = typing.get_type_hints(section)
    fields = dataclasses.fields(section)
    if strangers := described.keys() - {field.name for field in fields}:
        raise ValueError(f"{section.__name__}: its docstring describes {sorted(strangers)}, which it does not have")
    yield f"## `[{name}]`\n"
    yield summary + "\n"
    yield "| key | type | default | unit | allowed | |"
    yield "|---|---|---|---|---|---|"
    for field in fields:
        if field.name not in described:
            raise ValueError(f"{section.__name__}: its docstring says nothing of {field.name}")
        slot, meaning = described[field.name]
        kind, unit = _type_and_unit(hints[field.name], slot, where=f"{section.__name__}.{field.name}")
        allowed = _allowed(f"{name}.{field.name}", hints[field.name], field)
        default = "follows" if field.default is None else f"`{_toml(field.default)}`"
        yield _row(f"`{field.name}`", kind, default, unit, allowed, meaning)
    yield ""


def configuration_page() -> str:
    """The text of docs/configuration.md."""
    lines = [CONFIGURATION_HEAD]
    for field in dataclasses.fields(Config):
        lines += section_lines(field.name, typing.cast("type[Any]", field.default_factory))
    lines += ["## All defaults\n", "As `Config().to_toml()` writes them; what is not there follows.\n"]
    lines += ["```toml", Config().to_toml().rstrip(), "```"]
    return "\n".join(lines) + "\n"


def _docstring(section: type[Any]) -> tuple[str, dict[str, tuple[str, str]]]:
    """What comes before the parameters, and of each of them what stands behind its colon and below it."""
    head, _, rest = inspect.cleandoc(section.__doc__ or "").partition("Parameters\n----------\n")
    found = re.findall(r"^(\w+) : (.*)\n((?:    .*\n?|\n)*)", rest, re.MULTILINE)
    return head.strip(), {
        name: (slot, " ".join(textwrap.dedent(meaning).split())) for name, slot, meaning in found
    }


def _type_and_unit(hint: Any, slot: str, *, where: str) -> tuple[str, str]:
    """The TOML type and the unit, the docstring being held to the code."""
    optional = typing.get_origin(hint) in (types.UnionType, typing.Union)
    kind = next(choice for choice in typing.get_args(hint) if choice is not type(None)) if optional else hint
    choices = typing.get_args(kind) if typing.get_origin(kind) is Literal else ()
    written = "{" + ", ".join(f'"{choice}"' for choice in choices) + "}" if choices else kind.__name__
    match = re.fullmatch(re.escape(written) + r"(?:, (?P<unit>.+?))??(?P<optional>, optional)?", slot)
    if match is None or bool(match["optional"]) != optional:
        raise ValueError(f"{where}: described as {slot!r}, is {written}{', optional' * optional}")
    unit, name = match["unit"] or "", where.rpartition(".")[2]
    told = next((unit for suffix, unit in UNITS.items() if name.endswith(suffix)), unit)
    if unit != told:
        raise ValueError(f"{where}: described in {unit or 'no unit'}, its name says {told}")
    return "string" if choices else TOML_TYPES[kind], unit


def _allowed(key: str, hint: Any, field: dataclasses.Field[Any]) -> str:
    if key in ALLOWED:
        return ", ".join(ALLOWED[key]())
    section, _, name = key.partition(".")
    bounds = field.metadata.get("range") or (BOUNDS.get(name) if section == "acquisition" else None)
    if bounds is not None:
        return _range(*bounds)
    choices = [c for part in (hint, *typing.get_args(hint)) for c in typing.get_args(part)]
    return ", ".join(_quoted(choices)) if choices else ", ".join(("true", "false")) if hint is bool else ""


def _quoted(names: Iterable[str]) -> list[str]:
    return [f'"{name}"' for name in names]


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


PAGES: dict[str, Callable[[], str]] = {"cli.md": cli_page, "configuration.md": configuration_page}


def write_pages(folder: Path) -> None:
    """Write all pages."""
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
def _main(folder: Path) -> None:
    """Write cli.md and configuration.md into FOLDER."""
    write_pages(folder)


if __name__ == "__main__":
    _main()
