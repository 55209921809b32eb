"""What a recording survives: its process killed, the disk full, slow or gone."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from live_packets import describe, live_packet

from trueflow.pipeline.acquisition import Acquisition
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import RfPacket, Stamp
from trueflow.pipeline.live import recorder as recorder_module
from trueflow.pipeline.live import recorder_file
from trueflow.pipeline.live.recorder import Recorder
from trueflow.pipeline.sources.recorded import LiveRecording

SUPPORT = Path(__file__).resolve().parents[2] / "support"
PATIENCE_S = 20.0
PACKET_BYTES = 2 * 8 * 32 * 400

# Records packets that hold their own number, about 50 a second, and says of each when it was handed over.
WRITER = """
import sys, time
sys.path.insert(0, {support!r})
import numpy as np
from live_packets import describe, small_acquisition
from trueflow.pipeline.config import Config
from trueflow.pipeline.frames import RfPacket, Stamp
from trueflow.pipeline.live.recorder import Recorder

acquisition = small_acquisition()
description = describe(acquisition)
recorder = Recorder({path!r}, description)
recorder.changed(Config(), anew=True, made_with=None)
for index in range(100_000):
    recorder.raw(RfPacket(np.full(description.layout.shape, index % 30_000, np.int16), Stamp(index, index * 5e-3)))
    print(index, time.monotonic(), flush=True)
    time.sleep(2e-2)
"""


def test_a_killed_recorder_leaves_every_frame_older_than_a_second(tmp_path: Path) -> None:
    path = tmp_path / "live.tfr"
    program = WRITER.format(support=str(SUPPORT), path=str(path))
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        handed_over = [process.stdout.readline() for _ in range(90)]
        process.send_signal(signal.SIGKILL)
        killed_s = time.monotonic()
        handed_over += process.stdout.readlines()
    assert process.returncode == -signal.SIGKILL
    times_s = {int(a): float(b) for a, b in (line.split() for line in handed_over)}
    older = [index for index, time_s in times_s.items() if time_s < killed_s - 1.0]
    assert len(older) > 20
    with LiveRecording(path) as recording:
        n_read = recording.n_slow_time // recording.burst_length
        assert n_read > max(older)
        for index in range(n_read):
            samples = recording.read(8 * index, 8 * index + 8)
            assert (samples == index).all()
        assert any("was killed, or still writes" in remark for remark in recording.remarks)


def test_a_recording_can_be_read_while_it_is_made(tmp_path: Path, acquisition: Acquisition) -> None:
    with Recorder(tmp_path / "live.tfr", describe(acquisition)) as recorder:
        for index in range(5):
            recorder.raw(live_packet(acquisition, index))
        until(lambda: recorder.status.n_packets == 5)
        with LiveRecording(tmp_path / "live.tfr") as recording:
            np.testing.assert_array_equal(recording.read(32, 40), live_packet(acquisition, 4).samples)
        recorder.raw(live_packet(acquisition, 5))
    with LiveRecording(tmp_path / "live.tfr") as recording:
        assert recording.n_slow_time == 6 * 8


def until(happened: Callable[[], bool]) -> None:
    give_up_s = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < give_up_s
        time.sleep(1e-3)


def test_the_end_is_on_the_disk_twice_a_second(
    tmp_path: Path, acquisition: Acquisition, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    assert recorder_module.SYNC_INTERVAL_S < 0.5
    with Recorder(tmp_path / "live.tfr", describe(acquisition)) as recorder:
        until(lambda: len(synced) == 1)  # the head
        time.sleep(2 * recorder_module.SYNC_INTERVAL_S)
        assert len(synced) == 1  # nothing new
        for n in (2, 3):
            recorder.raw(live_packet(acquisition, n))
            until(lambda n=n: len(synced) == n)


def test_a_disk_that_takes_its_time_does_not_hold_packets_up(
    tmp_path: Path, acquisition: Acquisition, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed meanwhile, the process would leave them all to be read."""
    asked, answered = threading.Event(), threading.Event()

    def slow(descriptor: int) -> None:
        asked.set()
        assert answered.wait(PATIENCE_S)

    monkeypatch.setattr(os, "fdatasync", slow)
    path = tmp_path / "live.tfr"
    with Recorder(path, describe(acquisition)) as recorder:
        assert asked.wait(PATIENCE_S)
        for index in range(5):
            recorder.raw(live_packet(acquisition, index))
        until(lambda: recorder.status.n_packets == 5)
        with LiveRecording(path) as recording:
            assert recording.n_slow_time == 5 * 8
        assert b"SYNC" not in path.read_bytes()
        answered.set()
    assert b"SYNC" in path.read_bytes()


