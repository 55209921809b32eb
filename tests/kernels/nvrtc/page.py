"""Writes docs/gpu.md: `make gpu-model`, or `python -m tests.kernels.nvrtc.page` in the project's folder."""

from __future__ import annotations

from pathlib import Path

from trueflow.kernels.launch import cuda_packet_width

from .compiler import CUDA_12, wheel_version
from .model import GPUS, INSTRUCTION_CLOCKS, READ_CLOCKS, Case, Gpu, Prediction, femoral, others, predict

PAGE = Path(__file__).resolve().parents[3] / "docs" / "gpu.md"
LETTERS = {"instructions": "i", "first-level cache": "c", "main memory": "m", "latency": "l", "start": "s"}

TEXT = """\
# On a GPU

**Every figure here is a prediction. None of it has been measured: no NVIDIA GPU was at hand.** `make gpu-check`, on a
machine with one, tests the device, the kernels and the chain there, and writes measured times of the same kernels to
`build/gpu-check/report.md`; those replace this page's. `make gpu-model` writes this page anew.

## How a time is predicted

A kernel takes the longest of

* **instructions**: thread instructions, four warps of 32 a clock and multiprocessor, or its floating-point operations
  at the data sheet's rate. Instructions of the loops that matter are counted in the machine code (NVRTC {nvrtc}, for
  each architecture), iterations come from the workload; short kernels execute their code, atomics and all, once a
  pixel, which is more than they do, and a third of it is taken for floating-point; sub-bands are made for a sixth of
  the image.
* **first-level cache**: bytes in sectors of 32, at 64 bytes a clock and multiprocessor on sm_75, 128 later.
* **main memory**: every array moved once, at the data sheet's rate; tables of regions are counted whole, though a frame
  fills a few hundredths of them, and no second-level cache helps.
* **latency**: where few threads take many steps, {instruction} clocks an instruction and {read} a read for each step.

and the time to **start**. A real kernel waits, shares and stalls: expect one and a half to three times as much. Regions
are few (hundreds), so the kernels on them start rather than compute.

| | {names} |
|---|{dashes}|
| architecture | {architectures} |
| multiprocessors, clock | {clocks} |
| float32 | {flops} |
| main memory | {memory} |
| start of a kernel in a graph (assumed) | {starts} |
| registers decide | 64 a thread leave all 1024 threads | 42 leave all 1536 | 32 leave all 2048 |

## `femoral`: 128 elements, 16 pulses x 1,040 samples, 192 x 256 pixels

{elements:.0f} elements a pixel on average, {taps:.0f} taps, {iq:.0f} IQ samples. Packets of {widths} pulses a thread.
A frame's launches together; operations, instructions and atomics as on sm_87, in millions. Times in microseconds, and
what binds: i instructions, c first-level cache, m main memory, l latency, s start.

{table}
{rates}

## Other kernels

For the same image: the network's input and output, averages over frames (`blend`), staggered pulses
(`autocorrelate_some`, `lag_phasor`), the SVD filter's sums (`gram`; its eigenvectors are the host's), samples of other
types, and what is done once a plan (`das_aperture`). The simulator's kernels and
those that draw pictures for files are meant for the CPU.

{others}
## What follows

* Delay-and-sum is the longest kernel, and it is bound by what a multiprocessor executes or reads from its first-level
  cache, not by memory: kernels/launch.py says how many pulses a thread takes there, and why.
* Kernels bound by latency are those to change first for a GPU: one thread walks a histogram or a row where many could.
* The rest is a row of short kernels whose starts are their time. So the chain records its frames as CUDA graphs: one
  call starts all of a frame, from the uploaded samples to velocities, and the host does not wait. Frames that differ in
  what the host decides (whether the previous frame speaks, whether a filter keeps its state) are recorded apart; other
  settings are another chain. Not recorded, because they fetch something in every frame: the SVD filter, the dealiaser
  `skimage`, and OpenVINO beside a GPU.
* A replayed frame's maps are copied out of the graph's memory, and its samples into it: {moved:.1f} MB read and
  written, {moved_us} us, which the table leaves out.
* Copying a packet from the host takes {copy:.2f} ms over PCIe 3 x16 (12 GB/s) and is hidden behind the frame before it;
  on Orin raw samples are read where the host wrote them.
"""


