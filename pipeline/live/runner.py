"""A run: packets from a source through a ring and the chain to display and sinks, by steps or in two threads."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import TracebackType

from trueflow.pipeline.config import Config
from trueflow.pipeline.frames import ColorFrame
from trueflow.pipeline.live.intake import SLICE_S, Intake, Messages
from trueflow.pipeline.live.ledger import Ledger, Report
from trueflow.pipeline.live.ring import Keep, PacketRing
from trueflow.pipeline.live.source import FrameSink, LiveSource, PacketTap
from trueflow.pipeline.live.worker import Deliver, Flow, MakeFlow, OnError, Worker

__all__ = ["DEADLINE_S", "SILENT_S", "Runner"]

DEADLINE_S = 0.066  # two frames at 30 frames/s
SILENT_S = 1.0
BURST = 16  # packets that one step takes in at most
PATIENCE_S = 10.0  # for a thread to end: longer than any frame
INTAKE = "intake"


class Runner:
    """Runs the chain on a source; a context manager that stops, and closes the source.

    Parameters
    ----------
    source : LiveSource
        Owned by the run from now on.
    make_flow : callable
        A chain for settings: called here, and again when settings change.
    config : Config
    deliver : callable, optional
        The display: gets each frame first.
    sinks : sequence of FrameSink
    taps : sequence of PacketTap
    keep : {"newest", "all"}
        Live, the newest packets win: what the chain has no time for is dropped and counted. Or nothing is ever dropped,
        and the source has to wait.
    depth : int
        Packets that may wait for the chain.
    on_error : {"stop", "skip"}
        What becomes of the run when a stage fails.
    deadline_s : float, optional
        Age at which a picture is late.
    silent_s : float
        How long the source may be silent before that is said, and the picture counts as stale.

    Raises
    ------
    TrueflowError
        Where the settings do not fit the acquisition.

    Examples
    --------
    >>> with Runner(source, make_flow, config) as runner:  # doctest: +SKIP
    ...     runner.start()
    ...     runner.wait()
    """

    def __init__(
        self,
        source: LiveSource,
        make_flow: MakeFlow,
        config: Config,
        *,
        deliver: Deliver | None = None,
        sinks: Sequence[FrameSink] = (),
        taps: Sequence[PacketTap] = (),
        keep: Keep = "newest",
        depth: int = 2,
        on_error: OnError = "stop",
        deadline_s: float | None = DEADLINE_S,
        silent_s: float = SILENT_S,
    ) -> None:
        self.source = source
        self._messages, self._ledger = Messages(), Ledger()
        self._ring = PacketRing(source.layout, depth=depth, keep=keep)
        self._intake = Intake(source, self._ring, taps, self._messages, silent_s=silent_s)
        self._silent_s = silent_s
        try:
            self._worker = Worker(
                self._ring,
                make_flow,
                config,
                deliver=deliver,
                sinks=sinks,
                ledger=self._ledger,
                messages=self._messages,
                on_error=on_error,
                deadline_s=deadline_s,
            )
        except BaseException:  # nobody else would: a scanner goes on transmitting until it is closed
            source.close()
            raise
        self._ending, self._ended = threading.Event(), threading.Event()
        self._threads: list[threading.Thread] = []
        self._failures: list[BaseException] = []

    def step(self, timeout_s: float = 0.0) -> ColorFrame | None:
        """Take in what has arrived and process one packet, here and now.

        Parameters
        ----------
        timeout_s : float
            How long to wait for a packet where none is there.

        Returns
        -------
        ColorFrame or None
            None where there was nothing to process, or where it failed and was skipped.
        """
        assert not self._threads, "step is for runs that were not started"
        for count in range(BURST):
            wait_s = timeout_s if count == 0 and not self._ring.n_waiting else 0.0
            if not self._intake.step(wait_s):
                break
        return self._worker.step(0.0)

    def start(self) -> None:
        """Begin in threads of its own: one receives, one processes."""
        assert not self._threads, "started already"
        for name, target in (("chain", self._process), (INTAKE, self._receive)):
            self._threads.append(threading.Thread(target=target, name=name, daemon=True))
        for thread in self._threads:
            thread.start()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the end: of the source, by `stop`, by an error; whether it has come.

        Raises
        ------
        TrueflowError
            What ended the run, where that was an error.
        """
        ended = self._ended.wait(timeout_s)
        if self._failures:
            raise self._failures[0]
        return ended

    def stop(self) -> None:
        """End the run, and wait until it has ended; more than once does no harm."""
        self._ending.set()
        self._ring.close()
        receiving = [thread for thread in self._threads if thread.name == INTAKE]
        try:
            for thread in receiving:
                thread.join(PATIENCE_S)
        finally:  # also where the chain hangs, or somebody interrupts twice: a scanner transmits until then
            if not any(thread.is_alive() for thread in receiving):
                self.source.close()
        for thread in self._threads:
            thread.join(PATIENCE_S)
        self._worker.close()
        self._ended.set()

    def change(self, config: Config) -> None:
        """Ask for other settings, from any thread: in force between two frames, once the chain has been planned anew.

        What does not fit becomes a message, and the old settings stay.
        """
        self._worker.change(config, aside=bool(self._threads))

    @property
    def flow(self) -> Flow:
        """The chain in force."""
        return self._worker.flow

    @property
    def config(self) -> Config:
        """The settings in force."""
        return self._worker.config

    @property
    def wish(self) -> Config:
        """The settings that were asked for last, in force or soon to be."""
        return self._worker.wish

    @property
    def frame(self) -> ColorFrame | None:
        """The last one."""
        return self._worker.frame

    @property
    def is_stale(self) -> bool:
        """Whether the last picture is older than the source may be silent, for whatever reason, or none will follow."""
        if self._worker.idle_s > self._silent_s:  # packets may come, and the chain hang or fail with each of them
            return True
        return self._intake.is_silent or self._ending.is_set() or self._ended.is_set()

    @property
    def failure(self) -> BaseException | None:
        """What ended the run, where that was an error."""
        return self._failures[0] if self._failures else None

    @property
    def n_waiting(self) -> int:
        """Packets in the ring."""
        return self._ring.n_waiting

    @property
    def n_missing(self) -> int:
        """Packets that never became a picture: lost on the way, dropped before the chain, failed in it."""
        return self.source.counters.n_lost + self._ring.n_dropped + self._ledger.n_failed

    def say(self, message: str) -> None:
        """Leave a line for whoever shows messages."""
        self._messages.say(message)

    def take_message(self) -> str | None:
        """What the user should read, a line at a time."""
        return self._messages.take()

    def report(self) -> Report:
        """The state of the run; from any thread."""
        latency, waited, stages = self._ledger.spreads()
        return Report(
            self.source.counters,
            n_frames=self._ledger.n_frames,
            n_dropped=self._ring.n_dropped,
            n_failed=self._ledger.n_failed,
            n_missed=self._ledger.n_missed,
            n_silences=self._intake.n_silences,
            n_waiting=self._ring.n_waiting,
            deepest=self._ring.deepest,
            silent_s=self._intake.silent_s,
            busy_s=self._worker.busy_s,
            latency=latency,
            waited=waited,
            stages=stages,
        )

    def _receive(self) -> None:
        try:
            self._intake.run(self._ending)
        except Exception as error:
            self._fail(error)

    def _process(self) -> None:
        try:
            while not self._ending.is_set() and not self._ring.done:
                self._worker.step(SLICE_S)
        except Exception as error:
            self._fail(error)
        else:
            if self.source.ended and not self._ending.is_set():
                self._messages.say(f"{self.source.name} has ended")
        self._ended.set()

    def _fail(self, error: Exception) -> None:
        self._failures.append(error)
        self._ending.set()
        self._ring.close()

    def __enter__(self) -> Runner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
