"""What each kernel of the chain takes on the GPU, by events around its launches: to be held against docs/gpu.md.

`python -m trueflow.benchmarks.gpu_kernels FILE` writes JSON.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from trueflow.benchmarks.cases import CASES, Case
from trueflow.kernels.cuda import CudaDevice
from trueflow.kernels.device import Kernel
from trueflow.pipeline.chain import ColorFlow

__all__ = ["TimedDevice", "kernel_times"]

WARM_UP, FRAMES = 5, 50


class TimedDevice(CudaDevice):
    """A CUDA device that puts an event before and one after each launch; frames are not recorded."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, record_frames=False)
        self.laps: list[tuple[str, Any, Any]] = []

    def kernel(self, stem: str, name: str, *, packet_width: int | None = None) -> Kernel:
        """The kernel, timed."""
        return _Timed(self, super().kernel(stem, name, packet_width=packet_width))

    def event(self) -> Any:
        """An event that knows its time, on the device's stream."""
        event = self.xp.cuda.Event()
        event.record(self.stream)
        return event


class _Timed(Kernel):
    def __init__(self, device: TimedDevice, kernel: Kernel) -> None:
        super().__init__(kernel.source, kernel.name, kernel.packet_width)
        self._device, self._kernel = device, kernel

    def _launch(self, grid: tuple[int, int, int], block: tuple[int, int, int], arguments: list[Any]) -> None:
        began = self._device.event()
        self._kernel._launch(grid, block, arguments)
        self._device.laps.append((f"{self.source.path.stem}.{self.name}", began, self._device.event()))


def kernel_times(case: Case, device: TimedDevice, *, frames: int = FRAMES) -> list[dict[str, Any]]:
    """Median time a frame spends in each kernel.

    Returns
    -------
    list of dict
        kernel, launches (a frame), median_us; the longest first.
    """
    flow = ColorFlow(case.acquisition, case.config, device=device)
    packets = case.packets(4)
    per_frame: dict[str, list[float]] = defaultdict(list)
    launches: dict[str, int] = {}
    for index in range(WARM_UP + frames):
        device.laps.clear()
        flow(packets[index % len(packets)])
        device.synchronize()
        if index < WARM_UP:
            continue
        sums: dict[str, float] = defaultdict(float)
        counts: dict[str, int] = defaultdict(int)
        for name, began, ended in device.laps:
            sums[name] += 1e3 * float(device.xp.cuda.get_elapsed_time(began, ended))
            counts[name] += 1
        for name, duration_us in sums.items():
            per_frame[name].append(duration_us)
        launches |= counts
    rows = [
        {"kernel": name, "launches": launches[name], "median_us": statistics.median(durations)}
        for name, durations in per_frame.items()
    ]
    return sorted(rows, key=lambda row: -row["median_us"])


def main(path: Path) -> None:
    """Time `femoral` with the dealiasing engine."""
    case = CASES["femoral"]().override("dealias.name=regions")
    path.write_text(json.dumps(kernel_times(case, TimedDevice()), indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
