"""docs/viewer.md: every key is listed, every picture is there, and both can be made anew (`make screenshots`)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageGrab
from scipy.ndimage import uniform_filter
from screens import StillPlayer

from trueflow.viewer.keys import as_markdown
from trueflow.viewer.layout import LAYOUTS

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "viewer.md"
WRITE = os.environ.get("TRUEFLOW_SCREENSHOTS") == "write"

MARK = "<!-- keys: written by `make screenshots` -->\n"
N_FRAMES, PEAK_FRAME = 20, 4
SIZE = 1280, 720
SETTINGS = (
    "mask.velocity_fraction=0.04", "mask.coherence=0.25", "mask.speck_radius=3",
    "display.dynamic_range_db=55", "display.gain_db=-8",
)  # fmt: skip


def test_every_key_is_listed() -> None:
    before, mark, listed = PAGE.read_text().partition(MARK)
    assert mark
    if WRITE:
        PAGE.write_text(before + mark + "\n" + as_markdown())
    else:
        assert listed == "\n" + as_markdown(), "run: make screenshots"


class Heartbeat(StillPlayer):
    """A simulated heartbeat through the chain."""

    name = "femoral"

    def __init__(self) -> None:
        from trueflow.pipeline import ColorFlow, Config, Framing, open_source, packets

        with open_source(f"sim://femoral?frames={N_FRAMES}&fps={N_FRAMES}&seed=1") as recording:
            acquisition, n_frames, stream = packets(recording, Framing())
            flow = ColorFlow(acquisition, Config().override(SETTINGS))
            self._frames = [flow(packet) for packet in stream]
        super().__init__(flow.grid, n_frames=n_frames)
        self.acquisition, self.config = acquisition, flow.config

    def frame(self, index: int) -> Any:
        return self._frames[index]


@pytest.mark.skipif(not WRITE, reason="the pictures of docs/viewer.md are made by: make screenshots")
@pytest.mark.slow
def test_pictures_of_the_page_are_made(hand: Callable[..., Any], display: str, tmp_path: Path) -> None:
    player = Heartbeat()
    user = hand(player, size=SIZE)
    user.deliver(*range(N_FRAMES))
    user.keys("space", "Home", *["Right"] * PEAK_FRAME)
    for key, name in (("1", "single"), ("2", "before_after"), ("3", "three_panels")):
        user.keys(key)
        user.keys("F12")
        (shot,) = tmp_path.glob("*.png")
        shot.rename(DOCS / "pictures" / f"viewer_{name}.png")
    layout = user.window.scene.layout(user.desk.showing(0.0), SIZE)
    velocity = user.desk.frame.velocity
    speed = uniform_filter(abs(velocity.velocity_m_s * velocity.mask), 25)
    speed[:, :20] = speed[:, -20:] = 0.0  # a gate at the edge looks cut off
    at = speed.argmax()
    x_m, z_m = float(player.grid.x_m.flat[at]), float(player.grid.z_m.flat[at])
    user.click(*layout.panels[2].pixels(x_m, z_m))
    user.keys("2", "Tab", "o")
    user.pump(1.0)
    layout = user.window.scene.layout(user.desk.showing(0.0), SIZE)
    user.move(*layout.panels[1].pixels(x_m + 14e-3, z_m + 8e-3))
    user.pump(5.0)
    screen = ImageGrab.grab(xdisplay=display).crop((0, 0, *SIZE))
    screen.save(DOCS / "pictures" / "viewer_controls.png", optimize=True)


def test_every_picture_is_there() -> None:
    names = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", PAGE.read_text())
    assert {f"pictures/viewer_{layout}.png" for layout in LAYOUTS} <= set(names)
    for name in names:
        with Image.open(DOCS / name) as picture:
            picture.verify()
