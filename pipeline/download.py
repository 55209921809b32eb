"""Frames from a device to the host."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from trueflow.pipeline.frames import ColorFrame

__all__ = ["kept_on_device", "on_cpu"]


def on_cpu(frame: ColorFrame, download: Callable[[Any], Any]) -> ColorFrame:
    """The same frame with NumPy arrays; the frame itself where it has them already."""
    sample: Any = frame.velocity.velocity_m_s
    if isinstance(sample, np.ndarray):
        return frame
    messages = {name: getattr(frame, name) for name in ("bmode", "doppler", "segmentation", "velocity")}
    return dataclasses.replace(
        frame, **{name: _mapped(message, download) for name, message in messages.items() if message is not None}
    )


def kept_on_device(frame: ColorFrame) -> ColorFrame | None:
    """What a viewer wants of a frame in the GPU's memory, where it stays as it is; None for frames on the CPU."""
    values: Any = frame.velocity.velocity_m_s
    if isinstance(values, np.ndarray):
        return None
    return dataclasses.replace(frame, doppler=dataclasses.replace(frame.doppler, second=None), segmentation=None)


def _mapped(message: Any, change: Callable[[Any], Any]) -> Any:
    values = {field.name: getattr(message, field.name) for field in dataclasses.fields(message)}
    return dataclasses.replace(
        message, **{name: change(value) for name, value in values.items() if hasattr(value, "dtype")}
    )
