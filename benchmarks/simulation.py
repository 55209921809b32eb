"""The simulator's two modes side by side: speckle, Doppler and levels of one scene as channel RF and in the fast mode.

Channel RF goes through the chain's own beamformer, so both end as IQ on the same pixels.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trueflow.kernels.device import Device, get_device
from trueflow.pipeline.acquisition import Acquisition
from trueflow.pipeline.config import BeamformConfig, DemodulateConfig
from trueflow.pipeline.frames import RfPacket, Stamp
from trueflow.pipeline.grid import ImageGrid
from trueflow.pipeline.sim.echoes import ChannelEchoes
from trueflow.pipeline.sim.fast import FastEchoes
from trueflow.pipeline.sim.recording import SimRecording
from trueflow.pipeline.stages import Beamform

__all__ = [
    "MODES", "RAYLEIGH", "Both", "Comparison", "Flow", "Speckle", "agreement", "compare", "flow", "leak_db",
    "make_both", "speckle", "speed",
]  # fmt: skip

Array = NDArray[np.float64]

MODES = ("rf", "fast")
RAYLEIGH = float(np.sqrt(np.pi / (4 - np.pi)))  # mean over standard deviation of the envelope
GRID_X_M = (-8e-3, 8e-3, 129)
GRID_Z_M = (7e-3, 34e-3, 541)  # a quarter of the axial correlation length
CLEAR_M = 2.5e-3  # of tissue from the wall, which is brighter, and from the lumen
SCENE = "sim://straight?waveform=constant"
PEAKS = (0.4, 0.9, 2.0)  # of v_N
TIMED = ("sim://femoral", "sim://femoral?motion=none")
BIN_M = 0.4e-3  # of the profile across a vessel
LAGS = 16


@dataclass(frozen=True, slots=True, eq=False)
class Both:
    """One scene in both modes.

    Parameters
    ----------
    acquisition : Acquisition
    grid : ImageGrid
    inside_m : (n_z, n_x)
        Distance from the wall, positive in the lumen.
    truth_m_s : (n_z, n_x)
        What an estimator should see at the middle of the first burst.
    iq : dict
        By mode: (n_bursts, n_z, n_x, n_ensemble) complex64.
    seconds : dict
        By mode: time per burst, beamforming included.
    """

    acquisition: Acquisition
    grid: ImageGrid
    inside_m: Array
    truth_m_s: Array
    iq: dict[str, NDArray[np.complex64]]
    seconds: dict[str, float]

    @property
    def tissue(self) -> NDArray[np.bool_]:
        """Pixels well within tissue."""
        return np.asarray(self.inside_m < -CLEAR_M)


@dataclass(frozen=True, slots=True, eq=False)
class Speckle:
    """Statistics of tissue: envelope's mean over deviation, autocorrelation by lag, its half widths at half maximum.

    Parameters
    ----------
    contrast : float
    lags_z_m, correlation_z, lags_x_m, correlation_x : (n,)
    half_width_z_m, half_width_x_m : float
    """

    contrast: float
    lags_z_m: Array
    correlation_z: Array
    lags_x_m: Array
    correlation_x: Array
    half_width_z_m: float
    half_width_x_m: float


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """Blood by distance from the wall, over v_N.

    Parameters
    ----------
    depth_m : (n,)
        Middle of each bin.
    true, bias, width : (n,)
        Mean velocity that an estimator should see, the error of lag one's, and the standard deviation of the spectrum
        that lag one's coherence stands for: sqrt(-2 ln |R1| / R0) / pi.
    spectra : (n, n_ensemble)
        Mean power spectrum, from -1 to 1, each row's sum 1.
    """

    depth_m: Array
    true: Array
    bias: Array
    width: Array
    spectra: Array


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Everything that is compared, each by mode.

    Parameters
    ----------
    tissue : Both
        A vessel in tissue far above everything else.
    agreement : float
        Of the modes' IQ in tissue.
    speckle : dict of Speckle
    leak_db : dict of (n,)
    flows : dict of dict of Flow
        By peak over v_N.
    seconds : dict of dict of float
        Per burst, by URL.
    """

    tissue: Both
    agreement: float
    speckle: dict[str, Speckle]
    leak_db: dict[str, Array]
    flows: dict[float, dict[str, Flow]]
    seconds: dict[str, dict[str, float]]


