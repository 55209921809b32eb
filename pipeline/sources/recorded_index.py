"""Where everything is in a recording of ours: one pass over the headers, trusting none of them.

A header that is damaged costs its record: the next one is looked for. A record that the file ends within is cut off.
What was written after the last word that everything is on the disk is read and compared with its checksum, since after
a loss of power anything may be there.
"""

from __future__ import annotations

import json
import os
import zlib
from array import array
from bisect import bisect_left
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.live.description import Description
from trueflow.pipeline.live.recorder_format import (
    ALIGNMENT,
    ANEW,
    CONFIG,
    CONTINUOUS,
    END,
    FRAME,
    HEAD,
    LARGEST_CONFIG_BYTES,
    MAGIC,
    MARKER,
    PACKET,
    PREAMBLE,
    SYNCED,
    RecordHeader,
)
from trueflow.pipeline.sources.fields import naming

__all__ = ["NOT_SHOWN", "RecordingIndex"]

LARGEST_HEAD_BYTES = 1 << 21
MOST_SETTINGS = 1 << 20
SCAN_BYTES = 1 << 20
# A frame is made from one of the youngest packets: the ring between them holds a few.
LONGEST_LAG = 1024
NOT_SHOWN = -1


class RecordingIndex:
    """The records of a recording, as far as they can be read.

    Parameters
    ----------
    path : Path
    descriptor : int
        The file, open for reading.

    Attributes
    ----------
    description : Description
    packet_at, packet_time_s, packet_flags, shown_as : array
        Of each packet: offset of its record, acquisition time, flags, and the frame made from it, or `NOT_SHOWN`.
    frame_at, frame_flags, frame_revision : array
        Of each frame: offset of its record, flags, number of the settings.
    settings_at, settings_since : dict
        Of each revision of the settings: offset of its record, and the revision with which the chain began anew.
    n_damaged : int
        Records that are missing or unreadable.
    cut_bytes : int
        At the file's end, of a record that is not whole.
    finished : bool
        Whether the recorder came to its end; else it was killed, or still writes.
    message : str or None
        Why the recording ended by itself.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path, self._descriptor = path, descriptor
        self._size = os.fstat(descriptor).st_size
        self.packet_at, self.packet_time_s, self.packet_flags = array("q"), array("d"), array("B")
        self.shown_as, self._packet_index = array("q"), array("Q")
        self.frame_at, self.frame_flags, self.frame_revision = array("q"), array("B"), array("L")
        self.settings_at: dict[int, int] = {}
        self.settings_since: dict[int, int] = {}
        self.n_damaged, self._synced_bytes, self._last_shown = 0, 0, NOT_SHOWN
        self.finished = False
        self.message: str | None = None
        preamble = self._bytes(0, len(PREAMBLE))
        if not preamble.startswith(MAGIC) or preamble != PREAMBLE:
            raise self._error(
                "not a recording of this version", found=preamble[:12], advice="was it written by a newer version?"
            )
        self.description = self._read_head()
        self.cut_bytes = self._size - self._scan()
        self._check_tail()

    def header(self, offset: int) -> RecordHeader:
        """The header of a record that was found at an offset."""
        header = RecordHeader.unpack(self._bytes(offset, ALIGNMENT))
        if header is None:
            raise self._error("has changed since it was opened", found=f"no record at byte {offset}")
        return header

    def payload(self, offset: int) -> bytes:
        """A record's payload, compared with its checksum.

        Raises
        ------
        TrueflowError
            Where it is damaged.
        """
        content = np.empty(self.header(offset).n_bytes, np.uint8)
        self.read_into(offset, content)
        return content.tobytes()

    def read_into(self, offset: int, content: NDArray[Any]) -> None:
        """As `payload`, into a C-ordered array of the payload's size."""
        header = self.header(offset)
        view = content.reshape(-1).view(np.uint8).data
        if self._read(view, offset + ALIGNMENT) != header.n_bytes or zlib.crc32(view) != header.check:
            raise self._error(
                "damaged",
                found=f"record {header.sequence}, at byte {offset}, does not fit its checksum",
                advice="stop before it with --frames, or restore the file from a copy",
            )

    def chosen(self, *, everything: bool) -> NDArray[np.int64]:
        """The packets to play: everything, or without those that were passed over when younger ones were shown."""
        places = np.arange(len(self.packet_at), dtype=np.int64)
        if not everything and self._last_shown != NOT_SHOWN:
            places = places[(np.array(self.shown_as) != NOT_SHOWN) | (places > self._last_shown)]
        return places

    def packet_numbered(self, number: int) -> int | None:
        """Offset of the packet with this number; the last one, should there be several."""
        places = np.flatnonzero(np.array(self._packet_index) == np.uint64(number))
        return self.packet_at[places[-1]] if places.size else None

    def _read_head(self) -> Description:
        header = RecordHeader.unpack(self._bytes(ALIGNMENT, ALIGNMENT))
        if header is None or header.kind != HEAD or header.n_bytes > LARGEST_HEAD_BYTES:
            raise self._error("the head is damaged", advice="restore the file from a copy")
        try:
            stream = json.loads(self.payload(ALIGNMENT))["stream"]
            with naming(self.path):
                return Description.unpack(json.dumps(stream).encode())
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise self._error("the head is damaged", found=type(error).__name__) from error

    def _scan(self) -> int:
        """Note all records; returns the end of the last one."""
        offset, end, expected = ALIGNMENT, ALIGNMENT, 0
        while True:
            found = self._next_record(offset, expected)
            if found is None:
                return end
            offset, header = found
            if offset + ALIGNMENT + header.n_bytes > self._size:
                return end
            if len(self.settings_at) > MOST_SETTINGS:
                raise self._error("implausibly many settings", expected=f"<= {MOST_SETTINGS}")
            self.n_damaged += header.sequence - expected
            self._note(header, offset)
            expected, offset = header.sequence + 1, offset + header.extent
            end = min(offset, self._size)

    def _plausible(self, header: RecordHeader) -> bool:
        n_bytes = header.n_bytes
        if header.kind == PACKET:
            return n_bytes == self.description.layout.n_bytes
        return n_bytes <= LARGEST_CONFIG_BYTES or header.kind not in (CONFIG, END, SYNCED)

    def _next_record(self, offset: int, expected: int) -> tuple[int, RecordHeader] | None:
        """The next header that can be one, and where it is: at `offset`, unless something there is damaged."""
        marker, step = np.frombuffer(MARKER, "<u4")[0], ALIGNMENT
        while offset < self._size:
            block = self._bytes(offset, step)
            words = np.frombuffer(block, "<u4", len(block) // 4)[:: ALIGNMENT // 4]
            for place in np.flatnonzero(words == marker):
                begin = int(place) * ALIGNMENT
                header = RecordHeader.unpack(block[begin : begin + ALIGNMENT])
                most = (offset + begin) // ALIGNMENT  # records before it take a header each
                if header is not None and expected <= header.sequence <= most and self._plausible(header):
                    return offset + begin, header
            offset += step
            step = min(2 * step, SCAN_BYTES)
        return None

    def _note(self, header: RecordHeader, offset: int) -> None:
        if header.kind == PACKET:
            self.packet_at.append(offset)
            self.packet_time_s.append(header.acquisition_time_s)
            self.packet_flags.append(header.flags & CONTINUOUS)
            self.shown_as.append(NOT_SHOWN)
            self._packet_index.append(header.index)
        elif header.kind == FRAME:
            self._note_frame(header, offset)
        elif header.kind == CONFIG:
            before = next(reversed(self.settings_since.values()), header.revision)
            self.settings_at[header.revision] = offset
            self.settings_since[header.revision] = header.revision if header.flags & ANEW else before
        elif header.kind == SYNCED:
            self._synced_bytes = min(header.index, offset)
        elif header.kind == END:
            self.finished = True
            try:
                message = json.loads(self.payload(offset)).get("message")
            except (ValueError, AttributeError, RecursionError):
                return
            self.message = message[:500] if isinstance(message, str) else None

    def _note_frame(self, header: RecordHeader, offset: int) -> None:
        n_packets = len(self.packet_at)
        for place in range(n_packets - 1, max(n_packets - LONGEST_LAG, self._last_shown + 1) - 1, -1):
            if self._packet_index[place] == header.index:
                self.shown_as[place] = len(self.frame_at)
                self.frame_at.append(offset)
                self.frame_flags.append(header.flags & CONTINUOUS)
                self.frame_revision.append(header.revision)
                self._last_shown = place
                return

    def _check_tail(self) -> None:
        """Cut off the packets from the first on that was perhaps not on the disk yet, and is not what was written."""
        first = bisect_left(self.packet_at, self._synced_bytes)
        place = next((i for i in range(first, len(self.packet_at)) if not self._is_whole(self.packet_at[i])), None)
        if place is not None:
            self.n_damaged += 1
            self.cut_bytes = self._size - self.packet_at[place]
            del self.packet_at[place:], self.packet_time_s[place:], self.packet_flags[place:]
            del self.shown_as[place:], self._packet_index[place:]
            self._last_shown = min(self._last_shown, place - 1)

    def _is_whole(self, offset: int) -> bool:
        try:
            self.payload(offset)
        except TrueflowError:
            return False
        return True

    def _bytes(self, offset: int, n_bytes: int) -> bytes:
        content = bytearray(n_bytes)
        return bytes(content[: self._read(memoryview(content), offset)])

    def _read(self, view: memoryview, offset: int) -> int:
        """Fill memory from the file; returns how far that went."""
        done = 0
        try:
            while done < view.nbytes and (n := os.preadv(self._descriptor, [view[done:]], offset + done)) > 0:
                done += n
        except OSError as error:
            raise self._error("cannot be read", found=error.strerror) from error
        return done

    def _error(self, what: str, *, found: object = None, expected: object = None, advice: str = "") -> TrueflowError:
        return TrueflowError(what, where=str(self.path), found=found, expected=expected, advice=advice)

