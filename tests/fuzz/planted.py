"""Readers that do what readers must not: the engine has to notice each."""

from __future__ import annotations

import ctypes
import os
import subprocess
import time
import warnings
from pathlib import Path

import numpy as np

from trueflow.pipeline.errors import TrueflowError

from .targets import Target, check


def harmless(folder: Path) -> None:
    if b"u" not in (folder / "input").read_bytes():
        raise TrueflowError("not an input", where=str(folder), expected="a u")


def refuses_an_x(folder: Path) -> None:
    if b"x" in (folder / "input").read_bytes():
        raise ValueError("an x")


def raises(folder: Path) -> None:
    raise KeyError("an exception of another kind")


def warns(folder: Path) -> None:
    warnings.warn("of something", RuntimeWarning, stacklevel=1)


def swallows(folder: Path) -> None:
    """An exception of ours around an allocation that failed is still an allocation."""
    try:
        np.ones(1 << 50)
    except MemoryError as error:
        raise TrueflowError("cannot be read") from error


def grows(folder: Path) -> None:
    np.ones(60 << 20)


def grows_without_end(folder: Path) -> None:
    held = []
    while True:  # not so fast that the machine is full before somebody looks
        held.append(np.ones(2 << 20))
        time.sleep(0.02)


def hangs(folder: Path) -> None:
    while True:
        pass


def crashes(folder: Path) -> None:
    ctypes.string_at(0)


def writes(folder: Path) -> None:
    (folder.parent.parent / "trueflow-fuzz-written").write_text("outside")


def writes_and_goes_on(folder: Path) -> None:
    try:
        writes(folder)
    except BaseException:
        return


def starts(folder: Path) -> None:
    subprocess.run(["true"], check=True)


def follows(folder: Path) -> None:
    os.close(os.open(folder / "canary.h5", os.O_RDONLY))


def answers_wrongly(folder: Path) -> None:
    check(1 + 1 == 3, "wrong")


PLANTED: dict[str, Target] = {
    f"planted {read.__name__}": Target(f"planted {read.__name__}", read, cpu_s=1.0 if read is hangs else 20.0)
    for read in (
        harmless, refuses_an_x, raises, warns, swallows, grows, grows_without_end, hangs, crashes, writes,
        writes_and_goes_on, starts, follows, answers_wrongly,
    )
}  # fmt: skip
