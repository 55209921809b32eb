"""`trueflow frontend` and `trueflow view --live`, as processes: limits, reports, signals, what does not go together."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from live_packets import ToyFrontEnd, describe, live_packet

from trueflow.pipeline import Acquisition, cli
from trueflow.pipeline.cli import live
from trueflow.pipeline.live.frontend import looped, play
from trueflow.pipeline.live.publisher import Prepared, Publisher

pytest.importorskip("zmq")

PATIENCE_S = 60.0
SMALL = ("--set", "grid.n_x=16", "--set", "grid.n_z=24", "--set", "clutter.name=polynomial", "--threads", "1")


class Scanner(threading.Thread):
    """A front end that goes on until it is told to end."""

    def __init__(self, url: str, acquisition: Acquisition, rate_hz: float = 50.0) -> None:
        super().__init__(daemon=True)
        self._url, self._acquisition, self._rate_hz = url, acquisition, rate_hz
        self.ending, self.heard = threading.Event(), threading.Event()

    def run(self) -> None:
        packets = [Prepared.of(live_packet(self._acquisition, index)) for index in range(4)]
        with Publisher(self._url, describe(self._acquisition)) as publisher:
            stream = looped(lambda: iter(packets), interval_s=0.02)

            def alive() -> bool:
                if publisher.n_listeners:
                    self.heard.set()
                return not self.ending.is_set()

            play(publisher, stream, rate_hz=self._rate_hz, alive=alive)


@pytest.fixture
def scanner(url: str, acquisition: Acquisition) -> Iterator[Scanner]:
    scanner = Scanner(url, acquisition)
    scanner.start()
    yield scanner
    scanner.ending.set()
    scanner.join(PATIENCE_S)


def trueflow(*arguments: str) -> subprocess.Popen[str]:
    # In the background of a shell, where tests may run, interrupts are ignored, also by who is started there.
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = [sys.executable, "-c", f"{heed}; from trueflow.pipeline.cli import main; main()", *arguments]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment)


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a command that does not outlive the test."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        started.append(trueflow(*arguments))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_frames_limit_a_view_without_a_window(scanner: Scanner, url: str, start: Any) -> None:
    process = start("view", "--live", url, "--headless", "--frames", "5", "--json", *SMALL)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    report = json.loads(out)
    assert report["n_frames"] >= 5
    assert report["source"]["n_received"] >= report["n_frames"]
    assert 0 < report["latency"]["p50_s"] <= report["latency"]["max_s"]
    assert report["memory"]["last_bytes"] > 1 << 20
    assert {"beamform", "dealias", "sinks"} <= set(report["stages"])


def test_the_end_of_the_source_ends_a_view_without_a_window(scanner: Scanner, url: str, start: Any) -> None:
    process = start("view", "--live", url, "--headless", *SMALL)
    assert scanner.heard.wait(PATIENCE_S)
    scanner.ending.set()
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    assert f"{url} has ended" in err
    assert "pictures" in out
    assert "latency" in out


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_view_with_its_report_and_a_whole_recording(
    scanner: Scanner, url: str, start: Any, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    recording = tmp_path / "live.tfr"
    process = start("view", "--live", url, "--headless", "--json", "--record", str(recording), *SMALL)
    end_s = time.monotonic() + PATIENCE_S
    while not (recording.exists() and recording.stat().st_size > 2_000_000):  # some packets are there
        assert process.poll() is None
        assert time.monotonic() < end_s
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == code, err
    assert "Traceback" not in err
    assert json.loads(out)["source"]["n_received"] > 0
    info = trueflow("info", str(recording), "--json")
    described = info.communicate(timeout=PATIENCE_S)
    assert info.returncode == 0, described


def test_a_front_end_plays_the_simulator_to_a_view(url: str, start: Any) -> None:
    """The simulator's fast mode: beamformed packets, their pixels in the description."""
    front = start(
        "frontend", "sim://straight?frames=3&pulses=8&mode=fast&snr=20", "--bind", url, "--precompute", "3",
        "--loop", "--rate", "20", "--frames", "30", "--loss", "0.2", "--seed", "3", "--json",
    )  # fmt: skip
    view = start("view", "--live", url, "--headless", "--json", "--threads", "1")
    seen, err = view.communicate(timeout=2 * PATIENCE_S)
    sent, said = front.communicate(timeout=PATIENCE_S)
    assert (view.returncode, front.returncode) == (0, 0), err + said
    assert f"listening on {url}" in said
    report, tally = json.loads(seen), json.loads(sent)
    assert tally["n_packets"] == 30
    assert tally["n_lost"] > 0
    assert report["source"]["n_lost"] == tally["n_lost"]
    assert report["source"]["n_received"] == 30 - tally["n_lost"]
    assert report["n_frames"] + report["n_dropped"] + report["n_waiting"] == report["source"]["n_received"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_front_end_and_takes_its_address_along(
    url: str, start: Any, number: signal.Signals
) -> None:
    process = start("frontend", "sim://straight?frames=1&pulses=8&mode=fast", "--bind", url)
    assert "listening" in process.stderr.readline()
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 128 + number
    assert "Traceback" not in err
    assert not Path(url.removeprefix("ipc://")).exists()


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    return int(str(ended.value.code))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("view",), "either a SOURCE or --live"),
        (("view", "a.mat", "--live", "ipc:///x"), "either a SOURCE or --live"),
        (("view", "a.mat", "--seconds", "3"), "are for --live"),
        (("view", "--live", "ipc:///x", "--hop", "4"), "for recordings"),
        (("view", "--live", "ipc:///x", "--seconds", "4"), "need --headless"),
        (("frontend", "sim://straight", "--bind", "tcp://0.0.0.0:5"), "--allow-remote"),
        (("frontend", "sim://straight", "--bind", "ipc:///x", "--rate", "fast"), "neither real, max nor"),
        (("frontend", "sim://straight", "--bind", "ipc:///x", "--rate", "0"), "neither real, max nor"),
        (("frontend", "sim://straight", "--bind", "ipc:///x", "--loss", "1.5"), "range"),
        (("frontend", "sim://straight", "--bind", "ipc:///x", "--loss", "0.7", "--corrupt", "0.7"), "shares"),
    ],
)
def test_what_does_not_go_together_is_refused(
    arguments: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == 2
    assert told in capsys.readouterr().err


def test_a_recording_that_ends_by_itself_is_said_in_the_window_too(
    tmp_path: Path, acquisition: Acquisition, capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []
    window: Any = SimpleNamespace(say=said.append)
    with ExitStack() as stack:
        recorder = live._recorder(tmp_path / "live.tfr", ToyFrontEnd(acquisition), stack, [window])
        recorder._end("the disk is full")
    assert said == ["the disk is full"]
    assert "the disk is full" in capsys.readouterr().err


def test_a_front_end_of_another_kind_is_asked_for_by_its_scheme(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("view", "--live", "icp:///x", "--headless") == 2
    assert "no front end" in capsys.readouterr().err
