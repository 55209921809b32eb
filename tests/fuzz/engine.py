"""Feeds inputs to a target in a process of its own, and holds what happens against what may happen.

An input may yield something valid or one `TrueflowError`. Anything else is a finding: another exception or a warning,
the end of the process, too much processor time, too much memory, a file written, a program or a connection started. The
process under test measures its own peak memory for each input; the one that started it looks on from outside, and ends
it where it hangs or grows.

Inputs are made from the target's corpus by its mutators. Those that reach lines no input has reached before join the
corpus for the rest of the run (coverage of the readers' own lines, by `sys.settrace`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import resource
import struct
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import CodeType, FrameType
from typing import Any

from trueflow.pipeline.errors import TrueflowError

from .mutate import MOST_BYTES, mutate_bytes
from .planted import PLANTED
from .targets import CORPUS, TARGETS, InvalidResultError, Target

MOST_MEMORY_BYTES = 384 << 20  # more than an input of at most 256 kB has any business with
MOST_WALL_S = 180.0
HARD_MEMORY_BYTES = 2 << 30  # looked at from outside
ADDRESS_SPACE_BYTES = 24 << 30
KEPT_INPUTS = 2000
READERS = ("pipeline/", "models/")  # whose lines count as reached
STATE = struct.Struct("<QQd")  # inputs run, of these valid, when the present one began (-1: it is being made; 0: none)

WRITING = (
    "os.mkdir",
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.symlink",
    "os.link",
    "os.truncate",
    "os.chmod",
    "os.chown",
    "shutil.rmtree",
    "tempfile.mkstemp",
    "tempfile.mkdtemp",
)
STARTING = ("os.exec", "os.fork", "os.posix_spawn", "subprocess.Popen")
FORBIDDEN = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "subprocess.Popen",
    "socket.connect",
    "socket.bind",
    "pickle.find_class",
    "ctypes.dlopen",
    "urllib.Request",
)


def say(line: str) -> None:
    """A line on stdout, at once: whoever reads it may have to end us."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class ForbiddenError(BaseException):
    """An input made a reader do what no reader does; no `except Exception` hides it."""


@dataclass(frozen=True)
class Finding:
    """What an input led to that it must not.

    `signature` tells findings apart: kind, and where.
    """

    kind: str
    signature: str
    detail: str = ""

    @property
    def name(self) -> str:
        return hashlib.sha256(self.signature.encode()).hexdigest()[:12]


class Watch:
    """An audit hook that is armed while an input is read: what is written, started or connected to."""

    def __init__(self, allowed: tuple[str, ...] = ()) -> None:
        self.folder: str | None = None
        self._allowed = allowed
        self.seen: str | None = None
        sys.addaudithook(self._hear)

    @contextlib.contextmanager
    def armed(self, folder: Path) -> Iterator[None]:
        self.folder, self.seen = str(folder), None
        try:
            yield
        finally:
            self.folder = None

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.folder is None:
            return
        if event == "open":
            path, mode, flags = arguments
            if isinstance(path, int):  # a descriptor that is open already: a pipe
                return
            written = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            canary = isinstance(path, (str, bytes)) and "canary" in os.fsdecode(path)
            if (written and not os.fsdecode(str(path)).startswith(self.folder)) or canary:
                self._refuse(f"open {path!r} {mode!r} {flags}")
        elif event in WRITING and not os.fsdecode(str(arguments[0])).startswith(self.folder):
            self._refuse(f"{event} {arguments[:2]}")
        elif event in FORBIDDEN and event not in self._allowed and not _importing(event, arguments):
            self._refuse(f"{event} {str(arguments)[:80]}")

    def _refuse(self, what: str) -> None:
        self.seen = what
        raise ForbiddenError(what)


def _importing(event: str, arguments: tuple[Any, ...]) -> bool:
    """Modules are imported when a format is first met: that loads libraries of installed packages."""
    if event == "ctypes.dlopen" and str(arguments[0]).startswith(sys.prefix):
        return True
    if event not in ("ctypes.dlopen", "subprocess.Popen"):
        return False
    frame: FrameType | None = sys._getframe(3)
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


class Coverage:
    """Lines of the readers that were reached."""

    def __init__(self) -> None:
        self._codes: dict[CodeType, bool] = {}
        self._seen: set[tuple[CodeType, int]] = set()
        self._n_before = 0

    @contextlib.contextmanager
    def on(self) -> Iterator[None]:
        self._n_before = len(self._seen)
        sys.settrace(self._call)
        try:
            yield
        finally:
            sys.settrace(None)

    @property
    def grew(self) -> bool:
        return len(self._seen) > self._n_before

    def _call(self, frame: FrameType, event: str, argument: Any) -> Any:
        code = frame.f_code
        wanted = self._codes.get(code)
        if wanted is None:
            wanted = self._codes[code] = any(f"/{part}" in code.co_filename for part in READERS) and (
                "site-packages" not in code.co_filename
            )
        return self._line if wanted else None

    def _line(self, frame: FrameType, event: str, argument: Any) -> Any:
        self._seen.add((frame.f_code, frame.f_lineno))
        return self._line


