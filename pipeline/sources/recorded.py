"""A recording that was made of a live stream (docs/recording-format.md), played as any other.

Each packet is a burst, and is framed as it came. By default what is played is what was shown: packets that were passed
over, because younger ones were there already, are left out, so that stages which remember frames see the same ones.
`tfr://NAME.tfr?packets=all` plays them too.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.config import Config
from trueflow.pipeline.errors import TrueflowError, printable
from trueflow.pipeline.frames import ColorFrame, RfPacket
from trueflow.pipeline.live.recorder_format import MADE_WITH, result_from_bytes
from trueflow.pipeline.sources.base import Recording
from trueflow.pipeline.sources.recorded_index import NOT_SHOWN, RecordingIndex
from trueflow.pipeline.toml_text import parse_toml

__all__ = ["LiveRecording", "LiveSettings", "open_tfr"]

logger = logging.getLogger(__name__)

SCHEME = "tfr://"
CHOICES = {"": False, "packets=shown": False, "packets=all": True}


@dataclass(frozen=True, slots=True)
class LiveSettings:
    """Settings of the live chain.

    Parameters
    ----------
    number : int
        Another one where the chain began anew, and remembered no frame before.
    config : Config
    made_with : int or None
        Number of the packet from which that chain had taken what settings leave open; None: from its first frame's.
    """

    number: int
    config: Config
    made_with: int | None


class LiveRecording(Recording):
    """A recording of a live stream; readable while it is written, as far as it had come when it was opened.

    Parameters
    ----------
    path : path to the file
    everything : bool
        Play also the packets that were not shown.

    Raises
    ------
    TrueflowError
        Where not even the first packet can be read. What can be read ends where the damage begins.
    """

    format_name = "Trueflow recording"

    def __init__(self, path: str | Path, *, everything: bool = False) -> None:
        self.path = Path(path)
        try:
            self._descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise TrueflowError("cannot be read", where=str(self.path), found=error.strerror) from error
        try:
            self._index = index = RecordingIndex(self.path, self._descriptor)
            self._chosen = index.chosen(everything=everything)
            if not self._chosen.size:
                raise TrueflowError("no packets", where=str(self.path), found=f"{index.cut_bytes} unreadable bytes")
        except BaseException:
            self.close()
            raise
        description = index.description
        self.acquisition, self.grid = description.acquisition, description.grid
        self._layout = description.layout
        self._settings: tuple[int, LiveSettings] | None = None
        self.burst_length = self.suggested_ensemble = self.acquisition.n_ensemble
        self.n_slow_time = self._chosen.size * self.burst_length
        self._describe_packets()
        steps_s = np.diff(self._times_s)
        if description.frame_rate_hz is not None:
            self.burst_interval_s = 1 / description.frame_rate_hz
        if steps_s.size and np.median(steps_s) > 0:
            self.burst_interval_s = float(np.median(steps_s))
        self.remarks = tuple(_remarks(index, self._chosen.size))
        if index.n_damaged or index.cut_bytes:
            logger.warning("%s: %s", self.path, "; ".join(self.remarks))

    def _describe_packets(self) -> None:
        """Times, flags and settings of the packets to play: as the chain had them where they were shown."""
        index, chosen = self._index, self._chosen
        self._frames = frames = np.array(index.shown_as)[chosen]
        self._times_s = np.array(index.packet_time_s)[chosen]
        self._flags = np.array(index.packet_flags)[chosen]
        shown = frames != NOT_SHOWN
        self._revisions = np.full(chosen.size, max(index.settings_at, default=0))
        if shown.any():
            self._flags[shown] = np.array(index.frame_flags)[frames[shown]]
            # What was not shown has the settings of what was shown before it, or first.
            last = np.maximum.accumulate(np.where(shown, np.arange(chosen.size), int(shown.argmax())))
            self._revisions = np.array(index.frame_revision)[frames[last]]

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Slow-time samples start..stop-1: (stop - start, *shape of a slow-time sample).

        As they came, also what is no number: the chain had to do with it live, and has again.
        """
        n = self.burst_length
        bursts = range(start // n, -(-stop // n))
        packets = np.empty((len(bursts), *self._layout.shape), self._layout.dtype)
        for packet, burst in zip(packets, bursts, strict=True):
            self._index.read_into(self._index.packet_at[self._chosen[burst]], packet)
        return packets.reshape(-1, *packets.shape[2:])[start - bursts.start * n : stop - bursts.start * n]

    def slow_time_s(self, sample: int) -> float:
        """When a slow-time sample's first pulse was fired, since the stream began."""
        burst, within = divmod(sample, self.burst_length)
        return float(self._times_s[burst]) + self.acquisition.slow_time_s(within)

    def runs_on(self, start: int) -> bool:
        """Whether a slow-time sample follows the one before it without a gap: as the chain had it, where shown."""
        burst, within = divmod(start, self.burst_length)
        return bool(within) or bool(self._flags[burst])

    def settings(self, start: int) -> LiveSettings | None:
        """The settings that a slow-time sample was processed with; None where that is not known."""
        revision = int(self._revisions[start // self.burst_length])
        if revision == 0:
            return None
        if self._settings is None or self._settings[0] != revision:
            self._settings = revision, self._read_settings(revision)
        return self._settings[1]

    def packet_numbered(self, number: int) -> RfPacket | None:
        """A packet by the number it had live, also one that was not shown; None where it is missing."""
        offset = self._index.packet_numbered(number)
        if offset is None:
            return None
        samples = np.empty(self._layout.shape, self._layout.dtype)
        self._index.read_into(offset, samples)
        return RfPacket(samples, self._index.header(offset).stamp)

    def _read_settings(self, revision: int) -> LiveSettings:
        where = f"{self.path}, settings {revision}"
        if revision not in self._index.settings_at:
            raise TrueflowError("settings are missing", where=where, advice="give them with --config")
        offset, since = self._index.settings_at[revision], self._index.settings_since[revision]
        text, header = self._index.payload(offset), self._index.header(self._index.settings_at.get(since, offset))
        tables = parse_toml(text, where=where)
        made_with = header.index if header.flags & MADE_WITH else None
        return LiveSettings(since, Config.parse(tables, where=where), made_with)

    def result(self, burst: int) -> ColorFrame | None:
        """The frame as it was recorded, without what the network made of it; None where there is none."""
        frame = int(self._frames[burst])
        if frame == NOT_SHOWN:
            return None
        offset = self._index.frame_at[frame]
        header = self._index.header(offset)
        if not header.n_bytes:
            return None
        return result_from_bytes(self._index.payload(offset), header.stamp, where=f"{self.path}, byte {offset}")

    def close(self) -> None:
        """Release the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def open_tfr(url: str) -> LiveRecording:
    """The recording of a URL, tfr://PATH or tfr://PATH?packets=all."""
    path, _, choice = url.removeprefix(SCHEME).partition("?")
    if choice not in CHOICES:
        raise TrueflowError("unknown choice", where=url, found=choice, expected="packets=shown or packets=all")
    return LiveRecording(path, everything=CHOICES[choice])


def _remarks(index: RecordingIndex, n_played: int) -> Iterator[str]:
    n_packets = len(index.packet_at)
    if n_played < n_packets:
        n_left_out = n_packets - n_played
        yield f"{n_left_out} of {n_packets} packets were not shown live; tfr://{index.path}?packets=all plays them too"
    if index.message is not None:
        yield f"ended by itself: {printable(index.message)}"
    elif not index.finished:
        yield "the recorder was killed, or still writes"
    if index.cut_bytes:
        yield f"cut off at its end: {index.cut_bytes} bytes that are no whole record"
    if index.n_damaged:
        yield f"{index.n_damaged} records damaged or missing"
