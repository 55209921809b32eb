"""Clutter filters by name. A new one is one function here; tests and benchmarks run over the registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from trueflow.kernels import slow_time
from trueflow.kernels.clutter import MatrixFilter, SvdFilter
from trueflow.kernels.device import Device
from trueflow.pipeline.config import ClutterConfig
from trueflow.pipeline.echo_gate import LEAST_SHARE, EchoGate
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import IqEnsemble, Stamp
from trueflow.pipeline.registry import Registry

__all__ = ["CLUTTER_FILTERS", "Clutter"]


class EnsembleFilter(Protocol):
    """What a clutter filter is: complex64 (n_z, n_x, n_ensemble) in, (n_z, n_x, n_out) out."""

    n_out: int

    @property
    def only_launches(self) -> bool:
        """Whether a call starts work on the device and never waits for it."""

    def __call__(self, iq: Any, *, continuous: bool = False) -> Any:
        """Filter an ensemble on the device."""


# What `order` is where the config leaves it open.
ORDERS = {"auto": 1, "polynomial": 1, "fir": 4, "iir": 2}
# Of so few pulses a straight line leaves noise as coherent as blood: with four, 35 % of the folds shown in the femoral
# scene at 2.5 v_N were wrong, and none with the mean taken out alone. From six pulses on the mean alone is too little:
# in that scene (tissue 35 dB over blood, walls that move, 12 frames) it colored 69,413 pixels outside vessels, a line
# 620. With five the mean alone colors 584: noise is then so coherent by itself that the gate is higher.
FEW_PULSES = 5

# Device, image shape, when the slow-time samples are taken (in any unit), settings.
Builder = Callable[[Device, tuple[int, int], NDArray[np.float64], ClutterConfig], EnsembleFilter]
CLUTTER_FILTERS: Registry[Builder] = Registry("clutter filter")


@CLUTTER_FILTERS.register("none")
class _NoFilter:
    only_launches = True

    def __init__(
        self, device: Device, shape: tuple[int, int], times: NDArray[np.float64], config: ClutterConfig
    ) -> None:
        self.n_out = len(times)

    def __call__(self, iq: Any, *, continuous: bool = False) -> Any:
        return iq


@CLUTTER_FILTERS.register("polynomial")
def _polynomial(
    device: Device, shape: tuple[int, int], times: NDArray[np.float64], config: ClutterConfig
) -> EnsembleFilter:
    design = slow_time.polynomial_filter(len(times), order=_order(config, len(times)), times=times)
    return MatrixFilter(device, design, shape=shape)


@CLUTTER_FILTERS.register("fir")
def _fir(device: Device, shape: tuple[int, int], times: NDArray[np.float64], config: ClutterConfig) -> EnsembleFilter:
    _check_even(times, config)
    design = slow_time.fir_filter(
        len(times),
        cutoff_fraction=config.cutoff_fraction,
        order=_order(config, len(times)),
        keep_state=config.keep_state,
    )
    return MatrixFilter(device, design, shape=shape)


@CLUTTER_FILTERS.register("iir")
def _iir(device: Device, shape: tuple[int, int], times: NDArray[np.float64], config: ClutterConfig) -> EnsembleFilter:
    _check_even(times, config)
    design = slow_time.iir_filter(
        len(times),
        cutoff_fraction=config.cutoff_fraction,
        order=_order(config, len(times)),
        initialization=config.initialization,
        keep_state=config.keep_state,
    )
    return MatrixFilter(device, design, shape=shape)


@CLUTTER_FILTERS.register("svd")
def _svd(device: Device, shape: tuple[int, int], times: NDArray[np.float64], config: ClutterConfig) -> EnsembleFilter:
    return SvdFilter(device, shape=shape, n_ensemble=len(times), rank_low=config.rank_low, rank_high=config.rank_high)


@CLUTTER_FILTERS.register("auto")
class _AutoFilter:
    """Regression of the configured order where the first packet of echoes shows tissue, no filter where it does not.

    Tissue is brighter than blood and hardly moves: regression then takes nearly all power out of the brightest pixels.
    A flow phantom or a spinning disk without tissue loses little, and a filter would only bias its slow parts. Noise
    says neither: until echoes come it is filtered, and nothing is chosen.
    """

    def __init__(
        self, device: Device, shape: tuple[int, int], times: NDArray[np.float64], config: ClutterConfig
    ) -> None:
        self.n_out = len(times)
        self._device, self._config = device, config
        self.chosen: ClutterConfig | None
        self._regression: EnsembleFilter | None = None
        if _order(config, len(times)) <= len(times) - 3:
            self._regression = CLUTTER_FILTERS["polynomial"](device, shape, times, config)
            self._gate = EchoGate(device, shape=shape, n_ensemble=len(times), step=1 if _are_even(times) else 2)
        self.replan()

    @property
    def only_launches(self) -> bool:
        """Whether it has chosen."""
        return self.chosen is not None

    def __call__(self, iq: Any, *, continuous: bool = False) -> Any:
        if self._regression is None:
            return iq
        if self.chosen is None:
            self.chosen = self._choice(iq, self._regression)
        if self.chosen is not None and self.chosen.name == "none":
            return iq
        return self._regression(iq, continuous=continuous)

    def _choice(self, iq: Any, regression: EnsembleFilter) -> ClutterConfig | None:
        if self._gate.share(iq) <= LEAST_SHARE:  # NaN goes on, to be refused
            return None
        echo = self._device.download(iq)
        if not np.isfinite(echo).all():
            raise ValueError("IQ holds NaN or infinity")
        tissue = shows_tissue(echo, self._device.download(regression(iq)))
        return replace(self._config, name="polynomial" if tissue else "none")

    def replan(self) -> None:
        """Choose anew with the next packet of echoes."""
        self.chosen = None if self._regression else replace(self._config, name="none")


def _order(config: ClutterConfig, n_pulses: int) -> int:
    if config.order is not None:
        return config.order
    return 0 if config.name in ("auto", "polynomial") and n_pulses <= FEW_PULSES else ORDERS[config.name]


def _are_even(times: NDArray[np.float64]) -> bool:
    steps = np.diff(times)
    return not steps.size or bool(np.ptp(steps) <= 1e-6 * steps.mean())


def _check_even(times: NDArray[np.float64], config: ClutterConfig) -> None:
    if not _are_even(times):
        raise ValueError(f"{config.name} takes evenly spaced pulses; staggered ones: polynomial, svd, auto or none")


def shows_tissue(echo: NDArray[np.complex64], rest: NDArray[np.complex64]) -> bool:
    """Whether a regression filter takes nine tenths of the power out of most of the brightest tenth of the pixels."""
    before = (np.abs(echo) ** 2).sum(axis=-1, dtype=np.float64).ravel()
    after = (np.abs(rest) ** 2).sum(axis=-1, dtype=np.float64).ravel()
    brightest = before >= np.quantile(before, 0.9)
    return bool(np.median(after[brightest] / np.maximum(before[brightest], 1e-300)) < 0.1)


class Clutter:
    """The clutter stage: IqEnsemble in, IqEnsemble without slow echoes out (its ensemble may be shorter).

    Parameters
    ----------
    device : Device
    shape : (n_z, n_x)
    n_ensemble : int
    config : ClutterConfig
    times : (n_ensemble,) float64, optional
        When the slow-time samples are taken, in any unit. Default: evenly.

    Raises
    ------
    TrueflowError
        Settings that do not fit the ensemble.
    """

    def __init__(
        self,
        device: Device,
        *,
        shape: tuple[int, int],
        n_ensemble: int,
        config: ClutterConfig,
        times: NDArray[np.float64] | None = None,
    ) -> None:
        if config.keep_state and config.name not in ("fir", "iir"):
            raise TrueflowError(
                "this filter has no state to keep",
                where="config [clutter] keep_state",
                found=f"name = {config.name!r}",
                expected="fir or iir",
            )
        try:
            self._times = np.linspace(-1, 1, n_ensemble) if times is None else times
            self._filter = CLUTTER_FILTERS[config.name](device, shape, self._times, config)
        except ValueError as error:
            raise TrueflowError(str(error), where="config [clutter]") from error
        self._config, self._n_ensemble = config, n_ensemble
        self.n_out = self._filter.n_out

    @property
    def noise_filter(self) -> NDArray[np.float64]:
        """A matrix (n_out, n_ensemble) that does to white noise what the filter does; for SVD, that of a regression."""
        c, n = self.config, self._n_ensemble
        if c.name in ("fir", "iir"):
            cutoff, order = c.cutoff_fraction, _order(c, n)
            if c.name == "fir":
                design = slow_time.fir_filter(n, cutoff_fraction=cutoff, order=order, keep_state=c.keep_state)
                return design.output[:, :n]
            return slow_time.iir_filter(n, cutoff_fraction=cutoff, order=order, initialization=c.initialization).output
        order = {"none": -1, "svd": c.rank_low - 1}.get(c.name, _order(c, n) if c.name in ORDERS else -1)
        if not 0 <= order <= n - 3:
            return slow_time.identity(n).output
        return slow_time.polynomial_filter(n, order=order, times=self._times).output

    @property
    def config(self) -> ClutterConfig:
        """The settings in force; "auto" is replaced by what it chose once a packet of echoes has been seen."""
        return getattr(self._filter, "chosen", None) or self._config

    @property
    def settled(self) -> bool:
        """Whether it is known which filter it is: not before "auto" has chosen."""
        return self.config.name != "auto"

    def replan(self) -> None:
        """Let "auto" choose anew with the next packet of echoes."""
        if isinstance(self._filter, _AutoFilter):
            self._filter.replan()

    @property
    def only_launches(self) -> bool:
        """Whether calls start work on the device and never wait for it: not before "auto" has chosen."""
        return self._filter.only_launches

    def kind(self, stamp: Stamp) -> bool:
        """What the call for a packet decides on the host: whether a state is kept."""
        return self._config.keep_state and stamp.continuous

    def __call__(self, ensemble: IqEnsemble) -> IqEnsemble:
        """Filter one ensemble."""
        try:
            return IqEnsemble(self._filter(ensemble.iq, continuous=ensemble.stamp.continuous), ensemble.stamp)
        except ValueError as error:
            raise TrueflowError(str(error), where=f"packet {ensemble.stamp.index}") from error
