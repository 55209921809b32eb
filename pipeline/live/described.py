"""What is common to sources whose stream is described before its first packet."""

from __future__ import annotations

from trueflow.pipeline.acquisition import Acquisition
from trueflow.pipeline.grid import ImageGrid
from trueflow.pipeline.live.description import Description
from trueflow.pipeline.live.numbers import Numbers
from trueflow.pipeline.live.source import PacketLayout, SourceCounters

__all__ = ["DescribedSource"]


class DescribedSource:
    """The facts of the stream, and what has become of its packets; a source sets the fields."""

    _description: Description
    _layout: PacketLayout
    _numbers: Numbers
    _ended: bool

    @property
    def acquisition(self) -> Acquisition:
        """As described."""
        return self._description.acquisition

    @property
    def grid(self) -> ImageGrid | None:
        """As described."""
        return self._description.grid

    @property
    def layout(self) -> PacketLayout:
        """As described."""
        return self._layout

    @property
    def frame_rate_hz(self) -> float | None:
        """As described."""
        return self._description.frame_rate_hz

    @property
    def ended(self) -> bool:
        """Whether the other side has said so."""
        return self._ended

    @property
    def counters(self) -> SourceCounters:
        """So far."""
        return self._numbers.counters
