"""The chain on real RF with known truth: a disk that turns at 61.3 rad/s."""

from __future__ import annotations

import numpy as np
import pytest
from disk import RATE_RAD_S, UNSMOOTHED, first_frame, rotation

from trueflow.pipeline import Framing, open_source

pytestmark = pytest.mark.recordings

# The us4us captures do not hold when their first sample was taken (ARRUS: at the transmit), and the synthetic channel
# map of the physical one splits each receive aperture into two firings, which on a scanner would halve the slow-time
# rate. Both are given by hand, as a user would.
FORMS = {
    "rotating_disk_zea.hdf5": [],
    "rotating_disk.uff": [],
    "us4us_disk_logical.pkl": ["acquisition.rx_start_s=9.95e-6"],
    "us4us_disk_physical.pkl": ["acquisition.rx_start_s=9.95e-6", "acquisition.n_receive_firings=1"],
}


def test_the_disk_turns_at_its_rate(recordings):
    with open_source(recordings / "PWI_disk.mat") as recording:
        flow, frame = first_frame(recording, UNSMOOTHED)
    got = rotation(flow.grid.x_m, flow.grid.z_m, frame.velocity.velocity_m_s)
    assert got.rate_rad_s == pytest.approx(RATE_RAD_S, rel=0.01)
    assert abs(got.bias_m_s) <= 2e-3
    assert got.rms_m_s <= 17e-3


@pytest.mark.parametrize(("form", "known_better"), FORMS.items())
def test_every_form_of_the_recording_gives_the_same_field(recordings, form, known_better):
    with open_source(recordings / "PWI_disk.mat") as recording:
        flow, expected = first_frame(recording, UNSMOOTHED)
    with open_source(recordings / form) as recording:
        other, frame = first_frame(recording, UNSMOOTHED.override(known_better))
    np.testing.assert_allclose(other.grid.x_m, flow.grid.x_m, atol=1e-8)
    np.testing.assert_allclose(other.grid.z_m, flow.grid.z_m, atol=1e-8)
    nyquist = expected.velocity.nyquist_velocity_m_s
    apart = np.abs(frame.velocity.velocity_m_s - expected.velocity.velocity_m_s)
    apart = np.minimum(apart, 2 * nyquist - apart)  # noise outside the disk may sit on the wrap
    inside = np.hypot(flow.grid.x_m + 0.75e-3, flow.grid.z_m - 22.4e-3) < 9.5e-3
    assert apart[inside].max() <= 1e-4 * nyquist


@pytest.mark.parametrize("k", [2, 3, 4])
def test_every_kth_pulse_wraps_the_rim_and_nothing_else(recordings, k):
    """Decimated in slow time the rim is beyond v_N; modulo the Nyquist interval the field is the same rotation."""
    with open_source(recordings / "PWI_disk.mat") as recording:
        flow, frame = first_frame(recording, UNSMOOTHED, Framing(decimate=k))
    v, nyquist = frame.velocity.velocity_m_s, frame.velocity.nyquist_velocity_m_s
    x, z = flow.grid.x_m, flow.grid.z_m
    inside = np.hypot(x + 0.75e-3, z - 22.4e-3) < 9.5e-3
    truth = -RATE_RAD_S * (x + 0.76e-3)
    error = v[inside] - truth[inside]
    error -= 2 * nyquist * np.rint(error / (2 * nyquist))
    assert np.abs(truth[inside]).max() > 0.75 * k * nyquist
    assert np.median(np.abs(error)) < 0.1 * nyquist
