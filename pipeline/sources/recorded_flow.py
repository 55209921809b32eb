"""The chain as it was live: with the settings that a recording has for each packet."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable

from trueflow.kernels.device import Device
from trueflow.pipeline.chain import ColorFlow, open_device
from trueflow.pipeline.config import Config
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import ColorFrame, RfPacket
from trueflow.pipeline.grid import ImageGrid
from trueflow.pipeline.sources.framing import Framing
from trueflow.pipeline.sources.recorded import LiveRecording, LiveSettings

__all__ = ["RecordedFlow"]


class RecordedFlow:
    """Plans the chain anew wherever the live chain began anew, with the settings and the packet that it was made with.

    Parameters
    ----------
    recording : LiveRecording
        Its acquisition as recorded.
    framing : Framing
        Packets are numbered as they are cut by it.
    adapt : callable, optional
        From the recorded settings to those to take.
    device : str or Device
    n_threads : int, optional

    Raises
    ------
    TrueflowError
        Where there are no settings, or they do not fit; where a packet's settings ask for other pixels than the first.
    """

    def __init__(
        self,
        recording: LiveRecording,
        framing: Framing,
        *,
        adapt: Callable[[Config], Config] | None = None,
        device: str | Device = "cpu",
        n_threads: int | None = None,
    ) -> None:
        self._recording, self._adapt = recording, adapt
        self._acquisition, _, self._starts = framing.resolve(recording)
        self.device = open_device(device, n_threads)
        first = recording.settings(self._starts[0]) if self._starts else None
        if first is None:
            raise TrueflowError("no settings", where=str(recording.path), expected="a recording with settings")
        self._settings = first
        self._flow = self._plan(first)

    @property
    def grid(self) -> ImageGrid:
        """Pixels of the frames."""
        return self._flow.grid

    @property
    def config(self) -> Config:
        """The settings in force."""
        return self._flow.config

    def __call__(self, packet: RfPacket, /) -> ColorFrame:
        """Process one packet."""
        known = self._recording.settings(self._starts[packet.stamp.index])
        if known is not None and known.number != self._settings.number:
            flow = self._plan(known)
            if flow.grid.shape != self.grid.shape:
                raise TrueflowError(
                    "the pixels changed while it was recorded",
                    where=f"{self._recording.path}, packet {packet.stamp.index}",
                    found=f"{flow.grid.shape} pixels",
                    expected=f"{self.grid.shape}, as before",
                    advice="stop before it with --frames, or give settings for all of it with --config",
                )
            self._settings, self._flow = known, flow
        return self._flow(packet)

    def _plan(self, settings: LiveSettings) -> ColorFlow:
        config, named = settings.config, settings.config.segment.network
        config = dataclasses.replace(config, segment=dataclasses.replace(config.segment, network=None))
        if self._adapt is not None:
            config = self._adapt(config)
        if named is not None and config.segment.network is None and config.segment.enabled != "off":
            raise TrueflowError(
                "was made with a network of its own", where=str(self._recording.path), found=named,
                expected="its path from you: what a recording names is not opened",
                advice="--set segment.network=PATH, if you trust that file, or --set segment.enabled=off",
            )
        flow = ColorFlow(self._acquisition, config, grid=self._recording.grid, device=self.device)
        if settings.made_with is not None and self._acquisition.n_ensemble == self._recording.burst_length:
            packet = self._recording.packet_numbered(settings.made_with)
            if packet is not None:
                with contextlib.suppress(Exception):  # as live, where a packet that fails may have come first
                    flow(packet)
                flow.reset(keep_plan=True)
        return flow
