"""Shared memory: packets from another process, none of them torn; losses counted; nothing left behind."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from live_packets import describe, small_acquisition

from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import Stamp
from trueflow.pipeline.live import shared_memory, shared_memory_segment
from trueflow.pipeline.live.description import Description
from trueflow.pipeline.live.registry import is_live, open_live
from trueflow.pipeline.live.shared_memory import SharedMemorySource, SharedMemoryWriter
from trueflow.pipeline.live.shared_memory_segment import FOLDER, MAGIC, PREFIX, shm_name

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="no /dev/shm")

SUPPORT = Path(__file__).resolve().parents[2] / "support"
LAYOUT = describe(small_acquisition()).layout
PATIENCE_S = 20.0


@pytest.fixture
def url() -> Iterator[str]:
    name = f"test-{os.getpid()}-{time.monotonic_ns()}"
    yield f"shm://{name}"
    assert not (FOLDER / f"{PREFIX}{name}").exists(), "left behind"
    assert not list(FOLDER.glob(f".{PREFIX}{name}*")), "left behind"


def full_of(value: int) -> Any:
    return np.full(LAYOUT.shape, value % 30_000, np.int16)


def open_writer(url: str, **options: Any) -> SharedMemoryWriter:
    return SharedMemoryWriter(url, describe(small_acquisition()), **options)


def put(writer: SharedMemoryWriter, value: int, **options: Any) -> int:
    return writer.write(full_of(value), acquisition_time_s=0.02 * value, **options)


def segment_file(url: str) -> Path:
    return FOLDER / f"{PREFIX}{shm_name(url)}"


def test_packets_arrive_with_their_stamps(url: str) -> None:
    into = LAYOUT.empty()
    with open_writer(url) as writer, open_source(url) as source:
        assert source.receive(into, 0.0) is None
        before_s = time.monotonic()
        for value in range(3):
            assert put(writer, value, continuous=value == 2) == value
        for value in range(3):
            stamp = source.receive(into, 0.0)
            assert stamp is not None
            assert stamp == Stamp(value, 0.02 * value, stamp.receive_time_s, value == 2)
            assert before_s <= stamp.receive_time_s <= time.monotonic()
            assert (into == value).all()
        assert source.acquisition.prf_hz == small_acquisition().prf_hz
        assert source.layout == LAYOUT
        assert (source.grid, source.frame_rate_hz, source.name) == (None, 50.0, url)
        assert source.counters.n_received == 3
        assert source.counters.n_lost == 0


class open_source(SharedMemorySource):
    """A source that is closed at the end of a block."""

    def __init__(self, url: str) -> None:
        super().__init__(url, patience_s=0.1)

    def __enter__(self) -> SharedMemorySource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def test_the_scheme_is_known(url: str) -> None:
    assert is_live(url)
    with open_writer(url):
        source = open_live(url)
        assert isinstance(source, SharedMemorySource)
        source.close()


def test_the_end_is_told_after_the_last_packet(url: str) -> None:
    into = LAYOUT.empty()
    writer = open_writer(url)
    with open_source(url) as source:
        put(writer, 0)
        writer.close()
        writer.close()
        assert source.receive(into, 0.0) is not None
        assert not source.ended
        assert source.receive(into, 1.0) is None
        assert source.ended
    source.close()
    assert source.receive(into, 0.0) is None


def test_what_was_there_before_is_not_given(url: str) -> None:
    into = LAYOUT.empty()
    with open_writer(url) as writer:
        put(writer, 0), put(writer, 1)
        with open_source(url) as source:
            assert source.receive(into, 0.0) is None
            put(writer, 2)
            stamp = source.receive(into, 0.0)
            assert stamp is not None
            assert stamp.index == 2
            assert source.counters.n_lost == 0


@pytest.mark.parametrize("n_slots", [2, 3, 8])
def test_overwritten_packets_are_counted_as_lost(url: str, n_slots: int) -> None:
    into = LAYOUT.empty()
    with open_writer(url, n_slots=n_slots) as writer, open_source(url) as source:
        for value in range(20):
            put(writer, value)
        numbers = []
        while (stamp := source.receive(into, 0.0)) is not None:
            assert (into == stamp.index).all()
            numbers.append(stamp.index)
        assert numbers == list(range(20 - n_slots // 2, 20))
        assert source.counters.n_lost == 20 - len(numbers)
        for value in range(20, 20 + n_slots - 1):  # and all goes on
            put(writer, value)
        for value in range(20, 20 + n_slots - 1):
            stamp = source.receive(into, 0.0)
            assert stamp is not None
            assert stamp.index == value


def test_numbers_that_the_scanner_left_out_are_counted_as_lost(url: str) -> None:
    into = LAYOUT.empty()
    with open_writer(url) as writer, open_source(url) as source:
        put(writer, 0)
        assert writer.skip() == 1
        put(writer, 2)
        writer.skip()
        indices = [stamp.index for _ in range(2) if (stamp := source.receive(into, 0.0))]
        assert indices == [0, 2]
        assert source.counters.n_lost == 1
        writer.close()
        assert source.receive(into, 1.0) is None
        assert source.counters.n_lost == 2


def test_a_packet_that_is_overwritten_while_it_is_copied_is_not_given(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    into = LAYOUT.empty()
    with open_writer(url, n_slots=2) as writer, open_source(url) as source:
        put(writer, 0)
        copy = np.copyto

        def interrupted(to: Any, samples: Any) -> None:
            copy(to, samples)
            if to is into and writer.sequence == 1:
                for value in (1, 2, 3):
                    put(writer, value)

        monkeypatch.setattr(shared_memory.np, "copyto", interrupted)
        stamp = source.receive(into, PATIENCE_S)
        assert stamp is not None
        assert stamp.index == 3
        assert (into == 3).all()
        assert source.counters.n_lost == 3


@pytest.mark.parametrize("moment", ["while it is written", "afterwards"])
def test_a_slot_that_is_not_whole_is_not_given(url: str, moment: str) -> None:
    into = LAYOUT.empty()
    with open_writer(url, checksums=True) as writer, open_source(url) as source:
        put(writer, 0), put(writer, 1)
        if moment == "afterwards":
            writer._slots[0].samples[3, 0, 5] ^= 4
        else:
            writer._slots[0].words[0] = 1
        stamp = source.receive(into, 0.0)
        assert stamp is not None
        assert stamp.index == 1
        assert source.counters.n_lost == 1
        assert source.counters.n_corrupt == (moment == "afterwards")


WRITER = """
import sys, time
sys.path.insert(0, {support!r})
import numpy as np
from live_packets import describe, small_acquisition
from trueflow.pipeline.live.shared_memory import SharedMemoryWriter
description = describe(small_acquisition())
with SharedMemoryWriter({url!r}, description, n_slots={n_slots}) as writer:
    print("ready", flush=True)
    sys.stdin.readline()
    for value in range({n}):
        writer.write(np.full(description.layout.shape, value % 30_000, np.int16), acquisition_time_s=0.001 * value)
        {pause}
    sys.stdin.readline()
