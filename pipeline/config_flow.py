"""Settings from the Doppler estimate to the picture.

docs/configuration.md prints these docstrings: type, unit and meaning; range, default and choices are in the code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trueflow.pipeline.config_values import Section, bounded

__all__ = ["DealiasConfig", "DisplayConfig", "DopplerConfig", "MaskConfig", "PersistenceConfig", "SegmentConfig"]


@dataclass(frozen=True, slots=True)
class DopplerConfig(Section):
    """Autocorrelation (Kasai et al. 1985) and the spatial averaging of R1 and R0 before the argument.

    Parameters
    ----------
    lag : int, pulses
        Distance of the pulses that are compared; v_N falls by it. Sub-bands and staggered pulses ask for 1.
    average_z : int, pixels
        Rows that are averaged. Odd.
    average_x : int, pixels
        Columns that are averaged. Odd.
    """

    lag: int = bounded(1, 1, 256)
    average_z: int = bounded(3, 1, 255)
    average_x: int = bounded(3, 1, 255)


@dataclass(frozen=True, slots=True)
class PersistenceConfig(Section):
    """Recursive average of R0 and R1 over frames, before dealiasing.

    Parameters
    ----------
    factor : float, 1
        What is kept of the past with every frame: 0 is none, 0.9 is slow.
    """

    factor: float = bounded(0.0, 0, 0.999)


@dataclass(frozen=True, slots=True)
class MaskConfig(Section):
    """Flow mask: gates on power, coherence, speed and reach, then specks out and pinholes closed, small islands out.

    Parameters
    ----------
    power_db : float, dB
        Least power behind the clutter filter, over that of the strongest pixels of the frame.
    coherence : float, 1, optional
        Least coherence, |R1| / R0. Default: what one in ten pixels of noise would reach behind the clutter filter; the
        vote takes most of those out. (Of flow at 8 dB seen with 8 pulses this shows 0.8 with 0.7 % of false color; one
        in a hundred: 0.6 with none.)
    velocity_fraction : float, of v_N
        Least wrapped speed. It also hides what lies near whole multiples of 2 v_N.
    speck_radius : int, pixels
        The vote's window reaches so far to each side; 0 is no vote.
    speck_fraction : float, 1
        Share of the window that must have passed the gates.
    least_area_wavelengths2 : float, square wavelengths
        Smaller islands of flow are not shown.
    beam : bool
        Nothing is shown where no transmitted wave passes. Of beamformed data the waves are not known.
    """

    power_db: float = bounded(-15.0, -200, 100)
    coherence: float | None = bounded(None, 0, 1)
    velocity_fraction: float = bounded(0.0, 0, 1)
    speck_radius: int = bounded(2, 0, 100)
    speck_fraction: float = bounded(0.5, 0, 0.999)
    least_area_wavelengths2: float = bounded(75.0, 0, 1e6)
    beam: bool = True


@dataclass(frozen=True, slots=True)
class SegmentConfig(Section):
    """The segmentation network. It is off by default: it does not reach its goals yet.

    Parameters
    ----------
    enabled : {"auto", "on", "off"}
        "auto" asks it where there is no second phase, beside which it was found to add little; where its runtime is not
        installed it leaves it out and says so in the log. "on" asks it always, and is an error there.
    engine : {"auto", "openvino", "tensorrt"}
        What runs it. "auto" follows the device: OpenVINO on the CPU, TensorRT on CUDA.
    precision : {"auto", "int8", "fp16", "fp32"}
        Of the shipped network.
    network : str, optional
        Path of an ONNX file to be used in place of the shipped one; its precision then is what the file says.
    """

    enabled: Literal["auto", "on", "off"] = "off"
    engine: Literal["auto", "openvino", "tensorrt"] = "auto"
    precision: Literal["auto", "int8", "fp16", "fp32"] = "auto"
    network: str | None = None


@dataclass(frozen=True, slots=True)
class DealiasConfig(Section):
    """Which dealiaser runs, and which evidence the engine, "regions", hears; see [dealiasing.md](dealiasing.md).

    Parameters
    ----------
    name : str
        The dealiaser. "none" is what a scanner shows, "skimage" scikit-image's unwrapping.
    continuity : bool
        Borders between regions.
    second_phase : bool
        Sub-bands of the echo, or the second interval of staggered pulses.
    wall : bool
        Flow beside walls is slow.
    segmentation : bool
        The network's folds, where `segment.enabled` has it asked.
    previous_frame : {"auto", "on", "off"}
        It helps only where flow changes by less than 0.8 v_N from frame to frame; "auto" asks whether the largest
        acceleration allows that.
    largest_acceleration_m_s2 : float, m/s^2
        Of the flow, for "auto".
    """

    name: str = "regions"
    continuity: bool = True
    second_phase: bool = True
    wall: bool = True
    segmentation: bool = True
    previous_frame: Literal["auto", "on", "off"] = "auto"
    largest_acceleration_m_s2: float = bounded(20.0, 0, 1e5)


@dataclass(frozen=True, slots=True)
class DisplayConfig(Section):
    """How exported pictures look, and what the viewer's controls begin with; the numbers do not depend on it.

    Parameters
    ----------
    dynamic_range_db : float, dB
        Of the B-mode's gray levels.
    gain_db : float, dB
        Of the B-mode.
    scale_m_s : float, m/s, optional
        Velocity at the ends of the color bar. Default: v_N, or where flow is faster as far as it goes.
    baseline_m_s : float, m/s
        Velocity in the middle of the color bar.
    color_map : str
        Colors of the velocities.
    """

    dynamic_range_db: float = bounded(60.0, 1, 200)
    gain_db: float = bounded(0.0, -100, 100)
    scale_m_s: float | None = bounded(None, 0.0001, 100)
    baseline_m_s: float = bounded(0.0, -100, 100)
    color_map: str = "red_blue"
