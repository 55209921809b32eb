"""What files say about themselves reaches a terminal as text, never as codes that it obeys."""

from __future__ import annotations

import pytest

from trueflow.pipeline.errors import LONGEST_MESSAGE, TrueflowError, printable
from trueflow.pipeline.probe import Probe


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("L12-5, 50 mm, é", "L12-5, 50 mm, é"),
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("one\ntwo\tthree", "one two three"),
        ("\u202egpj.exe", r"\u202egpj.exe"),
        ("\ud800\0", r"\ud800\x00"),
    ],
)
def test_codes_are_spelled_out(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert str(TrueflowError("wrong", where=text)) == f"{shown}: wrong"
    assert Probe.linear(4, pitch_m=1e-3, name=text).name == shown


def test_messages_have_an_end() -> None:
    assert len(str(TrueflowError("wrong", found="x" * 10**6))) == LONGEST_MESSAGE + 4


def test_names_of_probes_have_an_end() -> None:
    assert len(Probe.linear(4, pitch_m=1e-3, name="x" * 10**6).name) == 200
