"""A recording of a live stream: what comes back, and that it makes the same pictures again, bit for bit."""

from __future__ import annotations

import dataclasses
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from live_packets import FRAME_S, ToyFrontEnd, describe, live_packet, small_acquisition

from trueflow.pipeline import cli
from trueflow.pipeline.acquisition import Acquisition
from trueflow.pipeline.chain import ColorFlow
from trueflow.pipeline.cli.info import describe as facts_of
from trueflow.pipeline.config import Config
from trueflow.pipeline.dealias import Dealias
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import ColorFrame, RfPacket
from trueflow.pipeline.live import worker
from trueflow.pipeline.live.description import Description
from trueflow.pipeline.live.recorder import Recorder
from trueflow.pipeline.live.runner import Runner
from trueflow.pipeline.sources import Framing, open_source, packets
from trueflow.pipeline.sources.recorded import LiveRecording
from trueflow.pipeline.sources.recorded_flow import RecordedFlow

# Stages that remember frames: what they remember must be the same in the replay. (The mask must show something.)
REMEMBERING = (
    "persistence.factor=0.6", "dealias.previous_frame=on", "clutter.name=iir", "clutter.order=2", "mask.coherence=0.1",
    "mask.least_area_wavelengths2=0", "grid.n_x=24", "grid.n_z=40",
)


@pytest.fixture
def record(tmp_path: Path, acquisition: Acquisition) -> Callable[..., Path]:
    """Records packets without a chain: (packets, **options of the recorder) -> path."""

    def record(some: list[RfPacket], **options: Any) -> Path:
        path = tmp_path / "live.tfr"
        with Recorder(path, describe(acquisition), **options) as recorder:
            for packet in some:
                recorder.raw(packet)
        assert recorder.status.message is None
        return path

    return record


def maps_of(frame: ColorFrame) -> dict[str, Any]:
    return {
        "envelope": frame.bmode.envelope,
        "r0": frame.doppler.r0,
        "r1": frame.doppler.r1,
        **{name: getattr(frame.velocity, name) for name in
           ("velocity_m_s", "wrapped_velocity_m_s", "fold", "confidence", "mask")},
    }


def differ(frame: ColorFrame, other: ColorFrame) -> list[str]:
    here, there = maps_of(frame), maps_of(other)
    return [name for name in here if here[name].tobytes() != there[name].tobytes()]


def test_packets_come_back_as_they_came(record: Any, acquisition: Acquisition) -> None:
    given = [live_packet(acquisition, index, continuous=index % 3 == 2) for index in (0, 1, 2, 5, 6)]
    with LiveRecording(record(given)) as recording:
        assert recording.acquisition.prf_hz == acquisition.prf_hz
        assert recording.acquisition.transmits == acquisition.transmits
        np.testing.assert_array_equal(
            recording.acquisition.probe.element_positions_m, acquisition.probe.element_positions_m
        )
        assert recording.remarks == ()
        assert recording.burst_interval_s == pytest.approx(FRAME_S)
        framed, n, found = packets(recording, Framing())
        assert (framed.n_ensemble, n) == (acquisition.n_ensemble, len(given))
        for packet, original in zip(found, given, strict=True):
            np.testing.assert_array_equal(packet.samples, original.samples)
            assert packet.samples.dtype == np.int16
            assert packet.stamp.acquisition_time_s == original.stamp.acquisition_time_s
            assert packet.stamp.continuous == original.stamp.continuous


def test_samples_are_read_across_packets(record: Any, acquisition: Acquisition) -> None:
    given = [live_packet(acquisition, index) for index in range(3)]
    everything = np.concatenate([packet.samples for packet in given])
    with open_source(record(given)) as recording:
        assert recording.n_slow_time == len(everything)
        for start, stop in [(0, 24), (3, 5), (6, 10), (7, 17), (16, 24)]:
            np.testing.assert_array_equal(recording.read(start, stop), everything[start:stop])


