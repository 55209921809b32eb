"""RESULT.h5 holds what the chain found, exactly, in the places that its readers look."""

from __future__ import annotations

import hashlib
import resource
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from trueflow import __version__
from trueflow.pipeline.config import Config
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.grid import ImageGrid
from trueflow.pipeline.result import ResultWriter
from trueflow.pipeline.sources import Truth

N_FRAMES = 3


@pytest.fixture
def write(tmp_path: Path, source_file: Path) -> Any:
    def write(vessel: Any, truths: list[Truth | None] | None = None, n_frames: int = N_FRAMES) -> Path:
        path = tmp_path / "result.h5"
        config = Config().override(["clutter.order=2"])
        with ResultWriter(path, vessel.acquisition, vessel.grid, config, source_file) as writer:
            for index in range(n_frames):
                writer.write(vessel.frame(index), truths[index] if truths else None)
        return path

    return write


def test_maps_come_back_as_they_were_given(vessel: Any, write: Any) -> None:
    shape = (N_FRAMES, *vessel.grid.shape)
    dtypes = {
        "velocity_m_s": "float32",
        "wrapped_velocity_m_s": "float32",
        "confidence": "float32",
        "fold": "int8",
        "mask": "bool",
    }
    with h5py.File(write(vessel)) as file:
        for name, dtype in dtypes.items():
            stored = file["flow"][name]
            assert (stored.shape, stored.dtype) == (shape, dtype)
            for index in range(N_FRAMES):
                np.testing.assert_array_equal(stored[index], getattr(vessel.frame(index).velocity, name))
        for index in range(N_FRAMES):
            np.testing.assert_array_equal(file["bmode/envelope"][index], vessel.frame(index).bmode.envelope)
        np.testing.assert_array_equal(file["flow/power"][:], np.full(shape, 2.0, np.float32))
        np.testing.assert_allclose(file["flow/coherence"][:], 0.75, rtol=1e-6)
        np.testing.assert_array_equal(file["flow/nyquist_velocity_m_s"][:], np.full(N_FRAMES, 0.3))
        np.testing.assert_allclose(file["flow/time_s"][:], [0.0, 4e-3, 8e-3])


def test_coherence_is_zero_without_power_and_never_above_one(vessel: Any, tmp_path: Path, source_file: Path) -> None:
    frame = vessel.frame()
    frame.doppler.r0[:] = 2.0
    frame.doppler.r0[0, 0] = 0.0
    frame.doppler.r1[0, 0] = 0.0
    frame.doppler.r1[1, 1] = 2.0001
    with ResultWriter(tmp_path / "r.h5", vessel.acquisition, vessel.grid, Config(), source_file) as writer:
        writer.write(frame)
    with h5py.File(tmp_path / "r.h5") as file:
        coherence = file["flow/coherence"][0]
    assert coherence[0, 0] == 0.0
    assert coherence[1, 1] == 1.0


def test_each_frame_is_one_chunk(vessel: Any, write: Any) -> None:
    with h5py.File(write(vessel)) as file:
        assert file["flow/velocity_m_s"].chunks == (1, *vessel.grid.shape)
        assert file["bmode/envelope"].chunks == (1, *vessel.grid.shape)


def test_provenance_is_in_the_attributes(vessel: Any, write: Any, source_file: Path, tmp_path: Path) -> None:
    with h5py.File(write(vessel)) as file:
        (tmp_path / "config.toml").write_text(file.attrs["config"])
        assert file.attrs["version"] == __version__
        assert file.attrs["source"] == source_file.name
        assert file.attrs["source_sha256"] == hashlib.sha256(source_file.read_bytes()).hexdigest()
        assert file["acquisition"].attrs["prf_hz"] == 4000.0
    assert Config.load(tmp_path / "config.toml").clutter.order == 2


def test_cartesian_axes_are_one_dimensional(vessel: Any, write: Any) -> None:
    with h5py.File(write(vessel)) as file:
        np.testing.assert_array_equal(file["grid/x_m"], vessel.grid.axis_1)
        np.testing.assert_array_equal(file["grid/z_m"], vessel.grid.axis_0)
        assert file["grid"].attrs["kind"] == "cartesian"