def test_after_a_failure_nothing_is_said_to_be_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system tells of a lost page once; who asks again is told that all is well."""

    def lost(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    path = tmp_path / "live.tfr"
    file = recorder_file.RecordFile(path)
    file.append(b"HEAD", [b"some"])
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", lost)
        with pytest.raises(OSError, match="Input/output"):
            file.sync()
    file.append(b"LAST")
    file.sync()
    file.close()
    assert b"SYNC" not in path.read_bytes()


class SmallDisk:
    """`os.writev` on a disk with so many bytes left: writes what fits, then fails."""

    def __init__(self, left: int) -> None:
        self.left, self.write = left, os.writev

    def __call__(self, descriptor: int, parts: list[memoryview]) -> int:
        whole = b"".join(bytes(part) for part in parts)
        if self.left == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = self.write(descriptor, [whole[: self.left]])
        self.left -= written
        return written


def test_a_full_disk_ends_the_recording_and_nothing_else(
    tmp_path: Path, acquisition: Acquisition, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    with Recorder(tmp_path / "live.tfr", describe(acquisition), ended=said.append) as recorder:
        monkeypatch.setattr(recorder_file.os, "writev", SmallDisk(5 * PACKET_BYTES + 3000))
        for index in range(5):
            recorder.raw(live_packet(acquisition, index))
        until(lambda: recorder.status.n_packets == 5)
        assert not said
        for index in range(5, 20):
            recorder.raw(live_packet(acquisition, index))
            time.sleep(1e-3)
        until(lambda: recorder.status.message is not None)
        monkeypatch.undo()
    status = recorder.status
    assert said == [status.message]
    assert "the disk is full (No space left on device); the recording ends here" in said[0]
    assert (status.n_packets, status.n_missed) == (5, 15)
    with LiveRecording(tmp_path / "live.tfr") as recording:
        assert recording.n_slow_time == 5 * 8
        np.testing.assert_array_equal(recording.read(32, 40), live_packet(acquisition, 4).samples)
        assert not any("cut off" in remark for remark in recording.remarks)  # it was taken back


def test_a_disk_that_is_really_full_ends_the_recording(tmp_path: Path) -> None:
    """With a limit on the size of files, in a process of its own."""
    path = tmp_path / "live.tfr"
    program = WRITER.format(support=str(SUPPORT), path=str(path)).replace(
        "for index in range(100_000)",
        f"import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, ({20 * PACKET_BYTES}, {20 * PACKET_BYTES}))\n"
        "for index in range(100_000)",
    ).replace("time.sleep(2e-2)", "if recorder.status.message: break") + "\nprint(recorder.status)\nrecorder.close()\n"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "the disk is full (File too large); the recording ends here" in done.stdout
    with LiveRecording(path) as recording:
        assert recording.n_slow_time // 8 == 19
        assert (recording.read(18 * 8, 19 * 8) == 18).all()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk takes root")
def test_a_small_disk_ends_the_recording(tmp_path: Path, acquisition: Acquisition) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], capture_output=True, text=True)
    if made.returncode != 0:
        pytest.skip(f"no disk can be mounted here: {made.stderr.strip()}")
    try:
        with Recorder(disk / "live.tfr", describe(acquisition), wait=True) as recorder:
            for index in range(20):
                recorder.raw(live_packet(acquisition, index))
        assert "the disk is full (No space left on device)" in str(recorder.status.message)
        with LiveRecording(disk / "live.tfr") as recording:
            assert recording.n_slow_time == 8 * recorder.status.n_packets > 0
            assert recorder.status.n_packets + recorder.status.n_missed == 20
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.fixture
def slow_disk(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Nothing is written before the event is set."""
    may_write = threading.Event()
    append = recorder_file.RecordFile.append

    def wait(self: Any, kind: bytes, *arguments: Any, **options: Any) -> None:
        if kind == b"PCKT":
            assert may_write.wait(PATIENCE_S)
        append(self, kind, *arguments, **options)

    monkeypatch.setattr(recorder_file.RecordFile, "append", wait)
    return may_write


