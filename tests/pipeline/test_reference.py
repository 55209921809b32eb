"""docs/cli.md and docs/configuration.md say what the code says, and the code's docstrings say enough."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from trueflow.pipeline.cli import COMMANDS, cli
from trueflow.pipeline.cli.reference import PAGES, cli_page, command_lines, section_lines, write_pages
from trueflow.pipeline.config_values import Section, bounded

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_code_says_now(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), "the code has changed: make docs"


def test_the_pages_are_written_where_asked(tmp_path: Path) -> None:
    write_pages(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(PAGES)


def test_every_command_of_every_group_has_its_heading() -> None:
    page = cli_page()
    context = click.Context(cli)
    for name in COMMANDS:
        assert f"\n## `trueflow {name}`\n" in page
        command = cli.get_command(context, name)
        if isinstance(command, click.Group):
            assert all(f"\n### `trueflow {name} {below}`\n" in page for below in command.commands)


def test_an_option_is_told_with_its_value_default_and_meaning() -> None:
    @click.command()
    @click.option("-n", "--number", type=click.IntRange(1, 9), default=3, show_default=True, help="So\nmany.")
    @click.option("--kind", type=click.Choice(["a", "b"]), multiple=True, help="Which.")
    @click.option("--here/--there", default=False, show_default=True, help="Place.")
    @click.option("--where", type=click.Path(file_okay=False), metavar="A|B", required=True, help="Target.")
    @click.option("--secret", hidden=True, help="Never told.")
    def tool() -> None:
        """Do."""

    assert list(command_lines(tool, "tool"))[5:-1] == [
        "| `-n`, `--number` | whole number 1 to 9 | `3` | So many. |",
        "| `--kind` | `a`, `b` |  | Which. May be repeated. |",
        "| `--here`, `--there` |  | `--there` | Place. |",
        "| `--where A\\|B` | folder | required | Target. |",
    ]


@dataclass(frozen=True, slots=True)
class ToyConfig(Section):
    """A toy.

    Parameters
    ----------
    width_m : float, m, optional
        How
        wide.
    wheels : int, wheels
        How many.
    loud : bool
        Whether.
    """

    width_m: float | None = bounded(None, 0, 2e8)
    wheels: int = 4
    loud: bool = False


def test_a_setting_is_told_with_type_default_unit_range_and_meaning() -> None:
    assert list(section_lines("toy", ToyConfig))[4:-1] == [
        "| `width_m` | float | follows | m | 0 to 2e8 | How wide. |",
        "| `wheels` | integer | `4` | wheels |  | How many. |",
        "| `loud` | boolean | `false` |  | true, false | Whether. |",
    ]


@pytest.mark.parametrize(
    ("written", "instead", "complaint"),
    [
        ("wheels : int, wheels", "spokes : int, wheels", "spokes"),
        ("    loud : bool\n        Whether.\n", "", "says nothing of loud"),
        ("wheels : int", "wheels : float", "is int"),
        ("float, m, optional", "float, m", "is float, optional"),
        ("float, m, optional", "float, cm, optional", "its name says m"),
        ("float, m, optional", "float, optional", "its name says m"),
    ],
)
def test_a_docstring_that_differs_from_the_code_is_refused(
    written: str, instead: str, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    docstring = ToyConfig.__doc__
    assert docstring is not None
    assert written in docstring
    monkeypatch.setattr(ToyConfig, "__doc__", docstring.replace(written, instead))
    with pytest.raises(ValueError, match=complaint):
        list(section_lines("toy", ToyConfig))


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "bench"])
def test_every_option_of_the_commands_says_what_it_does(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert not [p.opts for p in command.params if isinstance(p, click.Option) and not p.hidden and not p.help]