class Executor:
    """Runs inputs one after the other in this process."""

    def __init__(self, target: Target, folder: Path, *, coverage: bool) -> None:
        self.target, self.folder = target, folder
        self.watch = Watch(STARTING if target.may_start else ())
        self.coverage = Coverage() if coverage else None

    def run(self, data: bytes) -> tuple[bool, Finding | None]:
        """Whether the input was valid, and what was found."""
        case = self.folder / "case"
        case.mkdir(exist_ok=True)
        self.target.prepare(case, data)
        before = _reset_peak()
        tracing = self.coverage.on() if self.coverage is not None else contextlib.nullcontext()
        valid, finding = False, None
        try:
            with self.watch.armed(case), tracing:
                self.target.read(case)
            valid = True
        except TrueflowError as error:
            finding = _judge_refusal(error)
        except ForbiddenError as error:
            finding = Finding("forbidden", f"forbidden {str(error)[:60]}", str(error))
        except InvalidResultError as error:
            finding = Finding("invalid", f"invalid {str(error)[:60]}", str(error))
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            finding = _of_exception(error)
        if finding is None and self.watch.seen is not None:
            finding = Finding("forbidden", f"forbidden {self.watch.seen[:60]}", self.watch.seen)
        grown = _peak_bytes() - before
        if finding is None and grown > MOST_MEMORY_BYTES:
            finding = Finding("memory", "memory", f"{grown >> 20} MB")
        self.target.clean(case)
        return valid, finding


def _judge_refusal(error: TrueflowError) -> Finding | None:
    """A refusal is fine if it is one line a terminal can show, and no failed allocation in disguise."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError):
            return Finding("memory", f"memory {_place(cause)}", f"{error}")
        cause = cause.__cause__
    text = str(error)
    if not text.isprintable() or len(text) > 4000:
        return Finding("message", f"message {_place(error)}", repr(text[:400]))
    return None


def _of_exception(error: BaseException) -> Finding:
    return Finding(
        "exception", f"{type(error).__name__} {_place(error)}", "".join(traceback.format_exception(error))[-3000:]
    )


def _place(error: BaseException) -> str:
    """The innermost line of ours that an exception passed."""
    ours = [f for f in traceback.extract_tb(error.__traceback__) if any(f"/{part}" in f.filename for part in READERS)]
    return f"{Path(ours[-1].filename).name}:{ours[-1].name}" if ours else "?"


def _reset_peak() -> int:
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    return _peak_bytes()


def _peak_bytes() -> int:
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith("VmHWM"))
    return int(line.split()[1]) << 10


def every_target() -> dict[str, Target]:
    """Targets, and those with a planted defect that tests of this engine use."""
    return TARGETS | PLANTED


def limit_this_process() -> None:
    """No core files; an allocation of a terabyte fails here as it would elsewhere."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    warnings.simplefilter("error")


@dataclass(frozen=True)
class Input:
    """An input, and whether every change to it was one that knows its format.

    Only to such inputs are further ones of that kind made: libraries that write a format crash on damaged files.
    """

    data: bytes
    clean: bool = True


def make_input(random: Random, target: Target, seeds: list[Input], found: list[Input]) -> Input:
    """A new input from the corpus and from what was found since."""
    pool = found if found and random.random() < 0.5 else seeds
    parent = random.choice(pool if pool is seeds or random.random() < 0.5 else pool[-50:])
    data, clean = parent.data, parent.clean
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(random.choice((1, 1, 2))):
            if target.mutators and clean and random.random() < target.structured:
                data = random.choice(target.mutators)(random, data)[:MOST_BYTES]
    if not target.mutators or random.random() > target.structured or data == parent.data:
        data, clean = mutate_bytes(random, data), target.always_clean
    return Input(data, clean)


class Inputs:
    """The process under test: counts, keeps the state that is looked at from outside, reports findings on stdout."""

    def __init__(self, name: str, folder: Path, *, coverage: bool) -> None:
        limit_this_process()
        self.target, self._folder = every_target()[name], folder
        self.executor = Executor(self.target, folder, coverage=coverage)
        self.n_run = self.n_valid = 0
        self._state = (folder / "state").open("r+b", buffering=0)
        self._reported: set[str] = set()

    def note(self, began_s: float) -> None:
        """Where we are; see `STATE`."""
        self._state.seek(0)
        self._state.write(STATE.pack(self.n_run, self.n_valid, began_s))

    def run(self, data: bytes) -> tuple[bool, bool]:
        """Whether an input was valid, and whether it should join the corpus; a finding is reported once."""
        (self._folder / "input").write_bytes(data)
        self.note(time.monotonic())
        valid, finding = self.executor.run(data)
        self.n_run, self.n_valid = self.n_run + 1, self.n_valid + valid
        self.note(0.0)
        if finding is not None:
            self.report(finding, data)
        coverage = self.executor.coverage
        return valid, finding is None and coverage is not None and coverage.grew

    def report(self, finding: Finding, data: bytes) -> None:
        """One line of JSON, and a file beside it."""
        if finding.signature in self._reported:
            return
        self._reported.add(finding.signature)
        kept = self._folder / f"found-{finding.name}"
        kept.write_bytes(data)
        say(json.dumps([finding.kind, finding.signature, finding.detail, str(kept)]))


def fuzz_here(name: str, folder: Path, *, seed: int, executions: int, seconds: float, coverage: bool) -> None:
    """The corpus, which has to be valid, what once was found, which must not be again, and new inputs."""
    inputs = Inputs(name, folder, coverage=coverage)
    target, seeds, found = inputs.target, list[Input](), list[Input]()
    for path in target.files():
        data, is_valid_seed = path.read_bytes(), path.parent.parent == CORPUS
        valid, _ = inputs.run(data)
        seeds.append(Input(data, is_valid_seed))
        if is_valid_seed and not valid:
            inputs.report(Finding("invalid", f"invalid seed {path.name}", "a seed of the corpus is refused"), data)
    seeds = seeds or [Input(b"an input")]
    end_s, last = time.monotonic() + seconds, inputs.n_run + executions
    while inputs.n_run < last and time.monotonic() < end_s:
        inputs.note(-1.0)
        made = make_input(Random(f"{seed} {inputs.n_run}"), target, seeds, found)
        _, is_new = inputs.run(made.data)
        if is_new and len(found) < KEPT_INPUTS:
            found.append(made)