"""


@pytest.fixture
def other_process(url: str) -> Iterator[Any]:
    """Runs a writer: (n, n_slots, pause) -> Popen; a line on its stdin lets it write, another one end."""
    running: list[subprocess.Popen[str]] = []

    def start(*, n: int, n_slots: int = 4, pause: str = "pass") -> subprocess.Popen[str]:
        program = WRITER.format(support=str(SUPPORT), url=url, n=n, n_slots=n_slots, pause=pause)
        process = subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_another_process_at_full_speed_loses_packets_but_tears_none(url: str, other_process: Any) -> None:
    into = LAYOUT.empty()
    process = other_process(n=4000, n_slots=2)
    with open_source(url) as source:
        go_on(process)
        n_given, last, give_up_s = 0, -1, time.monotonic() + PATIENCE_S
        while last < 3999 and time.monotonic() < give_up_s:
            stamp = source.receive(into, 0.1)
            if stamp is None:
                continue
            assert (into == stamp.index % 30_000).all()
            assert stamp.index > last
            n_given, last = n_given + 1, stamp.index
        go_on(process)
        assert process.wait(PATIENCE_S) == 0
        assert last == 3999
        assert source.counters.n_lost == 4000 - n_given


def test_another_process_at_an_easy_pace_loses_nothing(url: str, other_process: Any) -> None:
    into = LAYOUT.empty()
    process = other_process(n=50, n_slots=64, pause="time.sleep(2e-3)")  # room for all, were we asleep
    with open_source(url) as source:
        go_on(process), go_on(process)
        give_up_s = time.monotonic() + PATIENCE_S
        while not source.ended and time.monotonic() < give_up_s:
            source.receive(into, 0.1)
        assert source.ended
        assert (source.counters.n_received, source.counters.n_lost) == (50, 0)


def test_a_killed_writer_is_noticed_and_its_segment_removed(url: str, other_process: Any) -> None:
    into = LAYOUT.empty()
    process = other_process(n=1)
    with open_source(url) as source:
        go_on(process)
        assert source.receive(into, PATIENCE_S) is not None
        process.send_signal(signal.SIGKILL)
        process.wait()
        with pytest.raises(TrueflowError, match=f"process {process.pid} is gone; start it again"):
            source.receive(into, PATIENCE_S)
    assert not segment_file(url).exists()


def test_what_a_killed_writer_left_is_said_and_removed(url: str, other_process: Any) -> None:
    process = other_process(n=1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert segment_file(url).exists()
    with pytest.raises(TrueflowError, match=f"left behind by .*; found process {process.pid}; it is"):
        SharedMemorySource(url, patience_s=0)
    assert not segment_file(url).exists()


def test_a_new_writer_takes_the_place_of_a_killed_one(url: str, other_process: Any) -> None:
    into = LAYOUT.empty()
    process = other_process(n=1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with open_writer(url) as writer, open_source(url) as source:
        put(writer, 7)
        assert source.receive(into, 0.0) is not None
        assert (into == 7).all()


def test_a_writer_that_lives_keeps_its_place(url: str) -> None:
    with open_writer(url) as writer:
        with pytest.raises(TrueflowError, match="is in use; found a process that writes to it"):
            open_writer(url)
        with open_source(url) as source:
            put(writer, 0)
            assert source.receive(LAYOUT.empty(), 0.0) is not None


def test_a_reader_that_looks_does_not_stop_a_new_writer(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who looks whether a segment is abandoned holds its lock for a moment."""
    monkeypatch.setattr(shared_memory_segment, "LOCK_PATIENCE_S", PATIENCE_S)
    path = segment_file(url)
    path.write_bytes(bytes(5000))
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        looks = threading.Timer(0.05, lambda: fcntl.flock(file, fcntl.LOCK_UN))
        looks.start()
        with open_writer(url):
            assert path.stat().st_size > 5000
        looks.join()


