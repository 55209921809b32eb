"""The validation set of dealiasing: frozen scenes with known truth, taken through the real chain up to R0 and R1.

Twelve families of scenes at peaks of 0.8 to 5 v_N, each once with 16 pulses at 15 dB at its fastest, and once with 8
pulses at 8 dB at another time of the cycle. The engine's confidence curves were fitted to these, its
weights to these and to two more draws of the faster half. That half is there twice more with fresh seeds, which nothing
was fitted to: other speckle and other noise, all else alike.
Scenes are imaged by the beamformed-domain simulation and kept on disk: a case is made once per version of what shapes
it.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.kernels.device import Device
from trueflow.pipeline.acquisition import Acquisition
from trueflow.pipeline.clutter import Clutter
from trueflow.pipeline.config import Config, GridConfig
from trueflow.pipeline.frames import BmodeFrame, DopplerFrame, RfPacket, SecondPhase, Stamp
from trueflow.pipeline.geometry import make_grid
from trueflow.pipeline.grid import ImageGrid
from trueflow.pipeline.sim.recording import SimRecording
from trueflow.pipeline.sources.base import Truth
from trueflow.pipeline.stages import Bmode, Doppler, EnterBeamformed
from trueflow.pipeline.sub_bands import SubBands

__all__ = [
    "FAMILIES", "FRESH_PEAKS", "FRESH_SEEDS", "PEAKS", "Scene", "ValidationCase", "all_cases", "case_path", "cases_of",
    "fresh", "keep_case", "load_scene", "set_version",
]  # fmt: skip

FAMILIES = (
    "straight", "plug", "narrow", "curved", "bifurcation", "femoral", "carotid", "stenosis", "bulb", "opposed",
    "chamber", "cropped",
)  # fmt: skip
PEAKS = (0.8, 1.7, 3.0, 5.0)
# Where seeds matter: on slower scenes nearly no fold is wrong, whatever the seed.
FRESH_PEAKS = PEAKS[2:]
FRESH_SEEDS = ("fresh3", "fresh4")  # with one draw the means of the upper bands change by half from seed to seed
VARIANTS = ((16, 15.0), (8, 8.0))  # pulses, dB
BANDWIDTH = 0.3  # some four cycles: with short pulses blood at 5 v_N leaves its resolution cell from pulse to pulse
BURSTS = 22  # of a cycle, 25 a second
FORMAT = 2


@dataclass(frozen=True, slots=True)
class ValidationCase:
    """One frame of the set.

    Parameters
    ----------
    family : str
    peak : float
        Of the scene over its cycle, in multiples of v_N.
    n_pulses, snr_db : int, float
    seeds : str
        One of `FRESH_SEEDS`; empty for those that the engine was fitted to.
    """

    family: str
    peak: float
    n_pulses: int
    snr_db: float
    seeds: str = ""

    @property
    def name(self) -> str:
        """Unique in both sets."""
        return f"{self.scene}-{self.seeds}" if self.seeds else self.scene

    @property
    def scene(self) -> str:
        """What is imaged: the same whatever the seed."""
        return f"{self.family}-{self.peak:g}vN-{self.n_pulses}p-{self.snr_db:g}dB"

    @property
    def url(self) -> str:
        """The simulation."""
        seed = zlib.crc32(self.name.encode()) & 0xFFFF
        return (
            f"sim://{self.family}?peak={self.peak:g}vN&pulses={self.n_pulses}&snr={self.snr_db:g}&seed={seed}"
            f"&frames={BURSTS}&bandwidth={BANDWIDTH:g}&mode=fast"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What a dealiaser is given, and the truth it is held against.

    Parameters
    ----------
    acquisition : Acquisition
    grid : ImageGrid
    bmode : BmodeFrame
    doppler : DopplerFrame
    truth : Truth
    peak : float
        Largest true speed in the frame, in multiples of v_N.
    noise_filter : (n_out, n_ensemble) float64
        Of the clutter stage.
    """

    acquisition: Acquisition
    grid: ImageGrid
    bmode: BmodeFrame
    doppler: DopplerFrame
    truth: Truth
    peak: float
    noise_filter: NDArray[np.float64]


def all_cases() -> tuple[ValidationCase, ...]:
    """The set that the engine was fitted to, in its order."""
    return tuple(
        ValidationCase(family, peak, *variant) for family in FAMILIES for peak in PEAKS for variant in VARIANTS
    )


def fresh(cases: Iterable[ValidationCase]) -> tuple[ValidationCase, ...]:
    """The faster ones of the cases, with fresh seeds."""
    return tuple(replace(case, seeds=seeds) for case in cases if case.peak in FRESH_PEAKS for seeds in FRESH_SEEDS)


def cases_of(families: tuple[str, ...]) -> tuple[ValidationCase, ...]:
    """The cases of some families."""
    return tuple(case for case in all_cases() if not families or case.family in families)


