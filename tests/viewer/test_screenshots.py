"""What a user sees, against stored pictures; taken with the screenshot key from real windows.

`make screenshots` writes them anew: look at them before they are kept.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from screens import LINEAR, SECTOR, StillPlayer

ROOT = Path(__file__).resolve().parents[2]
REFERENCES = ROOT / "tests" / "screenshots"
LEFT_BEHIND = ROOT / "build" / "screenshots"  # of a failing run
WRITE = os.environ.get("TRUEFLOW_SCREENSHOTS") == "write"

LEVELS, SHARE = 1, 0.999  # gray levels that pixels may differ by, and how many of them must not differ by more
AMPLIFIED = 16


def point(user: Any, panel: int, x_m: float, z_m: float) -> tuple[float, float]:
    layout = user.window.scene.layout(user.desk.showing(0.0), user.window.size)
    return layout.panels[panel].pixels(x_m, z_m)


def with_traces(user: Any) -> None:
    user.click(*point(user, 2, 2e-3, 16.5e-3))
    user.click(*point(user, 0, 0.0, 27e-3))
    user.do("mousemove", "2", "2")
    user.keys("Home", "Right", "Right", "Right")


def with_probe(user: Any) -> None:
    user.move(*point(user, 1, 3e-3, 17e-3))
    user.pump(0.1)


def with_doubt_box_and_variance(user: Any) -> None:
    user.keys("o", "shift+m", "b")
    user.drag(point(user, 0, -16e-3, 8e-3), point(user, 0, 12e-3, 32e-3), held="shift")
    user.do("mousemove", "2", "2")
    user.pump(0.1)


PICTURES: dict[str, tuple[Any, str, Callable[[Any], None] | None]] = {
    "single": (LINEAR, "single", None),
    "before_after": (LINEAR, "before_after", None),
    "three_panels": (LINEAR, "three_panels", None),
    "sector": (SECTOR, "before_after", None),
    "traces": (LINEAR, "three_panels", with_traces),
    "probe": (LINEAR, "before_after", with_probe),
    "doubt_box_variance": (LINEAR, "single", with_doubt_box_and_variance),
    "help": (LINEAR, "single", lambda user: user.keys("h")),
}


@pytest.mark.parametrize("name", PICTURES)
def test_screenshot(name: str, hand: Callable[..., Any], tmp_path: Path) -> None:
    grid, layout, prepare = PICTURES[name]
    user = hand(StillPlayer(grid), layout=layout)
    user.deliver(0, 2, 4, 6)
    user.keys("space")
    if prepare is not None:
        prepare(user)
    if user.desk.help:  # whose first key is its last
        user.desk.wants_screenshot = True
        user.until(lambda: not user.desk.wants_screenshot)
    else:
        user.keys("F12")
    (path,) = tmp_path.glob("*.png")
    compare(np.asarray(Image.open(path)), name)


def compare(picture: np.ndarray, name: str) -> None:
    """Hold a picture against its reference, and leave what differs."""
    reference = REFERENCES / f"{name}.png"
    if WRITE:
        Image.fromarray(picture).save(reference, optimize=True)
        return
    expected = np.asarray(Image.open(reference)).astype(int)
    assert picture.shape == expected.shape
    difference = np.abs(picture - expected)
    agrees = float((difference.max(axis=-1) <= LEVELS).mean())
    if agrees < SHARE:
        LEFT_BEHIND.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(LEFT_BEHIND / f"{name}.png")
        amplified = np.minimum(AMPLIFIED * difference, 255).astype(np.uint8)
        Image.fromarray(amplified).save(LEFT_BEHIND / f"{name}_difference.png")
    assert agrees >= SHARE, f"{100 * (1 - agrees):.2f} % of the pixels differ: see {LEFT_BEHIND / name}_difference.png"


def test_a_wrong_picture_is_seen_and_its_difference_left_behind(tmp_path: Path, monkeypatch: Any) -> None:
    if WRITE:
        pytest.skip("references are being written")
    monkeypatch.setitem(globals(), "LEFT_BEHIND", tmp_path)
    picture = np.array(Image.open(REFERENCES / "single.png"))
    picture[100:130, 300:330] ^= 8  # 0.2 % of the pixels, by 8 levels
    with pytest.raises(AssertionError, match=r"0\.17 % of the pixels differ"):
        compare(picture, "single")
    assert np.asarray(Image.open(tmp_path / "single_difference.png")).max() == 8 * AMPLIFIED


def test_the_references_are_small() -> None:
    assert sum(path.stat().st_size for path in REFERENCES.iterdir()) < 3 * 2**20
