"""The stages between raw samples and velocity: each plans once, in its constructor, and then only launches."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from trueflow.kernels.autocorrelate import Autocorrelator, Blend, BoxAverage, Envelope
from trueflow.kernels.cuda_foreign import is_on_gpu
from trueflow.kernels.das import DelayAndSum, ReceiveWindow
from trueflow.kernels.demodulate import BandFilter, Demodulator, design_band_filter
from trueflow.kernels.device import Device
from trueflow.pipeline.acquisition import Acquisition
from trueflow.pipeline.config import BeamformConfig, DemodulateConfig, DopplerConfig, PersistenceConfig
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import BmodeFrame, DopplerFrame, IqEnsemble, RfPacket
from trueflow.pipeline.geometry import make_waves
from trueflow.pipeline.grid import ImageGrid

__all__ = ["Beamform", "Bmode", "Doppler", "EnterBeamformed", "Persistence"]

# A band narrower than this is not filtered narrower: probe files are often silent or pessimistic about it, the band
# bounds axial resolution, and a receive filter of 60 % costs a 15 % pulse only 6 dB of noise that DAS averages anyway.
LEAST_BANDWIDTH_FRACTION = 0.6
TAPERS = {"boxcar": 0.0, "hann": 1.0}
SAMPLE_TYPES = {"rf": ("int16", "float32"), "iq": ("complex64",), "beamformed": ("complex64", "complex128")}


class Beamform:
    """Channel RF or IQ to beamformed IQ: demodulate, delay, sum, compound."""

    def __init__(
        self,
        device: Device,
        acquisition: Acquisition,
        grid: ImageGrid,
        *,
        demodulate: DemodulateConfig,
        beamform: BeamformConfig,
    ) -> None:
        self._device, self._acquisition, self._grid = device, acquisition, grid
        self._demodulate_config = demodulate
        self._window = ReceiveWindow(beamform.f_number, TAPERS.get(beamform.window, beamform.tukey_taper))
        self._dtype: np.dtype[Any] | None = None

    def __call__(self, packet: RfPacket) -> IqEnsemble:
        """Beamform one packet."""
        samples = self.uploaded(packet)
        if self._dtype is None or samples.dtype != self._dtype:
            self._plan(samples.dtype)
        samples = self._device.upload(samples)
        with self._device.together():
            return IqEnsemble(self._das(self._demodulator(samples)), packet.stamp)

    def uploaded(self, packet: RfPacket) -> Any:
        """The array that a call uploads."""
        a = self._acquisition
        expected = (a.n_ensemble, a.n_transmits, a.probe.n_elements, a.n_samples)
        _check(packet, expected, SAMPLE_TYPES[a.sample_kind], on_gpu=self._device.name == "cuda")
        return packet.samples

    def _plan(self, dtype: np.dtype[Any]) -> None:
        """Everything but the launches; the sample type is known with the first packet."""
        a = self._acquisition
        try:
            self._demodulator = Demodulator(
                self._device,
                n_ensemble=a.n_ensemble,
                n_channels=a.n_transmits * a.probe.n_elements,
                n_samples=a.n_samples,
                dtype=dtype,
                sampling_frequency_hz=a.sampling_frequency_hz,
                demodulation_frequency_hz=a.mixing_frequency_hz,
                rx_start_s=a.rx_start_s,
                band_filter=self._band_filter(),
            )
            self._das = DelayAndSum(
                self._device,
                pixel_x_m=self._grid.x_m,
                pixel_z_m=self._grid.z_m,
                element_x_m=a.probe.element_positions_m[:, 0],
                element_z_m=a.probe.element_positions_m[:, 2],
                element_angles_rad=a.probe.element_angles_rad,
                waves=make_waves(a),
                window=self._window,
                n_samples=self._demodulator.n_iq_samples,
                n_ensemble=a.n_ensemble,
                n_padded=self._demodulator.n_padded,
                sampling_frequency_hz=self._demodulator.iq_frequency_hz,
                demodulation_frequency_hz=a.mixing_frequency_hz,
                rx_start_s=a.rx_start_s,
                sound_speed_m_s=a.sound_speed_m_s,
            )
        except (ValueError, TypeError) as error:
            raise TrueflowError(str(error), where="beamformer") from error
        self._dtype = dtype

    def _band_filter(self) -> BandFilter | None:
        a, config = self._acquisition, self._demodulate_config
        if a.sample_kind == "iq":
            return None
        fraction = config.bandwidth_fraction or max(a.probe.bandwidth_fraction or 0.0, LEAST_BANDWIDTH_FRACTION)
        return design_band_filter(
            sampling_frequency_hz=a.sampling_frequency_hz,
            demodulation_frequency_hz=a.mixing_frequency_hz,
            bandwidth_hz=fraction * a.center_frequency_hz,
            decimation=config.decimation,
        )


class EnterBeamformed:
    """The chain's entrance for sources that hold beamformed IQ: slow time comes last, nothing else changes."""

    def __init__(self, device: Device, acquisition: Acquisition, grid: ImageGrid) -> None:
        self._device, self._n_ensemble, self._shape = device, acquisition.n_ensemble, grid.shape

    def __call__(self, packet: RfPacket) -> IqEnsemble:
        """Reorder one packet."""
        return IqEnsemble(self._device.upload(self.uploaded(packet)), packet.stamp)

    def uploaded(self, packet: RfPacket) -> Any:
        """The array that a call uploads: complex64 (n_z, n_x, n_ensemble)."""
        _check(packet, (self._n_ensemble, *self._shape), SAMPLE_TYPES["beamformed"], on_gpu=False)
        return np.ascontiguousarray(np.moveaxis(packet.samples, 0, -1), dtype=np.complex64)


