"""The objects inside UFF recordings: probe, waves, scan and sample arrays, as USTB stores them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.acquisition import PlaneWave, Transmit
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.grid import ImageGrid
from trueflow.pipeline.probe import Probe
from trueflow.pipeline.sources.fields import Fields
from trueflow.pipeline.sources.hdf5 import check_samples, child, class_of, fields_of, name_of, names_in, read_block
from trueflow.pipeline.sources.transmits import PLANE_DISTANCE_M, wave_from_source

__all__ = ["UffSamples", "read_center_frequency_hz", "read_probe", "read_scan", "read_waves", "wave_groups"]

PLANE, SPHERICAL = 0, 1  # uff.wavefront; 2 is photoacoustic


class UffSamples:
    """The `data` of an object: (frames, waves, channels, samples or pixels), real or complex.

    Parameters
    ----------
    group : h5py.Group
        The object.
    path : Path

    Raises
    ------
    TrueflowError
        Missing, of wrong rank or type, or with real and imaginary parts that do not match.
    """

    def __init__(self, group: h5py.Group, path: Path, last_axis: str) -> None:
        self.where = f"{path} {name_of(group)}/data"
        node = child(group, "data")
        self._parts: tuple[Any, ...] = (node,)
        if isinstance(node, h5py.Group):
            self._parts = (child(node, "real"), child(node, "imag"))
        axes = ("frames", "waves", "channels", last_axis)
        shapes = set()
        for part in self._parts:
            rank = part.ndim if isinstance(part, h5py.Dataset) else 4
            shapes.add(check_samples(part, axes[-min(max(rank, 2), 4) :], self.where))
        if len(shapes) > 1:
            raise TrueflowError("parts do not match", where=self.where, found=shapes, expected="one shape for both")
        stored = shapes.pop()
        self._rank = len(stored)
        self.shape: tuple[int, int, int, int] = (1,) * (4 - self._rank) + stored  # type: ignore[assignment]
        self.is_complex = len(self._parts) == 2 or self._parts[0].dtype.kind == "c"
        integer = self._parts[0].dtype == np.int16
        self.dtype: Any = np.complex64 if self.is_complex else np.int16 if integer else np.float32

    def read(self, frame: int, waves: slice) -> NDArray[Any]:
        """Some waves of one frame: (waves, channels, samples), C-ordered."""
        selection = {4: (frame, waves), 3: (waves,), 2: ()}[self._rank]
        shape = (-1, *self.shape[2:])
        blocks = [read_block(part, selection, self.where) for part in self._parts]
        if len(blocks) == 1:
            return blocks[0].reshape(shape)
        samples = np.empty(blocks[0].shape, np.complex64)
        samples.real, samples.imag = blocks
        return samples.reshape(shape)


def read_probe(group: h5py.Group, path: Path, *, center_frequency_hz: float, pulse: Fields | None) -> Probe:
    """A uff.probe: rows x, y, z, theta, phi, width, height of `geometry`."""
    fields = fields_of(group, path)
    geometry = fields.array("geometry", (7, None), expected="rows x y z theta phi width height")
    if geometry is None:
        raise fields.missing("geometry", "(7, n) rows x y z theta phi width height")
    curved = class_of(group) == "uff.curvilinear_array" or np.ptp(geometry[2]) > 1e-5
    width_m, fraction = float(np.median(geometry[5])), pulse.optional("fractional_bandwidth") if pulse else None
    return Probe(
        geometry[:3].T,
        geometry[3],
        "convex" if curved else "linear",
        center_frequency_hz,
        fraction if fraction and fraction > 0 else None,
        width_m if width_m > 0 else None,
    )


def read_center_frequency_hz(group: h5py.Group, path: Path) -> float:
    """Of the object's pulse, else what its IQ was mixed down with."""
    pulse = child(group, "pulse")
    if isinstance(pulse, h5py.Group):
        found_hz = fields_of(pulse, path).optional("center_frequency")
        if found_hz is not None:
            return found_hz
    modulation_hz = fields_of(group, path).optional("modulation_frequency")
    if not modulation_hz:
        raise fields_of(group, path).missing("pulse/center_frequency", "center frequency in Hz")
    return modulation_hz


