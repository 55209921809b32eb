"""A recording that plays: order, pace, seeking, settings between frames, and what goes wrong on the way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from trueflow.pipeline.cli import playback
from trueflow.pipeline.cli.playback import FilePlayer
from trueflow.pipeline.config import Config
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import ColorFrame
from trueflow.pipeline.sources import Framing

PATIENCE_S = 10.0
FRAME_S = 16 / 4000  # of the toy recording


class Heard:
    """Takes frames, and waits for them."""

    def __init__(self) -> None:
        self.frames: list[ColorFrame] = []
        self.times_s: list[float] = []
        self._changed = threading.Condition()

    def __call__(self, frame: ColorFrame, began_s: float, on_device: ColorFrame | None) -> None:
        assert on_device is None
        assert began_s <= time.monotonic()
        with self._changed:
            self.frames.append(frame)
            self.times_s.append(time.monotonic())
            self._changed.notify()

    def wait(self, n: int) -> list[int]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.frames) >= n, PATIENCE_S)
        return [frame.stamp.index for frame in self.frames]


@pytest.fixture
def player(make_recording: Any, make_flow: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., FilePlayer]]:
    """A player of a toy recording: (n_frames, **options of the chain); `player.configs` are the chains it made."""
    players: list[FilePlayer] = []

    def make(n_frames: int = 6, **options: Any) -> FilePlayer:
        configs: list[Config] = []

        def make_chain(acquisition: Any, config: Config, **_: Any) -> Any:
            if config.dealias.name == "nonsense":
                raise TrueflowError("unknown dealiaser")
            configs.append(config)
            return make_flow(**options)

        monkeypatch.setattr(playback, "ColorFlow", make_chain)
        players.append(FilePlayer(make_recording(16 * n_frames), Framing(), Config()))
        players[0].configs = configs
        return players[0]

    yield make
    for one in players:
        one.close()


def test_frames_come_in_order_and_begin_again(player: Any) -> None:
    one, heard = player(3), Heard()
    one.start(heard)
    assert heard.wait(7)[:7] == [0, 1, 2, 0, 1, 2, 0]


def test_without_loop_it_stops_at_the_end(player: Any) -> None:
    one, heard = player(3), Heard()
    one.pace(1.0, False)
    one.start(heard)
    assert heard.wait(3) == [0, 1, 2]
    time.sleep(0.05)
    assert len(heard.frames) == 3


def test_it_is_not_faster_than_asked_for(player: Any) -> None:
    one, heard = player(6), Heard()
    assert one.frame_rate_hz == pytest.approx(1 / FRAME_S)
    one.pace(0.1, True)
    one.start(heard)
    heard.wait(5)
    assert heard.times_s[4] - heard.times_s[0] > 3.5 * FRAME_S / 0.1


def test_paused_it_rests_and_a_seek_makes_one_frame(player: Any) -> None:
    one, heard = player(6), Heard()
    one.play(False)
    one.start(heard)
    time.sleep(0.05)
    assert not heard.frames
    one.seek(4)
    assert heard.wait(1) == [4]
    assert one.position == 4
    time.sleep(0.05)
    assert len(heard.frames) == 1
    one.play(True)
    assert heard.wait(3)[:3] == [4, 5, 0]


def test_settings_apply_to_the_next_frame_and_paused_to_the_same_one(player: Any) -> None:
    one, heard = player(6), Heard()
    one.play(False)
    one.start(heard)
    one.seek(2)
    heard.wait(1)
    one.change(["dealias.name=none", "doppler.average_z=5"])
    assert one.config.dealias.name == "none"
    assert heard.wait(2) == [2, 2]
    assert [config.dealias.name for config in one.configs] == ["regions", "none"]


@pytest.mark.parametrize("setting", ["dealias.name=nonsense", "doppler.average_z=-1", "doppler.size=3"])
def test_a_setting_that_does_not_fit_is_told_and_the_old_chain_goes_on(player: Any, setting: str) -> None:
    one, heard = player(6), Heard()
    one.start(heard)
    heard.wait(1)
    one.change([setting])
    end_s = time.monotonic() + PATIENCE_S
    while (message := one.take_message()) is None:
        assert time.monotonic() < end_s
        time.sleep(0.005)
    assert message
    n = len(heard.frames)
    heard.wait(n + 2)
    assert one.config == Config()
    assert one.take_message() is None


def test_an_error_of_the_chain_pauses_and_is_told(player: Any) -> None:
    one, heard = player(6, fail_at=2, error=lambda: TrueflowError("the file ends here")), Heard()
    one.start(heard)
    assert heard.wait(2) == [0, 1]
    time.sleep(0.1)
    assert one.take_message() == "the file ends here"
    assert len(heard.frames) == 2


def test_a_fault_of_ours_is_not_lost_in_the_thread(player: Any) -> None:
    one, heard = player(6, fail_at=1, error=lambda: ZeroDivisionError("oops")), Heard()
    one.start(heard)
    heard.wait(1)
    time.sleep(0.1)
    with pytest.raises(ZeroDivisionError):
        one.take_message()


def test_closing_ends_the_thread_whatever_it_does(player: Any) -> None:
    one, heard = player(6), Heard()
    one.pace(0.05, True)
    one.start(heard)
    heard.wait(1)
    began_s = time.monotonic()
    one.close()
    assert time.monotonic() - began_s < 2.0
    assert not one._thread.is_alive()
