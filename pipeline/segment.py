"""The stage that asks the segmentation network for the fold of each pixel."""

from __future__ import annotations

import logging
from typing import Protocol

from trueflow.kernels.device import Device
from trueflow.models.segmenter import Segmenter
from trueflow.models.weights import NetworkError
from trueflow.pipeline.config import SegmentConfig
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import BmodeFrame, DopplerFrame, Segmentation

__all__ = ["HasPhase", "Segment", "make_segment"]

_log = logging.getLogger(__name__)


class HasPhase(Protocol):
    """Phase in turns and |R1| / R0 of a frame, both (n_z, n_x): `dealias.FlowPhase` and `dealias.PhaseMap` are such."""

    @property
    def phase_turns(self) -> object:
        """float32."""
        ...

    @property
    def coherence(self) -> object:
        """float32."""
        ...


class Segment:
    """Fold classes and probabilities of a stream.

    Parameters
    ----------
    device : Device
    shape : (n_z, n_x)
    config : SegmentConfig
        `enabled` is for `make_segment`.

    Raises
    ------
    TrueflowError
        Network or engine are not there or do not fit.
    """

    def __init__(self, device: Device, *, shape: tuple[int, int], config: SegmentConfig) -> None:
        try:
            self._segmenter = Segmenter(
                device, shape=shape, engine=config.engine, precision=config.precision, network=config.network
            )
        except (NetworkError, ValueError) as error:
            raise TrueflowError(str(error), where="config [segment]") from error

    @property
    def description(self) -> str:
        """Network, precision and engine."""
        return self._segmenter.description

    @property
    def only_launches(self) -> bool:
        """Whether calls start work on the device and never wait for it; OpenVINO's fetch from a GPU and bring back."""
        return self._segmenter.engine.only_launches

    def __call__(self, bmode: BmodeFrame, doppler: DopplerFrame, flow: HasPhase) -> Segmentation:
        """Segment one frame; its second phase is heard where there is one."""
        second = None if doppler.second is None else (doppler.second.phasor, doppler.second.table)
        found = self._segmenter(doppler.r0, flow.phase_turns, flow.coherence, bmode.envelope, second)
        return Segmentation(*found, doppler.stamp)


def make_segment(device: Device, *, shape: tuple[int, int], config: SegmentConfig) -> Segment | None:
    """The stage, or None where it is off.

    Raises
    ------
    TrueflowError
        It is on, or somebody's own network is named, and it cannot be had.
    """
    if config.enabled == "off":
        return None
    try:
        return Segment(device, shape=shape, config=config)
    except TrueflowError as error:
        if config.enabled == "on" or config.network is not None:
            raise
        _log.warning("dealiasing goes on without the segmentation network: %s", error)
        return None