def test_a_packet_may_be_overwritten_once_it_was_handed_over(tmp_path: Path, acquisition: Acquisition) -> None:
    packet = live_packet(acquisition, 0)
    original = packet.samples.copy()
    with Recorder(tmp_path / "live.tfr", describe(acquisition)) as recorder:
        for _ in range(20):
            recorder.raw(packet)
        packet.samples[...] = 0
    with LiveRecording(tmp_path / "live.tfr") as recording:
        for start in range(0, 160, 8):
            np.testing.assert_array_equal(recording.read(start, start + 8), original)


def test_a_packet_longer_than_usual_is_framed_as_it_came(tmp_path: Path, acquisition: Acquisition) -> None:
    long = dataclasses.replace(acquisition, n_ensemble=40)
    with Recorder(tmp_path / "live.tfr", describe(long)) as recorder:
        recorder.raw(live_packet(long, 0))
    with LiveRecording(tmp_path / "live.tfr") as recording:
        assert Framing().resolve(recording)[0].n_ensemble == 40
        assert Framing(decimate=2).resolve(recording)[0].n_ensemble == 20


def test_recordings_are_not_overwritten(record: Any, acquisition: Acquisition) -> None:
    path = record([live_packet(acquisition, 0)])
    before = path.read_bytes()
    with pytest.raises(TrueflowError, match="exists already; recordings are not overwritten"):
        Recorder(path, describe(acquisition))
    assert path.read_bytes() == before


def test_a_folder_that_is_not_there_is_said(tmp_path: Path, acquisition: Acquisition) -> None:
    with pytest.raises(TrueflowError, match="make the folder"):
        Recorder(tmp_path / "nowhere" / "live.tfr", describe(acquisition))


def test_another_shape_of_packet_is_refused(tmp_path: Path, acquisition: Acquisition) -> None:
    packet = live_packet(acquisition, 3)
    with (
        Recorder(tmp_path / "live.tfr", describe(acquisition)) as recorder,
        pytest.raises(TrueflowError, match="packet 3: packet of another shape"),
    ):
        recorder.raw(RfPacket(packet.samples[:, :, 1:], packet.stamp))


class Live:
    """A run on the toy front end with a recorder; keeps the frames."""

    def __init__(self, path: Path, config: Config) -> None:
        self.acquisition, self.frames = small_acquisition(), list[ColorFrame]()
        self.front_end = ToyFrontEnd(self.acquisition)
        self.recorder = Recorder(path, describe(self.acquisition), results=True)
        self.runner = Runner(
            self.front_end, lambda settings: ColorFlow(self.acquisition, settings, n_threads=1), config,
            deliver=lambda frame, *_: self.frames.append(frame), sinks=[self.recorder], taps=[self.recorder],
            on_error="skip",
        )

    def send(self, *indices: int) -> None:
        self.front_end.waiting.extend(live_packet(self.acquisition, i, continuous=True) for i in indices)
        while self.front_end.waiting or self.runner.report().n_waiting:
            self.runner.step()

    def set(self, *settings: str) -> None:
        self.runner.change(self.runner.config.override(settings))

    def close(self) -> None:
        self.runner.stop()
        self.recorder.close()
        assert self.recorder.status.message is None


@dataclass
class Eventful:
    path: Path
    frames: list[ColorFrame]


@pytest.fixture(scope="module")
def eventful(tmp_path_factory: pytest.TempPathFactory) -> Eventful:
    """A packet that is lost, some that are dropped, settings that change, a stage that fails."""
    path = tmp_path_factory.mktemp("eventful") / "live.tfr"
    live = Live(path, Config().override(["clutter.keep_state=true", *REMEMBERING]))
    live.send(0), live.send(1), live.send(2)
    live.send(4)  # 3 is lost
    live.send(5, 6, 7, 8, 9)  # at once: the ring holds two
    live.set("display.gain_db=6")  # the chain goes on
    live.send(10), live.send(11)
    live.set("persistence.factor=0.8", "clutter.name=auto", "clutter.keep_state=false")
    live.send(12), live.send(13)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "on_cpu", lambda *_: 1 / 0)
        live.send(14)  # fails and is left out
    live.send(15), live.send(16)
    live.close()
    assert [frame.stamp.index for frame in live.frames] == [0, 1, 2, 4, 8, 9, 10, 11, 12, 13, 15, 16]
    assert all(frame.velocity.mask.any() for frame in live.frames)
    return Eventful(path, live.frames)


