"""Instructions of a kernel's machine code, and its loops, as nvdisasm (a wheel of its own) prints them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .compiler import KERNELS, cubin

_SECTION = re.compile(r"^\.text\.(\w+):\n(.*?)(?=^\.text\.|\Z)", re.DOTALL | re.MULTILINE)
_LINE = re.compile(r"^(?:(\.L_\w+):|\s+/\*[0-9a-f]+\*/\s+(.*?)\s*;)", re.MULTILINE)
_BACK = re.compile(r"\bBRA\b.*`\((\.L_\w+)\)")


@dataclass(frozen=True)
class Loop:
    """A backward branch: how many instructions lie between it and its label, and how many of them read memory."""

    instructions: int
    loads: int


@dataclass(frozen=True)
class Code:
    """A kernel's instructions but jumps and fill, those that go to memory, and its loops as they come."""

    instructions: int
    loads: int
    stores: int
    atomics: int
    loops: tuple[Loop, ...]

    def loop(self, loads: int) -> Loop:
        """The loop that reads so often: the way to name one that survives a change elsewhere."""
        return next(loop for loop in self.loops if loop.loads == loads)


def parse(text: str) -> dict[str, Code]:
    """Code by kernel from nvdisasm's output."""
    return {name: _code(body) for name, body in _SECTION.findall(text)}


def _code(body: str) -> Code:
    instructions: list[str] = []
    labels: dict[str, int] = {}
    loops = []
    for label, instruction in _LINE.findall(body):
        if label:
            labels[label] = len(instructions)
            continue
        instructions.append(instruction)
        back = _BACK.search(instruction)
        start = labels.get(back[1]) if back else None
        if start is not None and start < len(instructions) - 1:  # the last branch of all jumps to itself
            loops.append(Loop(len(instructions) - start, _count(instructions[start:], "LDG")))
    real = [i for i in instructions if not re.search(r"\b(NOP|BRA `)", i)]
    return Code(
        len(real), _count(real, "LDG"), _count(real, "STG"), _count(real, "ATOM") + _count(real, "RED"), tuple(loops)
    )


def _count(instructions: list[str], mnemonic: str) -> int:
    return sum(bool(re.search(rf"\b{mnemonic}", i)) for i in instructions)


@cache
def kernel_code(stem: str, architecture: int, packet_width: int = 1) -> dict[str, Code]:
    """Code of every kernel of kernels/<stem>.cu.

    Raises
    ------
    RuntimeError
        Without nvdisasm.
    """
    program = nvdisasm()
    if program is None:
        raise RuntimeError("nvdisasm is missing: pip install nvidia-cuda-nvdisasm")
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin((KERNELS / f"{stem}.cu").read_text(), architecture=architecture, packet_width=packet_width))
        file.flush()
        done = subprocess.run([program, "-c", file.name], capture_output=True, text=True, check=True)
    return parse(done.stdout)


@cache
def nvdisasm() -> str | None:
    """The disassembler: the toolkit's, or that of its wheel."""
    found = shutil.which("nvdisasm")
    for folder in map(Path, sys.path):
        found = found or next(map(str, folder.glob("nvidia/**/bin/nvdisasm")), None)
    return found
