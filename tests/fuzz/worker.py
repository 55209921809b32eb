"""The process under test: TARGET FOLDER SEED EXECUTIONS SECONDS COVERAGE, or TARGET FOLDER INPUT."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from .engine import Executor, every_target, fuzz_here, limit_this_process, say

if __name__ == "__main__":
    name, folder, *rest = sys.argv[1:]
    if len(rest) == 1:
        limit_this_process()
        _, finding = Executor(every_target()[name], Path(folder), coverage=False).run(Path(rest[0]).read_bytes())
        say(json.dumps(None if finding is None else [finding.kind, finding.signature, finding.detail]))
    else:
        seed, executions, seconds, coverage = rest
        fuzz_here(
            name, Path(folder), seed=int(seed), executions=int(executions), seconds=float(seconds),
            coverage=bool(int(coverage)),
        )  # fmt: skip
