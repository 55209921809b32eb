"""A live source as the viewer sees it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from live_packets import ToyFrontEnd, live_packet

from trueflow.pipeline import Acquisition, Config
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.live.player import LivePlayer

from .conftest import Heard

SMALL = Config().override(["grid.n_x=16", "grid.n_z=24", "clutter.name=polynomial"])


@pytest.fixture
def player(acquisition: Acquisition) -> Iterator[LivePlayer]:
    with LivePlayer(ToyFrontEnd(acquisition), SMALL, silent_s=0.2) as player:
        yield player


@pytest.fixture
def heard(player: LivePlayer) -> Heard:
    heard = Heard()
    player.start(heard.deliver)
    return heard


def send(player: LivePlayer, *indices: int) -> None:
    source = player.runner.source
    assert isinstance(source, ToyFrontEnd)
    source.waiting.extend(live_packet(player.acquisition, index) for index in indices)


def until_message(player: LivePlayer, word: str) -> str:
    end_s = time.monotonic() + 20.0
    while True:
        message = player.take_message()
        if message is not None and word in message:
            return message
        assert time.monotonic() < end_s
        time.sleep(0.005)


def test_it_says_what_the_source_is(player: LivePlayer, acquisition: Acquisition) -> None:
    assert player.name == "toy front end"
    assert player.acquisition is not None
    assert player.n_frames is None, "there is no end to seek in"
    assert player.grid.shape == (24, 16)
    assert player.frame_rate_hz == pytest.approx(50)
    assert "regions" in player.choices["dealias.name"]
    assert player.config == SMALL


def test_frames_are_delivered_as_they_come(player: LivePlayer, heard: Heard) -> None:
    for index in range(3):
        send(player, index)
        heard.wait(lambda index=index: heard.shown == list(range(index + 1)))
    assert player.position == 2
    assert player.n_dropped == 0


def test_freezing_stops_the_picture_and_not_the_run(player: LivePlayer, heard: Heard) -> None:
    send(player, 0)
    heard.wait(lambda: heard.shown == [0])
    player.play(False)
    send(player, 1)
    end_s = time.monotonic() + 20.0
    while player.position != 1:
        assert time.monotonic() < end_s
        time.sleep(0.005)
    player.play(True)
    send(player, 2)
    heard.wait(lambda: heard.shown == [0, 2])


def test_settings_change_while_pictures_come(player: LivePlayer, heard: Heard) -> None:
    player.change(["dealias.name=none"])
    player.change(["persistence.factor=0.5"])
    end_s, index = time.monotonic() + 20.0, 0
    while player.config.dealias.name != "none" or player.config.persistence.factor != 0.5:
        assert time.monotonic() < end_s
        send(player, index)
        index += 1
        time.sleep(0.02)


def test_settings_that_do_not_fit_are_said_and_forgotten(player: LivePlayer, heard: Heard) -> None:
    player.change(["clutter.nam=fir"])
    assert "nam" in until_message(player, "nam")
    player.change(["clutter.order=7"])
    for index in range(2):  # planned with the one, taken with the other
        send(player, index)
        heard.wait(lambda index=index: index in heard.shown)
        player.runner._worker._planner.close()
    assert "order" in until_message(player, "clutter")
    player.change(["dealias.name=none"])
    assert player.runner.wish.clutter.order == SMALL.clutter.order


def test_silence_makes_the_picture_stale(player: LivePlayer, heard: Heard) -> None:
    send(player, 0)
    heard.wait(lambda: heard.shown == [0])
    until_message(player, "nothing from toy front end")
    assert player.is_stale


def test_what_ends_the_run_is_told_once(acquisition: Acquisition) -> None:
    source = ToyFrontEnd(acquisition)

    def receive(into: object, timeout_s: float) -> None:
        raise TrueflowError("the device is gone")

    source.receive = receive  # type: ignore[method-assign, assignment]
    with LivePlayer(source, SMALL) as player:
        player.start(Heard().deliver)
        assert until_message(player, "gone") == "the device is gone"
        assert player.take_message() is None
        assert player.is_stale


def test_there_are_no_frames_to_choose_from(player: LivePlayer) -> None:
    with pytest.raises(TrueflowError, match="no frames to choose from"):
        player.frame(0)