def load_scene(case: ValidationCase, folder: Path, device: Device) -> Scene:
    """A case, from the folder or made and put there.

    Parameters
    ----------
    case : ValidationCase
    folder : Path
        Where cases are kept.
    device : Device
    """
    keep_case(case, folder, device)
    with np.load(case_path(case, folder), allow_pickle=False) as kept:
        arrays: dict[str, NDArray[Any]] = dict(kept)
    acquisition = _acquisition(case)
    nyquist, stamp = acquisition.nyquist_velocity_m_s(), Stamp(0)
    truth = Truth(arrays["truth_velocity_m_s"], arrays["truth_mask"])
    speeds = np.abs(truth.velocity_m_s[truth.mask])
    return Scene(
        acquisition,
        make_grid(acquisition, GridConfig()),
        BmodeFrame(device.upload(arrays["envelope"]), stamp),
        DopplerFrame(device.upload(arrays["r1"]), device.upload(arrays["r0"]), nyquist, stamp, _second(arrays, device)),
        truth,
        float(speeds.max()) / nyquist if speeds.size else 0.0,
        arrays["noise_filter"],
    )


def case_path(case: ValidationCase, folder: Path) -> Path:
    """Where a case is kept."""
    return folder / f"{case.name}-{set_version()}.npz"


def keep_case(case: ValidationCase, folder: Path, device: Device) -> None:
    """Make a case and put it into the folder, unless it is there."""
    path = case_path(case, folder)
    if path.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    made = _make(case, SimRecording.from_url(case.url, device=device), device)
    part = path.with_suffix(f".{os.getpid()}.part.npz")
    np.savez(part, **made)  # type: ignore[arg-type]
    part.replace(path)


def _acquisition(case: ValidationCase) -> Acquisition:
    from trueflow.pipeline.sim.options import parse_url

    _, options = parse_url(case.url)
    return options.acquisition()


def _make(case: ValidationCase, recording: SimRecording, device: Device) -> dict[str, NDArray[np.generic]]:
    a, grid, config = recording.acquisition, recording.grid, Config()
    assert grid is not None  # beamformed
    burst = _burst(case, recording, grid)
    span = burst * a.n_ensemble, (burst + 1) * a.n_ensemble
    packet = RfPacket(recording.read(*span), Stamp(0))
    iq = EnterBeamformed(device, a, grid)(packet)
    bmode = Bmode(device, shape=grid.shape, n_ensemble=a.n_ensemble)(iq)
    clutter = Clutter(device, shape=grid.shape, n_ensemble=a.n_ensemble, config=config.clutter)
    filtered = clutter(iq)
    doppler = Doppler(
        device,
        shape=grid.shape,
        n_ensemble=clutter.n_out,
        nyquist_velocity_m_s=a.nyquist_velocity_m_s(),
        config=config.doppler,
    )(filtered)
    second = SubBands(device, a, grid, clutter, config.doppler)(iq, filtered)
    truth = recording.truth(*span, grid)
    return {
        "r0": device.download(doppler.r0),
        "r1": device.download(doppler.r1),
        "envelope": device.download(bmode.envelope),
        "truth_velocity_m_s": truth.velocity_m_s,
        "truth_mask": truth.mask,
        "noise_filter": clutter.noise_filter,
    } | ({"second_phasor": device.download(second.phasor), "second_table": second.table} if second else {})


def _second(arrays: dict[str, NDArray[Any]], device: Device) -> SecondPhase | None:
    if "second_phasor" not in arrays:
        return None
    return SecondPhase(device.upload(arrays["second_phasor"]), arrays["second_table"])


def _burst(case: ValidationCase, recording: SimRecording, grid: ImageGrid) -> int:
    """The burst at the fastest of the cycle for the first variant; another one, fixed by the case, for the second."""
    if case.n_pulses != VARIANTS[0][0]:
        return 1 + zlib.crc32(case.scene.encode()) % (BURSTS - 2)
    n = recording.burst_length
    speeds = []
    for burst in range(BURSTS):
        truth = recording.truth(burst * n, (burst + 1) * n, grid)
        speeds.append(float(np.abs(truth.velocity_m_s[truth.mask]).max(initial=0.0)))
    return int(np.argmax(speeds))


@cache
def set_version() -> str:
    """Of everything that shapes a case: the simulation and the chain up to R1."""
    settings = Config()
    digest = hashlib.sha256(repr((FORMAT, settings.grid, settings.clutter, settings.doppler)).encode())
    for path in _sources():
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _sources() -> Iterator[Path]:
    import trueflow.kernels
    import trueflow.pipeline

    pipeline, kernels = (Path(next(iter(m.__path__))) for m in (trueflow.pipeline, trueflow.kernels))
    yield from sorted((pipeline / "sim").glob("*.py"))
    chain = ("acquisition.py", "clutter.py", "geometry.py", "probe.py", "stages.py", "sub_bands.py")
    yield from (pipeline / name for name in chain)
    yield from (
        kernels / name
        for name in (
            "splat.cu",
            "splat.py",
            "slow_time.py",
            "clutter.cu",
            "clutter.py",
            "autocorrelate.cu",
            "maps.cu",
            "math.cuh",
            "packet.cuh",
            "packet_host.hpp",
            "das.py",
            "sub_bands.cu",
            "sub_bands.py",
            "predictions.py",
        )
    )
    yield Path(__file__)
