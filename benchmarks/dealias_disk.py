"""Wrong folds on real channel RF with known truth: a rotating disk of which every k-th pulse is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from trueflow.benchmarks.cases import RECORDING, CaseUnavailableError
from trueflow.benchmarks.dealias import Contender
from trueflow.benchmarks.dealias_tally import Tally, tally
from trueflow.benchmarks.recordings import NO_DISK
from trueflow.benchmarks.validation import Scene
from trueflow.kernels.device import Device
from trueflow.pipeline.chain import ColorFlow
from trueflow.pipeline.config import Config
from trueflow.pipeline.sources.base import Truth
from trueflow.pipeline.sources.framing import Framing, packets
from trueflow.pipeline.sources.registry import open_source

__all__ = ["KEPT", "DiskResult", "disk_scene", "run_disk"]

KEPT = (2, 3, 4, 5, 6)  # one pulse in so many: the rim turns at 1.7 to 5.0 v_N

# Solid rotation, as the recording shows it at its full PRF, where nothing aliases.
RATE_RAD_S = 61.3
CENTER_X_M, CENTER_Z_M = -0.76e-3, 22.4e-3
RADIUS_M = 9.5e-3  # of the 10 mm: the rim itself is smeared


@dataclass(frozen=True, slots=True, eq=False)
class DiskResult:
    """One contender with every k-th pulse; `peak` is the largest true speed over v_N."""

    contender: str
    k: int
    n_pulses: int
    peak: float
    tally: Tally


def run_disk(
    contenders: Sequence[Contender], *, device: Device, advance: Callable[[int, int], None] = lambda done, total: None
) -> list[DiskResult]:
    """Every contender on the first frame of every decimation.

    Raises
    ------
    CaseUnavailableError
        Without the recording.
    """
    results = []
    for index, k in enumerate(KEPT):
        scene = disk_scene(k, device)
        for contender in contenders:
            found = tally(contender.frame(scene, device), scene.truth)
            results.append(DiskResult(contender.name, k, scene.acquisition.n_ensemble, scene.peak, found))
        advance(index + 1, len(KEPT))
    return results


def disk_scene(k: int, device: Device) -> Scene:
    """The chain up to the dealias stage, all settings as by default; truth is the disk's rotation."""
    if not RECORDING.is_file():
        raise CaseUnavailableError(NO_DISK)
    with open_source(RECORDING) as recording:
        acquisition, _, stream = packets(recording, Framing(decimate=k))
        flow = ColorFlow(acquisition, Config(), device=device)
        frame = flow(next(stream))
    x_m, z_m = flow.grid.x_m, flow.grid.z_m
    velocity = -RATE_RAD_S * (x_m - CENTER_X_M)
    inside = np.hypot(x_m - CENTER_X_M, z_m - CENTER_Z_M) < RADIUS_M
    nyquist = frame.doppler.nyquist_velocity_m_s
    return Scene(
        acquisition,
        flow.grid,
        frame.bmode,
        frame.doppler,
        Truth(velocity.astype(np.float32), inside),
        float(np.abs(velocity[inside]).max()) / nyquist,
        flow._clutter.noise_filter,
    )
