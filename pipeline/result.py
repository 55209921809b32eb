"""RESULT.h5: velocities, what they came from and how, frame by frame; opens in zea as a `color_doppler` map.

All maps are (n_frames, n_z, n_x), one chunk per frame:

    /flow/velocity_m_s, wrapped_velocity_m_s, confidence, power (R0), coherence (|R1| / R0)   float32
    /flow/fold int8, /flow/mask bool, /flow/nyquist_velocity_m_s and /flow/time_s (n_frames,)
    /bmode/envelope float32, linear
    /grid/x_m, /grid/z_m: (n_x,) and (n_z,); on a polar grid both (n_z, n_x), with angle_rad (n_x,) and radius_m (n_z,)
    /truth/velocity_m_s, /truth/mask where the source knows them
    /tracks/track_0/data, /probe: the zea 0.1.8 layout, with hard links to the arrays above

Attributes of the file: config (TOML), version, source, source_sha256; of /acquisition: its scalars, and stagger
(m, n) where there is one.
"""

from __future__ import annotations

import contextlib
import hashlib
import weakref
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from trueflow import __version__
from trueflow.pipeline.acquisition import Acquisition
from trueflow.pipeline.config import Config
from trueflow.pipeline.frames import ColorFrame
from trueflow.pipeline.grid import ImageGrid
from trueflow.pipeline.output import PatientFile, write_errors
from trueflow.pipeline.probe import Probe
from trueflow.pipeline.sources.base import Truth

__all__ = ["ResultWriter"]

ZEA_LAYOUT = "0.1.8"
HASH_BLOCK_BYTES = 1 << 20
CHUNK_CACHE_BYTES = 1 << 14  # per dataset; a frame's chunk is larger, written once, and should not linger in memory

# Deflate takes 25 ms for a frame of 192 x 256 and saves a quarter of it; noise-like floats are the reason. So only the
# maps that are nearly constant pass through it: those cost 1 ms and shrink to nothing.
DEFLATE = {"compression": "gzip", "compression_opts": 1, "shuffle": True}

MAPS: dict[str, tuple[str, str, str, dict[str, Any]]] = {  # path: dtype, unit, description, filters
    "flow/velocity_m_s": ("f4", "m/s", "Axial velocity, positive towards the probe: wrapped + 2 fold v_N.", {}),
    "flow/wrapped_velocity_m_s": ("f4", "m/s", "Axial velocity as estimated, within +-v_N.", {}),
    "flow/confidence": ("f4", "1", "Confidence in the fold, 0 to 1.", DEFLATE),
    "flow/power": ("f4", "1", "R0: mean slow-time power after the clutter filter.", {}),
    "flow/coherence": ("f4", "1", "|R1| / R0, 0 to 1.", {}),
    "flow/fold": ("i1", "1", "Nyquist intervals added to the wrapped velocity.", DEFLATE),
    "flow/mask": ("?", "1", "True where there is flow.", DEFLATE),
    "bmode/envelope": ("f4", "1", "Echo envelope, linear.", {}),
    "truth/velocity_m_s": ("f4", "m/s", "True axial velocity, positive towards the probe.", DEFLATE),
    "truth/mask": ("?", "1", "True where the truth has flow.", DEFLATE),
}
PER_FRAME = {
    "flow/nyquist_velocity_m_s": ("m/s", "Nyquist velocity v_N."),
    "flow/time_s": ("s", "Time of the frame's first pulse since the recording began."),
}
ACQUISITION_SCALARS = tuple(f.name for f in fields(Acquisition) if f.name not in ("probe", "transmits"))


