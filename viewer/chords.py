"""From GLFW's keys to the chords of the key table."""

from __future__ import annotations

from typing import Any

__all__ = ["chord_names"]

NAMED = {
    "SPACE": "Space", "RIGHT": "Right", "LEFT": "Left", "END": "End", "HOME": "Home", "ENTER": "Enter",
    "KP_ENTER": "Enter", "BACKSPACE": "Backspace", "TAB": "Tab", "PERIOD": ".", "COMMA": ",",
}  # fmt: skip


def chord_names(glfw: Any, key: int, scancode: int, mods: int) -> list[str]:
    """What a key press may be called: by the letter on the keyboard in use, then by the key's place."""
    names = []
    printed = glfw.get_key_name(key, scancode)
    if printed:
        names.append(printed.upper())
    for attribute, name in NAMED.items():
        if key == getattr(glfw, f"KEY_{attribute}"):
            names.append(name)
    if glfw.KEY_F1 <= key <= glfw.KEY_F12:
        names.append(f"F{key - glfw.KEY_F1 + 1}")
    if glfw.KEY_0 <= key <= glfw.KEY_9 or glfw.KEY_A <= key <= glfw.KEY_Z:
        names.append(chr(key))  # GLFW numbers them as ASCII does
    held = ("Ctrl+" if mods & glfw.MOD_CONTROL else "") + ("Shift+" if mods & glfw.MOD_SHIFT else "")
    return [held + name for name in dict.fromkeys(names)]
