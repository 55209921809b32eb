"""The table of registers that the GPU kernels are held to, and the command that writes it anew.

`make nvrtc-table`, or `python -m tests.kernels.nvrtc.resources` in the project's folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

from .compiler import ARCHITECTURES, CUDA_12, PACKET_WIDTHS, compile_file, kernel_files, packet_widths, wheel_version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TABLE = Path(__file__).with_name("resources.toml")

_HEADER = """\
# Registers per thread of every kernel, by GPU architecture, for packet widths {widths} (one value where a kernel
# has no packets), compiled by NVRTC {version}. The tests fail where a kernel takes more than it says here.
# Written by `make nvrtc-table`: a change is to be looked at, not only committed.
"""


def read_table() -> dict[str, dict[str, list[int]]]:
    """The table: stem.kernel -> sm_xx -> registers by packet width."""
    if not TABLE.exists():
        return {}
    files: dict[str, dict[str, dict[str, list[int]]]] = tomllib.loads(TABLE.read_text())
    return {f"{stem}.{name}": rows for stem, kernels in files.items() for name, rows in kernels.items()}


def measure(paths: list[Path]) -> dict[str, dict[str, list[int]]]:
    """What the table would hold for the kernels of these files as they are now."""
    table: dict[str, dict[str, list[int]]] = {}
    for path in paths:
        for architecture in ARCHITECTURES[CUDA_12]:
            for width in packet_widths(path):
                compiled = compile_file(path, architecture=architecture, packet_width=width)
                for name, resources in compiled.kernels.items():
                    row = table.setdefault(f"{path.stem}.{name}", {}).setdefault(f"sm_{architecture}", [])
                    row.append(resources.registers)
    return table


def write_table() -> None:
    """Measure, and write resources.toml."""
    lines = [_HEADER.format(widths=", ".join(map(str, PACKET_WIDTHS)), version=wheel_version(CUDA_12))]
    for name, rows in sorted(measure(kernel_files()).items()):
        lines.append(f"[{name}]\n" + "".join(f"{arch} = {registers}\n" for arch, registers in rows.items()))
    TABLE.write_text("\n".join(lines))


if __name__ == "__main__":
    write_table()
