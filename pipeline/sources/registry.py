"""Opens a recording by what is in it."""

from __future__ import annotations

from pathlib import Path

from trueflow.pipeline.sources.base import Recording

__all__ = ["open_source"]


def open_source(path: str | Path) -> Recording:
    """Open a recording; the format is decided by content."""
    raise NotImplementedError
