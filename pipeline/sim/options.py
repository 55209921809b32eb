"""What a `sim://` URL may say after its question mark, and the acquisition that follows from it."""

from __future__ import annotations

import re
import typing
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import unquote

import numpy as np

from trueflow.pipeline.acquisition import Acquisition, DivergingWave, PlaneWave, Transmit, parse_stagger
from trueflow.pipeline.errors import TrueflowError, nearest
from trueflow.pipeline.probe import Probe
from trueflow.pipeline.sim.profiles import ProfileName
from trueflow.pipeline.sim.scene import Scene, speed_m_s
from trueflow.pipeline.sim.waveforms import WaveformName

__all__ = ["Options", "parse_url"]

MOST_ANGLES = 128
LONGEST_DUTY = 0.9  # of the time between bursts that one may take: blood is sown anew, which must not look continuous


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a simulated recording; None leaves the choice to the scene.

    The default is the `femoral` workload: 128 elements, 5 MHz, 1,040 samples at 20 MHz (40 mm), 16 plane waves at
    10 degrees, PRF 4 kHz.

    Parameters
    ----------
    peak : str, optional
        As in `Scene.peak`: "0.9" (m/s) or "2.5vN".
    frames, fps, pulses : int, float, int
        Bursts, bursts per second, slow-time samples per burst.
    seed : int
    snr : float
        dB; see `trueflow.pipeline.sim.echoes.ChannelEchoes`.
    prf : float
        Hz.
    angle : tuple of float
        Degrees; several are compounded.
    probe : {"linear", "convex", "phased"}
    f_number : float
        Of the receive aperture for which truth, noise and density of scatterers hold.
    tissue : float, optional
        dB above blood.
    waveform, profile : optional
        Of all vessels.
    motion : {"none", "sinusoidal", "pulse"}, optional
        Of the tissue.
    cycle : float, optional
        Seconds.
    bandwidth : float
        Of the echo at -6 dB over the center frequency: 0.6 is a short pulse, 0.3 the few cycles that color Doppler
        fires. Blood faster than a few v_N leaves a short pulse's resolution cell between two pulses.
    mode : {"rf", "fast"}
        Channel RF, or beamformed IQ made by the imaging system's point response.
    stagger : str, optional
        "m:n", as in `Acquisition.stagger`: slow-time intervals alternate; `prf` is that of the short one.
    """

    peak: str | None = None
    frames: int = 10
    fps: float = 25.0
    pulses: int = 16
    seed: int = 1
    snr: float = 15.0
    prf: float = 4000.0
    angle: tuple[float, ...] = (10.0,)
    probe: Literal["linear", "convex", "phased"] = "linear"
    f_number: float = 1.4
    tissue: float | None = None
    waveform: WaveformName | None = None
    profile: ProfileName | None = None
    motion: Literal["none", "sinusoidal", "pulse"] | None = None
    cycle: float | None = None
    bandwidth: float = 0.6
    mode: Literal["rf", "fast"] = "rf"
    stagger: str | None = None

    def __post_init__(self) -> None:
        limits = {
            "frames": (1, 1_000_000),
            "fps": (0.01, 1e5),
            "pulses": (2, 256),
            "seed": (0, 2**63 - 1),
            "snr": (-40, 80),
            "prf": (100, 1e5),
            "f_number": (0.5, 8),
            "bandwidth": (0.05, 1.2),
            "cycle": (0.05, 10),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise TrueflowError("out of range", where=name, found=value, expected=f"{low} to {high}")
        if not 1 <= len(self.angle) <= MOST_ANGLES or max(map(abs, self.angle)) > 45:
            raise TrueflowError(
                "out of range", where="angle", found=self.angle, expected=f"up to {MOST_ANGLES} within +-45 degrees"
            )
        if self.peak is not None:
            speed_m_s(self.peak, 1.0)
        if self.mode == "fast" and (self.probe != "linear" or len(self.angle) > 1):
            raise TrueflowError(
                "the fast mode images with one plane wave of a linear array",
                where="mode",
                found=f"probe {self.probe}, angles {self.angle}",
                expected="probe=linear and one angle",
                advice="mode=rf does all",
            )
        self.burst_interval_s(self.acquisition())

    def acquisition(self) -> Acquisition:
        """The acquisition of every burst."""
        maker = {"linear": _linear, "convex": _convex, "phased": _phased}[self.probe]
        acquisition = maker(tuple(np.deg2rad(self.angle).tolist()))
        probe = replace(acquisition.probe, bandwidth_fraction=self.bandwidth)
        stagger = None if self.stagger is None else parse_stagger(self.stagger, where="stagger")
        return replace(acquisition, probe=probe, prf_hz=self.prf, n_ensemble=self.pulses, stagger=stagger)

    def burst_interval_s(self, acquisition: Acquisition) -> float:
        """Time from one burst's start to the next."""
        shortest_s = acquisition.packet_s / LONGEST_DUTY
        if 1 / self.fps < shortest_s and self.frames > 1:
            raise TrueflowError(
                "too fast for its pulses",
                where="fps",
                found=self.fps,
                expected=f"at most {1 / shortest_s:.4g}",
                advice="fewer pulses, fewer angles or a higher prf",
            )
        return 1 / self.fps

    def apply(self, scene: Scene) -> Scene:
        """The scene with what is asked for."""
        changes: dict[str, typing.Any] = {}
        if self.peak is not None:
            changes["peak"] = self.peak
        if self.cycle is not None:
            changes["cycle_s"] = self.cycle
        body = _given(level_db=self.tissue, motion=self.motion)
        flow = _given(waveform=self.waveform, profile=self.profile)
        if body:
            changes["tissue"] = replace(scene.tissue, **body)
        if flow:
            changes["vessels"] = tuple(replace(vessel, flow=replace(vessel.flow, **flow)) for vessel in scene.vessels)
        return replace(scene, **changes)