def replayed(path: str | Path, **options: Any) -> list[ColorFrame]:
    with open_source(path) as recording:
        assert isinstance(recording, LiveRecording)
        flow = RecordedFlow(recording, Framing(), n_threads=2, **options)
        return [flow(packet) for packet in packets(recording, Framing())[2]]


def test_a_replay_makes_the_live_pictures_again_bit_for_bit(eventful: Eventful) -> None:
    again = replayed(eventful.path)
    assert [differ(*pair) for pair in zip(again, eventful.frames, strict=True)] == [[]] * len(again)


def test_a_chain_that_was_planned_while_pictures_went_on_is_made_again(tmp_path: Path) -> None:
    live = Live(tmp_path / "live.tfr", Config().override(["clutter.name=auto", *REMEMBERING]))
    live.runner.start()
    for index in range(5000):
        if index == 3:
            live.set("persistence.factor=0.8", "clutter.name=auto")
        n_frames = len(live.frames)
        live.front_end.waiting.append(live_packet(live.acquisition, index, continuous=True))
        give_up_s = time.monotonic() + 10
        while len(live.frames) == n_frames and time.monotonic() < give_up_s:
            time.sleep(1e-3)
        if index > 5 and live.runner.config.persistence.factor == 0.8:
            break
    live.close()
    with LiveRecording(tmp_path / "live.tfr") as recording:
        settings = recording.settings(recording.n_slow_time - 1)
        assert settings is not None
        assert settings.made_with is not None
        assert settings.config.persistence.factor == 0.8
    again = replayed(tmp_path / "live.tfr")
    assert [differ(*pair) for pair in zip(again, live.frames, strict=True)] == [[]] * len(again)


def test_a_packet_that_the_chain_was_made_with_and_failed_on_fails_again(tmp_path: Path) -> None:
    """Left out live, it had left its mark all the same: what "auto" stands for was taken from it."""
    live = Live(tmp_path / "live.tfr", Config().override(["clutter.name=auto", *REMEMBERING]))
    dealias = Dealias.__call__

    def fails_on_the_first(self: Any, doppler: Any, *arguments: Any, **options: Any) -> Any:
        if round(doppler.stamp.acquisition_time_s / FRAME_S) == 0:
            raise ValueError("this one does not compute")
        return dealias(self, doppler, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Dealias, "__call__", fails_on_the_first)
        for index in range(4):
            live.send(index)
        live.close()
        again = replayed(tmp_path / "live.tfr")
    assert [frame.stamp.index for frame in live.frames] == [1, 2, 3]
    assert [differ(*pair) for pair in zip(again, live.frames, strict=True)] == [[]] * 3


def test_what_is_no_number_is_replayed_too(tmp_path: Path) -> None:
    """The live chain made a picture of it."""
    rf = small_acquisition()
    acquisition = dataclasses.replace(rf, sample_kind="iq", demodulation_frequency_hz=rf.center_frequency_hz)
    path, frames = tmp_path / "live.tfr", []
    flow = ColorFlow(acquisition, Config().override(REMEMBERING))
    with Recorder(path, Description(acquisition, np.dtype(np.complex64))) as recorder:
        recorder.changed(flow.config, anew=True, made_with=None)
        for index in range(4):
            packet = live_packet(rf, index)
            samples = packet.samples.astype(np.complex64)
            samples.flat[5000:9000] *= np.nan if index == 1 else 1
            recorder.raw(RfPacket(samples, packet.stamp))
            frames.append(flow(RfPacket(samples, packet.stamp)))
            recorder.result(frames[-1])
    again = replayed(path)
    assert [differ(*pair) for pair in zip(again, frames, strict=True)] == [[]] * 4


