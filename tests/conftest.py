"""Fixtures shared by all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

RECORDINGS = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of real recordings, which is not part of the project."""
    if not RECORDINGS.is_dir():
        pytest.skip("the recordings (../shared/data) are not on this machine")
    return RECORDINGS