def _given(**asked: typing.Any) -> dict[str, typing.Any]:
    return {name: value for name, value in asked.items() if value is not None}


def parse_url(url: str) -> tuple[str, Options]:
    """Scene name (or path) and options of `sim://SCENE?option=value&...`.

    Raises
    ------
    TrueflowError
        Unknown options are answered with the nearest known one.
    """
    match = re.fullmatch(r"sim://([^?]+)(?:\?(.*))?", url)
    if match is None:
        raise TrueflowError("not a simulation", where=url, expected="sim://SCENE?option=value&option=value")
    hints = typing.get_type_hints(Options)
    values: dict[str, typing.Any] = {}
    for setting in filter(None, (match[2] or "").split("&")):
        name, equals, text = (part.strip() for part in setting.partition("="))
        if name not in hints:
            raise TrueflowError("unknown option", where=f"{url} {name}", advice=nearest(name, hints))
        if not equals or name in values:
            raise TrueflowError("not a setting", where=url, found=repr(setting), expected="option=value, each once")
        values[name] = _value(unquote(text), hints[name], where=f"{url} {name}")
    try:
        return unquote(match[1]), Options(**values)
    except TrueflowError as error:
        raise TrueflowError(str(error), where=url) from error


def _value(text: str, hint: typing.Any, *, where: str) -> typing.Any:
    choices = [c for c in typing.get_args(hint) if c is not type(None)] or [hint]
    if len(choices) == 1 and typing.get_origin(choices[0]) is Literal:
        choices = list(typing.get_args(choices[0]))
    if all(isinstance(choice, str) for choice in choices):
        if text not in choices:
            raise TrueflowError("unknown choice", where=where, found=repr(text), advice=nearest(text, choices))
        return text
    try:
        if typing.get_origin(hint) is tuple:
            return tuple(_number(part) for part in text.split(","))
        if choices[0] is int:
            return int(text)
        return text if choices[0] is str else _number(text)
    except ValueError as error:
        kind = "a whole number" if choices[0] is int else "a number"
        raise TrueflowError("wrong type", where=where, found=repr(text), expected=kind) from error


def _number(text: str) -> float:
    value = float(text)
    if not np.isfinite(value):
        raise ValueError(text)
    return value


def _linear(angles_rad: tuple[float, ...]) -> Acquisition:
    probe = Probe.linear(
        128,
        pitch_m=0.3e-3,
        center_frequency_hz=5e6,
        bandwidth_fraction=0.6,
        element_width_m=0.27e-3,
        name="simulated linear",
    )
    waves: tuple[Transmit, ...] = tuple(PlaneWave(angle) for angle in angles_rad)
    return Acquisition(
        probe, waves, sampling_frequency_hz=20e6, center_frequency_hz=5e6, prf_hz=4e3, n_samples=1040, n_ensemble=16
    )


def _convex(angles_rad: tuple[float, ...]) -> Acquisition:
    radius_m = 50e-3
    probe = Probe.convex(
        128,
        pitch_m=0.4e-3,
        radius_m=radius_m,
        center_frequency_hz=3.5e6,
        bandwidth_fraction=0.6,
        element_width_m=0.36e-3,
        name="simulated convex",
    )
    # All elements at once: a wave from the center of the arc; an angle turns that source about the array's middle.
    waves: tuple[Transmit, ...] = tuple(
        DivergingWave(-radius_m * float(np.sin(angle)), -radius_m * float(np.cos(angle))) for angle in angles_rad
    )
    return Acquisition(
        probe, waves, sampling_frequency_hz=14e6, center_frequency_hz=3.5e6, prf_hz=4e3, n_samples=1820, n_ensemble=16
    )


def _phased(angles_rad: tuple[float, ...]) -> Acquisition:
    probe = Probe.linear(
        64,
        pitch_m=0.25e-3,
        kind="phased",
        center_frequency_hz=3e6,
        bandwidth_fraction=0.6,
        element_width_m=0.22e-3,
        name="simulated phased",
    )
    behind_m = 64 * 0.25e-3 / 2  # a quarter turn wide
    waves: tuple[Transmit, ...] = tuple(
        DivergingWave(-behind_m * float(np.sin(angle)), -behind_m * float(np.cos(angle))) for angle in angles_rad
    )
    return Acquisition(
        probe, waves, sampling_frequency_hz=12e6, center_frequency_hz=3e6, prf_hz=4e3, n_samples=1560, n_ensemble=16
    )
