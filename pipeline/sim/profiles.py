"""Velocity profiles across a lumen, as what a stream function needs of them: their running integral from wall to wall.

A profile u(eta), eta from -1 to 1, is 0 at both walls. Its running integral S goes from 0 to 1, so that a stream
function that is constant on each wall carries the same flow whatever the profile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import jv

from trueflow.pipeline.sim.waveforms import Waveform

__all__ = ["Mode", "Profile", "ProfileName", "jet", "modes", "parabolic", "power_law", "womersley"]

ProfileName = Literal["parabolic", "plug", "womersley"]

N_TABLE = 4097


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """A profile that is 1 at the center, where it is not a jet.

    Parameters
    ----------
    values : (n_table,) float64 or complex128
        u at eta = linspace(-1, 1, n_table).
    """

    values: NDArray[np.complex128] | NDArray[np.float64]

    @property
    def flow(self) -> complex:
        """Integral of u over eta from -1 to 1."""
        return complex((self.values[1:] + self.values[:-1]).sum() / (self.values.size - 1))

    def share(self, tau: ArrayLike) -> NDArray[np.complex128]:
        """S: the part of the flow between the wall at tau = 0 and tau (1 is the other wall)."""
        steps = (self.values[1:] + self.values[:-1]) / 2
        running = np.concatenate([[0.0], np.cumsum(steps)])
        running = running / running[-1]
        position = np.clip(np.asarray(tau, np.float64), 0, 1) * (self.values.size - 1)
        below = np.minimum(position.astype(np.int64), self.values.size - 2)
        fraction = position - below
        return np.asarray(running[below] * (1 - fraction) + running[below + 1] * fraction, np.complex128)


@dataclass(frozen=True, slots=True, eq=False)
class Mode:
    """A part of the flow with a profile of its own; `harmonics` are those of its complex amplitude in time."""

    profile: Profile
    amplitude: Waveform


def _eta() -> NDArray[np.float64]:
    return np.linspace(-1.0, 1.0, N_TABLE)


def parabolic() -> Profile:
    """Steady laminar flow: 1 - eta^2."""
    return Profile(1 - _eta() ** 2)


def power_law(exponent: float) -> Profile:
    """1 - |eta|^n: 2 is parabolic, large exponents approach a plug."""
    return Profile(1 - np.abs(_eta()) ** exponent)


def womersley(alpha: float) -> Profile:
    """One harmonic of pulsatile flow in a rigid pipe (Womersley 1955, eq. 8), over its value on the axis."""
    if alpha < 1e-3:
        return parabolic()
    turn = 1j**1.5 * alpha
    wall = jv(0, turn)
    return Profile((wall - jv(0, turn * np.abs(_eta()))) / (wall - 1))


def jet(*, width: float, offset: float = 0.0, reverse: float = 0.0) -> Profile:
    """A jet of a relative width that has left the middle, with flow backwards beside it.

    Parameters
    ----------
    width : float
        At 1/e, relative to the radius.
    offset : float
        Of the jet's axis, -1 to 1.
    reverse : float
        Backward flow near the walls before they slow it, relative to the jet.
    """
    eta = _eta()
    return Profile((1 - eta**2) * (np.exp(-(((eta - offset) / width) ** 2)) * (1 + reverse) - reverse))


def modes(name: ProfileName, waveform: Waveform, *, exponent: float, alpha: float) -> list[Mode]:
    """What a pulsatile flow is the sum of: one mode, or one per harmonic of a Womersley profile.

    The waveform is the velocity on the axis.
    """
    if name == "parabolic":
        return [Mode(parabolic(), waveform)]
    if name == "plug":
        return [Mode(power_law(exponent), waveform)]
    parts = []
    for k, harmonic in enumerate(waveform.harmonics):
        if abs(harmonic) > 1e-4:
            only = np.zeros_like(waveform.harmonics)
            only[k] = harmonic
            parts.append(Mode(womersley(alpha * np.sqrt(k)), Waveform(only, waveform.cycle_s, waveform.delay)))
    return parts