def compare(
    *, peaks: Sequence[float] = PEAKS, bursts: int = 2, timed: Sequence[str] = TIMED, seed: int = 1
) -> Comparison:
    """Speckle and leakage in a scene of tissue 60 dB above blood, Doppler of the same vessel's blood alone."""
    tissue = make_both(f"{SCENE}&tissue=60&snr=60&pulses=2&seed={seed}")
    flows = {}
    for peak in peaks:
        blood = make_both(f"{SCENE}&snr=70&pulses=24&peak={peak}vN&seed={seed}", bursts=bursts, tissue=False)
        flows[peak] = {mode: flow(blood, mode) for mode in MODES}
    return Comparison(
        tissue,
        agreement(tissue),
        {mode: speckle(tissue, mode) for mode in MODES},
        {mode: leak_db(tissue, mode) for mode in MODES},
        flows,
        {url: speed(url) for url in timed},
    )


def make_both(url: str, *, bursts: int = 1, tissue: bool = True) -> Both:
    """Bursts of `sim://SCENE?...` in both modes.

    Parameters
    ----------
    url : str
    bursts : int
    tissue : bool
        Whether there is any.
    """
    recording = SimRecording.from_url(url)
    if not tissue:
        bare = replace(recording.scene, tissue=replace(recording.scene.tissue, level_db="none"))
        recording = SimRecording(bare, recording.options)
    a, device, beamform = recording.acquisition, get_device("cpu"), BeamformConfig(f_number=recording.options.f_number)
    grid = ImageGrid.cartesian(np.linspace(*GRID_X_M), np.linspace(*GRID_Z_M))
    margin_m, snr_db, seed = recording.margin_m, recording.options.snr, recording.options.seed
    rf = ChannelEchoes(device, a, recording.field, beamform, margin_m=margin_m, snr_db=snr_db, seed=seed)
    fast = FastEchoes(device, a, recording.field, beamform, grid=grid, margin_m=margin_m, snr_db=snr_db, seed=seed)
    form = _beamformer(device, a, grid, beamform)
    makers: dict[str, Callable[[int, float], NDArray[np.complex64]]] = {
        "rf": lambda number, start_s: form(rf.burst(number, start_s)),
        "fast": lambda number, start_s: np.moveaxis(fast.burst(number, start_s), 0, -1),
    }
    iq, seconds = {}, {}
    for mode, make in makers.items():
        make(bursts, 0.0)  # plans and calibrates
        began = time.perf_counter()
        iq[mode] = np.stack([make(number, number * recording.burst_interval_s) for number in range(bursts)])
        seconds[mode] = (time.perf_counter() - began) / bursts
    truth = recording.truth(0, a.n_ensemble, grid)
    inside = recording.field.inside_m(grid.x_m, grid.z_m)
    return Both(a, grid, inside, truth.velocity_m_s.astype(np.float64), iq, seconds)


def _beamformer(
    device: Device, acquisition: Acquisition, grid: ImageGrid, beamform: BeamformConfig
) -> Callable[[NDArray[np.int16]], NDArray[np.complex64]]:
    stage = Beamform(device, acquisition, grid, demodulate=DemodulateConfig(), beamform=beamform)
    return lambda samples: np.asarray(device.download(stage(RfPacket(samples, Stamp(0))).iq)).copy()


def speckle(both: Both, mode: str) -> Speckle:
    """Statistics of tissue at the first pulse of each burst."""
    iq = both.iq[mode][..., 0].astype(np.complex128)
    envelope = np.abs(iq[:, both.tissue])
    z, x = both.grid.axis_0, both.grid.axis_1
    along = [_correlation(iq, both.tissue, axis) for axis in (1, 2)]
    lags = [np.arange(LAGS) * (axis[1] - axis[0]) for axis in (z, x)]
    widths = [_half_width(lag, value) for lag, value in zip(lags, along, strict=True)]
    return Speckle(float(envelope.mean() / envelope.std()), lags[0], along[0], lags[1], along[1], widths[0], widths[1])


