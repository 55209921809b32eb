"""Channel RF of point scatterers; the equations are at the head of scatter.cu."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.polynomial import Chebyshev, Polynomial
from numpy.typing import NDArray

from trueflow.kernels.das import Waves
from trueflow.kernels.device import Device, source
from trueflow.kernels.launch import blocks
from trueflow.kernels.pulse import SPREAD_WIDTH, Pulse, fit_spreading, gaussian_pulse

__all__ = ["DIRECTIVITY_ERROR", "ScatterSimulator", "reference"]

CHUNK, DIRECTIVITY_TERMS = 16, 12  # SCATTER_CHUNK on the CPU, and DIRECTIVITY_TERMS, of scatter.cu

# Scatterers, elements and samples per block. CPU: a line of cells stays in the first-level cache while one thread adds
# all echoes to it. GPU: by coalescing, not measured.
THREADS = {"cpu": (1024, 1, 1024), "cuda": (256, 32, 128)}
DIRECTIVITY_ERROR = 1e-5  # of the polynomial, on the axis 1
MAX_WIDTH_WAVELENGTHS = 2.5
EDGE_WAVELENGTHS = 4.0  # the beam's edge: sharper than diffraction makes it (sqrt(lambda z)) within a decimetre

FloatArray = NDArray[np.float64]


class ScatterSimulator:
    """Plan for one probe, one set of transmitted waves and one record.

    Parameters
    ----------
    device : Device
    element_x_m, element_z_m, element_angles_rad : (n_elements,)
        Centers, and angles of the normals from +z.
    element_width_m : float
        At most 2.5 wavelengths.
    waves : Waves
    sampling_frequency_hz, rx_start_s : float
        Of the record; rx_start_s counts from the transmit reference, as for `DelayAndSum`.
    n_samples : int
    center_frequency_hz, bandwidth_fraction : float
        Of the two-way response at -6 dB; `gaussian_pulse` makes the pulse of them.
    sound_speed_m_s : float
    attenuation_db_cm_mhz : float
        At the center frequency, over the path out and back.
    pulse : Pulse, optional
        Another two-way waveform; the frequency then still sets wavelength and attenuation.

    Raises
    ------
    ValueError
        Where the pulse cannot be gridded to PULSE_ERROR, the elements are too wide, or indices exceed 32 bits.
    """

    def __init__(
        self,
        device: Device,
        *,
        element_x_m: FloatArray,
        element_z_m: FloatArray,
        element_angles_rad: FloatArray,
        element_width_m: float,
        waves: Waves,
        sampling_frequency_hz: float,
        center_frequency_hz: float,
        bandwidth_fraction: float,
        n_samples: int,
        rx_start_s: float,
        sound_speed_m_s: float,
        attenuation_db_cm_mhz: float = 0.5,
        pulse: Pulse | None = None,
    ) -> None:
        wavelength_m = sound_speed_m_s / center_frequency_hz
        decay_per_s = sound_speed_m_s * nepers_per_m(attenuation_db_cm_mhz, center_frequency_hz)
        fit = fit_spreading(
            pulse or gaussian_pulse(center_frequency_hz, bandwidth_fraction), sampling_frequency_hz, decay_per_s
        )
        cell_hz = sampling_frequency_hz * fit.oversampling
        n_cells = fit.oversampling * (n_samples - 1) + fit.taps.size + SPREAD_WIDTH
        n_elements, n_transmits = element_x_m.size, len(waves.table)
        if n_transmits * n_elements * n_cells >= 2**31:
            raise ValueError("scatter.cu indexes with 32 bits: fewer transmits, elements or samples")
        self.device = device
        self._shape = (n_transmits, n_elements, n_samples)
        self._params = source("scatter").struct(
            "ScatterParams",
            n_elements=n_elements,
            n_samples=n_samples,
            n_cells=n_cells,
            n_taps=fit.taps.size,
            oversampling=fit.oversampling,
            cells_per_m=cell_hz / sound_speed_m_s,
            first_cell_m=sound_speed_m_s * (rx_start_s + (SPREAD_WIDTH // 2 - 1 - fit.center) / cell_hz),
            least_range_m=wavelength_m / 2,
        )
        normals = np.sin(element_angles_rad), np.cos(element_angles_rad)
        times_s = rx_start_s + np.arange(n_samples) / sampling_frequency_hz

        def upload(array: Any) -> Any:
            return device.upload(np.asarray(array, np.float32))

        geometry = element_x_m, element_z_m, element_angles_rad
        beams = beam_table(waves, *geometry, width_m=element_width_m, wavelength_m=wavelength_m)
        self._waves = upload(np.hstack([waves.table, beams]))
        self._elements = upload([element_x_m, element_z_m, *normals])
        self._directivity = upload(directivity_terms(element_width_m / wavelength_m))
        self._spreading, self._taps = upload(fit.table), upload(fit.taps)
        self._gain = upload(np.exp(-decay_per_s * times_s))
        self._cells = device.empty((n_transmits * n_elements, n_cells), np.float32)
        self._insonify, self._spread, self._filter = (
            device.kernel("scatter", f"scatter_{name}") for name in ("insonify", "spread", "filter")
        )

    def __call__(
        self, x_m: Any, z_m: Any, amplitude: Any, *, transmit: int | None = None, add_to: Any | None = None
    ) -> Any:
        """The record of one instant's scatterers.

        Parameters
        ----------
        x_m, z_m, amplitude : (n_scatterers,) float32, on the device
            An amplitude of 1 echoes with a peak of 1 at a range of 1 m on an element's axis, before attenuation.
        transmit : int, optional
            Only this wave: where scatterers move between the waves of one pulse.
        add_to : (n_transmits, n_elements, n_samples) float32, optional
            Add to it and return it: n_transmits 1 where `transmit` is given.

        Returns
        -------
        (n_transmits, n_elements, n_samples) float32 on the device
        """
        if not x_m.shape == z_m.shape == amplitude.shape == (x_m.size,):
            raise ValueError(f"scatterers: shapes {x_m.shape}, {z_m.shape}, {amplitude.shape}, expected one length")
        waves = self._waves if transmit is None else self._waves[transmit, None]
        shape = (len(waves), *self._shape[1:])
        if add_to is not None and add_to.shape != shape:
            raise ValueError(f"add_to: shape {add_to.shape}, expected {shape}")
        n_padded = max(blocks(x_m.size, CHUNK), 1) * CHUNK
        if 4 * n_padded * len(waves) >= 2**31:
            raise ValueError(f"scatterers: {x_m.size} are too many for 32-bit indices")
        rf = self.device.empty(shape, np.float32) if add_to is None else add_to
        echoes = self.device.empty((len(waves), 4, n_padded), np.float32)
        self._launch(n_padded, waves, x_m, z_m, amplitude, echoes, rf, accumulate=add_to is not None)
        return rf

    def _launch(
        self, n_padded: int, waves: Any, x_m: Any, z_m: Any, amplitude: Any, echoes: Any, rf: Any, *, accumulate: bool
    ) -> None:
        n_transmits, n_elements, n_samples = rf.shape
        scatterers, elements, samples = THREADS[self.device.name]
        self._insonify(
            (blocks(n_padded, scatterers), n_transmits, 1),
            (scatterers, 1, 1),
            self._params,
            x_m.size,
            n_padded,
            waves,
            x_m,
            z_m,
            amplitude,
            echoes,
        )
        self._spread(
            (blocks(n_elements, elements), n_transmits, 1),
            (elements, 1, 1),
            self._params,
            n_padded,
            echoes,
            self._elements,
            self._directivity,
            self._spreading,
            self._cells,
        )
        self._filter(
            (blocks(n_samples, samples), n_transmits * n_elements, 1),
            (samples, 1, 1),
            self._params,
            accumulate,
            self._taps,
            self._gain,
            self._cells,
            rf,
        )


def nepers_per_m(attenuation_db_cm_mhz: float, frequency_hz: float) -> float:
    """Amplitude attenuation at a frequency."""
    return attenuation_db_cm_mhz * frequency_hz / 1e6 * 100 * float(np.log(10)) / 20


def directivity_terms(width_wavelengths: float) -> FloatArray:
    """Coefficients (DIRECTIVITY_TERMS,) of sinc(width sin(theta)) as a polynomial in sin(theta)^2."""
    if not 0 < width_wavelengths <= MAX_WIDTH_WAVELENGTHS:
        raise ValueError(f"element width: {width_wavelengths:g} wavelengths, expected 0 to {MAX_WIDTH_WAVELENGTHS:g}")

    def directivity(square: FloatArray) -> FloatArray:
        return np.asarray(np.sinc(width_wavelengths * np.sqrt(square)))

    fit = Chebyshev.interpolate(directivity, DIRECTIVITY_TERMS - 1, domain=[0, 1])
    return np.asarray(fit.convert(kind=Polynomial, domain=[-1, 1], window=[-1, 1]).coef)


def beam_table(
    waves: Waves, x_m: FloatArray, z_m: FloatArray, angles_rad: FloatArray, *, width_m: float, wavelength_m: float
) -> FloatArray:
    """The second half of scatter.cu's ScatterWave, (n_transmits, 4): center, half, inverse edge, reference.

    The beam lies between the rays through the outermost elements' far edges; an element that fires alone, which a
    source within half a wavelength of it stands for, fills the half-space before it.
    """
    rows = []
    for a, b, kind, _ in waves.table:
        across, per_m, reference_m = x_m * b - z_m * a, 1.0, 0.0
        if kind != 0:
            distance_m = np.hypot(x_m - a, z_m - b)
            nearest = int(distance_m.argmin())
            reference_m = float(distance_m[nearest])
            if reference_m < wavelength_m / 2:
                rows.append((angles_rad[nearest] / (2 * np.pi), 0.25, 1e3, wavelength_m / 2))
                continue
            across = np.arctan2(kind * (x_m - a), kind * (z_m - b)) / (2 * np.pi)
            per_m = 1 / (2 * np.pi * reference_m)
        half = np.ptp(across) / 2 + width_m / 2 * per_m
        edge = min(EDGE_WAVELENGTHS * wavelength_m * per_m, 2 * half)
        rows.append(((across.max() + across.min()) / 2, half, 1 / edge, reference_m))
    return np.array(rows)


def reference(
    x_m: FloatArray,
    z_m: FloatArray,
    amplitude: FloatArray,
    *,
    element_x_m: FloatArray,
    element_z_m: FloatArray,
    element_angles_rad: FloatArray,
    element_width_m: float,
    waves: Waves,
    sampling_frequency_hz: float,
    center_frequency_hz: float,
    bandwidth_fraction: float,
    n_samples: int,
    rx_start_s: float,
    sound_speed_m_s: float,
    attenuation_db_cm_mhz: float = 0.5,
    pulse: Pulse | None = None,
) -> FloatArray:
    """The specification, in float64: the waveform itself at every sample of every echo.

    Returns
    -------
    (n_transmits, n_elements, n_samples) float64
    """
    pulse = pulse or gaussian_pulse(center_frequency_hz, bandwidth_fraction)
    wavelength_m = sound_speed_m_s / center_frequency_hz
    times_s = rx_start_s + np.arange(n_samples) / sampling_frequency_hz
    outward = waves.distance_m(x_m, z_m)
    geometry = element_x_m, element_z_m, element_angles_rad
    beams = beam_table(waves, *geometry, width_m=element_width_m, wavelength_m=wavelength_m)
    rf = np.zeros((len(waves.table), element_x_m.size, n_samples))
    for t, (a, b, kind, _) in enumerate(waves.table):
        center, half, inverse_edge, reference_m = beams[t]
        across, level = x_m * b - z_m * a, np.ones_like(x_m)
        if kind != 0:
            across = np.arctan2(kind * (x_m - a), kind * (z_m - b)) / (2 * np.pi)
            level = np.sqrt(reference_m / np.maximum(np.hypot(x_m - a, z_m - b), wavelength_m / 2))
        edge = np.clip((np.abs(across - center) - half) * inverse_edge + 0.5, 0, 1)
        level = level * np.cos(np.pi / 2 * edge) ** 2
        for e, (x_e, z_e, angle) in enumerate(zip(*geometry, strict=True)):
            dx, dz = x_m - x_e, z_m - z_e
            distance = np.hypot(dx, dz)
            r = np.maximum(distance, wavelength_m / 2)
            cosine = np.maximum(dx * np.sin(angle) + dz * np.cos(angle), 0) / r
            directivity = np.sinc(element_width_m / wavelength_m * np.sqrt(1 - cosine**2)) * cosine
            path = outward[t] + distance
            loss = np.exp(-nepers_per_m(attenuation_db_cm_mhz, center_frequency_hz) * path)
            echo = amplitude * level * directivity / np.sqrt(r) * loss
            rf[t, e] = pulse(times_s - path[:, None] / sound_speed_m_s).T @ echo
    return rf
