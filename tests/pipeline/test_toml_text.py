"""TOML that is too deep, too long or too large in numbers is one error; bare texts stay texts."""

from __future__ import annotations

from pathlib import Path

import pytest

from trueflow.pipeline.config import Config
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.toml_text import LARGEST_BYTES, parse_toml, read_toml, toml_value

HOSTILE = {
    "deep": "a = " + "[" * 50_000,
    "deep tables": "a = " + "{a = " * 20_000,
    "digits": "a = " + "9" * 5000,
    "hexadecimal": "a = 0x" + "f" * 5000,
    "unfinished": "a = ",
    "control characters": 'a = "\x00"',
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_one_error_whatever_the_text(text: str, tmp_path: Path) -> None:
    with pytest.raises(TrueflowError, match="x: not TOML; found "):
        parse_toml(text, where="x")
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(TrueflowError, match=r"x.toml: not TOML; found "):
        Config.load(tmp_path / "x.toml")


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(TrueflowError, match="not TOML; found 'utf-8' codec"):
        parse_toml(b"a = '\xff'", where="x")


def test_a_long_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "long.toml").write_bytes(b"#" * (LARGEST_BYTES + 1))
    with pytest.raises(TrueflowError, match="too large"):
        read_toml(tmp_path / "long.toml")
    with pytest.raises(TrueflowError, match="too large"):
        read_toml("/dev/zero")


def test_a_missing_file_is_named_in_the_words_of_who_asks(tmp_path: Path) -> None:
    with pytest.raises(TrueflowError, match=r"a.toml: not described; found No such file .*; expected \[probe\]"):
        read_toml(tmp_path / "a.toml", what="not described", expected="[probe]")


def test_a_name_that_is_no_path_is_one_error() -> None:
    with pytest.raises(TrueflowError, match=r"a\\x00b: cannot be read; found embedded null byte"):
        read_toml("a\0b")


@pytest.mark.parametrize(
    ("text", "value"), [("3", 3), ("'3'", "3"), ("none of it", "none of it"), ("[1, 2]", [1, 2]), ("3:4", "3:4")]
)
def test_values_may_be_bare_texts(text: str, value: object) -> None:
    assert toml_value(text, where="x") == value


@pytest.mark.parametrize("text", ["[" * 50_000, "9" * 5000, "0x" + "f" * 5000], ids=["deep", "digits", "hexadecimal"])
def test_but_not_every_text_is_one(text: str) -> None:
    with pytest.raises(TrueflowError, match=r"--set grid.n_x: not TOML"):
        Config().override([f"grid.n_x={text}"])
