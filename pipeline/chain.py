"""The chain: one packet of raw samples in, one color frame out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from trueflow.kernels.cuda_foreign import is_on_gpu
from trueflow.kernels.cuda_setup import DeviceError
from trueflow.kernels.device import Device, DeviceUnavailableError, get_device
from trueflow.pipeline.acquisition import Acquisition
from trueflow.pipeline.clutter import Clutter
from trueflow.pipeline.config import Config
from trueflow.pipeline.continuity import Continuity
from trueflow.pipeline.dealias import Dealias, FlowPhase
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import BmodeFrame, ColorFrame, DopplerFrame, RfPacket, Segmentation, Stamp
from trueflow.pipeline.geometry import insonified, make_grid
from trueflow.pipeline.grid import ImageGrid
from trueflow.pipeline.segment import Segment, make_segment
from trueflow.pipeline.stages import Beamform, Bmode, Doppler, EnterBeamformed, Persistence
from trueflow.pipeline.stagger import Stagger, check_staggered, staggered_mask
from trueflow.pipeline.sub_bands import SubBands

if TYPE_CHECKING:
    from trueflow.kernels.cuda_graph import FrameGraph

__all__ = ["ColorFlow", "open_device"]


class ColorFlow:
    """Raw samples to color Doppler, planned for one acquisition.

    Parameters
    ----------
    acquisition : Acquisition
    config : Config, optional
    grid : ImageGrid, optional
        Default: from the config, the probe and the recorded depth. Beamformed sources bring their own.
    device : {"cpu", "cuda"} or Device
    n_threads : int, optional
        CPU only. Default: all cores. Results do not depend on it.

    Raises
    ------
    TrueflowError
        Where the settings do not fit the acquisition, or the device is not there; here and while frames are made, where
        the device refuses (out of memory).

    Examples
    --------
    >>> flow = ColorFlow(acquisition)  # doctest: +SKIP
    >>> frame = flow(packet)  # doctest: +SKIP
    """

    def __init__(
        self,
        acquisition: Acquisition,
        config: Config | None = None,
        *,
        grid: ImageGrid | None = None,
        device: str | Device = "cpu",
        n_threads: int | None = None,
    ) -> None:
        self.device = open_device(device, n_threads)
        self._config = config or Config()
        self.acquisition = acquisition = self._config.acquisition.applied_to(acquisition)
        if acquisition.sample_kind == "beamformed":
            if grid is None:
                raise TrueflowError(
                    "beamformed data needs its grid", where="ColorFlow", advice="pass grid=recording.grid"
                )
            self.grid = grid
            self._beamform: Beamform | EnterBeamformed = EnterBeamformed(self.device, acquisition, grid)
        else:
            self.grid = grid or make_grid(acquisition, self._config.grid)
            self._beamform = Beamform(
                self.device, acquisition, self.grid, demodulate=self._config.demodulate, beamform=self._config.beamform
            )
        with _device_errors():
            self._plan_estimates()
        self._segment: Segment | None = None
        self._segment_planned = False
        self._graph = self.device.frame_graph()
        self._continuity = Continuity()

    def _plan_estimates(self) -> None:
        """Everything behind the beamformer."""
        a, c, shape = self.acquisition, self._config, self.grid.shape
        staggered = a.stagger is not None
        if staggered:
            check_staggered(c)
        self._bmode = Bmode(self.device, shape=shape, n_ensemble=a.n_ensemble)
        self._clutter = Clutter(
            self.device,
            shape=shape,
            n_ensemble=a.n_ensemble,
            config=c.clutter,
            times=a.pulse_times_s * a.slow_time_rate_hz if staggered else None,
        )
        self._doppler = Doppler(
            self.device,
            shape=shape,
            n_ensemble=self._clutter.n_out,
            nyquist_velocity_m_s=a.nyquist_velocity_m_s(c.doppler.lag),
            config=c.doppler,
            step=2 if staggered else 1,
        )
        self._second_phase = self._plan_second_phase() if c.dealias.second_phase else None
        self._persistence = Persistence(self.device, shape=shape, config=c.persistence)
        noise_filter = self._clutter.noise_filter
        self._dealias = Dealias(
            self.device,
            a,
            self.grid,
            doppler=c.doppler,
            mask=staggered_mask(c.mask, c.doppler, noise_filter) if staggered else c.mask,
            config=c.dealias,
            noise_filter=noise_filter,
            # Nobody says how beamformed data was transmitted.
            reach=insonified(a, self.grid) if c.mask.beam and a.sample_kind != "beamformed" else None,
        )

    def _plan_second_phase(self) -> SubBands | Stagger:
        a, c = self.acquisition, self._config
        if a.stagger is None:
            return SubBands(self.device, a, self.grid, self._clutter, c.doppler)
        return Stagger(self.device, a, self.grid, self._clutter, doppler=c.doppler, persistence=c.persistence)

    def __call__(self, packet: RfPacket, /) -> ColorFrame:
        """Process one packet; `timings_s` of the result says where the time went."""
        packet, forget = self._continuity.follow(packet)
        if forget:
            self._forget()
        with _device_errors():
            if self._graph is None or not self._only_launches:
                return self._process(packet)
            return self._recorded(packet, self._graph)

    def _recorded(self, packet: RfPacket, graph: FrameGraph) -> ColorFrame:
        """The same by way of a recording, where there is one: launched with one call."""
        clock, stamp = _Clock(), packet.stamp
        kind = self._clutter.kind(stamp), self._dealias.kind(stamp)
        made, replayed = graph(lambda: self._process(packet), [self._beamform.uploaded(packet)], kind=kind)
        if not replayed:
            return made
        self._dealias.replayed(stamp)
        frame: ColorFrame = _renewed(made, stamp, self._copied)
        clock.lap("replay")
        return replace(frame, timings_s=MappingProxyType(clock.laps))

    @property
    def _only_launches(self) -> bool:
        """Whether a frame may be recorded: all that waits for the first packets is planned, and no stage waits."""
        stages = (self._clutter, self._second_phase, self._persistence, self._dealias, self._segment)
        return all(stage is None or stage.only_launches for stage in stages)

    def _copied(self, array: Any) -> Any:
        copy = self.device.empty(array.shape, array.dtype)
        self.device.copy(array, copy)
        return copy

    def _process(self, packet: RfPacket) -> ColorFrame:
        clock = _Clock()
        iq = self._beamform(packet)
        clock.lap("beamform")
        bmode = self._bmode(iq)
        clock.lap("bmode")
        filtered = self._clutter(iq)
        clock.lap("clutter")
        doppler = self._persistence(self._doppler(filtered))
        clock.lap("doppler")
        flow = self._dealias.flow(doppler)
        clock.lap("flow")
        if self._second_phase is not None:
            doppler = replace(doppler, second=self._second_phase(iq, filtered, flow.mask))
        clock.lap("second_phase")
        segmentation = self.segment(bmode, doppler, flow)
        clock.lap("segment")
        velocity = self._dealias(doppler, segmentation, flow=flow)
        clock.lap("dealias")
        return ColorFrame(bmode, doppler, segmentation, velocity, MappingProxyType(clock.laps))

    def reset(self, *, keep_plan: bool = False) -> None:
        """Forget the past: the next packet is treated as the first one of a stream.

        Parameters
        ----------
        keep_plan : bool
            Only what earlier frames left is forgotten, not what the first echoes decided: what "auto" stands for, and
            where the sub-bands lie.
        """
        self._continuity.reset()
        self._forget()
        if keep_plan:
            return
        self._clutter.replan()
        if self._second_phase is not None:
            self._second_phase.replan()
        if self._graph is not None:  # recorded frames hold the old plan
            self._graph.reset()

    def _forget(self) -> None:
        self._persistence.reset()
        self._dealias.reset()
        if isinstance(self._second_phase, Stagger):
            self._second_phase.reset()

    @property
    def config(self) -> Config:
        """The settings in force; what "auto" stands for is known once a packet of echoes has been processed."""
        return replace(self._config, clutter=self._clutter.config)

    def segment(self, bmode: BmodeFrame, doppler: DopplerFrame, flow: FlowPhase) -> Segmentation | None:
        """What the network makes of a frame; with "auto" it is asked where there is no second phase, nor will be."""
        config = self._config.segment
        second = self._second_phase
        heard = doppler.second is not None or (second is not None and second.awaits_echoes)
        if config.enabled == "off" or (config.enabled == "auto" and heard):
            return None
        if not self._segment_planned:
            self._segment = make_segment(self.device, shape=self.grid.shape, config=config)
            self._segment_planned = True
        return None if self._segment is None else self._segment(bmode, doppler, flow)


def open_device(device: str | Device, n_threads: int | None = None) -> Device:
    """A device by name.

    Raises
    ------
    TrueflowError
        Where it is not there.
    """
    if isinstance(device, Device):
        return device
    options = {"n_threads": n_threads} if device == "cpu" else {}
    try:
        return get_device(device, **options)
    except (DeviceUnavailableError, RuntimeError, ValueError) as error:
        raise TrueflowError(str(error), where="--device") from error


@contextmanager
def _device_errors() -> Iterator[None]:
    """What a device refuses in the middle of things (memory, a launch), told as everything else is."""
    try:
        yield
    except DeviceError as error:
        raise TrueflowError(str(error), where="device") from error


def _renewed(message: Any, stamp: Stamp, copied: Callable[[Any], Any]) -> Any:
    """A message with another stamp and copies of its arrays on the device."""
    values = {field.name: getattr(message, field.name) for field in fields(message)}
    for name, value in values.items():
        if isinstance(value, Stamp):
            values[name] = stamp
        elif is_dataclass(value):
            values[name] = _renewed(value, stamp, copied)
        elif is_on_gpu(value):
            values[name] = copied(value)
    return type(message)(**values)


class _Clock:
    """Laps of one frame. On a GPU launches return at once, so there these are the times of the host."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = now - self._last
        self._last = now
