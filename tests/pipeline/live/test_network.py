"""Over the wire: packets come as they were sent, what does not is counted, and nobody gets more room than he needs."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from live_packets import describe

from trueflow.pipeline import Acquisition
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.live import network
from trueflow.pipeline.live.message import ANNOUNCEMENT, DESCRIPTION, PACKET, Header
from trueflow.pipeline.live.network import NetworkSource
from trueflow.pipeline.live.numbers import LARGEST_GAP, Numbers
from trueflow.pipeline.live.publisher import Prepared, Publisher, check_address
from trueflow.pipeline.live.registry import is_live, open_live
from trueflow.pipeline.live.source import SourceCounters

from .conftest import PATIENCE_S, numbered

zmq = pytest.importorskip("zmq")


def counters(wire: Any) -> dict[str, int]:
    return {name: value for name, value in dataclasses.asdict(wire.source.counters).items() if value}


def prepared(acquisition: Acquisition, index: int, **options: Any) -> Prepared:
    return Prepared.of(numbered(acquisition, index, **options))


def test_packets_come_as_they_were_sent(wire: Any, acquisition: Acquisition) -> None:
    rng = np.random.default_rng(1)
    for index in range(3):
        packet = numbered(acquisition, index, time_s=0.1 * index, continuous=index == 2)
        packet.samples[:] = rng.integers(-30000, 30000, packet.samples.shape)
        before_s = time.monotonic()
        wire.publisher.send(Prepared.of(packet))
        stamp = wire.receive()
        assert (stamp.index, stamp.acquisition_time_s, stamp.continuous) == (index, 0.1 * index, index == 2)
        assert before_s <= stamp.receive_time_s <= time.monotonic()
        np.testing.assert_array_equal(wire.samples, packet.samples)
    assert counters(wire) == {"n_received": 3}


def test_the_source_says_what_was_described(wire: Any, acquisition: Acquisition) -> None:
    assert wire.source.acquisition.n_samples == acquisition.n_samples
    assert wire.source.layout == describe(acquisition).layout
    assert wire.source.frame_rate_hz == 50
    assert wire.source.grid is None
    assert not wire.source.ended


def test_a_packet_counts_as_received_when_its_first_byte_came(wire: Any, acquisition: Acquisition) -> None:
    packet = prepared(acquisition, 0)
    header = Header(
        ANNOUNCEMENT, wire.publisher._stream, 0, wire.source.layout,
        payload_bytes=wire.source.layout.n_bytes, payload_check=packet.check,
    )  # fmt: skip
    wire.publisher._socket.send(header.pack())
    end_s = time.monotonic() + PATIENCE_S
    while wire.source._announced is None:
        assert time.monotonic() < end_s
        assert wire.receive(0.05) is None
    wire.publisher._socket.send_multipart([dataclasses.replace(header, kind=PACKET).pack(), packet.samples.tobytes()])
    sent_s = time.monotonic()
    stamp = wire.receive()
    assert stamp.receive_time_s < sent_s, "the announcement came before the samples were sent"


def test_gaps_are_counted_as_lost(wire: Any, acquisition: Acquisition) -> None:
    for index in (0, 1, 4, 5, 9):
        wire.publisher.send_as(index, prepared(acquisition, index))
    assert wire.receive_all(5) == [0, 1, 4, 5, 9]
    assert counters(wire) == {"n_received": 5, "n_lost": 5}


def test_a_late_packet_is_dropped_and_counted_and_so_is_one_that_comes_twice(
    wire: Any, acquisition: Acquisition
) -> None:
    for index in (0, 2, 1, 3, 1, 2):
        wire.publisher.send_as(index, prepared(acquisition, index))
    assert wire.receive_all(3) == [0, 2, 3]
    assert counters(wire) == {"n_received": 3, "n_lost": 1, "n_late": 1, "n_rejected": 2}


def test_a_damaged_packet_is_dropped_and_counted(wire: Any, acquisition: Acquisition) -> None:
    for index in range(4):
        packet = prepared(acquisition, index)
        damaged = packet.samples.copy()
        damaged.flat[-1] ^= 1
        wire.publisher.send(packet, samples=damaged if index == 1 else None)
    assert wire.receive_all(3) == [0, 2, 3]
    assert counters(wire) == {"n_received": 3, "n_lost": 1, "n_corrupt": 1}


def test_what_was_lost_before_the_first_packet_and_after_the_last_counts_too(
    wire: Any, acquisition: Acquisition
) -> None:
    wire.publisher.skip()
    wire.publisher.send(prepared(acquisition, 1))
    wire.publisher.skip()
    wire.publisher.skip()
    wire.publisher.end()
    assert wire.receive_all(1) == [1]
    wire.await_end()
    assert counters(wire) == {"n_received": 1, "n_lost": 3}


def test_what_was_sent_before_somebody_listened_is_not_lost(url: str, acquisition: Acquisition) -> None:
    with Publisher(url, describe(acquisition)) as publisher:
        for index in range(5):
            publisher.send(prepared(acquisition, index))
        wire = listening(publisher, url)
        publisher.send(prepared(acquisition, 5))
        assert wire.receive_all(1) == [5]
        assert counters(wire) == {"n_received": 1}
        wire.source.close()


def listening(publisher: Publisher, url: str) -> Any:
    from .conftest import Wire

    found: list[NetworkSource] = []
    thread = threading.Thread(target=lambda: found.append(NetworkSource(url)))
    thread.start()
    end_s = time.monotonic() + PATIENCE_S
    while thread.is_alive():
        assert time.monotonic() < end_s
        publisher.tend(0.01)
    wire = Wire(publisher, found[0])
    wire.settle()
    return wire


def test_a_front_end_that_begins_anew_is_followed(url: str, acquisition: Acquisition) -> None:
    publisher = Publisher(url, describe(acquisition))
    wire = listening(publisher, url)
    for index in range(3):
        publisher.send(prepared(acquisition, index))
    assert wire.receive_all(3) == [0, 1, 2]
    publisher.close()  # gone without a word
    with Publisher(url, describe(acquisition)) as publisher:
        wire.publisher = publisher
        wire.settle()
        publisher.send(prepared(acquisition, 0, continuous=True))
        stamp = wire.receive()
        assert (stamp.index, stamp.continuous) == (3, False), "the run's numbers go on"
        assert counters(wire) == {"n_received": 4, "n_restarts": 1}
    wire.source.close()


def test_a_front_end_that_begins_anew_with_something_else_ends_the_run(url: str, acquisition: Acquisition) -> None:
    publisher = Publisher(url, describe(acquisition))
    wire = listening(publisher, url)
    publisher.close()
    other = describe(dataclasses.replace(acquisition, prf_hz=3000.0))
    with Publisher(url, other) as publisher:
        wire.publisher = publisher
        with pytest.raises(TrueflowError, match="something else"):
            wire.settle()
    wire.source.close()


# Numbers


@given(st.lists(st.integers(0, 40), max_size=80))
def test_every_number_is_accounted_for_once(numbers: list[int]) -> None:
    follower = Numbers()
    follower.begin(0)
    given_numbers = []
    for number in numbers:
        verdict = follower.judge(number)
        if verdict == "next":
            given_numbers.append(follower.received(number))
        elif verdict == "late":
            follower.late(number)
        else:
            follower.rejected()
    follower.end(41)
    c = follower.counters
    assert given_numbers == sorted(set(given_numbers))
    assert c.n_received == len(given_numbers)
    assert c.n_received + c.n_lost == 41
    assert c.n_late == len(set(numbers) - set(given_numbers))
    assert c.n_received + c.n_late + c.n_rejected == len(numbers)


@given(st.lists(st.integers(0, (1 << 63) - 1), max_size=30))
def test_hostile_numbers_cost_neither_time_nor_memory(numbers: list[int]) -> None:
    follower = Numbers()
    previous = -1
    for number in numbers:
        if follower.judge(number) == "next":
            now = follower.received(number)
            assert now > previous
            previous = now
    assert len(follower._missing) <= 4096


def test_who_jumps_further_than_anybody_loses_has_begun_anew() -> None:
    follower = Numbers()
    assert [follower.received(n) for n in (0, 1, 2 + 2 * LARGEST_GAP)] == [0, 1, 2]
    assert follower.counters == SourceCounters(n_received=3, n_restarts=1)


# Hostile front ends


def test_junk_is_counted_and_does_no_harm(wire: Any, acquisition: Acquisition) -> None:
    socket, stream = wire.publisher._socket, wire.publisher._stream
    layout = wire.source.layout
    packet = prepared(acquisition, 0)
    header = Header(PACKET, stream, 0, layout, payload_bytes=layout.n_bytes, payload_check=packet.check)
    junk = [
        [b""],
        [b"TRUFLOW"],
        [os.urandom(96)],
        [header.pack()],  # without samples
        [header.pack(), b"short"],
        [header.pack(), packet.samples.tobytes(), b"more", b"and more"],
        [dataclasses.replace(header, stream=stream + 1).pack(), packet.samples.tobytes()],
        [Header(DESCRIPTION, stream + 1, payload_bytes=2, payload_check=5).pack(), b"{}"],
    ]
    for parts in junk:
        socket.send_multipart(parts)
        assert wire.receive(0.1) is None
    wire.publisher.send(packet)
    assert wire.receive().index == 0
    assert counters(wire) == {"n_received": 1, "n_rejected": len(junk)}


def test_a_message_larger_than_a_packet_is_not_taken_in(
    wire: Any, acquisition: Acquisition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "DEAD_S", 0.2)
    wire.publisher._socket.send(bytes(4 << 20))
    end_s, stamp = time.monotonic() + PATIENCE_S, None
    while stamp is None:  # the connection is cut, and made anew
        assert time.monotonic() < end_s
        wire.publisher.tend(0.05)
        wire.publisher.send(prepared(acquisition, 0))
        stamp = wire.receive(0.05)
    assert counters(wire).get("n_rejected", 0) == 0


def test_what_waits_is_bounded_when_nobody_takes_it(wire: Any, acquisition: Acquisition) -> None:
    """What does not fit into the queues of both sides is lost to a listener who does not listen, not kept for him."""
    for index in range(400):
        wire.publisher.send(prepared(acquisition, index))
    received = wire.receive_all()
    wire.publisher.end()
    received += wire.await_end()
    assert len(received) < 200
    assert received == sorted(set(received))
    assert len(received) + wire.source.counters.n_lost == 400


def test_a_description_that_cannot_be_is_an_error(url: str, acquisition: Acquisition) -> None:
    with Publisher(url, describe(acquisition)) as publisher:
        publisher._description = b'{"format": "something"}'
        with pytest.raises(TrueflowError, match="another format"):
            network_error(publisher, url)


def network_error(publisher: Publisher, url: str) -> None:
    errors: list[Exception] = []

    def connect() -> None:
        try:
            NetworkSource(url).close()
        except TrueflowError as error:
            errors.append(error)

    thread = threading.Thread(target=connect)
    thread.start()
    while thread.is_alive():
        publisher.tend(0.01)
    raise errors[0]


def test_nobody_there_is_said(url: str) -> None:
    with pytest.raises(TrueflowError, match=r"no front end answers.*trueflow frontend"):
        NetworkSource(url, patience_s=0.05)


def test_without_pyzmq_the_extra_is_named(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "zmq", None)
    with pytest.raises(TrueflowError, match=r"pip install 'trueflow\[live\]'"):
        network.open_network(url)


def test_a_listener_that_takes_nothing_does_not_keep_a_front_end_that_is_interrupted(
    url: str, acquisition: Acquisition
) -> None:
    ended: list[str] = []

    def send_without_end() -> None:
        with Publisher(url, describe(acquisition), waits=True) as publisher:
            while publisher.n_listeners == 0:
                publisher.tend(0.01)
            try:
                for _ in range(1000):
                    publisher._socket.send(bytes(1 << 20), zmq.NOBLOCK)
            except zmq.Again:  # from here on it would wait
                raise KeyboardInterrupt from None

    def scanner() -> None:
        try:
            send_without_end()
        except KeyboardInterrupt:
            ended.append("interrupted")

    thread = threading.Thread(target=scanner, daemon=True)
    with zmq.Context() as context, context.socket(zmq.SUB) as listener:
        listener.setsockopt(zmq.RCVHWM, 1)
        listener.setsockopt(zmq.SUBSCRIBE, b"")
        listener.connect(url)
        thread.start()
        thread.join(PATIENCE_S)
    assert ended == ["interrupted"]


# Addresses


@pytest.mark.parametrize("url", ["tcp://*:5555", "tcp://0.0.0.0:5555", "tcp://192.168.1.4:1", "tcp://eth0:1", "tcp://[::]:1"])
def test_addresses_that_others_can_reach_are_refused_unless_wanted(url: str, acquisition: Acquisition) -> None:
    with pytest.raises(TrueflowError, match="--allow-remote"):
        Publisher(url, describe(acquisition))
    check_address(url, allow_remote=True)


@pytest.mark.parametrize("url", ["tcp://127.0.0.1:5555", "tcp://localhost:*", "tcp://[::1]:5", "tcp://127.4.5.6:7"])
def test_the_own_machine_is_fine(url: str) -> None:
    check_address(url, allow_remote=False)


@pytest.mark.parametrize("url", ["udp://127.0.0.1:1", "inproc://x", "ipc://", "somewhere", "http://localhost"])
def test_other_addresses_are_no_addresses(url: str) -> None:
    with pytest.raises(TrueflowError, match="not an address"):
        check_address(url, allow_remote=True)


def test_a_file_is_not_deleted_to_make_room(tmp_path: Any, acquisition: Acquisition) -> None:
    path = tmp_path / "thesis.tex"
    path.write_text("years of work")
    with pytest.raises(TrueflowError, match="would be deleted"):
        Publisher(f"ipc://{path}", describe(acquisition))
    assert path.read_text() == "years of work"


def test_a_second_front_end_does_not_push_the_first_one_aside(url: str, acquisition: Acquisition) -> None:
    with Publisher(url, describe(acquisition)), pytest.raises(TrueflowError, match="listens there already"):
        Publisher(url, describe(acquisition))


def test_an_address_left_behind_is_taken_over(url: str, acquisition: Acquisition) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as left:
        left.bind(url.removeprefix("ipc://"))
    Publisher(url, describe(acquisition)).close()


def test_other_users_cannot_listen(url: str, acquisition: Acquisition) -> None:
    with Publisher(url, describe(acquisition)):
        assert os.stat(url.removeprefix("ipc://")).st_mode & 0o077 == 0


def test_a_free_port_is_found_and_said(acquisition: Acquisition) -> None:
    with Publisher("tcp://127.0.0.1:*", describe(acquisition)) as publisher:
        wire = listening(publisher, publisher.url)
        publisher.send(prepared(acquisition, 0))
        assert wire.receive().index == 0
        wire.source.close()


def test_the_scheme_chooses_the_front_end(url: str) -> None:
    assert is_live(url)
    assert is_live("tcp://127.0.0.1:1")
    assert not is_live("sim://femoral")
    assert not is_live("recording.mat")
    with pytest.raises(TrueflowError, match=r"no front end.*choices"):
        open_live("icp:///run/scanner")
