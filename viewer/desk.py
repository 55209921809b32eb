"""The state of a session: what is shown and how, without any window."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from trueflow.pipeline.frames import ColorFrame
from trueflow.pipeline.picture.draw import facts_line
from trueflow.viewer.cine import Cine
from trueflow.viewer.controls import DisplayControls, Fit
from trueflow.viewer.meter import Meter
from trueflow.viewer.player import Player
from trueflow.viewer.showing import Seek, Showing
from trueflow.viewer.slot import LatestSlot
from trueflow.viewer.traces import Trace

__all__ = ["Desk"]

MESSAGE_S = 4.0


class Desk:
    """Takes frames from a player, keeps them, and says what the next picture is to show.

    Parameters
    ----------
    player : Player
    layout : str
    folder : Path
        Where screenshots and movies go.
    """

    def __init__(self, player: Player, *, layout: str = "three_panels", folder: Path = Path()) -> None:
        self.player = player
        self.folder = folder
        self.slot = LatestSlot()
        self.cine = Cine()
        self.meter = Meter()
        self.first_controls = self.controls = DisplayControls.from_config(player.config.display)
        self.layout = layout
        self.fit: Fit | None = None
        self.frame: ColorFrame | None = None
        self.traces: list[Trace] = []
        self.frozen = self.playing = False
        self.loop, self.speed = True, 1.0
        self.probe = True
        self.cursor_px: tuple[float, float] | None = None
        self.help = self.panel = self.full_screen = self.closing = False
        self.recording = False
        self.wants_screenshot = self.wants_record = False
        self.reserved_px = 0.0
        self._on_device: tuple[ColorFrame | None, ColorFrame | None] = None, None
        self.dealiaser_before = "regions"
        self._message, self._message_until_s = "", 0.0
        self._made_with: tuple[str, ...] = "", ""  # dealiaser and wall filter of the frame that is shown
        self._waits_since_s: float | None = None  # when the packet was in memory whose picture is not yet drawn

    def say(self, message: str, now_s: float | None = None) -> None:
        """Show a message for some seconds."""
        self._message = message
        self._message_until_s = (time.monotonic() if now_s is None else now_s) + MESSAGE_S

    def tick(self, now_s: float) -> None:
        """Take what has come, and move on in time."""
        if (trouble := self.player.take_message()) is not None:
            self.say(trouble, now_s)
        delivery = self.slot.take()
        if delivery is not None:
            self.receive(delivery.frame, delivery.began_s, now_s)
            self._on_device = delivery.frame, delivery.on_device
        if self.frozen and self.playing and len(self.cine):
            self.playing = self.cine.advance(now_s, speed=self.speed, loop=self.loop)
            self.frame, self._made_with = self.cine.frame, self.cine.settings

    def receive(self, frame: ColorFrame, began_s: float = 0.0, now_s: float = 0.0) -> None:
        """A new frame; also while frozen, where it was made again with other settings.

        One that was in the making when the picture was frozen is kept, but not shown: the user is looking at another.
        """
        follow = not self.frozen or self.frame is None or self.cine.ends_with(frame.stamp.index)
        self.fit = self.fit.grown(frame) if self.fit is not None else Fit.of([frame])
        made_with = self.player.config.dealias.name, self.player.config.clutter.name
        self.cine.add(frame, now_s, made_with, follow=follow)
        for trace in self.traces:
            trace.add(frame)
        if follow:
            self.frame, self._made_with, self._waits_since_s = frame, made_with, began_s

    def drawn(self, now_s: float) -> None:
        """What was to be shown is on the screen; what comes from the cine buffer has no latency."""
        if self._waits_since_s is not None:
            self.meter.count(now_s, now_s - self._waits_since_s)
            self._waits_since_s = None

    def freeze(self, frozen: bool) -> None:
        """Stop, or go on with what comes."""
        self.frozen, self.playing = frozen, False
        self.player.play(not frozen)

    def scrub(self, index: int) -> None:
        """Show a frame of the cine buffer."""
        if len(self.cine):
            self.cine.go_to(index)
            self.frame, self._made_with = self.cine.frame, self.cine.settings

    def seek_fraction(self, fraction: float) -> None:
        """Move along the bar: the cine buffer when frozen, else the file."""
        fraction = min(max(fraction, 0.0), 1.0)
        if self.frozen:
            self.playing = False
            self.scrub(round(fraction * (len(self.cine) - 1)))
        elif self.player.n_frames:
            self.player.seek(round(fraction * (self.player.n_frames - 1)))

    def add_trace(self, x_m: float, z_m: float) -> None:
        """Follow the velocity at a point from now on, and in what the cine buffer holds."""
        number = next(n for n in range(len(self.traces) + 1) if n not in {trace.number for trace in self.traces})
        trace = Trace.at(self.player.grid, x_m, z_m, number, self.cine)
        if trace is not None:
            self.traces.append(trace)

    def showing(self, now_s: float) -> Showing | None:
        """The next picture; None before the first frame."""
        if self.frame is None or self.fit is None:
            return None
        return Showing(
            self.frame,
            self.controls,
            self.fit,
            layout=self.layout,
            facts=facts_line(self.player.acquisition, float(self.frame.velocity.nyquist_velocity_m_s)),
            dealiaser=self._made_with[0],
            status=self._status(now_s),
            status_right=self._clock(),
            seek=self._seek(),
            cursor_px=self.cursor_px if self.probe else None,
            traces=tuple(self.traces),
            message=self._message if now_s < self._message_until_s else "",
            help=self.help,
            frozen=self.frozen,
            stale=self.player.is_stale and not self.frozen,
            recording=self.recording,
            on_device=self._on_device[1] if self._on_device[0] is self.frame else None,
            reserved_px=self.reserved_px,
        )

    def plain_showing(self) -> Showing | None:
        """The same without what depends on the clock or the mouse: for pictures that are to be compared."""
        showing = self.showing(float("inf"))
        return None if showing is None else replace(showing, status="", cursor_px=None, stale=False)

    def _status(self, now_s: float) -> str:
        wall_filter = f"wall filter: {self._made_with[1]}"
        if self.frozen:
            return wall_filter
        latency_s = self.meter.latency_s()
        rate_hz = self.meter.rate_hz(now_s)
        parts = [f"{rate_hz:.0f} frames/s" if rate_hz >= 10 else f"{rate_hz:.1f} frames/s"]
        if latency_s is not None:
            parts.append(f"latency {latency_s * 1e3:.0f} ms")
        parts.append(f"dropped {self.player.n_dropped + self.slot.n_dropped}")
        if self.frame is not None and self.frame.timings_s:
            parts.append(f"chain {sum(self.frame.timings_s.values()) * 1e3:.0f} ms")
        return "    ".join([*parts, wall_filter])

    def _clock(self) -> str:
        assert self.frame is not None
        stamp = self.frame.stamp
        of = f"/{self.player.n_frames}" if self.player.n_frames else ""
        return f"frame {stamp.index + 1}{of}    {stamp.acquisition_time_s:.3f} s"

    def _seek(self) -> Seek | None:
        pace = "" if self.speed == 1 else f"  x{self.speed:g}"
        pace += "" if self.loop else "  no loop"
        if self.frozen:
            last = max(len(self.cine) - 1, 1)
            return Seek(self.cine.index / last, f"cine {self.cine.index + 1}/{len(self.cine)}{pace}", cine=True)
        if not self.player.n_frames:
            return None
        return Seek(self.player.position / max(self.player.n_frames - 1, 1), f"file{pace}")