def test_polar_grid_has_a_position_for_each_pixel(sector: Any, write: Any) -> None:
    with h5py.File(write(sector)) as file:
        np.testing.assert_array_equal(file["grid/x_m"], sector.grid.x_m)
        np.testing.assert_array_equal(file["grid/z_m"], sector.grid.z_m)
        np.testing.assert_array_equal(file["grid/angle_rad"], sector.grid.axis_1)
        np.testing.assert_array_equal(file["grid/radius_m"], sector.grid.axis_0)


def test_zea_group_shares_the_velocities_and_knows_where_they_are(sector: Any, write: Any) -> None:
    with h5py.File(write(sector)) as file:
        group = file["tracks/track_0/data/color_doppler"]
        assert group["values"] == file["flow/velocity_m_s"]  # the same object, not a copy
        assert group["unit"][()] == b"m/s"
        assert group["values"].attrs["unit"] == "m/s"
        expected = np.stack([sector.grid.x_m, 0 * sector.grid.x_m, sector.grid.z_m], axis=-1)
        np.testing.assert_allclose(group["coordinates"], expected, atol=1e-8)
        assert group["coordinates"].dtype == np.float32
        np.testing.assert_allclose(group["timestamps"], [0.0, 4e-3, 8e-3])
        assert file["probe/name"][()] == b"Toy 64"
        assert file.attrs["zea_version"]


def test_no_truth_group_where_truth_is_unknown(vessel: Any, write: Any) -> None:
    with h5py.File(write(vessel)) as file:
        assert "truth" not in file


def test_truth_is_stored_where_known_and_nan_elsewhere(vessel: Any, write: Any) -> None:
    shape = vessel.grid.shape
    truth = Truth(np.full(shape, 0.25, np.float32), np.ones(shape, np.bool_))
    with h5py.File(write(vessel, [None, truth, None])) as file:
        velocity, mask = file["truth/velocity_m_s"][:], file["truth/mask"][:]
    assert velocity.shape == mask.shape == (N_FRAMES, *shape)
    assert (velocity[1] == 0.25).all()
    assert mask[1].all()
    assert np.isnan(velocity[[0, 2]]).all()
    assert not mask[[0, 2]].any()


def test_missing_folder_is_one_clear_error(vessel: Any, tmp_path: Path, source_file: Path) -> None:
    with pytest.raises(TrueflowError, match=r"nowhere.*cannot be written"):
        ResultWriter(tmp_path / "nowhere" / "r.h5", vessel.acquisition, vessel.grid, Config(), source_file)


def test_memory_does_not_grow_with_frames(vessel: Any, tmp_path: Path, source_file: Path) -> None:
    def resident_bytes() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    grid = ImageGrid.cartesian(np.linspace(-7.5e-3, 7.5e-3, 192), np.linspace(1e-3, 20e-3, 256))
    frame = type(vessel)(vessel.acquisition, grid).frame()
    with ResultWriter(tmp_path / "r.h5", vessel.acquisition, grid, Config(), source_file) as writer:
        for _ in range(5):
            writer.write(frame)
        before = resident_bytes()
        for _ in range(60):
            writer.write(frame)
        assert resident_bytes() - before < 4e6  # the 60 frames are 60 MB


@pytest.mark.parametrize("free_bytes", [1_000, 30_000, 200_000])  # in the header, in the coordinates, in a frame
def test_a_disk_that_fills_up_is_one_clear_error(
    vessel: Any, tmp_path: Path, source_file: Path, free_bytes: int
) -> None:
    def fill() -> None:
        path, target = tmp_path / "r.h5", "shown.h5"
        with ResultWriter(path, vessel.acquisition, vessel.grid, Config(), source_file, target=target) as writer:
            for index in range(100):
                writer.write(vessel.frame(index))

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (free_bytes, hard))  # Python ignores the signal: writes fail instead
    try:
        with pytest.raises(TrueflowError, match=r"shown\.h5: cannot be written; found File too large"):
            fill()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