class ResultWriter:
    """Writes color frames to an HDF5 file one at a time; a context manager.

    Parameters
    ----------
    path : str or Path
        Written as it grows; give a temporary name and rename it (see `trueflow.pipeline.output`).
    acquisition : Acquisition
        As framed.
    grid : ImageGrid
    config : Config
    source_path : str or Path
        The recording: its name and SHA-256 are stored; of a URL, itself and the SHA-256 of its text.
    target : str or Path, optional
        The name to use in errors; default `path`.
    hashed : callable, optional
        Called with (MB done, MB in all) while the recording is hashed.

    Raises
    ------
    TrueflowError
        Where the file cannot be written, here and in every method.
    """

    def __init__(
        self,
        path: str | Path,
        acquisition: Acquisition,
        grid: ImageGrid,
        config: Config,
        source_path: str | Path,
        *,
        target: str | Path | None = None,
        hashed: Callable[[int, int], None] | None = None,
    ) -> None:
        self._grid = grid
        self._target = Path(target or path)
        self._datasets: dict[str, h5py.Dataset] = {}
        self.n_frames = 0
        url = str(source_path) if "://" in str(source_path) else None
        digest = hashlib.sha256(url.encode()).hexdigest() if url else _sha256(Path(source_path), hashed)
        self._raw: PatientFile | None = None
        with self._errors():
            self._raw = raw = PatientFile(path)
            self._file = h5py.File(raw, "w", rdcc_nbytes=CHUNK_CACHE_BYTES)
            # HDF5 must not find a file open when Python is gone: the file object it would write to is Python's.
            self._abandon = weakref.finalize(self, _abandon, self._file, raw)
            self._file.attrs.update(
                config=config.to_toml(), version=__version__, source=url or Path(source_path).name, source_sha256=digest
            )
            _describe_acquisition(self._file, acquisition)
            _describe_grid(self._file, grid)
            for name in MAPS:
                if not name.startswith("truth/"):
                    self._create_map(name)
            for name, (unit, description) in PER_FRAME.items():
                self._datasets[name] = _annotate(
                    self._file.create_dataset(name, (0,), "f8", maxshape=(None,), chunks=(512,)), unit, description
                )
            _lay_out_as_zea(self._file, acquisition.probe, grid)

    def write(self, frame: ColorFrame, truth: Truth | None = None) -> None:
        """Append one frame (arrays on the CPU); frames whose truth is not known get NaN and False."""
        velocity, doppler = frame.velocity, frame.doppler
        values: dict[str, Any] = {
            "flow/velocity_m_s": velocity.velocity_m_s,
            "flow/wrapped_velocity_m_s": velocity.wrapped_velocity_m_s,
            "flow/confidence": velocity.confidence,
            "flow/power": doppler.r0,
            "flow/coherence": _coherence(frame),
            "flow/fold": velocity.fold,
            "flow/mask": velocity.mask,
            "bmode/envelope": frame.bmode.envelope,
            "flow/nyquist_velocity_m_s": velocity.nyquist_velocity_m_s,
            "flow/time_s": frame.stamp.acquisition_time_s,
        }
        with self._errors():
            if truth is not None:
                values |= {"truth/velocity_m_s": truth.velocity_m_s, "truth/mask": truth.mask}
                for name in ("truth/velocity_m_s", "truth/mask"):
                    if name not in self._datasets:
                        self._create_map(name)
            for name, dataset in self._datasets.items():
                dataset.resize(self.n_frames + 1, axis=0)
                if name in values:
                    dataset[self.n_frames] = values[name]
        self.n_frames += 1

    def describe_config(self, config: Config) -> None:
        """Store the settings that were in force, where they became known on the way."""
        with self._errors():
            self._file.attrs["config"] = config.to_toml()

    def close(self) -> None:
        """Write what follows from all frames, and close the file."""
        if not self._file:
            return
        with self._errors():
            times_s = self._datasets["flow/time_s"][()]
            since_first_s = (times_s - times_s[:1]).astype(np.float32)
            if self.n_frames and (np.diff(since_first_s) > 0).all():  # zea reads no others
                group = self._file["tracks/track_0/data/color_doppler"]
                _put(group, "timestamps", since_first_s, "s", "Acquisition time of each frame relative to frame 0.")
                _put(group, "start_time_offset", np.float32(times_s[0]), "s", "First transmit to frame 0.")
            self._file.close()
            if self._raw is not None:
                self._raw.close()

    def __enter__(self) -> ResultWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:  # the file is thrown away: what else goes wrong with it is of no interest
            self._abandon()

    def _create_map(self, name: str) -> None:
        dtype, unit, description, filters = MAPS[name]
        fill = np.nan if name.startswith("truth/") and dtype == "f4" else None
        shape = self._grid.shape
        self._datasets[name] = _annotate(
            self._file.create_dataset(
                name,
                (self.n_frames, *shape),
                dtype,
                maxshape=(None, *shape),
                chunks=(1, *shape),
                fillvalue=fill,
                **filters,
            ),
            unit,
            description,
        )

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        with write_errors(self._target):
            try:
                yield
            except Exception:
                # HDF5 stumbles over what could not be written before; that first failure is the cause.
                if self._raw is not None:
                    self._raw.check()
                raise
            assert self._raw is not None
            self._raw.check()


