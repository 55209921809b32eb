"""The one family of errors a user can meet: what is wrong, where, what was found, what was expected, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["TrueflowError", "nearest", "printable"]

LONGEST_MESSAGE = 2000


class TrueflowError(Exception):
    """Bad input, configuration or environment; the CLI prints it on one line and exits with code 2.

    Parameters
    ----------
    what : str
        What is wrong, in a few words.
    where : str, optional
        File, field or argument.
    found, expected : object, optional
        What was there, and what should have been.
    advice : str, optional
        What to do about it.
    """

    def __init__(
        self, what: str, *, where: str = "", found: object = None, expected: object = None, advice: str = ""
    ) -> None:
        parts = [f"{where}: {what}" if where else what]
        if found is not None:
            parts.append(f"found {found}")
        if expected is not None:
            parts.append(f"expected {expected}")
        if advice:
            parts.append(advice)
        message = printable("; ".join(parts))
        super().__init__(message if len(message) <= LONGEST_MESSAGE else f"{message[:LONGEST_MESSAGE]} ...")


def printable(text: str) -> str:
    """A text as a terminal may show it: files name things as they like, also with codes that terminals obey."""
    if text.isprintable():
        return text
    shown = (c if c.isprintable() else " " if c.isspace() else c.encode("unicode_escape").decode() for c in text)
    return "".join(shown)


def nearest(name: str, choices: Iterable[str]) -> str:
    """Advice for an unknown name: the nearest choice, then all of them."""
    known = sorted(choices)
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}choices: {', '.join(known)}"
