"""Where real recordings lie: they are other people's, and not part of the project."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["DISK", "NO_DISK", "recordings_folder"]

CHECKOUT = Path(__file__).resolve().parents[1]
DISK = "PWI_disk.mat"  # of MUST: docs/benchmarks.md
NO_DISK = f"the recording {DISK} is not on this machine (docs/benchmarks.md says where it is looked for)"


def recordings_folder() -> Path:
    """TRUEFLOW_RECORDINGS where that is set, else recordings/ in the checkout, else shared/data beside it."""
    if named := os.environ.get("TRUEFLOW_RECORDINGS"):
        return Path(named)
    own = CHECKOUT / "recordings"
    return own if own.is_dir() else CHECKOUT.parent / "shared" / "data"
