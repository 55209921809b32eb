"""The processing side of a run: from the ring through the chain to display and sinks."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

from trueflow.pipeline.config import Config
from trueflow.pipeline.download import kept_on_device, on_cpu
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import ColorFrame, RfPacket, Stamp
from trueflow.pipeline.grid import ImageGrid
from trueflow.pipeline.live.intake import Messages
from trueflow.pipeline.live.ledger import Ledger
from trueflow.pipeline.live.planner import Planner
from trueflow.pipeline.live.ring import PacketRing
from trueflow.pipeline.live.source import FrameSink

__all__ = ["Deliver", "Flow", "MakeFlow", "OnError", "Worker"]

OnError = Literal["stop", "skip"]

# Gets a frame with arrays on the CPU, when its first byte came (time.monotonic, s), and where it was made on a GPU a
# copy there that nothing writes to any more, or None. Never blocks.
Deliver = Callable[[ColorFrame, float, "ColorFrame | None"], None]


class Flow(Protocol):
    """The chain, as far as a run needs it."""

    @property
    def device(self) -> Any:
        """Where its arrays are."""

    @property
    def grid(self) -> ImageGrid:
        """The pixels of its frames."""

    @property
    def config(self) -> Config:
        """The settings in force."""

    def __call__(self, packet: RfPacket, /) -> ColorFrame:
        """One frame from one packet."""

    def reset(self, *, keep_plan: bool = False) -> None:
        """Forget the past; with `keep_plan` not what the first echoes decided."""


MakeFlow = Callable[[Config], Flow]


class Worker:
    """Processes what waits in the ring.

    Parameters
    ----------
    ring : PacketRing
    make_flow : callable
        A chain for settings; raises a `TrueflowError` where they do not fit.
    config : Config
    deliver : callable, optional
        The display.
    sinks : sequence of FrameSink
    ledger : Ledger
    messages : Messages
    on_error : {"stop", "skip"}
        What happens when a stage or a sink fails: the run ends with an error that names the frame, or the frame is left
        out and counted.
    deadline_s : float, optional
        Age at which a picture is late, and counted as such.

    Raises
    ------
    TrueflowError
        Where the settings do not fit.
    """

    def __init__(
        self,
        ring: PacketRing,
        make_flow: MakeFlow,
        config: Config,
        *,
        deliver: Deliver | None,
        sinks: Sequence[FrameSink],
        ledger: Ledger,
        messages: Messages,
        on_error: OnError,
        deadline_s: float | None,
    ) -> None:
        self._ring, self._deliver, self._sinks = ring, deliver, sinks
        self._ledger, self._messages = ledger, messages
        self._on_error, self._deadline_s = on_error, deadline_s
        self.flow = make_flow(config)
        self._config = config
        self._told = False
        self._made_with: int | None = None
        self._planner = Planner(make_flow)
        self._busy_since_s: float | None = None
        self._shown_s = time.monotonic()
        self.frame: ColorFrame | None = None

    @property
    def config(self) -> Config:
        """The settings in force; with those of the display, which the chain does not have."""
        return self._config

    @property
    def wish(self) -> Config:
        """The settings asked for last."""
        return self._planner.wish or self._config

    @property
    def busy_s(self) -> float:
        """Since the chain began with the packet it works on."""
        since_s = self._busy_since_s
        return 0.0 if since_s is None else time.monotonic() - since_s

    @property
    def idle_s(self) -> float:
        """Since the last picture was made, or since the beginning."""
        return time.monotonic() - self._shown_s

    def change(self, config: Config, *, aside: bool) -> None:
        """Ask for other settings: planned aside, while pictures go on, or on the spot before the next one."""
        self._planner.ask(config, aside=aside)

    def step(self, timeout_s: float) -> ColorFrame | None:
        """Process the packet that has waited longest; None where none came in time, or where it failed.

        Raises
        ------
        TrueflowError
            Where a stage failed and that is to end the run.
        """
        packet = self._ring.take(timeout_s)
        if packet is None:
            return None
        try:
            self._change_settings(packet)
            self._busy_since_s = time.monotonic()
            return self._process(packet, self._busy_since_s)
        finally:
            self._busy_since_s = None
            self._ring.release()

    def close(self) -> None:
        """Wait for what is being planned."""
        self._planner.close()

    def _process(self, packet: RfPacket, began_s: float) -> ColorFrame | None:
        doing = "a stage"
        if self._made_with is None:
            self._made_with = packet.stamp.index
        try:
            made = self.flow(packet)
            kept = kept_on_device(made) if self._deliver is not None else None  # before the download, which waits too
            frame = on_cpu(made, self.flow.device.download)
            arrived_s = packet.stamp.receive_time_s
            if self._deliver is not None:
                doing = "the display"
                self._deliver(frame, arrived_s or began_s, kept)
            shown_s = time.monotonic()
            for sink in self._sinks:
                doing = type(sink).__name__
                sink.result(frame)
        except Exception as error:
            self._fail(packet.stamp, doing, error)
            return None
        stages = {**frame.timings_s, "sinks": time.monotonic() - shown_s}
        latency_s = shown_s - arrived_s if arrived_s else None
        waited_s = began_s - arrived_s if arrived_s else None
        late = self._deadline_s is not None and latency_s is not None and latency_s > self._deadline_s
        self._ledger.frame(stages, latency_s=latency_s, waited_s=waited_s, missed=late)
        self.frame, self._shown_s = frame, shown_s
        return frame

    def _fail(self, stamp: Stamp, doing: str, error: Exception) -> None:
        place = f"frame {stamp.index} at {stamp.acquisition_time_s:.3f} s"
        if self._on_error == "stop":
            raise TrueflowError(
                f"{doing} failed",
                where=place,
                found=f"{type(error).__name__}: {error}",
                advice="--on-error skip leaves such frames out",
            ) from error
        self._ledger.n_failed += 1
        self._messages.say(f"{place}: {doing} failed, left out: {type(error).__name__}: {error}")
        self.flow.reset(keep_plan=True)  # what it carries may be half of this frame's
        self._tell(anew=True)

    def _change_settings(self, packet: RfPacket) -> None:
        """Between two frames: take the chain that has been planned."""
        if not self._told:
            self._told = True
            self._tell(anew=True)
        planned = self._planner.take(packet, self._config)
        if planned is None:
            return
        if isinstance(planned.outcome, TrueflowError):
            self._messages.say(str(planned.outcome))
            return
        if planned.outcome is not None:
            self.flow, self._made_with = planned.outcome, planned.made_with
        self._config = planned.config
        self._tell(anew=planned.outcome is not None)

    def _tell(self, *, anew: bool) -> None:
        """The sinks learn the settings in force, as they were asked for: what they leave open, the chain has found."""
        for sink in self._sinks:
            sink.changed(self._config, anew=anew, made_with=self._made_with)
