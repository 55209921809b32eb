"""OpenVINO's module, loaded so that it tells nobody."""

from __future__ import annotations

import importlib
import sys
from typing import Any

__all__ = ["import_openvino"]

TELEMETRY = "openvino_telemetry"


def import_openvino() -> Any:
    """OpenVINO without its usage statistics.

    Its package reports each import to an analytics service on the internet and keeps count in the user's home, unless
    the package that does so is missing: for this import it is.

    Raises
    ------
    ImportError
        OpenVINO is not installed.
    """
    if TELEMETRY in sys.modules or "openvino" in sys.modules:  # somebody else's import came first: it is his choice
        return importlib.import_module("openvino")
    sys.modules[TELEMETRY] = None  # type: ignore[assignment]  # imports of it raise ImportError
    try:
        return importlib.import_module("openvino")
    finally:
        del sys.modules[TELEMETRY]
