"""Color maps for velocity: black at rest, one hue towards the probe, another away from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.errors import TrueflowError, nearest

__all__ = ["COLOR_MAP_SIZE", "color_map", "color_map_names"]

COLOR_MAP_SIZE = 257  # odd, so that rest has an entry of its own: the middle one

Anchors = Sequence[tuple[float, tuple[int, int, int]]]  # (fraction of the scale, sRGB)

# Each half rises steadily in lightness, so that speed reads even where hue is lost.
_MAPS: dict[str, tuple[Anchors, Anchors]] = {  # away, towards
    "red_blue": (
        ((0.0, (0, 0, 24)), (0.06, (0, 0, 84)), (0.45, (0, 40, 215)), (0.75, (0, 140, 255)), (1.0, (120, 245, 255))),
        ((0.0, (24, 0, 0)), (0.06, (88, 0, 0)), (0.45, (215, 20, 0)), (0.75, (255, 130, 0)), (1.0, (255, 245, 90))),
    ),
    # Orange against blue (after Okabe and Ito 2008): apart for every common kind of color blindness.
    "orange_blue": (
        ((0.0, (0, 8, 20)), (0.08, (0, 40, 84)), (0.5, (0, 114, 178)), (0.8, (86, 180, 233)), (1.0, (205, 236, 255))),
        ((0.0, (20, 8, 0)), (0.08, (88, 34, 0)), (0.5, (213, 94, 0)), (0.8, (238, 167, 30)), (1.0, (255, 240, 165))),
    ),
}


def color_map_names() -> list[str]:
    """Names that `color_map` knows."""
    return sorted(_MAPS)


def color_map(name: str) -> NDArray[np.uint8]:
    """Colors from full scale away from the probe, through rest, to full scale towards it.

    Returns
    -------
    (257, 3) uint8
        sRGB; entry 128 is rest.

    Raises
    ------
    TrueflowError
        Where there is no such map.
    """
    if name not in _MAPS:
        raise TrueflowError(
            "unknown color map", where="display.color_map", found=repr(name), advice=nearest(name, _MAPS)
        )
    away, towards = (_ramp(anchors) for anchors in _MAPS[name])
    rest = np.zeros((1, 3))
    colors: NDArray[np.uint8] = np.concatenate([away[:0:-1], rest, towards[1:]]).round().astype(np.uint8)
    return colors


def _ramp(anchors: Anchors) -> NDArray[np.float64]:
    fractions = np.linspace(0.0, 1.0, COLOR_MAP_SIZE // 2 + 1)
    places = [fraction for fraction, _ in anchors]
    channels = np.array([color for _, color in anchors], dtype=np.float64).T
    return np.stack([np.interp(fractions, places, channel) for channel in channels], axis=-1)
