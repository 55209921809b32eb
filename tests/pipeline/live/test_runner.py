"""A run, by steps and in threads: what is dropped, what ends it, what changes between frames."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

import pytest
from live_packets import ToyFrontEnd

from trueflow.pipeline.config import Config
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.live import runner as runner_module
from trueflow.pipeline.live.recorded import RecordingSource
from trueflow.pipeline.live.runner import Runner

MakeRun = Callable[..., Any]
OTHER = Config().override(["dealias.name=none"])


def until(condition: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 20.0
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.005)


# One step at a time


def test_a_step_takes_a_packet_through_to_display_and_sinks(make_run: MakeRun) -> None:
    run = make_run()
    run.send(0)
    frame = run.runner.step()
    assert frame is run.runner.frame
    assert frame.stamp.index == 0
    assert (run.heard.tapped, run.heard.shown, run.heard.results) == ([0], [0], [0])
    assert run.heard.log == ["changed regions anew", "show 0", "result 0"]


def test_a_step_without_a_packet_makes_nothing(make_run: MakeRun) -> None:
    run = make_run()
    assert run.runner.step() is None
    assert run.runner.report().n_frames == 0


def test_live_the_newest_packets_win_and_drops_are_counted(make_run: MakeRun) -> None:
    run = make_run(depth=2)
    run.send(*range(5))
    made = [run.runner.step() for _ in range(3)]
    assert [frame.stamp.index for frame in made if frame is not None] == [3, 4]
    report = run.runner.report()
    assert (report.n_dropped, report.n_frames, report.deepest) == (3, 2, 2)
    assert run.heard.tapped == [0, 1, 2, 3, 4], "what is dropped is still recorded"
    assert run.runner.n_missing == 3


def test_a_replay_drops_nothing_however_slow_the_chain(make_recording: Any, make_flow: Any) -> None:
    results: list[int] = []
    chain = make_flow()

    class Sink:
        def changed(self, config: Config, *, anew: bool, made_with: int | None) -> None: ...
        def result(self, frame: Any) -> None:
            time.sleep(0.002)
            results.append(frame.stamp.index)

    source = RecordingSource(make_recording(16 * 12))
    with Runner(source, lambda config: chain, Config(), keep="all", depth=1, sinks=[Sink()]) as runner:
        runner.start()
        assert runner.wait(20.0)
        assert runner.report().n_dropped == 0
    assert results == list(range(12))
    assert [packet.stamp.index for packet in chain.packets] == results


def test_stages_waiting_and_latency_are_in_the_report(make_run: MakeRun) -> None:
    run = make_run(deadline_s=1e-9)
    run.send(0, 1)
    run.runner.step()
    run.runner.step()
    report = run.runner.report()
    assert set(report.stages) == {"beamform", "dealias", "sinks"}
    assert report.stages["dealias"].p50_s == pytest.approx(2e-3)
    assert report.latency is not None
    assert report.waited is not None
    assert report.latency.n == report.waited.n == 2
    assert 0 <= report.waited.max_s <= report.latency.max_s
    assert report.n_missed == 2, "no picture can be that young"


def test_settings_change_between_two_frames(make_run: MakeRun) -> None:
    run = make_run()
    run.send(0)
    run.runner.step()
    run.runner.change(OTHER)
    assert run.runner.config.dealias.name == "regions", "not before the next frame"
    assert run.runner.wish == OTHER
    run.send(1)
    run.runner.step()
    assert run.runner.config == run.runner.wish == OTHER
    assert run.chains[0].numbers == [0]
    assert run.chains[1].numbers == [1]
    assert run.heard.log[-3:] == ["changed none anew", "show 1", "result 1"]


def test_settings_of_the_display_leave_the_chain_alone(make_run: MakeRun) -> None:
    run = make_run()
    run.runner.change(Config().override(["display.gain_db=6"]))
    run.send(0)
    run.runner.step()
    assert len(run.chains) == 1
    assert run.heard.configs[-1][0].display.gain_db == 6
    assert not run.heard.configs[-1][1]


def test_settings_that_do_not_fit_are_said_and_the_old_ones_stay(make_run: MakeRun) -> None:
    run = make_run()
    run.runner.change(Config().override(["dealias.name=nonsense"]))
    run.send(0)
    assert run.runner.step() is not None
    assert run.messages() == ["unknown dealiaser"]
    assert run.runner.wish == run.runner.config == Config()


def test_a_stage_that_fails_ends_the_run_and_the_error_names_the_frame(make_run: MakeRun) -> None:
    run = make_run(on_error="stop")
    run.chain.fail_at = {7}
    run.send(7, time_s=1.25)
    with pytest.raises(TrueflowError, match=r"frame 7 at 1\.250 s: a stage failed.*ValueError: this one does not"):
        run.runner.step()


def test_a_stage_that_fails_costs_one_frame_where_errors_are_skipped(make_run: MakeRun) -> None:
    run = make_run(on_error="skip")
    run.chain.fail_at = {1}
    for index in range(3):
        run.send(index)
        run.runner.step()
    assert run.heard.shown == [0, 2]
    assert run.runner.report().n_failed == run.runner.n_missing == 1
    assert run.chain.n_resets == 1, "what it carries over may be half of the failed frame's"
    assert run.heard.log[3] == "changed regions anew"
    (message,) = run.messages()
    assert "frame 1" in message


def test_an_error_of_a_sink_names_it(make_run: MakeRun) -> None:
    class Broken:
        def changed(self, config: Config, *, anew: bool, made_with: int | None) -> None: ...
        def result(self, frame: Any) -> None:
            raise OSError("no more room")

    run = make_run(sinks=[Broken()])
    run.send(0)
    with pytest.raises(TrueflowError, match=r"Broken failed.*no more room"):
        run.runner.step()


# In threads


def test_a_started_run_processes_what_comes_until_the_source_ends(make_run: MakeRun) -> None:
    run = make_run(keep="all")
    run.send(*range(20))
    run.runner.start()
    run.heard.wait(lambda: len(run.heard.shown) == 20)
    run.source.ended = True
    assert run.runner.wait(10.0)
    assert run.heard.shown == run.chain.numbers == list(range(20))
    assert "toy front end has ended" in run.messages()
    assert run.runner.is_stale


def test_what_came_before_the_end_is_still_processed(make_run: MakeRun) -> None:
    run = make_run(keep="all", depth=4)
    run.send(*range(12))
    run.source.ended = True
    run.runner.start()
    assert run.runner.wait(10.0)
    assert run.heard.shown == list(range(12))


def test_while_the_chain_is_busy_the_newest_packets_wait(make_run: MakeRun) -> None:
    run = make_run(depth=2)
    run.chain.may_go_on.clear()
    run.send(0)
    run.runner.start()
    assert run.chain.began.wait(10.0)
    run.send(*range(1, 30))
    until(lambda: run.source.n_received == 30)
    assert run.runner.report().busy_s > 0
    run.chain.may_go_on.set()
    run.heard.wait(lambda: len(run.heard.shown) == 3)
    assert run.heard.shown == [0, 28, 29]
    assert run.runner.report().n_dropped == 27


def test_stopping_ends_both_threads_and_closes_the_source(make_run: MakeRun) -> None:
    run = make_run()
    run.runner.start()
    run.send(0)
    run.heard.wait(lambda: bool(run.heard.shown))
    run.runner.stop()
    run.runner.stop()
    assert run.source.ended, "close() of the toy says so"
    assert not any(thread.is_alive() for thread in run.runner._threads)


def test_a_chain_that_hangs_does_not_keep_the_source_open(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scanner transmits until it is closed."""
    monkeypatch.setattr(runner_module, "PATIENCE_S", 0.2)
    run = make_run()
    run.chain.may_go_on.clear()
    run.send(0)
    run.runner.start()
    assert run.chain.began.wait(10.0)
    until(lambda: not run.source.waiting)
    run.runner.stop()
    assert run.source.ended
    assert run.runner._threads[0].is_alive()


