"""How slow time is cut into packets: ensemble length, hop, every k-th pulse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from trueflow.pipeline.acquisition import Acquisition
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import RfPacket, Stamp
from trueflow.pipeline.sources.base import Recording

__all__ = ["Framing", "packets"]

LONGEST_DEFAULT_ENSEMBLE = 32
DEFAULT_ENSEMBLE = 16
LARGEST_PACKET_BYTES = 1 << 32  # ten times the largest in use: a probe of 1,024 elements, or 75 transmits compounded
MOST_PACKETS = 1 << 22  # 38 hours of 30 frames/s


@dataclass(frozen=True, slots=True)
class Framing:
    """How to cut a recording into ensembles.

    Parameters
    ----------
    ensemble : int, optional
        Slow-time samples per packet, after decimation. Default: what the recording suggests, or a whole burst where
        that is at most 32, or 16.
    hop : int, optional
        Slow-time samples (after decimation) from one packet's start to the next. Default: back to back.
    decimate : int
        Keep every k-th slow-time sample; v_N falls by k.
    """

    ensemble: int | None = None
    hop: int | None = None
    decimate: int = 1

    def resolve(self, recording: Recording) -> tuple[Acquisition, int, list[int]]:
        """The acquisition as framed, the hop, and each packet's first slow-time sample in the recording.

        Raises
        ------
        TrueflowError
            Where no packet fits.
        """
        for name, value in (("ensemble", self.ensemble), ("hop", self.hop), ("decimate", self.decimate)):
            if value is not None and value < 1:
                raise TrueflowError("must be positive", where=name, found=value, expected=">= 1")
        kept = -(-recording.burst_length // self.decimate)
        suggested = recording.suggested_ensemble if self.decimate == 1 else None
        ensemble = self.ensemble or suggested or (kept if kept <= LONGEST_DEFAULT_ENSEMBLE else DEFAULT_ENSEMBLE)
        if ensemble > kept:
            raise TrueflowError(
                "fewer pulses than one ensemble",
                where=str(recording.path),
                found=f"{recording.burst_length} continuous slow-time samples, {kept} after keeping every "
                f"{self.decimate}",
                expected=f"at least {ensemble}",
                advice="choose a smaller --ensemble or --decimate-slow-time",
            )
        if ensemble < 2:
            raise TrueflowError(
                "one pulse carries no velocity",
                where=str(recording.path),
                found=f"an ensemble of {ensemble}",
                expected="at least 2 pulses",
                advice="choose a larger --ensemble, or record more pulses without a gap",
            )
        hop = self.hop or ensemble
        if recording.acquisition.stagger is not None and hop % 2:
            raise TrueflowError(
                "does not fit staggered pulses",
                where="hop",
                found=hop,
                expected="an even number: packets begin with the short interval",
            )
        acquisition = recording.acquisition.with_ensemble(ensemble, slow_time_decimation=self.decimate)
        _check_size(recording, (ensemble - 1) * self.decimate + 1, (kept - ensemble) // hop + 1)
        starts = [
            burst + first * self.decimate
            for burst in range(0, recording.n_slow_time - recording.burst_length + 1, recording.burst_length)
            for first in range(0, kept - ensemble + 1, hop)
        ]
        return acquisition, hop, starts


def _check_size(recording: Recording, span: int, n_in_burst: int) -> None:
    """Refuse packets that no memory holds, and more of them than a list should."""
    a, grid = recording.acquisition, recording.grid
    n_values = a.n_transmits * a.probe.n_elements * a.n_samples if grid is None else grid.shape[0] * grid.shape[1]
    n_bytes = span * n_values * (2 if a.sample_kind == "rf" else 8)
    if n_bytes > LARGEST_PACKET_BYTES:
        raise TrueflowError(
            "packets are too large", where=str(recording.path), found=f"{n_bytes / 2**30:.3g} GiB for {span} pulses",
            expected=f"<= {LARGEST_PACKET_BYTES >> 30} GiB", advice="choose a smaller --ensemble",
        )
    n_packets = recording.n_slow_time // recording.burst_length * n_in_burst
    if n_packets > MOST_PACKETS:
        raise TrueflowError(
            "implausibly many packets", where=str(recording.path), found=n_packets, expected=f"<= {MOST_PACKETS}",
            advice="choose a larger --ensemble or --hop",
        )


def packets(recording: Recording, framing: Framing) -> tuple[Acquisition, int, Iterator[RfPacket]]:
    """Cut a recording into packets, reading them one at a time.

    Returns
    -------
    acquisition : Acquisition
        With the ensemble length and slow-time rate of the packets.
    n_packets : int
    packets : iterator of RfPacket
    """
    acquisition, hop, starts = framing.resolve(recording)
    step = framing.decimate
    span = (acquisition.n_ensemble - 1) * step + 1

    def cut() -> Iterator[RfPacket]:
        for index, start in enumerate(starts):
            samples = np.ascontiguousarray(recording.read(start, start + span)[::step])
            follows = index > 0 and start - starts[index - 1] == acquisition.n_ensemble * step
            yield RfPacket(
                samples,
                Stamp(
                    index,
                    acquisition_time_s=recording.slow_time_s(start),
                    continuous=follows and recording.runs_on(start) and hop == acquisition.n_ensemble,
                ),
            )

    return acquisition, len(starts), cut()