def wave_groups(group: h5py.Group) -> list[h5py.Group]:
    """The waves of an object's `sequence` in firing order; a single wave may be stored without a list around it."""
    sequence = child(group, "sequence")
    if not isinstance(sequence, h5py.Group):
        return []
    names = sorted(names_in(sequence), key=lambda name: (len(name), name))
    if "source" in names or "wavefront" in names:
        return [sequence]
    return [node for node in (child(sequence, name) for name in names) if isinstance(node, h5py.Group)]


def read_waves(group: h5py.Group, path: Path, n_waves: int) -> tuple[Transmit, ...]:
    """The transmits of an object.

    Raises
    ------
    TrueflowError
        Another number of waves than `n_waves`; focused, photoacoustic or elevated waves.
    """
    groups = wave_groups(group)
    if len(groups) != n_waves:
        raise TrueflowError(
            "does not fit the samples",
            where=f"{path} {name_of(group)}/sequence",
            found=f"{len(groups)} waves",
            expected=f"{n_waves}, as in data",
        )
    return tuple(_wave(node, path) for node in groups)


def read_scan(group: h5py.Group, path: Path) -> ImageGrid:
    """The pixels of beamformed data: a uff.linear_scan or uff.sector_scan."""
    scan = child(group, "scan")
    where = f"{path} {name_of(group)}/scan"
    kind = class_of(scan) if isinstance(scan, h5py.Group) else "nothing"
    if kind not in ("uff.linear_scan", "uff.sector_scan"):
        raise TrueflowError("not an image", where=where, found=kind, expected="uff.linear_scan or uff.sector_scan")
    fields = fields_of(scan, path)
    if kind == "uff.linear_scan":
        return ImageGrid.cartesian(_axis(fields, "x_axis"), _axis(fields, "z_axis"))
    apex_z_m = 0.0
    apex = child(scan, "origin") or child(scan, "apex")
    if isinstance(apex, h5py.Group):
        point = fields_of(apex, path)
        if point.find("distance") is None:
            raise TrueflowError("several apexes", where=point.where, expected="one uff.point for all lines")
        x_m, apex_z_m = _position(point)
        if abs(x_m) > 1e-6:
            raise TrueflowError("apex off the axis", where=point.where, found=f"x = {x_m:g} m", expected="0")
    return ImageGrid.polar(_axis(fields, "azimuth_axis"), _axis(fields, "depth_axis"), apex_z_m=apex_z_m)


def _axis(fields: Fields, name: str) -> NDArray[np.float64]:
    values = fields.find(name)
    if values is None:
        raise fields.missing(name, "pixel positions along the axis")
    return np.asarray(values, dtype=np.float64).reshape(-1)


def _wave(group: h5py.Group, path: Path) -> Transmit:
    fields = fields_of(group, path)
    kind = int(fields.scalar("wavefront", default=SPHERICAL))
    if kind not in (PLANE, SPHERICAL):
        raise TrueflowError(
            "unsupported wave", where=fields.name("wavefront"), found=kind, expected="0 (plane) or 1 (spherical)"
        )
    node = child(group, "source")
    if not isinstance(node, h5py.Group):
        raise fields.missing("source", "a uff.point")
    source = fields_of(node, path)
    wave: Transmit
    if kind == PLANE:
        wave = PlaneWave(source.scalar("azimuth", default=0.0))
        _refuse_elevation(source)
    else:
        wave = wave_from_source(*_position(source), where=source.where)
    return replace(wave, origin_time_s=-fields.scalar("delay", default=0.0))


def _position(point: Fields) -> tuple[float, float]:
    """Lateral and depth position (m) of a uff.point; what lies at infinity is put far out in its direction."""
    distance = point.find("distance")
    if distance is None or distance.size != 1 or np.isnan(distance).any():
        found = "nothing" if distance is None else distance
        raise TrueflowError("no distance", where=point.name("distance"), found=found, expected="m, or infinity")
    _refuse_elevation(point)
    far_m = 1e3 * PLANE_DISTANCE_M
    distance_m = float(np.clip(distance.reshape(-1)[0], -far_m, far_m))
    azimuth_rad = point.scalar("azimuth", default=0.0)
    return distance_m * float(np.sin(azimuth_rad)), distance_m * float(np.cos(azimuth_rad))


def _refuse_elevation(point: Fields) -> None:
    elevation_rad = point.scalar("elevation", default=0.0)
    if abs(np.sin(elevation_rad)) > 1e-6:
        raise TrueflowError("off the imaging plane", where=point.name("elevation"), found=elevation_rad, expected="0")