def test_the_recorded_results_are_those_of_the_run(eventful: Eventful) -> None:
    with LiveRecording(eventful.path) as recording:
        for burst, frame in enumerate(eventful.frames):
            kept = recording.result(burst)
            assert kept is not None
            assert not differ(kept, frame)
            assert kept.stamp == frame.stamp
            assert kept.velocity.nyquist_velocity_m_s == frame.velocity.nyquist_velocity_m_s


def test_the_run_remembers_so_that_its_replay_could_differ(eventful: Eventful) -> None:
    """Without what is recorded beside the packets the replay is another one, from the first such event on."""
    live = eventful.frames
    without_settings = replayed(eventful.path, adapt=lambda _: Config().override(REMEMBERING))
    with_dropped = replayed(f"tfr://{eventful.path}?packets=all")
    assert len(with_dropped) == len(live) + 4  # 5, 6, 7, 14
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LiveRecording, "runs_on", lambda *_: False)
        without_flags = replayed(eventful.path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LiveRecording, "packet_numbered", lambda *_: None)
        without_first_packet = replayed(eventful.path)
    assert differ(without_settings[8], live[8])
    assert differ(with_dropped[7], live[4])
    assert not differ(without_flags[0], live[0])
    assert differ(without_flags[1], live[1])
    assert not differ(without_first_packet[9], live[9])
    assert differ(without_first_packet[10], live[10])


def test_the_command_replays_what_was_shown(tmp_path: Path, eventful: Eventful) -> None:
    run("replay", eventful.path, "-o", tmp_path / "again.h5", "--threads", 1)
    with h5py.File(tmp_path / "again.h5") as file:
        for name in ("velocity_m_s", "fold", "mask", "confidence", "wrapped_velocity_m_s"):
            live = np.stack([getattr(frame.velocity, name) for frame in eventful.frames])
            assert file["flow"][name][()].tobytes() == live.tobytes(), name
        times_s = [frame.stamp.acquisition_time_s for frame in eventful.frames]
        np.testing.assert_array_equal(file["flow/time_s"][()], times_s)


def test_given_settings_go_before_recorded_ones(tmp_path: Path, eventful: Eventful) -> None:
    (tmp_path / "mine.toml").write_text("[grid]\nn_x = 10\nn_z = 12\n")
    for options, shape in ((["--set", "grid.n_x=7"], (40, 7)), (["--config", tmp_path / "mine.toml"], (12, 10))):
        run("replay", eventful.path, "-o", tmp_path / "again.h5", "--frames", 3, *options)
        with h5py.File(tmp_path / "again.h5") as file:
            assert file["flow/fold"].shape == (3, *shape)


def run(*arguments: object) -> None:
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as ended:
            cli.main([str(argument) for argument in arguments])
    finally:
        signal.signal(signal.SIGTERM, handler)
    assert ended.value.code == 0


def test_pixels_that_change_on_the_way_are_said(tmp_path: Path) -> None:
    live = Live(tmp_path / "live.tfr", Config().override(REMEMBERING))
    live.send(0)
    live.set("grid.n_x=12")
    live.send(1)
    live.close()
    with pytest.raises(TrueflowError, match="packet 1: the pixels changed while it was recorded"):
        replayed(tmp_path / "live.tfr")


def test_the_facts_say_what_was_not_shown(eventful: Eventful) -> None:
    with open_source(eventful.path) as recording:
        facts = facts_of(recording)
    assert facts["format"] == "Trueflow recording"
    assert facts["n_bursts"] == 12
    (remark,) = facts["remarks"]
    assert "4 of 16 packets were not shown live" in remark


def test_an_unknown_choice_of_packets_is_refused(record: Any, acquisition: Acquisition) -> None:
    path = record([live_packet(acquisition, 0)])
    with pytest.raises(TrueflowError, match="packets=shown or packets=all"):
        open_source(f"tfr://{path}?packets=some")
