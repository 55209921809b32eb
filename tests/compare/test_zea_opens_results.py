"""zea, another project's reader, opens our results as color Doppler."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from trueflow.pipeline import Acquisition, ColorFrame, Config, ImageGrid, PlaneWave, Probe, Stamp
from trueflow.pipeline.frames import BmodeFrame, DopplerFrame, VelocityFrame
from trueflow.pipeline.result import ResultWriter

pytestmark = pytest.mark.filterwarnings("default")  # zea's and Keras' own warnings are not ours


@pytest.fixture(scope="module")
def zea_file() -> type:
    """zea's reader."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    missing = "zea is not installed (pip install zea jax)"
    return pytest.importorskip("zea.data.file", reason=missing, exc_type=ImportError).File


GRIDS = {
    "cartesian": ImageGrid.cartesian(np.linspace(-7e-3, 7e-3, 17), np.linspace(1e-3, 20e-3, 19)),
    "polar": ImageGrid.polar(np.linspace(-0.5, 0.5, 17), np.linspace(20e-3, 40e-3, 19), apex_z_m=-19e-3),
}


def frame(grid: ImageGrid, index: int) -> ColorFrame:
    rng = np.random.default_rng(index)
    stamp = Stamp(index, acquisition_time_s=0.1 + index * 4e-3)
    velocity = rng.uniform(-0.3, 0.3, grid.shape).astype(np.float32)
    ones = np.ones(grid.shape, np.float32)
    return ColorFrame(
        BmodeFrame(ones, stamp),
        DopplerFrame(ones.astype(np.complex64), ones, 0.3, stamp),
        None,
        VelocityFrame(velocity, velocity, np.zeros(grid.shape, np.int8), ones, ones > 0, 0.3, stamp),
    )


@pytest.mark.parametrize("kind", sorted(GRIDS))
def test_zea_reads_velocities_units_and_places(kind: str, zea_file: type, tmp_path: Path) -> None:
    grid, path = GRIDS[kind], tmp_path / "result.h5"
    probe = Probe.linear(32, pitch_m=0.3e-3, name="L7-4", center_frequency_hz=5e6)
    acquisition = Acquisition(
        probe,
        (PlaneWave(),),
        sampling_frequency_hz=20e6,
        center_frequency_hz=5e6,
        prf_hz=4e3,
        n_samples=8,
        n_ensemble=16,
    )
    with ResultWriter(path, acquisition, grid, Config(), __file__) as writer:
        for index in range(3):
            writer.write(frame(grid, index))
    with zea_file(path) as file:
        track = file.validate_spec().tracks[0]  # the whole schema; opening alone checks the structure only
        read = track.data.color_doppler
        velocities, places = np.asarray(read.values), np.asarray(read.coordinates)
        assert read.unit == "m/s"
        np.testing.assert_allclose(read.timestamps, [0.0, 4e-3, 8e-3], rtol=1e-6)
        assert float(read.start_time_offset) == pytest.approx(0.1)
        assert file.probe_name == "L7-4"
        assert np.asarray(track.data.envelope_data.values).shape == (3, *grid.shape)
    np.testing.assert_array_equal(velocities, [frame(grid, index).velocity.velocity_m_s for index in range(3)])
    np.testing.assert_allclose(places[..., 0], grid.x_m, atol=1e-8)
    np.testing.assert_allclose(places[..., 2], grid.z_m, atol=1e-8)
