"""Every key and mouse gesture: what the window obeys, the help shows and docs/viewer.md lists."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CHORDS", "GROUPS", "KEYS", "REPEATING", "Key", "as_markdown"]


@dataclass(frozen=True, slots=True)
class Key:
    """One line of the table.

    Parameters
    ----------
    action : str
        Its name in `trueflow.viewer.actions`; empty for mouse gestures.
    chords : tuple of str
        Keys, as "G" or "Shift+G". With two of them the first one raises, the second one lowers.
    group : str
    what : str
        What it does.
    """

    action: str
    chords: tuple[str, ...]
    group: str
    what: str

    @property
    def keys(self) -> str:
        """The keys as written in help and documentation."""
        return " / ".join(self.chords)


VIEW, COLOR, CHAIN, TIME, MEASURE, WINDOW = "View", "Color", "Pipeline", "Time", "Measure", "Window"
GROUPS = (VIEW, COLOR, CHAIN, TIME, MEASURE, WINDOW)

KEYS = (
    Key("single", ("1",), VIEW, "dealiased"),
    Key("before_after", ("2",), VIEW, "before | after"),
    Key("three_panels", ("3",), VIEW, "raw | aliased pixels | dealiased"),
    Key("gain", ("G", "Shift+G"), VIEW, "B-mode gain, by 2 dB"),
    Key("range", ("D", "Shift+D"), VIEW, "B-mode dynamic range, by 5 dB"),
    Key("fit", ("A",), VIEW, "fit brightness and scale to this frame"),
    Key("reset", ("0",), VIEW, "all of View and Color as at the start"),
    Key("color", ("C",), COLOR, "color on or off"),
    Key("scale", ("V", "Shift+V"), COLOR, "velocity scale wider / narrower"),
    Key("baseline", ("B", "Shift+B"), COLOR, "baseline, by a tenth of Nyquist"),
    Key("invert", ("I",), COLOR, "swap the colors of the directions"),
    Key("map", ("M", "Shift+M"), COLOR, "next / previous color map"),
    Key("priority", ("P", "Shift+P"), COLOR, "color over bright echoes: more / less"),
    Key("power", ("T", "Shift+T"), COLOR, "power threshold, by 3 dB"),
    Key("coherence", ("Y", "Shift+Y"), COLOR, "coherence threshold, by 0.05"),
    Key("confidence", ("O",), COLOR, "hatch doubtful velocities"),
    Key("", ("Shift+drag",), COLOR, "draw the color box"),
    Key("no_box", ("X",), COLOR, "color box off"),
    Key("dealiasing", ("U",), CHAIN, "dealiasing on or off"),
    Key("dealiaser", ("N", "Shift+N"), CHAIN, "next / previous dealiaser"),
    Key("wall_filter", ("W", "Shift+W"), CHAIN, "next / previous wall filter"),
    Key("persistence", ("E", "Shift+E"), CHAIN, "persistence, by 0.1"),
    Key("smoothing", ("S", "Shift+S"), CHAIN, "smoothing, by 2 pixels"),
    Key("freeze", ("Space",), TIME, "freeze, go on"),
    Key("step", ("Right", "Left"), TIME, "one frame on / back (freezes)"),
    Key("jump", ("Shift+Right", "Shift+Left"), TIME, "a tenth of the bar on / back"),
    Key("ends", ("End", "Home"), TIME, "end / start of the bar"),
    Key("play", ("Enter",), TIME, "frozen: play the cine buffer"),
    Key("speed", (".", ","), TIME, "faster / slower"),
    Key("loop", ("R",), TIME, "loop on or off"),
    Key("", ("Drag the bar",), TIME, "seek; frozen: scrub"),
    Key("probe", ("Q",), MEASURE, "point probe under the cursor on or off"),
    Key("", ("Click",), MEASURE, "velocity trace at this point"),
    Key("untrace", ("Backspace",), MEASURE, "remove the last trace"),
    Key("no_traces", ("Shift+Backspace",), MEASURE, "remove all traces"),
    Key("screenshot", ("F12",), MEASURE, "screenshot (PNG)"),
    Key("record", ("F9",), MEASURE, "start or end a movie (MP4)"),
    Key("controls", ("Tab",), WINDOW, "controls on or off"),
    Key("help", ("H",), WINDOW, "this help"),
    Key("full_screen", ("F11",), WINDOW, "full screen on or off"),
    Key("quit", ("Ctrl+Q",), WINDOW, "quit"),
)

CHORDS: dict[str, tuple[str, int]] = {  # chord: action, +1 or -1
    chord: (key.action, 1 - 2 * place) for key in KEYS if key.action for place, chord in enumerate(key.chords)
}

# A key that is held goes on raising or lowering; a switch would flicker, and a movie begin and end.
REPEATING = frozenset(chord for key in KEYS if len(key.chords) == 2 for chord in key.chords)


def as_markdown() -> str:
    """The table for docs/viewer.md."""
    lines = []
    for group in GROUPS:
        lines += [f"**{group}**", "", "| key | what |", "|---|---|"]
        lines += [f"| {_cell(key)} | {key.what.replace('|', chr(92) + '|')} |" for key in KEYS if key.group == group]
        lines.append("")
    return "\n".join(lines)


def _cell(key: Key) -> str:
    return " / ".join(f"`{chord}`" if key.action else chord for chord in key.chords)
