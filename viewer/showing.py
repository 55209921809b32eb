"""What one picture is to show: all that the scene needs, and nothing about windows or threads."""

from __future__ import annotations

from dataclasses import dataclass

from trueflow.pipeline.frames import ColorFrame
from trueflow.viewer.controls import DisplayControls, Fit
from trueflow.viewer.traces import Trace

__all__ = ["Seek", "Showing"]


@dataclass(frozen=True, slots=True)
class Seek:
    """The bar below the images.

    Parameters
    ----------
    fraction : float
        0 to 1: where we are.
    label : str
    cine : bool
        Whether it scrubs the cine buffer; else it is the file's.
    """

    fraction: float
    label: str
    cine: bool = False


@dataclass(frozen=True, slots=True)
class Showing:
    """Parameters of one picture.

    Parameters
    ----------
    frame : ColorFrame
    controls : DisplayControls
    fit : Fit
    layout : str
    facts, dealiaser : str
    status, status_right : str
        The line at the bottom.
    seek : Seek, optional
    cursor_px : (float, float), optional
        Where the point probe is.
    traces : tuple of Trace
    message : str
        Something the user must read now.
    help : bool
        Cover the picture with the keys.
    frozen, stale, recording : bool
        Stopped by the user; left alone by the source; written to a movie.
    on_device : ColorFrame, optional
        The same frame in a GPU's memory.
    reserved_px : float
        Kept free at the right edge, for the controls.
    """

    frame: ColorFrame
    controls: DisplayControls
    fit: Fit
    layout: str = "three_panels"
    facts: str = ""
    dealiaser: str = ""
    status: str = ""
    status_right: str = ""
    seek: Seek | None = None
    cursor_px: tuple[float, float] | None = None
    traces: tuple[Trace, ...] = ()
    message: str = ""
    help: bool = False
    frozen: bool = False
    stale: bool = False
    recording: bool = False
    on_device: ColorFrame | None = None
    reserved_px: float = 0.0
