"""Opens a front end by the scheme of its URL. Its module is imported when it is asked for."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module

from trueflow.pipeline.errors import TrueflowError, nearest
from trueflow.pipeline.live.source import LiveSource

__all__ = ["is_live", "live_schemes", "open_live"]

SCHEME = re.compile(r"^([a-z][a-z0-9+.-]*)://")

# Scheme: "module:function", called with the whole URL.
OPENERS: dict[str, str] = {
    "arrus": "trueflow.pipeline.live.arrus_source:open_arrus",
    "ipc": "trueflow.pipeline.live.network:open_network",
    "shm": "trueflow.pipeline.live.shared_memory:open_shared_memory",
    "tcp": "trueflow.pipeline.live.network:open_network",
}


def live_schemes() -> tuple[str, ...]:
    """Of URLs that can be opened."""
    return tuple(OPENERS)


def is_live(url: str) -> bool:
    """Whether a URL names a front end."""
    scheme = SCHEME.match(url)
    return scheme is not None and scheme[1] in OPENERS


def open_live(url: str) -> LiveSource:
    """Connect to a front end, and wait until it has said what it sends.

    Parameters
    ----------
    url : str
        As in ipc:///run/scanner or tcp://127.0.0.1:5555.

    Raises
    ------
    TrueflowError
        No such scheme, nobody there, something missing on this machine.
    """
    scheme = SCHEME.match(url)
    if scheme is None or scheme[1] not in OPENERS:
        raise TrueflowError(
            "no front end",
            where=url,
            found=f"{scheme[1]}://" if scheme else "no scheme",
            advice=nearest(scheme[1] if scheme else "", OPENERS),
        )
    module, _, function = OPENERS[scheme[1]].partition(":")
    opener: Callable[[str], LiveSource] = getattr(import_module(module), function)
    return opener(url)
