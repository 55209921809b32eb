"""`trueflow bench all`: parts run one after another, and what fails is told of at the end."""

from __future__ import annotations

import sys

import pytest
from click.testing import CliRunner

from trueflow.benchmarks import all_command, generated
from trueflow.benchmarks.all_command import Part, parts, run_parts
from trueflow.benchmarks.command import bench


@pytest.fixture(autouse=True)
def logs(tmp_path, monkeypatch):
    monkeypatch.setattr(all_command, "LOGS", tmp_path / "logs")
    return tmp_path / "logs"


def python(name: str, text: str, **more) -> Part:
    return Part(name, (sys.executable, "-c", text), **more)


def test_a_part_that_fails_does_not_stop_the_next(logs):
    said: list[str] = []
    chosen = [
        python("bad", "print('why'); raise SystemExit(3)"),
        python("lacking", "", lacking=lambda: "no display"),
        python("good", "import os; print(os.environ['WORD'])", environment=(("WORD", "there"),)),
    ]
    outcomes = run_parts(chosen, said.append)
    assert [o.verdict for o in outcomes] == ["failed", "skipped", "made"]
    assert "why" in outcomes[0].why
    assert "exit code 3" in outcomes[0].why
    assert len(said) == 3
    assert "no display" in said[1]
    assert " s in all" in said[2]
    assert (logs / "good.log").read_text() == "there\n"


@pytest.mark.parametrize(("text", "code"), [("pass", 0), ("raise SystemExit(1)", 1)])
def test_the_exit_code_says_whether_all_was_made(monkeypatch, text, code):
    monkeypatch.setattr(all_command, "parts", lambda: [python("one", text)])
    written: list[bool] = []
    monkeypatch.setattr(generated, "write_parts", lambda names: written.append(names is None) or ["README.md"])
    done = CliRunner().invoke(bench, ["all", "--update"])
    assert done.exit_code == code
    assert written == [True], "what was made is written into the pages, whatever failed beside it"
    assert "written: README.md" in done.output
    assert "minutes; the budget is 15" in done.output


def test_over_the_budget_is_said_and_fails(monkeypatch):
    monkeypatch.setattr(all_command, "parts", lambda: [python("one", "pass")])
    monkeypatch.setattr(all_command, "BUDGET_S", 0.0)
    monkeypatch.setattr(generated, "write_parts", lambda names: [])
    done = CliRunner().invoke(bench, ["all", "--update"])
    assert done.exit_code == 1
    assert "over the budget" in done.output


def test_pages_alone_measure_nothing(monkeypatch):
    monkeypatch.setattr(all_command, "run_parts", lambda *_: pytest.fail("ran"))
    monkeypatch.setattr(generated, "write_parts", lambda names: ["README.md"])
    done = CliRunner().invoke(bench, ["all", "--update", "--pages"])
    assert done.exit_code == 0
    assert "written: README.md" in done.output
    assert CliRunner().invoke(bench, ["all", "--update", "--pages", "--part", "limits"]).exit_code == 2


def test_without_update_nothing_is_run():
    assert CliRunner().invoke(bench, ["all"]).exit_code == 2


def test_an_unknown_part_is_refused_before_anything_runs(monkeypatch):
    monkeypatch.setattr(all_command, "run_parts", lambda *_: pytest.fail("ran"))
    done = CliRunner().invoke(bench, ["all", "--update", "--part", "limit"])
    assert done.exit_code != 0
    assert "limits" in str(done.exception)


def test_every_result_of_a_generated_page_is_made_by_a_part():
    made = {{"pictures": "evidence"}.get(part.name, part.name) for part in parts()}
    needed = {name for part in generated.parts() for name in part.needs}
    assert needed - made == {"latency_long"}, "that one takes a quarter of an hour: `trueflow bench latency --update`"


def test_parts_are_commands_that_there_are():
    for part in parts():
        if "bench" in part.command:
            name = part.command[part.command.index("bench") + 1]
            options = {option for parameter in bench.commands[name].params for option in parameter.opts}
            assert {word for word in part.command if word.startswith("--")} <= options | {"--update"}
            assert "--update" in options
