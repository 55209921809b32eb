"""The probes do what they are timed for: every number is copied, every product is summed."""

from __future__ import annotations

import numpy as np
import pytest

from trueflow.kernels.probe import FACTOR, prepare_copy, prepare_product_sums, product_sums_reference


@pytest.mark.parametrize("n_bytes", [1, 1000, 3 << 20])
def test_a_copy_reaches_every_number(device, n_bytes):
    launch, moved, out = prepare_copy(device, n_bytes)
    launch()
    copied = device.download(out)
    assert moved == 2 * copied.nbytes
    assert moved + 2 * 8 * device.packet_widths[-1] > n_bytes
    np.testing.assert_array_equal(copied, np.full_like(copied, FACTOR))


@pytest.mark.parametrize("steps", [0, 1, 7])
def test_products_are_summed(device, steps):
    for width in device.packet_widths:
        launch, flops, out = prepare_product_sums(device, packet_width=width, n_threads=5, steps=steps)
        launch()
        found = device.download(out)
        assert flops == 5 * steps * 4 * 2 * (2 * width)
        expected = product_sums_reference(steps)
        np.testing.assert_allclose(found, np.full((5, width), expected + 1j * expected), rtol=1e-6)