def test_a_name_that_a_new_writer_takes_over_is_not_taken_from_him(url: str) -> None:
    """He holds the lock of what was left behind until the name is his."""
    path = segment_file(url)
    path.write_bytes(bytes(5000))
    with path.open("rb") as file:
        reader = shared_memory_segment.Segment(os.open(path, os.O_RDONLY), path, writable=False)
        fcntl.flock(file, fcntl.LOCK_EX)
        assert not reader.remove()
        assert path.exists()
        fcntl.flock(file, fcntl.LOCK_UN)
        assert reader.remove()
        reader.close()


def test_a_pipe_of_that_name_does_not_hold_up_the_reader(url: str) -> None:
    os.mkfifo(segment_file(url))
    try:
        with pytest.raises(TrueflowError, match="no scanner process"):
            SharedMemorySource(url, patience_s=0)
    finally:
        segment_file(url).unlink()


def test_nobody_there_is_said(url: str) -> None:
    with pytest.raises(TrueflowError, match=r"no scanner process; found no .* within 0.05 s; is `trueflow front"):
        SharedMemorySource(url, patience_s=0.05)


def test_a_writer_is_waited_for(url: str) -> None:
    found: list[SharedMemorySource] = []
    thread = threading.Thread(target=lambda: found.append(SharedMemorySource(url, patience_s=PATIENCE_S)))
    thread.start()
    time.sleep(0.05)
    with open_writer(url):
        thread.join(PATIENCE_S)
        (source,) = found
        source.close()


@pytest.mark.parametrize("bad", ["", "../../etc/passwd", "a/b", ".hidden", "x" * 101])
def test_names_that_lead_elsewhere_are_refused(bad: str) -> None:
    with pytest.raises(TrueflowError, match="not a name for shared memory"):
        SharedMemorySource(f"shm://{bad}")


