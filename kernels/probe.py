"""What a machine can do at best: copies and sums of products (probe.cu)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from trueflow.kernels.device import Device, source
from trueflow.kernels.launch import blocks, pixel_launch

__all__ = ["FACTOR", "prepare_copy", "prepare_product_sums", "product_sums_reference"]

FACTOR, SHIFT = 0.5, 1.0
N_PACKETS = 4
COPY_BLOCK = 1 << 16  # bytes that a block of the CPU copies: above the cost of taking it


def prepare_copy(device: Device, n_bytes: int) -> tuple[Callable[[], None], int, NDArray[np.complex64]]:
    """A copy to launch again and again, the bytes it reads and writes, and its result: `FACTOR` everywhere.

    Parameters
    ----------
    device : Device
    n_bytes : int
        Of both arrays together; rounded down to whole packets.
    """
    width = device.packet_widths[-1]
    n = max(n_bytes // (2 * 8 * width), 1)
    origin, to = (device.zeros((n, width), np.complex64) for _ in range(2))
    origin[...] = 1.0
    kernel = device.kernel("probe", "scaled_copy", packet_width=width)
    if device.name == "cpu":
        grid, block = (blocks(8 * n * width, COPY_BLOCK), 1, 1), (1, 1, 1)
    else:
        grid, block = pixel_launch(device, n)
    return kernel.bind(grid, block, _params(n=n), origin, to), 2 * 8 * n * width, to


def prepare_product_sums(
    device: Device, *, packet_width: int, n_threads: int, steps: int
) -> tuple[Callable[[], None], float, NDArray[np.complex64]]:
    """Sums of products to launch again and again, the floating-point operations of a launch, and its result.

    Parameters
    ----------
    device : Device
    packet_width : int
        Complex numbers that a thread carries in each of its four packets.
    n_threads, steps : int
        Shared out in blocks of one thread on a CPU, of 256 on a GPU.

    Returns
    -------
    launch : callable
    flops : float
        A product and a sum count as two.
    out : (n_threads, packet_width) complex64
        On the device.
    """
    out = device.zeros((n_threads, packet_width), np.complex64)
    kernel = device.kernel("probe", "product_sums", packet_width=packet_width)
    grid, block = ((n_threads, 1, 1), (1, 1, 1)) if device.name == "cpu" else pixel_launch(device, n_threads)
    flops = 2.0 * (N_PACKETS * 2 * packet_width) * steps * n_threads
    return kernel.bind(grid, block, _params(n=n_threads, steps=steps), out), flops, out


def product_sums_reference(steps: int) -> float:
    """The specification of each number that `product_sums` puts out, in float64."""
    x = SHIFT * np.arange(1.0, N_PACKETS + 1)
    for _ in range(steps):
        x = FACTOR * x + SHIFT
    return float(x.sum())


def _params(*, n: int, steps: int = 0) -> np.ndarray[tuple[()], np.dtype[np.void]]:
    return source("probe").struct("ProbeParams", n=n, steps=steps, factor=FACTOR, shift=SHIFT)
