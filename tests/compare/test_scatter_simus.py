"""Channel RF of point scatterers against PyMUST's simus, which sums the elements' fields frequency by frequency.

What simus has and scatter.cu leaves out is kept small here: the waves from the transmitting array's ends (scatterers
lie well inside the beam), its grating lobes (the pitch is half a wavelength; at a whole one and steered by 10 degrees
the correlation falls to 0.986), and directivity that follows the frequency within the band.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy.signal.windows import tukey

from trueflow.benchmarks.das_peers import import_peer
from trueflow.kernels import get_device
from trueflow.kernels.das import Waves
from trueflow.kernels.pulse import Pulse, tabulated_pulse
from trueflow.kernels.scatter import ScatterSimulator

C, F0, BANDWIDTH, PITCH, WIDTH, N_ELEMENTS = 1540.0, 5e6, 0.6, 0.15e-3, 0.13e-3, 257
FS = 4 * F0
X_M = np.array([-4e-3, 0.5e-3, 3e-3, -1e-3, 2e-3])
Z_M = np.array([14e-3, 17e-3, 21e-3, 26e-3, 31e-3])
AMPLITUDE = np.array([1.0, -0.7, 0.8, 1.2, -1.0])


@pytest.fixture(scope="module")
def pymust() -> Any:
    pytest.importorskip("pymust", reason="PyMUST is not installed: pip install 'trueflow[bench]'")
    return import_peer("pymust")


def probe(radius_m: float) -> dict[str, np.ndarray]:
    arc = (np.arange(N_ELEMENTS) - (N_ELEMENTS - 1) / 2) * PITCH
    if np.isinf(radius_m):
        return {"element_x_m": arc, "element_z_m": 0 * arc, "element_angles_rad": 0 * arc}
    angle = 2 * np.arcsin(PITCH / 2 / radius_m) * arc / PITCH  # simus counts the pitch along the chord
    return {
        "element_x_m": radius_m * np.sin(angle),
        "element_z_m": radius_m * (np.cos(angle) - np.cos(angle[-1])),  # and puts z = 0 at the outermost elements
        "element_angles_rad": angle,
    }


def simus(
    pymust: Any, x_m: Any, z_m: Any, amplitude: Any, delays_s: np.ndarray, radius_m: float, fs_hz: float
) -> np.ndarray:
    """RF (n_elements, n_samples), in two dimensions, without attenuation."""
    param = pymust.utils.Param()
    param.fc, param.fs, param.bandwidth, param.c, param.attenuation = F0, fs_hz, 100 * BANDWIDTH, C, 0.0
    param.Nelements, param.pitch, param.width, param.kerf = N_ELEMENTS, PITCH, WIDTH, PITCH - WIDTH
    param.radius = radius_m
    points = (np.atleast_2d(np.asarray(v, np.float64)) for v in (x_m, z_m, amplitude))
    rf, _ = pymust.simus(*points, delays_s[None], param)
    return np.asarray(rf.T, np.float64)


@cache
def matched_pulse(pymust: Any) -> Pulse:
    """The echo of one point on the axis of the middle element; its own burst and the array's response are in it."""
    fs_hz, depth_m = 64 * F0, 40e-3
    line = simus(pymust, [0.0], [depth_m], [1.0], np.zeros(N_ELEMENTS), np.inf, fs_hz)[N_ELEMENTS // 2]
    middle, half = round(2 * depth_m / C * fs_hz), int(1.2e-6 * fs_hz)
    return tabulated_pulse(line[middle - half : middle + half + 1] * tukey(2 * half + 1), sampling_frequency_hz=fs_hz)


def plane(angle_rad: float) -> tuple[np.ndarray, list[float]]:
    lead = probe(np.inf)["element_x_m"] * np.sin(angle_rad)
    return (lead - lead.min()) / C, [np.sin(angle_rad), np.cos(angle_rad), 0.0, -lead.min()]


def diverging(x_m: float, z_m: float, radius_m: float = np.inf) -> tuple[np.ndarray, list[float]]:
    geometry = probe(radius_m)
    path = np.hypot(geometry["element_x_m"] - x_m, geometry["element_z_m"] - z_m)
    return (path - path.min()) / C, [x_m, z_m, 1.0, -path.min()]


RADIUS_M = 60e-3
CASES = {  # radius of the array, transmit delays, wave
    "plane wave": (np.inf, plane(0.0)),
    "steered plane wave": (np.inf, plane(np.radians(10))),
    "diverging wave": (np.inf, diverging(2e-3, -25e-3)),
    "convex array": (RADIUS_M, diverging(0.0, -RADIUS_M * np.cos(probe(RADIUS_M)["element_angles_rad"][-1]), RADIUS_M)),
}


@pytest.mark.parametrize("case", CASES)
def test_echoes_have_simus_waveform_and_level_on_every_strong_channel(pymust, case):
    radius_m, (delays_s, wave) = CASES[case]
    theirs = simus(pymust, X_M, Z_M, AMPLITUDE, delays_s, radius_m, FS)
    simulate = ScatterSimulator(
        get_device("cpu"),
        **probe(radius_m),
        element_width_m=WIDTH,
        waves=Waves(np.array([wave])),
        sampling_frequency_hz=FS,
        center_frequency_hz=F0,
        bandwidth_fraction=BANDWIDTH,
        n_samples=theirs.shape[1],
        rx_start_s=0.0,
        sound_speed_m_s=C,
        attenuation_db_cm_mhz=0.0,
        pulse=matched_pulse(pymust),
    )
    ours = simulate(*(v.astype(np.float32) for v in (X_M, Z_M, AMPLITUDE)))[0].astype(np.float64)
    energy = (theirs**2).sum(axis=1)
    strong = energy > energy.max() / 4  # the upper 6 dB
    product = (ours * theirs).sum(axis=1)
    correlation = product / np.sqrt((ours**2).sum(axis=1) * energy)
    level = product / (ours**2).sum(axis=1)
    assert strong.sum() > N_ELEMENTS / 4
    assert correlation[strong].min() >= 0.99
    np.testing.assert_allclose(level[strong], np.median(level[strong]), rtol=0.02)
