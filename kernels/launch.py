"""Launch shapes. A block is the unit of work of a CPU thread and of a GPU multiprocessor, so its best size differs.

The figures beside each CPU entry are what decided it (2 cores, AVX-512, `femoral`). The GPU column follows from
occupancy and coalescing (docs/gpu.md) and has not been measured: `make gpu-check` measures it.
"""

from __future__ import annotations

import math

from trueflow.kernels.device import Device

__all__ = ["blocks", "check_cuda_launch", "cuda_packet_width", "fitted_tile", "pixel_launch"]

# Pixels per block of the kernels that share out pixels. CPU: 1024 pixels are microseconds of work, above the
# cost of taking a block. GPU: 256 threads divide every multiprocessor's limit (1024 on sm_75, 1536 on sm_86 and sm_87,
# 2048 on sm_90), and up to 64 registers a thread, which no kernel passes, leave room for four such blocks.
PIXEL_BLOCK = {"cpu": 1024, "cuda": 256}

# Slow-time samples per thread on a GPU, from the compute capability on. Delay-and-sum decides: what a thread does for
# an element (distance, weight, rotation) it does once for all its pulses, so that it executes 160, 86, 48 instructions
# an element and pulse with packets of 1, 2, 4 (sm_75); but neighbouring threads then read 16 or 32 bytes apart, and
# the first-level cache, which gives 64 bytes a clock on sm_75 and 128 later, has 2 or 4 times the sectors to deliver.
# Clocks a multiprocessor takes for a pixel and element of 16 pulses, the larger of the two: sm_75 20, 11, 16; sm_87
# and sm_90 20, 11, 8. Predicted (docs/gpu.md), not measured.
CUDA_PACKET_WIDTH = {70: 2, 80: 4}

# What CUDA allows, the same from sm_70 on.
MOST_BLOCKS = (2**31 - 1, 65535, 65535)
MOST_THREADS = (1024, 1024, 64)
MOST_THREADS_PER_BLOCK = 1024


def blocks(size: int, block: int) -> int:
    """Blocks that cover `size`."""
    return -(-size // block)


def pixel_launch(device: Device, n_pixels: int) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Grid and block of a kernel that shares out its pixels itself (TF_EACH): on a GPU each thread then has one."""
    block = PIXEL_BLOCK[device.name]
    return (blocks(n_pixels, block), 1, 1), (1 if device.name == "cpu" else block, 1, 1)


def fitted_tile(device: Device, tile: tuple[int, ...], lanes: int) -> tuple[int, ...]:
    """A block's places where each takes `lanes` threads: on a GPU the longest side is halved until the block fits.

    Long ensembles would otherwise pass the 1024 threads of a block (100 pulses, one a thread, times 16 pixels).
    """
    if device.name == "cpu":
        return tile
    sides = list(tile)
    while lanes * math.prod(sides) > PIXEL_BLOCK[device.name] and max(sides) > 1:
        longest = sides.index(max(sides))
        sides[longest] = (sides[longest] + 1) // 2
    return tuple(sides)


def cuda_packet_width(compute_capability: int) -> int:
    """Slow-time samples that one thread carries on a GPU (75 for sm_75)."""
    return CUDA_PACKET_WIDTH[max(c for c in CUDA_PACKET_WIDTH if c <= max(compute_capability, min(CUDA_PACKET_WIDTH)))]


def check_cuda_launch(name: str, grid: tuple[int, int, int], block: tuple[int, int, int]) -> None:
    """Refuses what CUDA would refuse with an error that names neither kernel nor limit.

    Raises
    ------
    ValueError
    """
    for axis, n_blocks, most_blocks, n_threads, most_threads in zip(
        "xyz", grid, MOST_BLOCKS, block, MOST_THREADS, strict=True
    ):
        if not 1 <= n_blocks <= most_blocks:
            raise ValueError(f"{name}: {n_blocks} blocks along {axis}, expected 1 to {most_blocks}")
        if not 1 <= n_threads <= most_threads:
            raise ValueError(f"{name}: {n_threads} threads a block along {axis}, expected 1 to {most_threads}")
    if block[0] * block[1] * block[2] > MOST_THREADS_PER_BLOCK:
        raise ValueError(f"{name}: blocks of {block} threads, expected {MOST_THREADS_PER_BLOCK} in all at most")
