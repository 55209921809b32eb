"""`trueflow frontend`: a recording or the simulator, played as a live scanner for another process."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trueflow.pipeline.cli.common import SOURCE, progress_bar, show_json

if TYPE_CHECKING:
    from trueflow.pipeline.live.faults import Faults, Tally
    from trueflow.pipeline.live.publisher import Prepared, Publisher
    from trueflow.pipeline.live.shared_memory_publisher import SharedMemoryPublisher
    from trueflow.pipeline.sources import Framing, Recording

__all__ = ["frontend"]

COUNT = click.IntRange(min=1)
SHARE = click.FloatRange(0, 1)
SECONDS = click.FloatRange(min=0)
RATES = {"real": None, "max": 0.0}


class _Rate(click.ParamType):  # type: ignore[type-arg]
    """real, max, or packets per second."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        if value in RATES:
            return RATES[value]
        try:
            rate_hz = float(value)
        except (TypeError, ValueError):
            rate_hz = -1.0
        if not 0 < rate_hz <= 1e5:
            self.fail(f"{value!r} is neither real, max nor packets per second", param, ctx)
        return rate_hz


@dataclass(frozen=True, slots=True)
class Options:
    """The command line."""

    source: Path | str
    url: str
    rate_hz: float | None
    precompute: int | None
    loop: bool
    wait: bool
    frames: int | None
    seconds: float | None
    allow_remote: bool
    as_json: bool
    ensemble: int | None
    hop: int | None
    decimate_slow_time: int


@click.command()
@click.argument("source", type=SOURCE)
@click.option("--bind", "url", required=True, metavar="URL", help="ipc://PATH, shm://NAME or tcp://127.0.0.1:PORT.")
@click.option(
    "--rate", "rate_hz", type=_Rate(), default="real", show_default=True, metavar="real|max|X",
    help="As acquired; as fast as the listener takes it; X packets per second.",
)  # fmt: skip
@click.option("--precompute", type=COUNT, metavar="N", help="Have the first N packets ready before anybody listens.")
@click.option("--loop", is_flag=True, help="Over and over; with --precompute, those N.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Begin when somebody listens.")
@click.option("--frames", type=COUNT, help="Stop after so many packets.")
@click.option("--seconds", type=SECONDS, help="Stop after so long.")
@click.option("--allow-remote", is_flag=True, help="Let other machines listen: nothing is encrypted.")
@click.option("--jitter-s", type=SECONDS, default=0.0, help="Send packets up to so much late.")
@click.option("--loss", type=SHARE, default=0.0, help="Share of packets that are not sent.")
@click.option("--reorder", type=SHARE, default=0.0, help="Share of packets that are sent after the next one.")
@click.option("--corrupt", type=SHARE, default=0.0, help="Share of packets that are sent with a bit flipped.")
@click.option("--stall-s", type=SECONDS, default=0.0, help="Stop for so long...")
@click.option("--stall-every-s", type=SECONDS, default=10.0, show_default=True, help="...every so often.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of jitter and damage.")
@click.option("--ensemble", type=COUNT, help="Pulses per packet. Default: what the recording suggests.")
@click.option("--hop", type=COUNT, help="Pulses from one packet to the next. Default: back to back.")
@click.option("--decimate-slow-time", type=COUNT, default=1, show_default=True, help="Keep every k-th pulse.")
@click.option("--json", "as_json", is_flag=True, help="What was sent as JSON.")
def frontend(
    jitter_s: float,
    loss: float,
    reorder: float,
    corrupt: float,
    stall_s: float,
    stall_every_s: float,
    seed: int,
    **values: Any,
) -> None:
    """Play the recording SOURCE, a file or sim://SCENE, as a live scanner: `trueflow view --live URL` shows it.

    The message is in docs/live.md. A listener that is too slow loses packets, but for --rate max, where it sets the
    pace.
    """
    from trueflow.pipeline.live.faults import Faults

    options = Options(**values)
    faults = Faults(loss, reorder, corrupt, jitter_s, stall_s, stall_every_s, seed)
    tally = _frontend(options, faults)
    if options.as_json:
        show_json(dataclasses.asdict(tally))
    else:
        click.echo(_line(tally))


def _frontend(options: Options, faults: Faults) -> Tally:
    from trueflow.pipeline.live.description import Description
    from trueflow.pipeline.live.frontend import play
    from trueflow.pipeline.live.publisher import Publisher, check_address
    from trueflow.pipeline.live.recorded import RecordingSource
    from trueflow.pipeline.live.shared_memory_publisher import SharedMemoryPublisher, is_shared_memory
    from trueflow.pipeline.sources import Framing, open_source

    if not is_shared_memory(options.url):  # before anything is computed
        check_address(options.url, allow_remote=options.allow_remote)
    framing = Framing(options.ensemble, options.hop, options.decimate_slow_time)
    with open_source(options.source) as recording:
        facts = RecordingSource(recording, framing, limit=options.frames if not options.loop else None)
        description = Description(
            facts.acquisition,
            facts.layout.dtype,
            facts.grid,
            options.rate_hz or facts.frame_rate_hz,
            str(options.source),
        )
        waits = options.rate_hz == 0
        with (
            SharedMemoryPublisher(options.url, description, waits=waits)
            if is_shared_memory(options.url)
            else Publisher(options.url, description, waits=waits, allow_remote=options.allow_remote)
        ) as publisher:
            packets = _packets(options, recording, framing, facts, publisher)
            click.echo(f"listening on {publisher.url}", err=True)
            _await_listener(publisher, options)
            return play(publisher, packets, rate_hz=options.rate_hz, faults=faults, seconds=options.seconds)


def _await_listener(publisher: Publisher | SharedMemoryPublisher, options: Options) -> None:
    while options.wait and publisher.n_listeners == 0:
        publisher.tend(0.1)


def _packets(
    options: Options,
    recording: Recording,
    framing: Framing,
    facts: Any,
    publisher: Publisher | SharedMemoryPublisher,
) -> Iterator[Prepared]:
    """What is to be sent, with what is wanted at once computed by now; who asks meanwhile is told what will come."""
    from trueflow.pipeline.live.frontend import looped
    from trueflow.pipeline.live.publisher import Prepared
    from trueflow.pipeline.sources import packets

    def read() -> Iterator[Prepared]:
        for packet in packets(recording, framing)[2]:
            yield Prepared.of(packet)

    stream, kept = read(), []
    if options.precompute:
        wanted = min(options.precompute, facts.n_packets)
        with progress_bar("packets", enabled=not options.as_json) as advance:
            for packet in itertools.islice(stream, wanted):
                kept.append(packet)
                publisher.tend()
                advance(len(kept), wanted)
    if options.loop:
        interval_s = 1.0 / facts.frame_rate_hz
        stream = looped((lambda: iter(kept)) if kept else read, interval_s=interval_s)
    elif kept:
        stream = itertools.chain(kept, stream)
    return itertools.islice(stream, options.frames)


def _line(tally: Tally) -> str:
    harm = {
        "lost": tally.n_lost,
        "reordered": tally.n_reordered,
        "corrupted": tally.n_corrupted,
        "stalls": tally.n_stalls,
    }
    told = ", ".join(f"{count} {name}" for name, count in harm.items() if count)
    return f"{tally.n_packets} packets{f', of these {told}' if told else ''}"
