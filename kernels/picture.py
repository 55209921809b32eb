"""A color frame as an RGB image (picture.cu)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.kernels.device import Device, source
from trueflow.kernels.launch import blocks, pixel_launch

__all__ = ["Look", "Picture", "picture_reference"]

DB_PER_OCTAVE = 20 * math.log10(2)  # of amplitude
RUN = {"cpu": 256, "cuda": 1}  # image pixels per thread
GPU_THREADS = 128  # per block


@dataclass(frozen=True, slots=True)
class Look:
    """What values look like.

    Parameters
    ----------
    white : float
        Envelope that is white at 0 dB of gain, > 0.
    range_db : float
        From black to white, > 0.
    gain_db : float
    low, high : float
        Velocities of the first and the last color, negative and positive; 0 is in the middle.
    apart : float
        Corners that differ by more from the heaviest one are not blended with it.
    """

    white: float
    range_db: float
    gain_db: float
    low: float
    high: float
    apart: float

    @property
    def floor(self) -> float:
        """The least envelope that matters: what is darker is black."""
        floor = self.white * 10 ** (-(self.range_db + abs(self.gain_db)) / 20)
        return max(floor, float(np.finfo(np.float32).tiny))


class Picture:
    """Plan for images of one size, of maps on one grid.

    Parameters
    ----------
    device : Device
    shape : (n_z, n_x)
        Of the maps.
    corner : int (rows, columns)
        For each image pixel the grid pixel (flat index) above and left of it; negative outside the grid.
    fraction : float (2, rows, columns)
        How far down and right of it the image pixel lies, in [0, 1] grid pixels.
    colors : (n, 3) uint8
        n odd; the middle one is rest.
    """

    def __init__(
        self,
        device: Device,
        *,
        shape: tuple[int, int],
        corner: NDArray[Any],
        fraction: NDArray[Any],
        colors: NDArray[np.uint8],
    ) -> None:
        _check(shape, corner, fraction, colors)
        self._device, self._shape, self._image_shape = device, shape, corner.shape
        self._corner = device.upload(corner.astype(np.int32))
        self._fraction = device.upload(fraction.astype(np.float32))
        self._colors, self._middle = device.upload(colors.astype(np.uint8)), colors.shape[0] // 2
        self._paint_shades = device.kernel("picture", "picture_shades")
        self._paint = device.kernel("picture", "picture")
        self._looks: tuple[Look, bool, Any, Any] | None = None

    def __call__(self, envelope: Any, velocity: Any, mask: Any, look: Look, *, in_color: bool = True) -> Any:
        """One image.

        Parameters
        ----------
        envelope, velocity : float32 (n_z, n_x)
        mask : bool (n_z, n_x)
            Flow.
        look : Look
        in_color : bool
            False for the envelope alone.

        Returns
        -------
        uint8 (rows, columns, 3)

        Raises
        ------
        ValueError
            Of another shape.
        """
        device, run = self._device, RUN[self._device.name]
        for name, array in (("envelope", envelope), ("velocity", velocity), ("mask", mask)):
            if tuple(array.shape) != self._shape:
                raise ValueError(f"{name}: shape {tuple(array.shape)}, expected {self._shape}")
        shading, coloring = self._parameters(look, in_color)
        image = device.empty((*self._image_shape, 3), np.uint8)
        shades = device.empty(self._shape, np.float32)
        n_pixels = math.prod(self._image_shape)
        threads = GPU_THREADS if device.name == "cuda" else 1
        with device.together():
            self._paint_shades(*pixel_launch(device, math.prod(self._shape)), shading, envelope, shades)
            self._paint(
                (blocks(n_pixels, run * threads), 1, 1), (threads, 1, 1), coloring, shades, velocity, mask,
                self._corner, self._fraction, self._colors, image,
            )  # fmt: skip
        return image

    def _parameters(self, look: Look, in_color: bool) -> tuple[Any, Any]:
        if self._looks is None or self._looks[:2] != (look, in_color):
            make = source("picture").struct
            shades = make(
                "ShadeParams",
                n_pixels=math.prod(self._shape),
                floor=look.floor,
                at_1=1 + (look.gain_db - DB_PER_OCTAVE * math.log2(look.white)) / look.range_db,
                per_octave=DB_PER_OCTAVE / look.range_db,
            )
            colored = make(
                "PictureParams",
                n_pixels=math.prod(self._image_shape),
                n_x=self._shape[1],
                run=RUN[self._device.name],
                in_color=int(in_color),
                apart=look.apart,
                low=look.low,
                high=look.high,
                middle=self._middle,
            )
            self._looks = look, in_color, shades, colored
        return self._looks[2:]


def _check(shape: tuple[int, int], corner: NDArray[Any], fraction: NDArray[Any], colors: NDArray[np.uint8]) -> None:
    n_z, n_x = shape
    inside = corner[corner >= 0]
    if min(shape) < 2 or inside.max(initial=0) >= (n_z - 1) * n_x or (inside % n_x == n_x - 1).any():
        raise ValueError(f"corner: points beyond the maps, {n_z} x {n_x}")
    if fraction.shape != (2, *corner.shape) or not ((fraction >= 0) & (fraction <= 1)).all():
        raise ValueError(f"fraction: {fraction.shape}, expected (2, *{corner.shape}) in [0, 1]")
    if colors.shape[0] % 2 == 0 or colors.shape[1:] != (3,):
        raise ValueError(f"colors: {colors.shape}, expected (odd, 3)")
    if 3 * corner.size >= 2**31:
        raise ValueError("picture.cu indexes with 32 bits: fewer pixels")


def picture_reference(
    envelope: NDArray[Any],
    velocity: NDArray[Any],
    mask: NDArray[np.bool_],
    look: Look,
    *,
    corner: NDArray[Any],
    fraction: NDArray[Any],
    colors: NDArray[np.uint8],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.uint8]]:
    """The specification of `Picture`, in float64.

    Returns
    -------
    gray : (rows, columns)
        Before it is cut to an integer.
    shown : (rows, columns)
        Velocity, NaN where the pixel shows none.
    image : (rows, columns, 3) uint8
    """
    inside, n_x = corner >= 0, envelope.shape[1]
    places = np.maximum(corner, 0) + np.array([0, 1, n_x, n_x + 1])[:, None, None]
    down, right = fraction.astype(np.float64)
    weights = np.stack([(1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right])
    level_db = 20 * np.log10(np.maximum(envelope.astype(np.float64), look.floor) / look.white)
    shades = 1 + (level_db + look.gain_db) / look.range_db
    gray = np.where(inside, 255 * np.clip((weights * shades.reshape(-1)[places]).sum(axis=0), 0, 1), 0)

    heard, values = mask.reshape(-1)[places], velocity.astype(np.float64).reshape(-1)[places]
    nearest = np.take_along_axis(values, np.where(heard, weights, -1).argmax(axis=0)[None], axis=0)
    votes = weights * (heard & (np.abs(values - nearest) <= look.apart))
    flows = inside & ((weights * heard).sum(axis=0) >= 0.5)
    shown = np.where(flows, (votes * values).sum(axis=0) / np.where(flows, votes.sum(axis=0), 1), np.nan)

    image = np.repeat(gray.astype(np.uint8)[..., None], 3, axis=-1)
    middle, flow = colors.shape[0] // 2, shown[flows]
    fractions = np.clip(np.where(flow < 0, flow / -look.low, flow / look.high), -1, 1)
    image[flows] = colors[np.floor(middle * (1 + fractions) + 0.5).astype(np.intp)]
    return gray, shown, image