def test_a_link_is_not_followed(url: str, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(bytes(5000))
    segment_file(url).symlink_to(tmp_path / "elsewhere")
    try:
        with pytest.raises(TrueflowError, match="cannot be opened"):
            SharedMemorySource(url, patience_s=0)
    finally:
        segment_file(url).unlink()


@pytest.mark.parametrize(
    ("word", "value", "message"),
    [
        (1, 2, "version 2"),
        (3, 1 << 40, "1099511627776 slots"),
        (3, 1, "1 slots"),
        (4, 64, "slots of 64 bytes"),
        (4, (1 << 64) - 64, "not a segment of packets"),
        (5, 3, "not a segment of packets"),
        (6, 1 << 50, "not a segment of packets"),
        (6, 100, "not a segment of packets"),
        (7, 1 << 60, "a description of"),
        (7, 0, "a description of"),
        (7, 50, "not JSON"),
    ],
)
def test_a_segment_that_cannot_be_is_refused(url: str, word: int, value: int, message: str) -> None:
    with open_writer(url) as writer:
        assert writer._segment is not None
        assert writer._segment.words[0] == MAGIC
        writer._segment.words[word] = value
        with pytest.raises(TrueflowError, match=message):
            SharedMemorySource(url, patience_s=0)


def test_numbers_that_jump_do_not_stop_the_reader(url: str) -> None:
    into = LAYOUT.empty()
    with open_writer(url) as writer, open_source(url) as source:
        assert writer._segment is not None
        put(writer, 0)
        for written in ((1 << 64) - 1, 1 << 40, 3):
            writer._segment.words[9] = written
            source.receive(into, 0.0)


def test_times_of_another_clock_become_ours(url: str) -> None:
    with open_writer(url) as writer, open_source(url) as source:
        for first_byte_s in (time.monotonic() + 5, time.monotonic() - 1e5, float("nan")):
            put(writer, 0, first_byte_s=first_byte_s)
            before_s = time.monotonic()
            stamp = source.receive(LAYOUT.empty(), 0.0)
            assert stamp is not None
            assert before_s <= stamp.receive_time_s <= time.monotonic()
        exactly_s = time.monotonic() - 0.5
        put(writer, 0, first_byte_s=exactly_s)
        stamp = source.receive(LAYOUT.empty(), 0.0)
        assert stamp is not None
        assert stamp.receive_time_s == exactly_s


def test_too_little_memory_is_said_before_anything_is_written(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shared_memory_segment.os, "posix_fallocate", full)
    with pytest.raises(TrueflowError, match=r"No space left on device; .* MB of shared memory are needed"):
        open_writer(url)


def test_another_shape_is_refused(url: str) -> None:
    with open_writer(url) as writer, pytest.raises(TrueflowError, match="packet of another shape"):
        writer.write(full_of(0)[1:], acquisition_time_s=0.0)


def test_only_this_user_can_read_it(url: str) -> None:
    with open_writer(url):
        assert segment_file(url).stat().st_mode & 0o777 == 0o600


def test_the_front_end_command_writes_shared_memory(url: str) -> None:
    """The simulator in a process of its own, with losses and damage on purpose."""
    program = "from trueflow.pipeline.cli import main; main()"
    command = [
        sys.executable, "-c", program, "frontend", "sim://disk?mode=fast", "--bind", url, "--rate", "50",
        "--precompute", "2", "--loop", "--frames", "60", "--loss", "0.2", "--corrupt", "0.1", "--json",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        source = SharedMemorySource(url, patience_s=60)
        into, give_up_s = source.layout.empty(), time.monotonic() + 60
        while not source.ended and time.monotonic() < give_up_s:
            source.receive(into, 0.5)
        told, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    tally, counters = json.loads(told), source.counters
    source.close()
    assert source.grid is not None
    assert tally["n_packets"] == 60
    assert 0 < counters.n_corrupt <= tally["n_corrupted"]
    assert 10 < counters.n_received <= 60 - tally["n_lost"] - tally["n_corrupted"]
    assert counters.n_received + counters.n_lost <= 60


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_the_writer_in_c_of_the_documentation_works(url: str, tmp_path: Path) -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / "live-sources.md").read_text()
    (tmp_path / "writer.c").write_text(text.split("```c\n")[1].split("```")[0])
    (tmp_path / "description.json").write_bytes(describe(small_acquisition()).pack())
    command = ["cc", "-O2", "-Wall", "-Wextra", "-Werror", "writer.c", "-o", "writer"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    arguments = ["./writer", shm_name(url), "description.json", str(LAYOUT.n_bytes), "60"]
    with subprocess.Popen(arguments, cwd=tmp_path) as process:
        source = SharedMemorySource(url, patience_s=PATIENCE_S)
        into, numbers, give_up_s = LAYOUT.empty(), [], time.monotonic() + PATIENCE_S
        first = source._next
        while not source.ended and time.monotonic() < give_up_s:
            before_s = time.monotonic()
            if (stamp := source.receive(into, 0.5)) is not None:
                assert (into == stamp.index).all()
                assert stamp.acquisition_time_s == pytest.approx(0.02 * stamp.index)
                assert before_s - 1 < stamp.receive_time_s <= time.monotonic()
                numbers.append(stamp.index)
        assert process.wait(PATIENCE_S) == 0
    counters = source.counters
    source.close()
    assert len(numbers) > 5
    assert numbers[-1] == 59
    assert counters.n_received + counters.n_lost == 60 - first


def test_the_description_of_the_documentation_is_one() -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / "live-sources.md").read_text()
    described = Description.unpack(text.split("```json\n")[1].split("```")[0].encode())
    assert described.layout.shape == (8, 1, 2, 128)
    assert described.name == "my scanner"


def test_the_memory_of_another_user_is_not_mapped(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes first has the name: the folder is everybody's."""
    with open_writer(url):
        me = os.geteuid()
        monkeypatch.setattr(os, "fstat", lambda descriptor, stat=os.fstat: _of_user(stat(descriptor), me + 7))
        monkeypatch.setattr(os, "geteuid", lambda: me + 8)
        with pytest.raises(TrueflowError, match=f"belongs to another user; found user {me + 7}"):
            open_source(url)


def _of_user(status: os.stat_result, user: int) -> os.stat_result:
    fields = list(status)
    fields[4] = user
    return os.stat_result(fields)
