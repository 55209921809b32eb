"""What a second pulse interval is worth where no slow border tells the fold, beside two sub-bands and nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

from trueflow.benchmarks.dealias_tally import Tally, tally
from trueflow.benchmarks.processes import spread
from trueflow.benchmarks.validation import BANDWIDTH
from trueflow.kernels.device import Device, get_device
from trueflow.pipeline.chain import ColorFlow
from trueflow.pipeline.config import Config
from trueflow.pipeline.mask import least_coherence
from trueflow.pipeline.sim.recording import SimRecording
from trueflow.pipeline.sources.framing import Framing, packets
from trueflow.pipeline.stagger import staggered_mask

__all__ = ["FAMILIES", "PEAKS", "SEEDS", "SETTINGS", "StaggerResult", "run_stagger"]

FAMILIES = ("cropped", "plug")  # no slow border
PEAKS = (1.7, 3.0)
SEEDS = (1, 2, 3)
# By name: the stagger, and settings of the chain.
SETTINGS: dict[str, tuple[str | None, tuple[str, ...]]] = {
    "no second phase": (None, ("dealias.second_phase=false",)),
    "sub-bands": (None, ()),
    "3:4": ("3:4", ()),
    "4:5": ("4:5", ()),
}


@dataclass(frozen=True, slots=True, eq=False)
class StaggerResult:
    """One setting on one scene, the pixels of all seeds pooled.

    Parameters
    ----------
    family : str
    peak : float
        In multiples of v_N; flow is steady.
    setting : str
        One of `SETTINGS`.
    coherence_gate : float
        |R1| / R0 that the flow mask asks for.
    tally : Tally
    """

    family: str
    peak: float
    setting: str
    coherence_gate: float
    tally: Tally


def run_stagger(
    *,
    families: Sequence[str] = FAMILIES,
    peaks: Sequence[float] = PEAKS,
    seeds: Sequence[int] = SEEDS,
    n_processes: int | None = None,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> list[StaggerResult]:
    """Every one of `SETTINGS` on every scene, 16 pulses at 15 dB; a process on each core, unless told otherwise."""
    scenes = [(family, peak) for family in families for peak in peaks]
    staggers = dict.fromkeys(stagger for stagger, _ in SETTINGS.values())
    jobs = [(*scene, seed, stagger) for scene in scenes for seed in seeds for stagger in staggers]
    scored = spread(_score, jobs, n_processes=n_processes, advance=advance)
    results = []
    for scene in scenes:
        of_scene = [found for (family, peak, *_), found in zip(jobs, scored, strict=True) if (family, peak) == scene]
        for setting in SETTINGS:
            gates, tallies = zip(*(found[setting] for found in of_scene if setting in found), strict=True)
            results.append(StaggerResult(*scene, setting, max(gates), reduce(add, tallies)))
    return results


def _score(job: tuple[str, float, int, str | None]) -> dict[str, tuple[float, Tally]]:
    """Coherence gate and counts of one frame with each of the settings that this stagger has."""
    return dict(_scored(*job, get_device("cpu", n_threads=1)))


def _scored(
    family: str, peak: float, seed: int, stagger: str | None, device: Device
) -> Iterator[tuple[str, tuple[float, Tally]]]:
    recording = SimRecording.from_url(
        f"sim://{family}?peak={peak:g}vN&seed={seed}&pulses=16&snr=15&frames=1&bandwidth={BANDWIDTH:g}&mode=fast"
        "&waveform=constant" + (f"&stagger={stagger}" if stagger else ""),
        device=device,
    )
    acquisition, _, stream = packets(recording, Framing())
    packet = next(stream)
    for setting, (its_stagger, changes) in SETTINGS.items():
        if its_stagger != stagger:
            continue
        config = Config().override(list(changes))
        flow = ColorFlow(acquisition, config, grid=recording.grid, device=device)
        velocity = flow(packet).velocity
        noise_filter = flow._clutter.noise_filter
        mask = staggered_mask(config.mask, config.doppler, noise_filter) if stagger else config.mask
        gate = least_coherence(mask, config.doppler, noise_filter)
        yield setting, (gate, tally(velocity, recording.truth(0, recording.burst_length, flow.grid)))
