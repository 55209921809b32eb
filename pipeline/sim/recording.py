"""`sim://SCENE?option=value&...`: a simulated recording with truth."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from trueflow.kernels.device import Device, get_device
from trueflow.pipeline.config import BeamformConfig, GridConfig
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.geometry import make_grid
from trueflow.pipeline.grid import ImageGrid
from trueflow.pipeline.sim.beams import Beams
from trueflow.pipeline.sim.field import SceneField
from trueflow.pipeline.sim.library import make_scene
from trueflow.pipeline.sim.options import Options, parse_url
from trueflow.pipeline.sim.scene import Scene, speed_m_s
from trueflow.pipeline.sim.stream import View
from trueflow.pipeline.sources.base import Recording, Truth

if TYPE_CHECKING:
    from trueflow.pipeline.sim.echoes import ChannelEchoes
    from trueflow.pipeline.sim.fast import FastEchoes

__all__ = ["SimRecording", "open_sim", "view_of"]

LARGEST_MARGIN_M = 80e-3  # sown all around, blood is then several times what is seen
LEAST_MARGIN_M = 2e-3
USUAL_RATIO = 2.5  # of the largest speed to the peak, which may be one along the beams
STILL = 0.02  # of v_N: slower blood is not flow
KEPT_BURSTS = 2


def open_sim(url: str) -> SimRecording:
    """The recording that a `sim://` URL describes."""
    return SimRecording.from_url(url)


def view_of(grid: ImageGrid) -> View:
    """The rectangle around a grid."""
    x, z = grid.x_m, grid.z_m
    return View(float(x.min()), float(x.max()), float(z.min()), float(z.max()))


class SimRecording(Recording):
    """Bursts of channel RF, or of beamformed IQ in the fast mode, made when they are read; a burst is one packet.

    Parameters
    ----------
    scene : Scene
    options : Options
        Acquisition, number of bursts, noise, seed.
    device : Device, optional
        Where echoes are computed. Default: the CPU.

    Attributes
    ----------
    scene : Scene
    field : SceneField
        Flow, masks, brightness.
    seed : int
    """

    format_name: ClassVar[str] = "simulation"
    burst_interval_s: float

    def __init__(self, scene: Scene, options: Options, *, device: Device | None = None, url: str = "") -> None:
        self.scene, self.options = scene, options
        self.acquisition = a = options.acquisition()
        self.path = Path(url or f"sim://{scene.name}")
        self.url = url or f"sim://{scene.name}"
        self.burst_length = a.n_ensemble
        self.n_slow_time = options.frames * a.n_ensemble
        self.burst_interval_s = options.burst_interval_s(a)
        self._beamform = BeamformConfig(f_number=options.f_number)
        self._beams = Beams(a, self._beamform)
        if options.mode == "fast":
            self.grid = make_grid(a, GridConfig())
            self.acquisition = replace(a, sample_kind="beamformed")
        self._device = device
        self._echoes: ChannelEchoes | FastEchoes | None = None
        self._bursts: OrderedDict[int, NDArray[Any]] = OrderedDict()
        self._directions: tuple[ImageGrid, tuple[NDArray[np.float64], NDArray[np.float64]]] | None = None
        self.field, self.margin_m = self._make_field()

    @classmethod
    def from_url(cls, url: str, *, device: Device | None = None) -> SimRecording:
        """The recording of `sim://SCENE?option=value&...`; SCENE is a name or the path of a TOML file.

        Raises
        ------
        TrueflowError
            Unknown scene or option, values that do not fit.
        """
        name, options = parse_url(url)
        if name.endswith(".toml"):
            scene = Scene.load(name)
        else:
            scene = make_scene(name, view_of(make_grid(options.acquisition(), GridConfig())))
        return cls(options.apply(scene), options, device=device, url=url)

    def _make_field(self) -> tuple[SceneField, float]:
        """The scene with as much around it as blood travels during a burst."""
        a = self.acquisition
        view = view_of(make_grid(a, GridConfig()))
        peak, measured = speed_m_s(self.scene.peak, a.nyquist_velocity_m_s())
        burst_s = a.packet_s
        margin_m = min(LEAST_MARGIN_M + USUAL_RATIO * abs(peak) * burst_s, LARGEST_MARGIN_M)
        while True:
            field = SceneField(
                self.scene, view, margin_m=margin_m, peak_m_s=peak, gauge=self._beams.direction if measured else None
            )
            needed_m = 1.5e-3 + 1.05 * field.top_speed_m_s * burst_s
            if needed_m <= margin_m:
                return field, needed_m
            margin_m = 1.2 * needed_m
            if margin_m > LARGEST_MARGIN_M:
                raise TrueflowError(
                    "blood travels too far during a burst",
                    where=self.url,
                    found=f"{1e3 * needed_m:.0f} mm",
                    expected=f"at most {1e3 * LARGEST_MARGIN_M:.0f} mm",
                    advice="a lower peak, fewer pulses or a higher prf",
                )

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Slow-time samples start..stop-1: channel RF int16 (stop - start, n_transmits, n_elements, n_samples).

        Of the fast mode beamformed IQ, complex64 (stop - start, n_z, n_x).
        """
        n = self.burst_length
        if not 0 <= start < stop <= self.n_slow_time:
            raise TrueflowError(
                "outside the recording", where=self.url, found=f"{start} to {stop}", expected=f"0 to {self.n_slow_time}"
            )
        parts = [
            self._burst(burst)[max(start - burst * n, 0) : stop - burst * n]
            for burst in range(start // n, -(-stop // n))
        ]
        return np.concatenate(parts) if len(parts) > 1 else parts[0].copy()

    def truth(self, start: int, stop: int, grid: ImageGrid) -> Truth:
        """What an estimator should see of slow-time samples start..stop-1 (of one burst): truth at their middle.

        The mask has the blood that is within reach of the beams and not at rest.
        """
        a = self.acquisition
        last_s = self.slow_time_s(stop - 1) + (a.n_transmits - 1) / a.prf_hz
        time_s = (self.slow_time_s(start) + last_s) / 2
        along_x, along_z = self._directions_on(grid)
        v_x, v_z, depth = self.field.velocity_m_s(grid.x_m, grid.z_m, time_s)
        velocity = np.nan_to_num(v_x * along_x + v_z * along_z)
        drift_x, drift_z = self.field.shift_velocity_m_s(time_s)
        speed = np.hypot(v_x - drift_x, v_z - drift_z)
        mask = (depth > 0) & (speed > STILL * a.nyquist_velocity_m_s()) & np.isfinite(along_x)
        return Truth(velocity.astype(np.float32), mask)

    def _directions_on(self, grid: ImageGrid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if self._directions is None or self._directions[0] is not grid:
            self._directions = grid, self._beams.direction(grid.x_m, grid.z_m)
        return self._directions[1]

    def _burst(self, number: int) -> NDArray[Any]:
        if number in self._bursts:
            self._bursts.move_to_end(number)
            return self._bursts[number]
        samples = self._simulator().burst(number, number * self.burst_interval_s)
        self._bursts[number] = samples
        while len(self._bursts) > KEPT_BURSTS:
            self._bursts.popitem(last=False)
        return samples

    def _simulator(self) -> ChannelEchoes | FastEchoes:
        if self._echoes is None:
            device = self._device or get_device("cpu")
            # Imported here: truth alone needs no kernel.
            if self.grid is not None:
                from trueflow.pipeline.sim.fast import FastEchoes

                self._echoes = FastEchoes(
                    device,
                    self.acquisition,
                    self.field,
                    self._beamform,
                    grid=self.grid,
                    margin_m=self.margin_m,
                    snr_db=self.options.snr,
                    seed=self.options.seed,
                )
            else:
                from trueflow.pipeline.sim.echoes import ChannelEchoes

                self._echoes = ChannelEchoes(
                    device,
                    self.acquisition,
                    self.field,
                    self._beamform,
                    margin_m=self.margin_m,
                    snr_db=self.options.snr,
                    seed=self.options.seed,
                )
        return self._echoes

    def close(self) -> None:
        """Forget the bursts."""
        self._bursts.clear()