def test_a_disk_that_is_too_slow_ends_the_recording_and_what_waited_is_in_it(
    tmp_path: Path, acquisition: Acquisition, slow_disk: threading.Event
) -> None:
    recorder = Recorder(tmp_path / "live.tfr", describe(acquisition), queue_bytes=6 * PACKET_BYTES)
    for index in range(10):
        recorder.raw(live_packet(acquisition, index))
    assert recorder.status.behind_s > 0
    assert "the disk is too slow, 6 records were waiting" in str(recorder.status.message)
    slow_disk.set()
    recorder.close()
    assert (recorder.status.n_packets, recorder.status.n_missed) == (6, 4)
    with LiveRecording(tmp_path / "live.tfr") as recording:
        assert recording.n_slow_time == 6 * 8
        assert "the disk is too slow" in recording.remarks[0]


def test_a_run_without_a_picture_waits_for_the_disk(
    tmp_path: Path, acquisition: Acquisition, slow_disk: threading.Event
) -> None:
    recorder = Recorder(tmp_path / "live.tfr", describe(acquisition), queue_bytes=4 * PACKET_BYTES, wait=True)
    threading.Timer(0.2, slow_disk.set).start()
    for index in range(30):
        recorder.raw(live_packet(acquisition, index))
    recorder.close()
    assert (recorder.status.n_packets, recorder.status.n_missed, recorder.status.message) == (30, 0, None)


def test_memory_is_bounded_by_the_queue(tmp_path: Path, acquisition: Acquisition) -> None:
    with Recorder(tmp_path / "live.tfr", describe(acquisition), queue_bytes=4 * PACKET_BYTES, wait=True) as recorder:
        for index in range(100):
            recorder.raw(live_packet(acquisition, index % 5))
        assert len(recorder._free) <= 5


def test_a_mistake_of_ours_in_the_writing_thread_is_not_lost(
    tmp_path: Path, acquisition: Acquisition, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(tmp_path / "live.tfr", describe(acquisition))
    monkeypatch.setattr(recorder, "_written", lambda item: 1 / 0)
    recorder.raw(live_packet(acquisition, 0))
    until(lambda: recorder.status.message is not None)
    recorder.raw(live_packet(acquisition, 1))  # the picture goes on
    with pytest.raises(ZeroDivisionError):
        recorder.close()


def test_what_comes_after_the_end_is_counted(tmp_path: Path, acquisition: Acquisition) -> None:
    recorder = Recorder(tmp_path / "live.tfr", describe(acquisition))
    recorder.close()
    recorder.close()
    recorder.raw(live_packet(acquisition, 0))
    assert recorder.status.n_missed == 1


def test_a_recording_without_packets_is_said(tmp_path: Path, acquisition: Acquisition) -> None:
    Recorder(tmp_path / "live.tfr", describe(acquisition)).close()
    with pytest.raises(TrueflowError, match="no packets"):
        LiveRecording(tmp_path / "live.tfr")


def test_frames_belong_to_the_packets_received_last_where_numbers_begin_again(
    tmp_path: Path, acquisition: Acquisition, vessel: Any
) -> None:
    with Recorder(tmp_path / "live.tfr", describe(acquisition)) as recorder:
        for time_s in (0.0, 5.0):
            for index in (0, 1, 2):
                samples = live_packet(acquisition, index).samples
                recorder.raw(RfPacket(samples, Stamp(index, time_s + 0.1 * index)))
            recorder.result(vessel.frame(1))
    with LiveRecording(tmp_path / "live.tfr") as recording:
        assert [recording.slow_time_s(8 * burst) for burst in range(3)] == [0.1, 5.1, 5.2]  # 5.2 was not reached
        assert recording.n_slow_time == 24
