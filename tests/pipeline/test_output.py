"""Outputs appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.output import Outputs


def test_output_appears_only_at_the_end_and_nothing_else_remains(tmp_path: Path) -> None:
    target = tmp_path / "result.h5"
    with Outputs() as outputs:
        part = outputs.add(target)
        part.write_text("whole")
        assert part.parent == tmp_path
        assert part.suffix == ".h5"
        assert not target.exists()
    assert target.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_failure_leaves_the_old_file_and_no_part(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "result.h5"
    target.write_text("old")
    with pytest.raises(error), Outputs() as outputs:  # noqa: PT012
        outputs.add(target).write_text("half")
        outputs.add(tmp_path / "other.png")
        raise error
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_input_is_never_overwritten_under_any_of_its_names(tmp_path: Path) -> None:
    source = tmp_path / "recording.mat"
    source.write_text("data")
    link = tmp_path / "link.h5"
    link.symlink_to(source)
    for name in (source, tmp_path / "." / "recording.mat", link):
        with pytest.raises(TrueflowError, match="is an input"), Outputs([source]) as outputs:
            outputs.add(name)
    assert source.read_text() == "data"


def test_two_outputs_need_two_names(tmp_path: Path) -> None:
    with pytest.raises(TrueflowError, match="named twice"), Outputs() as outputs:  # noqa: PT012
        outputs.add(tmp_path / "a.h5")
        outputs.add(tmp_path / "x" / ".." / "a.h5")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrueflowError, match="no_such_folder' first"), Outputs() as outputs:
        outputs.add(tmp_path / "no_such_folder" / "a.h5")


@pytest.mark.parametrize("target", ["/dev/null", "."])
def test_devices_and_folders_are_not_replaced(target: str) -> None:
    with pytest.raises(TrueflowError, match="not a regular file"), Outputs() as outputs:
        outputs.add(target)


@pytest.mark.parametrize("there", [True, False], ids=["a file", "nothing"])
def test_a_link_in_the_place_of_an_output_is_replaced_and_not_followed(tmp_path: Path, there: bool) -> None:
    elsewhere, target = tmp_path / "elsewhere", tmp_path / "result.h5"
    if there:
        elsewhere.write_text("not ours")
    target.symlink_to(elsewhere)
    with Outputs() as outputs:
        outputs.add(target).write_text("whole")
    assert not target.is_symlink()
    assert target.read_text() == "whole"
    assert elsewhere.exists() == there
    assert not there or elsewhere.read_text() == "not ours"


def test_a_link_to_a_folder_or_a_pipe_is_no_output(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.h5").symlink_to(tmp_path / "folder")
    os.mkfifo(tmp_path / "pipe.h5")
    for name in ("link.h5", "pipe.h5"):
        with pytest.raises(TrueflowError, match="not a regular file"), Outputs() as outputs:
            outputs.add(tmp_path / name)
    assert list((tmp_path / "folder").iterdir()) == []


def test_a_temporary_name_that_is_taken_is_not_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who could guess it might have put a link there."""
    elsewhere = tmp_path / "elsewhere"
    monkeypatch.setattr("secrets.token_hex", lambda n: "00" * n)
    (tmp_path / ".result.00000000.part.h5").symlink_to(elsewhere)
    with pytest.raises(TrueflowError, match="cannot be written; found File exists"), Outputs() as outputs:
        outputs.add(tmp_path / "result.h5")
    assert not elsewhere.exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrueflowError, match="cannot be written; found Not a directory"), Outputs() as outputs:
        outputs.add(tmp_path / "file" / "result.h5")
