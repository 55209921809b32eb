"""What each action of the key table does to the desk."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from trueflow.viewer.colors import map_names
from trueflow.viewer.controls import Fit
from trueflow.viewer.desk import Desk

__all__ = ["ACTIONS", "act", "set_choice"]

SPEEDS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 4.0)
SCALE_STEP = 1.25
LARGEST_SMOOTHING = 31

Action = Callable[[Desk, int], None]
ACTIONS: dict[str, Action] = {}


def act(desk: Desk, name: str, step: int = 1) -> None:
    """Do what a key asks for; `step` is +1, or -1 for the key that lowers."""
    ACTIONS[name](desk, step)


def _action(function: Action) -> Action:
    ACTIONS[function.__name__.strip("_")] = function
    return function


def _layout(name: str) -> None:
    ACTIONS[name] = lambda desk, step: setattr(desk, "layout", name)


for _name in ("single", "before_after", "three_panels"):
    _layout(_name)


def _number(name: str, attribute: str, by: float) -> None:
    def change(desk: Desk, step: int) -> None:
        desk.controls = desk.controls.with_(**{attribute: getattr(desk.controls, attribute) + step * by})

    ACTIONS[name] = change


for _name, _attribute, _by in (
    ("gain", "gain_db", 2.0),
    ("range", "dynamic_range_db", 5.0),
    ("priority", "priority", 0.05),
    ("power", "power_db", 3.0),
    ("coherence", "coherence", 0.05),
):
    _number(_name, _attribute, _by)


def _switch(name: str, attribute: str) -> None:
    def change(desk: Desk, step: int) -> None:
        desk.controls = desk.controls.with_(**{attribute: not getattr(desk.controls, attribute)})

    ACTIONS[name] = change


for _name in ("color", "invert", "confidence"):
    _switch(_name, _name)


def _flag(name: str) -> None:
    ACTIONS[name] = lambda desk, step: setattr(desk, name, not getattr(desk, name))


for _name in ("help", "full_screen", "probe"):
    _flag(_name)


@_action
def _fit(desk: Desk, step: int) -> None:
    if desk.frame is not None:
        desk.fit = Fit.of([desk.frame])
        desk.controls = desk.controls.with_(scale_m_s=None)  # one chosen by hand would hide the fit


@_action
def _reset(desk: Desk, step: int) -> None:
    _fit(desk, step)
    desk.controls = desk.first_controls


@_action
def _scale(desk: Desk, step: int) -> None:
    if desk.fit is not None:
        before = desk.controls.scale_m_s or desk.fit.scale_m_s
        desk.controls = desk.controls.with_(scale_m_s=before * SCALE_STEP**step)


@_action
def _baseline(desk: Desk, step: int) -> None:
    if desk.frame is not None:
        nyquist_m_s = float(desk.frame.velocity.nyquist_velocity_m_s)
        tenths = round(10 * desk.controls.baseline_m_s / nyquist_m_s) + step
        desk.controls = desk.controls.with_(baseline_m_s=min(max(tenths, -9), 9) * nyquist_m_s / 10)


@_action
def _map(desk: Desk, step: int) -> None:
    desk.controls = desk.controls.with_(color_map=_after(desk.controls.color_map, map_names(), step))


@_action
def _no_box(desk: Desk, step: int) -> None:
    desk.controls = desk.controls.with_(box_m=None)


@_action
def _dealiasing(desk: Desk, step: int) -> None:
    """Off, or back to what it was."""
    now = desk.player.config.dealias.name
    if now != "none":
        desk.dealiaser_before = now
    set_choice(desk, "dealias.name", "none" if now != "none" else desk.dealiaser_before)


@_action
def _dealiaser(desk: Desk, step: int) -> None:
    names = desk.player.choices["dealias.name"]
    set_choice(desk, "dealias.name", _after(desk.player.config.dealias.name, names, step))


@_action
def _wall_filter(desk: Desk, step: int) -> None:
    names = desk.player.choices["clutter.name"]
    set_choice(desk, "clutter.name", _after(desk.player.config.clutter.name, names, step))


@_action
def _persistence(desk: Desk, step: int) -> None:
    factor = round(min(max(desk.player.config.persistence.factor + 0.1 * step, 0.0), 0.9), 1)
    set_choice(desk, "persistence.factor", f"{factor}")


@_action
def _smoothing(desk: Desk, step: int) -> None:
    size = min(max(desk.player.config.doppler.average_z + 2 * step, 1), LARGEST_SMOOTHING)
    desk.player.change([f"doppler.average_z={size}", f"doppler.average_x={size}"])
    desk.say(f"smoothing {size} x {size} pixels")


def set_choice(desk: Desk, setting: str, value: str) -> None:
    """Hand a setting to the pipeline, which takes it between two frames."""
    desk.player.change([f"{setting}={value}"])
    desk.say(f"{setting} = {value}")


@_action
def _freeze(desk: Desk, step: int) -> None:
    desk.freeze(not desk.frozen)


@_action
def _step(desk: Desk, step: int) -> None:
    if not desk.frozen:
        desk.freeze(True)
    desk.playing = False
    desk.scrub(desk.cine.index + step)


@_action
def _jump(desk: Desk, step: int) -> None:
    length = len(desk.cine) if desk.frozen else desk.player.n_frames or 0
    here = desk.cine.index if desk.frozen else desk.player.position
    desk.seek_fraction((here + step * max(1, length // 10)) / max(length - 1, 1))


@_action
def _ends(desk: Desk, step: int) -> None:
    desk.seek_fraction(1.0 if step > 0 else 0.0)


@_action
def _play(desk: Desk, step: int) -> None:
    if not desk.frozen:
        desk.freeze(True)
    desk.playing = not desk.playing
    if desk.playing:
        desk.scrub(desk.cine.index if desk.cine.index < len(desk.cine) - 1 else 0)


@_action
def _speed(desk: Desk, step: int) -> None:
    index = min(range(len(SPEEDS)), key=lambda i: abs(SPEEDS[i] - desk.speed)) + step
    desk.speed = SPEEDS[min(max(index, 0), len(SPEEDS) - 1)]
    desk.player.pace(desk.speed, desk.loop)


@_action
def _loop(desk: Desk, step: int) -> None:
    desk.loop = not desk.loop
    desk.player.pace(desk.speed, desk.loop)


@_action
def _untrace(desk: Desk, step: int) -> None:
    if desk.traces:
        desk.traces.pop()


@_action
def _no_traces(desk: Desk, step: int) -> None:
    desk.traces.clear()


@_action
def _screenshot(desk: Desk, step: int) -> None:
    desk.wants_screenshot = True


@_action
def _record(desk: Desk, step: int) -> None:
    desk.wants_record = True


@_action
def _controls(desk: Desk, step: int) -> None:
    desk.panel = not desk.panel


@_action
def _quit(desk: Desk, step: int) -> None:
    desk.closing = True


def _after(name: str, names: Sequence[str], step: int) -> str:
    """The next one in a circle; the first one where the name is not among them."""
    return names[(names.index(name) + step) % len(names)] if name in names else names[0]
