"""Letters for the canvas: Pillow's own font in an atlas, the same on every machine."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from trueflow.pipeline.picture.draw import load_font

__all__ = ["SOLID", "Atlas", "make_atlas"]

LETTERS = "".join(chr(code) for code in range(32, 127)) + "±·°×–²µé"
SOLID = 0.5, 0.5  # a texel that is covered altogether
WIDTH, GAP = 1024, 1


@dataclass(frozen=True, slots=True, eq=False)
class Atlas:
    """Coverage of all letters in some sizes.

    Parameters
    ----------
    coverage : (rows, columns) uint8
    boxes : (n_sizes, n_letters, 4) float32
        Left, top, width, height in the atlas.
    offsets : (n_sizes, n_letters, 2) float32
        From the pen to the box's top left corner; the pen is on the baseline.
    advances : (n_sizes, n_letters) float32
        From one letter's pen to the next one's, in px.
    heights : tuple of (float, float)
        Of capitals, by size; and from the baseline down to the lowest letter.
    """

    coverage: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    offsets: NDArray[np.float32]
    advances: NDArray[np.float32]
    heights: tuple[tuple[float, float], ...]

    def numbers(self, text: str) -> NDArray[np.intp]:
        """Letter numbers of a text; what the font lacks is a question mark."""
        return np.array([_NUMBERS.get(letter, _NUMBERS["?"]) for letter in text], np.intp)

    def width(self, text: str, size: int) -> float:
        """How far the pen moves."""
        return float(self.advances[size][self.numbers(text)].sum())


_NUMBERS = {letter: number for number, letter in enumerate(LETTERS)}


@lru_cache(maxsize=4)
def make_atlas(sizes_px: tuple[int, ...]) -> Atlas:
    """An atlas of the font in these sizes."""
    shape = len(sizes_px), len(LETTERS)
    boxes, offsets = np.zeros((*shape, 4), np.float32), np.zeros((*shape, 2), np.float32)
    advances = np.zeros(shape, np.float32)
    heights = []
    pictures: list[tuple[int, int, Image.Image]] = [(0, 0, Image.new("L", (2, 2), 255))]
    x, y, row = 4, 0, 4
    for i, size_px in enumerate(sizes_px):
        font = load_font(size_px)
        heights.append((-font.getbbox("H", anchor="ls")[1], font.getbbox("g", anchor="ls")[3]))
        for j, letter in enumerate(LETTERS):
            left, top, right, bottom = (round(edge) for edge in font.getbbox(letter, anchor="ls"))
            width, height = max(right - left, 1), max(bottom - top, 1)
            if x + width + GAP > WIDTH:
                x, y, row = 0, y + row, 0
            picture = Image.new("L", (width, height))
            ImageDraw.Draw(picture).text((-left, -top), letter, 255, font, anchor="ls")
            pictures.append((x, y, picture))
            boxes[i, j], offsets[i, j] = (x, y, width, height), (left, top)
            advances[i, j] = round(font.getlength(letter) + 0.1)  # whole pixels, or letters stand unevenly
            x, row = x + width + GAP, max(row, height + GAP)
        advances[i, _NUMBERS[" "]] = max(advances[i, _NUMBERS[" "]], round(0.3 * size_px))
    sheet = Image.new("L", (WIDTH, y + row))
    for left, top, picture in pictures:
        sheet.paste(picture, (left, top))
    return Atlas(np.asarray(sheet), boxes, offsets, advances, tuple(heights))