def _check(packet: RfPacket, expected: tuple[int, ...], types: tuple[str, ...], *, on_gpu: bool) -> None:
    where = f"packet {packet.stamp.index}"
    if packet.samples.shape != expected:
        raise TrueflowError("packet of another shape", where=where, found=packet.samples.shape, expected=expected)
    if packet.samples.dtype not in [np.dtype(name) for name in types]:  # in this machine's order of bytes
        raise TrueflowError(
            "samples of another type",
            where=where,
            found=repr(packet.samples.dtype),
            expected=" or ".join(types),
            advice="samples.astype(...), or the acquisition's sample_kind",
        )
    if is_on_gpu(packet.samples) and not on_gpu:
        raise TrueflowError(
            "samples on a GPU",
            where=where,
            found=type(packet.samples).__name__,
            expected="a NumPy array (only channel samples, and only with device 'cuda', may be on a GPU)",
        )


class Bmode:
    """Echo envelope, averaged over the ensemble before the clutter filter."""

    def __init__(self, device: Device, *, shape: tuple[int, int], n_ensemble: int) -> None:
        self._envelope = Envelope(device, shape=shape, n_ensemble=n_ensemble)

    def __call__(self, ensemble: IqEnsemble) -> BmodeFrame:
        """Envelope of one ensemble."""
        return BmodeFrame(self._envelope(ensemble.iq), ensemble.stamp)


class Doppler:
    """Lag-one autocorrelation and its spatial average; of the pairs that begin with pulses first, first + step, ..."""

    def __init__(
        self,
        device: Device,
        *,
        shape: tuple[int, int],
        n_ensemble: int,
        nyquist_velocity_m_s: float,
        config: DopplerConfig,
        first: int = 0,
        step: int = 1,
    ) -> None:
        try:
            self._autocorrelate = Autocorrelator(
                device, shape=shape, n_ensemble=n_ensemble, lag=config.lag, first=first, step=step
            )
            self._average = BoxAverage(device, shape=shape, size_z=config.average_z, size_x=config.average_x)
        except ValueError as error:
            raise TrueflowError(str(error), where="config [doppler]") from error
        self._device, self._nyquist_velocity_m_s = device, nyquist_velocity_m_s

    def __call__(self, ensemble: IqEnsemble) -> DopplerFrame:
        """R0 and R1 of one filtered ensemble."""
        with self._device.together():
            r0, r1 = self._average(*self._autocorrelate(ensemble.iq))
        return DopplerFrame(r1, r0, self._nyquist_velocity_m_s, ensemble.stamp)


class Persistence:
    """Recursive average of R0 and R1 over frames, before dealiasing."""

    def __init__(self, device: Device, *, shape: tuple[int, int], config: PersistenceConfig) -> None:
        try:
            self._blend = Blend(device, shape=shape, factor=config.factor) if config.factor else None
        except ValueError as error:
            raise TrueflowError(str(error), where="config [persistence] factor") from error
        self._device, self._begun = device, False
        if self._blend is not None:  # made once: a recorded frame looks for the past where it was
            self._r0, self._r1 = device.empty(shape, np.float32), device.empty(shape, np.complex64)

    @property
    def only_launches(self) -> bool:
        """Whether the next call launches what all later ones do: the first has nothing to blend with."""
        return self._blend is None or self._begun

    def __call__(self, now: DopplerFrame) -> DopplerFrame:
        """Blend with what came before; the first frame passes as it is."""
        if self._blend is None:
            return now
        if self._begun:
            r0, r1 = self._blend(now.r0, now.r1, self._r0, self._r1)
            now = replace(now, r0=r0, r1=r1)
        self._device.copy(now.r0, self._r0)
        self._device.copy(now.r1, self._r1)
        self._begun = True
        return now

    def reset(self) -> None:
        """Forget the past (freeze, new settings, another scene)."""
        self._begun = False
