"""Plans the chain anew when settings change, while the old one goes on making pictures."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trueflow.pipeline.config import Config
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import RfPacket

if TYPE_CHECKING:
    from trueflow.pipeline.live.worker import Flow

__all__ = ["Planned", "Planner"]


@dataclass(frozen=True, slots=True)
class Planned:
    """What has come of a change.

    Parameters
    ----------
    config : Config
    outcome : Flow, TrueflowError or None
        The new chain, why there is none, or that the old one will do: only the display's settings have changed.
    made_with : int or None
        Number of the packet with which the new chain has made its tables, if it has.
    """

    config: Config
    outcome: Flow | TrueflowError | None
    made_with: int | None = None


class Planner:
    """Takes wishes, and makes chains of them; the last wish is the one that counts.

    A chain makes its tables with its first packet, which takes as long as several pictures: a new one is therefore
    planned in a thread of its own and has processed a copy of a packet, and forgotten it, before it takes over.

    Parameters
    ----------
    make_flow : callable
    """

    def __init__(self, make_flow: Callable[[Config], Flow]) -> None:
        self._make_flow = make_flow
        self._lock = threading.Lock()
        self._asked: tuple[Config, bool] | None = None
        self._ready: Planned | None = None
        self._thread: threading.Thread | None = None
        self._planning: Config | None = None

    @property
    def wish(self) -> Config | None:
        """The last settings asked for that are not in force yet, if they ever will be."""
        with self._lock:
            if self._asked is not None:
                return self._asked[0]
            return self._planning if self._ready is None else self._ready.config

    def ask(self, config: Config, *, aside: bool) -> None:
        """Wish for settings; `aside`: in a thread of its own."""
        with self._lock:
            self._asked = config, aside

    def take(self, packet: RfPacket, now: Config) -> Planned | None:
        """What is there to be used from this packet on; begins to plan what has been asked for."""
        with self._lock:
            if self._thread is None and self._asked is not None:
                (config, aside), self._asked = self._asked, None
                if config == dataclasses.replace(now, display=config.display):
                    self._ready = Planned(config, None)
                elif aside:
                    self._begin(config, packet)
                else:
                    self._ready = self._plan(config, None)
            ready, self._ready = self._ready, None
            return ready

    def close(self) -> None:
        """Wait for the thread."""
        thread = self._thread
        if thread is not None:
            thread.join()

    def _begin(self, config: Config, packet: RfPacket) -> None:
        trial = RfPacket(packet.samples.copy(), packet.stamp)

        def run() -> None:
            planned = self._plan(config, trial)
            with self._lock:
                self._ready, self._thread, self._planning = planned, None, None

        self._planning = config
        self._thread = threading.Thread(target=run, name="planner", daemon=True)
        self._thread.start()

    def _plan(self, config: Config, trial: RfPacket | None) -> Planned:
        try:
            flow = self._make_flow(config)
            if trial is not None:
                flow(trial)
                flow.reset(keep_plan=True)
        except Exception as error:
            told = error if isinstance(error, TrueflowError) else TrueflowError(f"{type(error).__name__}: {error}")
            return Planned(config, told)
        return Planned(config, flow, None if trial is None else trial.stamp.index)
