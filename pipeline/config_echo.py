"""Settings from the recording to the clutter filter.

docs/configuration.md prints these docstrings: type, unit and meaning; range, default and choices are in the code.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

from trueflow.pipeline.acquisition import Acquisition, parse_stagger
from trueflow.pipeline.config_values import Section, bounded

__all__ = ["AcquisitionConfig", "BeamformConfig", "ClutterConfig", "DemodulateConfig", "GridConfig"]


@dataclass(frozen=True, slots=True)
class AcquisitionConfig(Section):
    """Facts of the recording that the user knows better than the file; what is not given stays as recorded.

    Parameters
    ----------
    prf_hz : float, Hz, optional
        Pulse repetition frequency, of single firings: several transmits that are compounded share it. Of staggered
        pulses that of the shorter interval.
    rx_start_s : float, s, optional
        Time of sample 0 on the clock of the transmits, which begins when a wave passes the array's center unless the
        file says otherwise.
    sound_speed_m_s : float, m/s, optional
        Speed of sound.
    center_frequency_hz : float, Hz, optional
        Of the transmitted pulse. It sets the Nyquist velocity; RF is mixed down with it.
    sampling_frequency_hz : float, Hz, optional
        Of the samples as they are stored.
    n_receive_firings : int, firings, optional
        Firings for each transmit, where a front end receives a wide aperture in parts; divides the slow-time rate.
    stagger : str, optional
        `m:n`, where slow-time intervals alternate in this ratio, the shorter one first; see [stagger.md](stagger.md).
    """

    prf_hz: float | None = None
    rx_start_s: float | None = None
    sound_speed_m_s: float | None = None
    center_frequency_hz: float | None = None
    sampling_frequency_hz: float | None = None
    n_receive_firings: int | None = None
    stagger: str | None = None

    def applied_to(self, acquisition: Acquisition) -> Acquisition:
        """The acquisition with what is given here in place of what was recorded."""
        given = {key: value for key, value in dataclasses.asdict(self).items() if value is not None}
        if self.stagger is not None:
            given["stagger"] = parse_stagger(self.stagger, where="config [acquisition] stagger")
        if acquisition.sample_kind == "rf" and acquisition.mixing_frequency_hz == acquisition.center_frequency_hz:
            given["demodulation_frequency_hz"] = None  # RF is mixed with the center frequency, also a corrected one
        return dataclasses.replace(acquisition, **given)


@dataclass(frozen=True, slots=True)
class GridConfig(Section):
    """Pixels. What is not given follows from the probe and the recorded depth. Beamformed sources bring their own.

    Parameters
    ----------
    kind : {"auto", "cartesian", "polar"}
        "auto": Cartesian for linear and phased arrays, polar for convex arrays and for phased arrays with diverging
        waves.
    n_x : int, pixels, optional
        Columns: lateral positions, or on a polar grid angles.
    n_z : int, pixels, optional
        Rows: depths, or on a polar grid distances from the apex. Columns times rows are at most 2097152.
    x_min_m : float, m, optional
        First lateral position. Default: the first element; of a phased array as far out as half of the depth.
    x_max_m : float, m, optional
        Last lateral position. Default: the last element, likewise.
    z_min_m : float, m, optional
        First depth. Default: four wavelengths, or that of the first sample. Polar: along each beam, from the array.
    z_max_m : float, m, optional
        Last depth. Default: 0.98 of the depth of the last sample.
    angle_min_rad : float, rad, optional
        Polar: first angle from +z. Default: that of the first element; -45 degrees for phased arrays.
    angle_max_rad : float, rad, optional
        Polar: last angle. Default: that of the last element; 45 degrees for phased arrays.
    spacing_wavelengths : float, wavelengths
        Pixel pitch in depth where `n_z` is not given; across, where `n_x` is not given, it is twice that.
    """

    kind: Literal["auto", "cartesian", "polar"] = "auto"
    n_x: int | None = bounded(None, 1, 4096)
    n_z: int | None = bounded(None, 1, 8192)
    x_min_m: float | None = bounded(None, -1, 1)
    x_max_m: float | None = bounded(None, -1, 1)
    z_min_m: float | None = bounded(None, -1, 1)
    z_max_m: float | None = bounded(None, -1, 1)
    angle_min_rad: float | None = bounded(None, -1.6, 1.6)
    angle_max_rad: float | None = bounded(None, -1.6, 1.6)
    spacing_wavelengths: float = bounded(0.5, 0.05, 20)


@dataclass(frozen=True, slots=True)
class DemodulateConfig(Section):
    """Band filter, mixing and decimation of channel RF.

    Parameters
    ----------
    bandwidth_fraction : float, of the center frequency, optional
        Width of the band that is kept. Default: the probe's, at least 0.6.
    decimation : int, optional
        Of the demodulated samples every k-th is kept. Default: the largest k that the band allows.
    """

    bandwidth_fraction: float | None = bounded(None, 0.01, 2)
    decimation: int | None = bounded(None, 1, 1024)


@dataclass(frozen=True, slots=True)
class BeamformConfig(Section):
    """Delay-and-sum.

    Parameters
    ----------
    f_number : float, 1
        Depth over width of the receive aperture. Smaller: sharper across, more grating lobes, slower.
    window : {"boxcar", "hann", "tukey"}
        Weights across the aperture.
    tukey_taper : float, 1
        Of the window "tukey": the part of the aperture that is tapered, from 0, a boxcar, to 1, Hann's window.
    """

    f_number: float = bounded(1.4, 0.1, 20)
    window: Literal["boxcar", "hann", "tukey"] = "tukey"
    tukey_taper: float = bounded(0.5, 0, 1)


@dataclass(frozen=True, slots=True)
class ClutterConfig(Section):
    """Slow-time high-pass ("wall filter") that takes tissue out.

    Parameters
    ----------
    name : str
        "auto" takes a polynomial where the first packet of echoes shows tissue, and no filter where it shows none.
    order : int, optional
        Polynomial: its degree, default 1, of up to 5 pulses 0. FIR: delays, even, default 4. IIR: poles, default 2. Of
        every filter at least two degrees of freedom must be left.
    cutoff_fraction : float, of v_N
        FIR (-6 dB) and IIR (-3 dB): cut-off.
    initialization : {"zero", "step", "projection"}
        IIR: how it starts. With no past; as if the first sample had lasted for ever; or with what the start-up could
        leave projected out.
    keep_state : bool
        FIR and IIR: go on from the packet before, where slow time runs on from it.
    rank_low : int, singular values
        SVD: the strongest ones, which are left out as tissue.
    rank_high : int, singular values, optional
        SVD: from here on they are left out as noise. Default: none.
    """

    name: str = "auto"
    order: int | None = bounded(None, 0, 256)
    cutoff_fraction: float = bounded(0.1, 0.001, 0.999)
    initialization: Literal["zero", "step", "projection"] = "projection"
    keep_state: bool = False
    rank_low: int = bounded(1, 0, 256)
    rank_high: int | None = bounded(None, 1, 256)
