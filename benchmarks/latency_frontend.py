"""The front end of `trueflow bench latency`, a process of its own: a frozen case, sent over and over at a rate."""

from __future__ import annotations

import json
import os
import sys

import numpy as np

from trueflow.benchmarks.cases import CASES
from trueflow.pipeline.live.description import Description
from trueflow.pipeline.live.frontend import looped, play
from trueflow.pipeline.live.publisher import Prepared, Publisher

__all__ = ["main"]

N_PACKETS = 8  # in as many places of memory: more than the caches near a core hold


def main(name: str, url: str, rate_hz: float, seconds: float) -> None:
    """Send a case's packet until the time is over; say on stdout how much, and what it cost.

    Parameters
    ----------
    name : str
    url : str
    rate_hz : float
        0: as fast as the listener takes them.
    seconds : float
    """
    case = CASES[name]()
    packets = [Prepared.of(packet) for packet in case.packets(N_PACKETS)]
    interval_s = 1 / rate_hz if rate_hz else case.ensemble_duration_s

    def timed() -> list[Prepared]:
        from dataclasses import replace

        return [
            replace(packet, stamp=replace(packet.stamp, acquisition_time_s=number * interval_s))
            for number, packet in enumerate(packets)
        ]

    described = Description(case.acquisition, np.dtype(np.int16), frame_rate_hz=rate_hz or None, name=name)
    with Publisher(url, described, waits=rate_hz == 0) as publisher:
        while publisher.n_listeners == 0:
            publisher.tend(0.01)
        before = os.times()
        stream = looped(lambda: iter(timed()), interval_s=interval_s)
        tally = play(publisher, stream, rate_hz=rate_hz, seconds=seconds)
        after = os.times()
    cpu_s = after.user + after.system - before.user - before.system
    json.dump({"n_packets": tally.n_packets, "cpu_s": cpu_s}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4]))
