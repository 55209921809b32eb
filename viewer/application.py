"""What the command line calls: a window on a player, or one picture without a window."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import ColorFrame
from trueflow.pipeline.output import write_errors
from trueflow.viewer.desk import Desk
from trueflow.viewer.player import Player

__all__ = ["draw", "require", "shoot", "show"]

PACKAGES = {"OpenGL": "PyOpenGL", "glfw": "glfw", "imgui_bundle": "imgui-bundle"}


def require(*, window: bool) -> None:
    """Look for the packages of the viewer, without importing them.

    Raises
    ------
    TrueflowError
        With what to install.
    """
    modules = PACKAGES if window else ("OpenGL",)
    missing = [PACKAGES[module] for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        raise TrueflowError(
            "the viewer's packages are missing",
            found=f"no {', '.join(missing)}",
            advice="pip install 'trueflow[viewer]'",
        )


def show(
    player: Player,
    *,
    layout: str = "three_panels",
    size: tuple[int, int] = (1600, 900),
    full_screen: bool = False,
    folder: Path = Path(),
) -> None:
    """Open a window on a player, and return when it is closed.

    Parameters
    ----------
    player : Player
    layout : {"single", "before_after", "three_panels"}
    size : (int, int)
        Width and height in screen coordinates.
    full_screen : bool
    folder : Path
        Where screenshots and movies go.

    Raises
    ------
    TrueflowError
        Where a package, a display or OpenGL 3.3 is missing.
    """
    require(window=True)
    from trueflow.viewer.window import Window

    desk = Desk(player, layout=layout, folder=folder)
    desk.full_screen, desk.panel = full_screen, True
    with Window(desk, size) as window:
        player.start(window.deliver)
        window.run()


def shoot(player: Player, path: Path, *, layout: str, size: tuple[int, int], target: Path | None = None) -> None:
    """Make all frames of a player and write a picture with the last one, without a window.

    Parameters
    ----------
    player : Player
        With an end.
    path : Path
        PNG to write.
    layout : {"single", "before_after", "three_panels"}
    size : (int, int)
        Width and height.
    target : Path, optional
        The name to use in errors.

    Raises
    ------
    TrueflowError
        Where EGL is missing, or a frame cannot be made.
    """
    frames = (player.frame(index) for index in range(player.n_frames or 1))
    _draw(player, frames, path, layout=layout, size=size, target=target)


def draw(
    player: Player, frame: ColorFrame, path: Path, *, layout: str, size: tuple[int, int], target: Path | None = None
) -> None:
    """Write a picture with one frame of a player, live or not; otherwise as `shoot`."""
    _draw(player, [frame], path, layout=layout, size=size, target=target)


def _draw(
    player: Player,
    frames: Iterable[ColorFrame],
    path: Path,
    *,
    layout: str,
    size: tuple[int, int],
    target: Path | None,
) -> None:
    require(window=False)
    from trueflow.viewer.offscreen import Offscreen
    from trueflow.viewer.scene import Scene

    desk = Desk(player, layout=layout)
    with Offscreen():
        scene = Scene(player.grid)
        for frame in frames:
            desk.receive(frame)
        showing = desk.plain_showing()
        assert showing is not None
        picture = Image.fromarray(scene.picture(showing, size))
    with write_errors(target or path):
        picture.save(path, format="PNG")