MAPS_BYTES = 4 + 12 + 8 + 8 + 1 + 4 + 1  # a pixel of a frame: envelope, R0 and R1, second phase, velocities, fold, ...


def table(predictions: dict[Gpu, dict[str, Prediction]], *, summed: bool = True) -> str:
    """All kernels on all GPUs, the longest on sm_87 first."""
    orin = next(found for gpu, found in predictions.items() if gpu.architecture == 87)
    head = ["kernel", "launches", "MB", "flop", "instructions", "atomics", *(gpu.name for gpu in predictions)]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for name, p in orin.items():
        work = (p.bytes / 1e6, p.work.flops / 1e6, p.work.instructions / 1e6, p.work.atomics / 1e6)
        figures = [f"{value:,.1f}" if value < 100 else f"{value:,.0f}" for value in work]
        times = [f"{1e6 * found[name].time_s:,.0f} {LETTERS[found[name].limit]}" for found in predictions.values()]
        lines.append(f"| {name} | {p.launches} | {' | '.join(figures + times)} |")
    if not summed:
        return "\n".join([*lines, ""])
    sums = [f"**{1e6 * total(found):,.0f}**" for found in predictions.values()]
    launches = sum(p.launches for p in orin.values())
    return "\n".join([*lines, f"| **all** | {launches} | | | | | {' | '.join(sums)} |", ""])


def total(found: dict[str, Prediction]) -> float:
    """Seconds of a frame, its kernels one after another."""
    return sum(p.time_s for p in found.values())


def page(case: Case) -> str:
    """The whole page."""
    n = case.numbers
    predictions = {gpu: {p.kernel: p for p in predict(case, gpu)} for gpu in GPUS}
    beside = others(tuple(gpu.architecture for gpu in GPUS), case)
    moved = n["channels"] * n["samples"] * n["pulses"] * 2 + n["pixels"] * MAPS_BYTES
    rates = ", ".join(f"{gpu.name} {1 / total(found):,.0f}" for gpu, found in predictions.items())
    widths = ", ".join(f"{cuda_packet_width(gpu.architecture)} (sm_{gpu.architecture})" for gpu in GPUS)
    return TEXT.format(
        nvrtc=wheel_version(CUDA_12),
        instruction=INSTRUCTION_CLOCKS,
        read=READ_CLOCKS,
        names=" | ".join(g.name for g in GPUS),
        dashes="|".join("---" for _ in GPUS),
        architectures=" | ".join(f"sm_{g.architecture}" for g in GPUS),
        clocks=" | ".join(f"{g.multiprocessors}, {g.clock_hz / 1e9:.2f} GHz" for g in GPUS),
        flops=" | ".join(f"{g.flops / 1e12:.1f} Tflop/s" for g in GPUS),
        memory=" | ".join(f"{g.memory_bytes_s / 1e9:,.0f} GB/s" for g in GPUS),
        starts=" | ".join(f"{1e6 * g.start_s:.0f} us" for g in GPUS),
        elements=n["elements"],
        taps=n["taps"],
        iq=n["iq_samples"],
        widths=widths,
        table=table(predictions),
        others=table({gpu: {p.kernel: p for p in predict(beside, gpu)} for gpu in GPUS}, summed=False),
        moved=moved / 1e6,
        moved_us=", ".join(f"{2e6 * moved / gpu.memory_bytes_s:.0f}" for gpu in GPUS),
        rates=f"That would be, if nothing else took time, frames a second: {rates}.",
        copy=1e3 * n["channels"] * n["samples"] * n["pulses"] * 2 / 12e9,
    )


if __name__ == "__main__":
    PAGE.write_text(page(femoral(tuple(gpu.architecture for gpu in GPUS))))
