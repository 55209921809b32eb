"""The chain, stage by stage and end to end."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from trueflow.benchmarks.cases import Case
from trueflow.benchmarks.timing import Budget, Timing, interleave
from trueflow.kernels.device import Device, get_device
from trueflow.pipeline.chain import ColorFlow
from trueflow.pipeline.frames import IqEnsemble, RfPacket
from trueflow.pipeline.stages import Beamform

__all__ = ["ROWS", "ChainResult", "ChainRunner", "run_chain"]

STAGES = ("upload", "demodulate", "das", "bmode", "clutter", "doppler", "flow", "second_phase", "segment", "dealias")
ROWS = (*STAGES, "rf_to_dealias_input", "end_to_end")
N_PACKETS = 4  # 17 MB of samples: more than the caches near a core hold


@dataclass(frozen=True, slots=True)
class ChainResult:
    """One row: a stage, all stages before dealiasing in one go, or a whole frame, on so many threads.

    Parameters
    ----------
    case, row : str
    n_threads : int
        Of the CPU; the GPU's host thread counts as one.
    timing : Timing
    ensemble_duration_s : float
        How long one ensemble takes to acquire.
    """

    case: str
    row: str
    n_threads: int
    timing: Timing
    ensemble_duration_s: float

    @property
    def real_time_factor(self) -> float:
        """Time to acquire an ensemble over the median time to process it: from 1 on every ensemble can be processed."""
        return self.ensemble_duration_s / self.timing.p50_s

    @property
    def frames_per_s(self) -> float:
        """Packets per second at the median."""
        return 1 / self.timing.p50_s


class ChainRunner:
    """Runs a case once stage by stage and once as a user would."""

    def __init__(self, case: Case, device: Device, n_threads: int) -> None:
        self._device, self._n_threads = device, n_threads
        self._flow = ColorFlow(case.acquisition, case.config, device=device)
        self._packets = itertools.cycle(case.packets(N_PACKETS))
        self._flow(next(self._packets))  # plans what depends on the sample type

    def __call__(self) -> dict[tuple[str, int], float]:
        """Durations (s) by row and threads."""
        laps = self._stages(next(self._packets))
        packet = next(self._packets)
        began = time.perf_counter()
        self._flow(packet)
        self._device.synchronize()
        laps["end_to_end"] = time.perf_counter() - began
        return {(row, self._n_threads): duration_s for row, duration_s in laps.items()}

    def _stages(self, packet: RfPacket) -> dict[str, float]:
        flow, laps = self._flow, {}
        beamform = flow._beamform
        assert isinstance(beamform, Beamform)
        began = last = time.perf_counter()

        def lap(row: str) -> None:
            nonlocal last
            self._device.synchronize()
            now = time.perf_counter()
            laps[row], last = now - last, now

        samples = self._device.upload(packet.samples)
        lap("upload")
        channel_iq = beamform._demodulator(samples)
        lap("demodulate")
        iq = IqEnsemble(beamform._das(channel_iq), packet.stamp)
        lap("das")
        bmode = flow._bmode(iq)
        lap("bmode")
        filtered = flow._clutter(iq)
        lap("clutter")
        doppler = flow._persistence(flow._doppler(filtered))
        lap("doppler")
        phase = flow._dealias.flow(doppler)
        lap("flow")
        if flow._second_phase is not None:
            doppler = replace(doppler, second=flow._second_phase(iq, filtered, phase.mask))
        lap("second_phase")
        laps["rf_to_dealias_input"] = last - began
        segmentation = flow.segment(bmode, doppler, phase)
        lap("segment")
        flow._dealias(doppler, segmentation, flow=phase)
        lap("dealias")
        return laps


def run_chain(
    case: Case,
    *,
    device: str,
    threads: Sequence[int],
    budget: Budget,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> list[ChainResult]:
    """Measure a case, all thread counts in the same rounds.

    Parameters
    ----------
    case : Case
    device : {"cpu", "cuda"}
    threads : sequence of int
        CPU only.
    budget : Budget
    advance : callable, optional
        Progress, as in `interleave`.
    """
    if device == "cpu":
        runners = [ChainRunner(case, get_device("cpu", n_threads=n), n) for n in threads]
    else:
        runners = [ChainRunner(case, get_device(device), 1)]
    durations = interleave(runners, budget, advance)
    return [
        ChainResult(case.name, row, n, Timing.of(durations[row, n]), case.ensemble_duration_s)
        for n in (runner._n_threads for runner in runners)
        for row in ROWS
        if not (row == "upload" and device == "cpu")  # nothing moves
    ]