def _correlation(iq: NDArray[np.complex128], mask: NDArray[np.bool_], axis: int) -> Array:
    """|autocorrelation| along an axis over pairs of pixels of a mask, 1 at lag 0."""
    signal, weight = np.moveaxis(iq * mask, axis, 0), np.moveaxis(np.broadcast_to(mask, iq.shape), axis, 0)
    n = len(signal)
    found = []
    for lag in range(LAGS):
        pairs = signal[lag:] * signal[: n - lag].conj()
        both = weight[lag:] & weight[: n - lag]
        powers = [np.sum(np.abs(part) ** 2 * both) for part in (signal[lag:], signal[: n - lag])]
        found.append(abs(pairs.sum()) / np.sqrt(powers[0] * powers[1]))
    return np.array(found)


def _half_width(lags_m: Array, correlation: Array) -> float:
    below = int(np.argmax(correlation < 0.5))
    return float(np.interp(0.5, correlation[[below, below - 1]], lags_m[[below, below - 1]]))


def flow(both: Both, mode: str) -> Flow:
    """Velocity and spectra of blood: for a scene without tissue, or after a clutter filter."""
    v_n = both.acquisition.nyquist_velocity_m_s()
    iq, n = both.iq[mode], both.acquisition.n_ensemble
    r1 = np.sum(iq[..., 1:] * iq[..., :-1].conj(), axis=-1)
    r0 = np.sum((np.abs(iq[..., 1:]) ** 2 + np.abs(iq[..., :-1]) ** 2) / 2, axis=-1)
    ahead = r1 * np.exp(-1j * np.pi * both.truth_m_s / v_n)  # what is left is the error, also beyond v_N
    power = np.fft.fftshift(np.abs(np.fft.fft(iq * np.hanning(n + 2)[1:-1], axis=-1)) ** 2, axes=-1)
    rows = []
    edges, bins = _bins(both.inside_m)
    for pixels in bins:
        total = ahead[:, pixels].sum()
        coherence = min(abs(total) / r0[:, pixels].sum(), 1 - 1e-9)
        spectrum = power[:, pixels].mean((0, 1))
        rows.append(
            (
                both.truth_m_s[pixels].mean() / v_n,
                np.angle(total) / np.pi,
                np.sqrt(-2 * np.log(coherence)) / np.pi,
                spectrum / spectrum.sum(),
            )
        )
    true, bias, width, spectra = zip(*rows, strict=True)
    return Flow(edges + BIN_M / 2, np.array(true), np.array(bias), np.array(width), np.array(spectra))


def agreement(both: Both) -> float:
    """|Correlation coefficient| of the modes' IQ in tissue: their scatterers are the same."""
    one, other = (both.iq[mode][..., 0][:, both.tissue].astype(np.complex128) for mode in MODES)
    return float(abs(np.vdot(one, other)) / (np.linalg.norm(one) * np.linalg.norm(other)))


def leak_db(both: Both, mode: str) -> Array:
    """What leaks into the lumen, in dB over tissue, by distance from the wall; tissue far above blood and noise."""
    power = np.mean(np.abs(both.iq[mode]) ** 2, axis=(0, -1))
    _, bins = _bins(both.inside_m)
    leak = np.array([power[pixels].mean() for pixels in bins], np.float64) / power[both.tissue].mean()
    return np.asarray(10 * np.log10(leak))


def _bins(inside_m: Array) -> tuple[Array, list[NDArray[np.bool_]]]:
    edges = np.arange(0, inside_m.max() - BIN_M / 2, BIN_M)
    return edges, [(inside_m > edge) & (inside_m <= edge + BIN_M) for edge in edges]


def speed(url: str, *, bursts: int = 3) -> dict[str, float]:
    """Seconds per burst of a recording as it is read, by mode."""
    seconds = {}
    for mode in MODES:
        recording = SimRecording.from_url(f"{url}{'&' if '?' in url else '?'}mode={mode}&frames={bursts + 1}")
        n = recording.burst_length
        recording.read(0, n)
        began = time.perf_counter()
        recording.read(n, (bursts + 1) * n)
        seconds[mode] = (time.perf_counter() - began) / bursts
    return seconds
