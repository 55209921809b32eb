"""Makes README's picture of the demo: `python -m trueflow.benchmarks.demo_picture PNG`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from trueflow.pipeline.output import Outputs

__all__ = ["main"]


def main(path: Path) -> None:
    """Run `trueflow demo` as a user would, and keep its picture.

    Raises
    ------
    subprocess.CalledProcessError
        Where it fails; it has said why.
    """
    with tempfile.TemporaryDirectory(prefix="trueflow-") as folder, Outputs() as outputs:
        part = outputs.add(path)
        command = [sys.executable, "-c", "from trueflow.pipeline.cli import main; main()", "demo", "-o", folder]
        subprocess.run(command, check=True)
        part.write_bytes((Path(folder) / "demo.png").read_bytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
