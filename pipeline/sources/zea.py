"""Recordings in zea's HDF5 layout: 0.1.8 (`tracks/track_i/{data,scan}`, `probe`) and the older root `data` and `scan`.

Channel data is (frame, transmit, sample, element, 1 or 2), RF or IQ; slow time is found in it by
`trueflow.pipeline.sources.pulse_order`. `data/beamformed_data` with I and Q enters at the clutter filter, its frames
being slow time. Where a track has both, channel data is read. The pulse's own length (`waveforms_two_way`) is left
alone: it shifts the image by a fraction of a millimetre and no velocity.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.errors import TrueflowError, nearest
from trueflow.pipeline.grid import ImageGrid
from trueflow.pipeline.sources.base import Recording, Truth
from trueflow.pipeline.sources.fields import naming
from trueflow.pipeline.sources.hdf5 import child, name_of, names_in, open_hdf5, read_block
from trueflow.pipeline.sources.stored_truth import StoredTruth
from trueflow.pipeline.sources.zea_track import Track, read_track

__all__ = ["ZeaRecording"]

MOST_TRACKS = 256  # each is understood before one is chosen


class ZeaRecording(Recording):
    """A zea recording, read frame by frame.

    Parameters
    ----------
    path : path to an HDF5 file
    track : int or str, optional
        Number or name of the track to read. Default: the one with the longest run of slow time without a gap (a Doppler
        track beside a B-mode track), the first of equals.

    Raises
    ------
    TrueflowError
        Not such a file, or one whose fields are missing or do not fit together.
    """

    format_name = "zea"

    def __init__(self, path: str | Path, track: int | str | None = None) -> None:
        self.path = Path(path)
        self._file = open_hdf5(self.path)
        with naming(self.path):
            try:
                chosen = _choose(_groups(self._file, self.path, track), self._file, self.path)
            except TrueflowError:
                self.close()
                raise
        self.acquisition, self.grid = chosen.acquisition, chosen.grid
        self.n_slow_time, self.burst_length = chosen.order.n_slow_time, chosen.order.burst_length
        self.burst_interval_s = chosen.order.burst_interval_s
        self._order, self._samples = chosen.order, chosen.samples
        self._where = f"{self.path} {name_of(self._samples)}"
        known = child(self._file, "truth")
        self._truth = StoredTruth(known, self.path, self._order.n_frames) if isinstance(known, h5py.Group) else None

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Slow-time samples start..stop-1: (n, n_transmits, n_elements, n_samples), or beamformed (n, n_z, n_x)."""
        if self.grid is not None:
            return _as_iq(read_block(self._samples, slice(start, stop), self._where))
        acquisition = self.acquisition
        iq = acquisition.sample_kind == "iq"
        samples = np.empty(
            (stop - start, acquisition.n_transmits, acquisition.probe.n_elements, acquisition.n_samples),
            np.complex64 if iq else np.int16 if self._samples.dtype == np.int16 else np.float32,
        )
        for frame, transmits, place in self._order.spans(start, stop):
            block = read_block(self._samples, (frame, transmits), self._where)
            channels = _as_iq(block) if iq else block[..., 0]
            samples[place] = channels.swapaxes(-1, -2).reshape(samples[place].shape)
        return samples

    def truth(self, start: int, stop: int, grid: ImageGrid) -> Truth | None:
        """Truth of the frame in which the middle of slow-time samples start..stop-1 lies, if the file has it."""
        return None if self._truth is None else self._truth.at((start + stop - 1) // 2 // self._order.n_repeats, grid)

    def close(self) -> None:
        """Release the file."""
        self._file.close()


def _as_iq(parts: NDArray[Any]) -> NDArray[np.complex64]:
    """Complex numbers from a last axis of I and Q; complex input passes."""
    if parts.dtype.kind == "c":
        return parts.astype(np.complex64, copy=False)
    return np.ascontiguousarray(parts, dtype=np.float32).view(np.complex64)[..., 0]


def _groups(file: h5py.File, path: Path, track: int | str | None) -> list[h5py.Group]:
    """The groups to choose a track from: those with channel or beamformed data, or the one asked for."""
    tracks = child(file, "tracks")
    if not isinstance(tracks, h5py.Group):
        if track is not None:
            raise TrueflowError("no tracks", where=str(path), found="one scan at the root", expected=f"track {track}")
        return [file]
    named = {name: child(tracks, name) for name in sorted(names_in(tracks), key=lambda name: (len(name), name))}
    if track is not None:
        name = f"track_{track}" if isinstance(track, int) else track
        if name not in named:
            raise TrueflowError("no such track", where=f"{path} {name}", advice=nearest(name, named))
        return [named[name]]
    return [group for group in named.values() if isinstance(group, h5py.Group)]


def _choose(groups: list[h5py.Group], file: h5py.File, path: Path) -> Track:
    """The track with the longest burst; tracks that cannot be read count only if none can."""
    if len(groups) > MOST_TRACKS:
        raise TrueflowError("implausibly many tracks", where=str(path), found=len(groups), expected=f"<= {MOST_TRACKS}")
    tracks: list[Track] = []
    errors: list[TrueflowError] = []
    for group in groups:
        data = child(group, "data")
        if not isinstance(data, h5py.Group) or not {"raw_data", "beamformed_data"} & set(names_in(data)):
            continue
        try:
            tracks.append(read_track(group, file, path))
        except TrueflowError as error:
            errors.append(error)
    if not tracks and errors:
        raise errors[0]
    if not tracks:
        names = ", ".join(name_of(group) or "/" for group in groups) or "no track"
        raise TrueflowError(
            "no channel data and no beamformed IQ",
            where=str(path),
            found=names,
            expected="data/raw_data or data/beamformed_data",
        )
    return max(tracks, key=lambda track: track.order.burst_length)
