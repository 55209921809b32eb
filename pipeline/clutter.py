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
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import IqEnsemble
from trueflow.pipeline.registry import Registry

__all__ = ["CLUTTER_FILTERS", "Clutter"]


class EnsembleFilter(Protocol):
    """What a clutter filter is: complex64 (n_z, n_x, n_ensemble) in, (n_z, n_x, n_out) out."""

    n_out: int

    def __call__(self, iq: Any, *, continuous: bool = False) -> Any:
        """Filter an ensemble on the device."""


# What `order` is where the config leaves it open.
ORDERS = {"auto": 1, "polynomial": 1, "fir": 4, "iir": 2}

# Device, image shape, when the slow-time samples are taken (in any unit), settings.
Builder = Callable[[Device, tuple[int, int], NDArray[np.float64], ClutterConfig], EnsembleFilter]
CLUTTER_FILTERS: Registry[Builder] = Registry("clutter filter")


@CLUTTER_FILTERS.register("none")
class _NoFilter:
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
    design = slow_time.polynomial_filter(len(times), order=_order(config), times=times)
    return MatrixFilter(device, design, shape=shape)


@CLUTTER_FILTERS.register("fir")
def _fir(device: Device, shape: tuple[int, int], times: NDArray[np.float64], config: ClutterConfig) -> EnsembleFilter:
    _check_even(times, config)
    design = slow_time.fir_filter(
        len(times), cutoff_fraction=config.cutoff_fraction, order=_order(config), keep_state=config.keep_state
    )
    return MatrixFilter(device, design, shape=shape)


@CLUTTER_FILTERS.register("iir")
def _iir(device: Device, shape: tuple[int, int], times: NDArray[np.float64], config: ClutterConfig) -> EnsembleFilter:
    _check_even(times, config)
    design = slow_time.iir_filter(
        len(times),
        cutoff_fraction=config.cutoff_fraction,
        order=_order(config),
        initialization=config.initialization,
        keep_state=config.keep_state,
    )
    return MatrixFilter(device, design, shape=shape)


@CLUTTER_FILTERS.register("svd")
def _svd(device: Device, shape: tuple[int, int], times: NDArray[np.float64], config: ClutterConfig) -> EnsembleFilter:
    return SvdFilter(device, shape=shape, n_ensemble=len(times), rank_low=config.rank_low, rank_high=config.rank_high)


@CLUTTER_FILTERS.register("auto")
class _AutoFilter:
    """Regression of the configured order where the first packet shows tissue, no filter where it does not.

    Tissue is brighter than blood and hardly moves: regression then takes nearly all power out of the brightest pixels.
    A flow phantom or a spinning disk without tissue loses little, and a filter would only bias its slow parts.
    """

    def __init__(
        self, device: Device, shape: tuple[int, int], times: NDArray[np.float64], config: ClutterConfig
    ) -> None:
        self.n_out = len(times)
        self._device, self._config = device, config
        self._regression: EnsembleFilter | None = None
        if _order(config) <= len(times) - 3:
            self._regression = CLUTTER_FILTERS["polynomial"](device, shape, times, config)
        self.chosen = None if self._regression else replace(config, name="none")

    def __call__(self, iq: Any, *, continuous: bool = False) -> Any:
        if self.chosen is None:
            assert self._regression is not None
            echo, rest = self._device.download(iq), self._device.download(self._regression(iq))
            if not np.isfinite(echo).all():
                raise ValueError("IQ holds NaN or infinity")
            name = "polynomial" if shows_tissue(echo, rest) else "none"
            self.chosen = replace(self._config, name=name)
        if self._regression is None or self.chosen.name == "none":
            return iq
        return self._regression(iq, continuous=continuous)


def _order(config: ClutterConfig) -> int:
    return ORDERS[config.name] if config.order is None else config.order


def _check_even(times: NDArray[np.float64], config: ClutterConfig) -> None:
    steps = np.diff(times)
    if steps.size and np.ptp(steps) > 1e-6 * steps.mean():
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
            cutoff, order = c.cutoff_fraction, _order(c)
            if c.name == "fir":
                design = slow_time.fir_filter(n, cutoff_fraction=cutoff, order=order, keep_state=c.keep_state)
                return design.output[:, :n]
            return slow_time.iir_filter(n, cutoff_fraction=cutoff, order=order, initialization=c.initialization).output
        order = {"none": -1, "svd": c.rank_low - 1}.get(c.name, _order(c) if c.name in ORDERS else -1)
        if not 0 <= order <= n - 3:
            return slow_time.identity(n).output
        return slow_time.polynomial_filter(n, order=order, times=self._times).output

    @property
    def config(self) -> ClutterConfig:
        """The settings in force; "auto" is replaced by what it chose once a packet has been seen."""
        return getattr(self._filter, "chosen", None) or self._config

    def __call__(self, ensemble: IqEnsemble) -> IqEnsemble:
        """Filter one ensemble."""
        try:
            return IqEnsemble(self._filter(ensemble.iq, continuous=ensemble.stamp.continuous), ensemble.stamp)
        except ValueError as error:
            raise TrueflowError(str(error), where=f"packet {ensemble.stamp.index}") from error