def _abandon(file: h5py.File, raw: PatientFile) -> None:
    with contextlib.suppress(Exception):
        file.close()
    raw.close()


def _coherence(frame: ColorFrame) -> NDArray[np.float32]:
    r0 = frame.doppler.r0
    ratio: NDArray[np.float32] = np.divide(np.abs(frame.doppler.r1), r0, out=np.zeros_like(r0), where=r0 > 0)
    np.minimum(ratio, np.float32(1.0), out=ratio)
    return ratio


def _describe_acquisition(file: h5py.File, acquisition: Acquisition) -> None:
    attributes = file.create_group("acquisition").attrs
    for name in ACQUISITION_SCALARS:
        if (value := getattr(acquisition, name)) is not None:
            attributes[name] = value
    attributes["n_transmits"] = acquisition.n_transmits
    attributes["slow_time_rate_hz"] = acquisition.slow_time_rate_hz


def _describe_grid(file: h5py.File, grid: ImageGrid) -> None:
    group = file.create_group("grid")
    group.attrs["kind"] = grid.kind
    if grid.kind == "cartesian":
        _put(group, "x_m", grid.axis_1, "m", "Lateral positions, element 0 first.")
        _put(group, "z_m", grid.axis_0, "m", "Depths.")
        return
    group.attrs["apex_z_m"] = grid.apex_z_m
    _put(group, "x_m", grid.x_m, "m", "Lateral position of each pixel, element 0 first.")
    _put(group, "z_m", grid.z_m, "m", "Depth of each pixel.")
    _put(group, "angle_rad", grid.axis_1, "rad", "Angles from +z, positive towards +x.")
    _put(group, "radius_m", grid.axis_0, "m", "Distances from the apex (0, apex_z_m).")


def _lay_out_as_zea(file: h5py.File, probe: Probe, grid: ImageGrid) -> None:
    """Make the groups zea looks for; the values are hard links, so nothing is stored twice."""
    file.attrs.update(zea_version=ZEA_LAYOUT, description="Color Doppler written by Trueflow")
    track = file.create_group("tracks/track_0")
    _put(track, "transmit_only", np.bool_(False), "–", "Whether this track holds no received data.")
    coordinates = np.stack([grid.x_m, np.zeros(grid.shape), grid.z_m], axis=-1).astype(np.float32)
    shared = None
    for name, values, unit in (("color_doppler", "flow/velocity_m_s", "m/s"), ("envelope_data", "bmode/envelope", "–")):
        group = track.create_group(f"data/{name}")
        group["values"] = file[values]
        _put(group, "unit", unit, "–", "Physical unit of the values.")
        if shared is None:
            shared = _put(group, "coordinates", coordinates, "m", "Position (x, y, z) of each pixel.")
        else:
            group["coordinates"] = shared
    group = file.create_group("probe")
    kind = {"linear": "linear", "convex": "curved", "phased": "phased"}[probe.kind]
    _put(group, "name", probe.name, "–", "Probe model.")
    _put(group, "type", kind, "–", "Probe geometry.")
    positions = probe.element_positions_m.astype(np.float32)
    _put(group, "probe_geometry", positions, "m", "Element positions (x, y, z).")
    if probe.center_frequency_hz is not None:
        _put(group, "probe_center_frequency", np.float32(probe.center_frequency_hz), "Hz", "Middle of the -6 dB band.")


def _put(group: h5py.Group, name: str, value: object, unit: str, description: str) -> h5py.Dataset:
    return _annotate(group.create_dataset(name, data=value), unit, description)


def _annotate(dataset: h5py.Dataset, unit: str, description: str) -> h5py.Dataset:
    dataset.attrs.update(unit=unit, description=description)
    return dataset


def _sha256(path: Path, hashed: Callable[[int, int], None] | None) -> str:
    digest = hashlib.sha256()
    total_mb = path.stat().st_size // HASH_BLOCK_BYTES
    with path.open("rb") as file:
        done_mb = 0
        while block := file.read(HASH_BLOCK_BYTES):
            digest.update(block)
            done_mb += 1
            if hashed is not None:
                hashed(min(done_mb, total_mb), total_mb)
    return digest.hexdigest()
