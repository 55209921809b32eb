"""Launch shapes. A block is the unit of work of a CPU thread and of a GPU multiprocessor, so its best size differs.

The figures beside each entry are what decided it (2 cores, AVX-512, `femoral`); the GPU column follows from occupancy
and coalescing and has not been measured.
"""

from __future__ import annotations

from trueflow.kernels.device import Device

__all__ = ["blocks", "pixel_launch"]

# Pixels per block of the one-pixel-a-thread kernels. CPU: 1024 pixels are tens of microseconds of work, far above the
# cost of taking a block. GPU: 256 threads, the usual choice for kernels without shared memory.
PIXEL_BLOCK = {"cpu": 1024, "cuda": 256}


def blocks(size: int, block: int) -> int:
    """Blocks that cover `size`."""
    return -(-size // block)


def pixel_launch(device: Device, n_pixels: int) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Grid and block for one thread per pixel."""
    block = PIXEL_BLOCK[device.name]
    return (blocks(n_pixels, block), 1, 1), (block, 1, 1)