def test_settings_that_do_not_fit_at_the_beginning_leave_the_source_closed(acquisition: Any) -> None:
    source = ToyFrontEnd(acquisition)

    def make_flow(config: Config) -> Any:
        raise TrueflowError("does not fit")

    with pytest.raises(TrueflowError, match="does not fit"):
        Runner(source, make_flow, Config())
    assert source.ended, "close() of the toy says so"


def test_a_picture_that_nothing_follows_is_stale_though_packets_come(make_run: MakeRun) -> None:
    run = make_run(silent_s=1.5)
    run.send(0)
    run.runner.start()
    run.heard.wait(lambda: run.heard.shown == [0])
    until(lambda: run.runner.frame is not None)
    assert not run.runner.is_stale
    run.chain.may_go_on.clear()
    seen = False
    end_s = time.monotonic() + 20.0
    for index in itertools.count(1):
        run.send(index)
        time.sleep(0.02)
        if run.runner.is_stale and not run.runner._intake.is_silent:
            seen = True
            break
        assert time.monotonic() < end_s
    assert seen
    run.chain.may_go_on.set()
    run.heard.wait(lambda: len(run.heard.shown) > 1)


def test_a_failing_stage_ends_a_started_run(make_run: MakeRun) -> None:
    run = make_run()
    run.chain.fail_at = {3}
    run.send(3)
    run.runner.start()
    with pytest.raises(TrueflowError, match="frame 3"):
        run.runner.wait(10.0)
    assert isinstance(run.runner.failure, TrueflowError)


def test_a_source_that_is_gone_ends_a_started_run(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run()

    def receive(into: Any, timeout_s: float) -> None:
        raise TrueflowError("the device is gone")

    monkeypatch.setattr(run.source, "receive", receive)
    run.runner.start()
    with pytest.raises(TrueflowError, match="the device is gone"):
        run.runner.wait(10.0)


def test_a_silent_source_is_reported_and_so_is_its_return(make_run: MakeRun) -> None:
    run = make_run(silent_s=0.05)
    run.runner.start()
    until(lambda: run.runner.is_stale)
    until(lambda: run.runner.report().n_silences == 1)
    run.send(0)
    run.heard.wait(lambda: run.heard.shown == [0])
    first, second = run.messages()[:2]
    assert first == "nothing from toy front end for 0.05 s"
    assert second.startswith("toy front end is back after")


def test_a_new_chain_is_planned_while_the_old_one_goes_on(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run()
    run.runner.start()
    run.send(0)
    run.heard.wait(lambda: run.heard.shown == [0])
    run.runner.change(OTHER)
    run.send(1)
    run.heard.wait(lambda: run.heard.shown == [0, 1])
    until(lambda: len(run.chains) == 2 and run.chains[1].n_resets == 1)
    assert run.chains[1].numbers == [1], "it has its tables by now"
    assert run.chains[0].numbers == [0, 1], "but the old one made the picture"
    until(lambda: run.runner._worker._planner._ready is not None)
    run.send(2)
    run.heard.wait(lambda: run.heard.shown == [0, 1, 2])
    assert run.chains[1].numbers == [1, 2]
    assert run.runner.config == OTHER


def test_of_several_wishes_the_last_one_counts(make_run: MakeRun) -> None:
    run = make_run()
    for name in ("skimage", "regions", "none"):
        run.runner.change(Config().override([f"dealias.name={name}"]))
    run.send(0)
    run.runner.step()
    assert run.runner.config.dealias.name == "none"
    assert len(run.chains) == 2
