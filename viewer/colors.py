"""Color tables of the viewer: the pictures' color maps, and one that shows variance as well."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.picture.color_maps import COLOR_MAP_SIZE, color_map, color_map_names

__all__ = ["VARIANCE_ROWS", "color_table", "map_names"]

VARIANCE = "variance"
VARIANCE_ROWS = 32
GREEN = 190.0  # added to the green channel at full variance, as scanners do


def map_names() -> list[str]:
    """Names that `color_table` knows, in the order in which a key walks through them."""
    names = color_map_names()
    names.sort(key=lambda name: name != "red_blue")
    return [*names, VARIANCE]


def color_table(name: str, *, invert: bool = False) -> NDArray[np.uint8]:
    """Colors by variance and velocity.

    Returns
    -------
    (n_rows, 257, 3) uint8
        Columns: full scale away from the probe, rest (128), full scale towards it. Rows: more and more variance; one
        row where the map shows none.
    """
    colors = color_map("red_blue" if name == VARIANCE else name)
    if invert:
        colors = colors[::-1]
    table = np.repeat(colors[None].astype(np.float32), VARIANCE_ROWS if name == VARIANCE else 1, axis=0)
    if name == VARIANCE:
        speed = np.abs(np.linspace(-1.0, 1.0, COLOR_MAP_SIZE, dtype=np.float32))
        share = np.linspace(0.0, 1.0, VARIANCE_ROWS, dtype=np.float32)[:, None]
        table[..., 1] += GREEN * share * np.minimum(3.0 * speed, 1.0)
    shown: NDArray[np.uint8] = np.clip(np.rint(table), 0, 255).astype(np.uint8)
    return shown
