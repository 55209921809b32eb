"""The ring: who is dropped, who waits, and that no buffer is ever made anew."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueflow.pipeline.frames import Stamp
from trueflow.pipeline.live.ring import PacketRing
from trueflow.pipeline.live.source import PacketLayout

LAYOUT = PacketLayout((2, 1, 3, 4), np.dtype(np.int16))


def put(ring: PacketRing, number: int) -> bool:
    samples = ring.lend()
    if samples is None:
        return False
    samples[:] = number
    ring.commit(Stamp(number))
    return True


def taken(ring: PacketRing) -> list[int]:
    numbers = []
    while (packet := ring.take()) is not None:
        assert (packet.samples == packet.stamp.index).all()
        numbers.append(packet.stamp.index)
        ring.release()
    return numbers


def test_the_newest_packets_win_and_the_others_are_counted() -> None:
    ring = PacketRing(LAYOUT, depth=2)
    assert all(put(ring, number) for number in range(5))
    assert ring.n_waiting == ring.deepest == 2
    assert taken(ring) == [3, 4]
    assert ring.n_dropped == 3


def test_nothing_is_dropped_where_all_are_kept() -> None:
    ring = PacketRing(LAYOUT, depth=2, keep="all")
    assert [put(ring, number) for number in range(4)] == [True, True, False, False]
    assert taken(ring) == [0, 1]
    assert put(ring, 2)
    assert taken(ring) == [2]
    assert ring.n_dropped == 0


def test_a_packet_holds_still_while_it_is_processed() -> None:
    ring = PacketRing(LAYOUT, depth=1)
    put(ring, 0)
    packet = ring.take()
    assert packet is not None
    for number in range(1, 10):
        put(ring, number)
        assert (packet.samples == 0).all()
    ring.release()
    assert taken(ring) == [9]


def test_a_buffer_that_was_not_filled_is_lent_again() -> None:
    ring = PacketRing(LAYOUT)
    assert ring.lend() is ring.lend()


def test_whoever_waits_for_room_gets_it_when_a_packet_is_taken() -> None:
    ring = PacketRing(LAYOUT, depth=1, keep="all")
    put(ring, 0)
    got = []
    thread = threading.Thread(target=lambda: got.append(ring.lend(10.0)))
    thread.start()
    assert taken(ring) == [0]
    thread.join(10)
    assert got[0] is not None


@pytest.mark.parametrize("keep", ["newest", "all"])
def test_closing_wakes_everybody(keep: str) -> None:
    ring = PacketRing(LAYOUT, depth=1, keep=keep)
    waiting = [threading.Thread(target=ring.take, args=(10.0,))]
    if keep == "all":
        put(ring, 0)
        waiting = [threading.Thread(target=ring.lend, args=(10.0,))]
    for thread in waiting:
        thread.start()
    ring.close()
    for thread in waiting:
        thread.join(5)
        assert not thread.is_alive()
    assert ring.done
    assert ring.take() is None


def test_what_waits_at_the_end_is_still_taken() -> None:
    ring = PacketRing(LAYOUT)
    put(ring, 0)
    ring.end()
    assert not ring.done
    assert taken(ring) == [0]
    assert ring.done


def test_a_ring_needs_room() -> None:
    with pytest.raises(ValueError, match="depth: 0"):
        PacketRing(LAYOUT, depth=0)


@given(
    st.lists(st.sampled_from(["put", "take", "release"]), max_size=60),
    st.integers(1, 4),
    st.sampled_from(["newest", "all"]),
)
def test_every_packet_is_taken_dropped_or_waiting_and_memory_stays_the_same(
    moves: list[str], depth: int, keep: str
) -> None:
    ring = PacketRing(LAYOUT, depth=depth, keep=keep)  # type: ignore[arg-type]
    buffers: set[int] = set()
    held, n_put, seen = None, 0, []
    for move in moves:
        if move == "put":
            samples = ring.lend()
            if samples is not None:
                buffers.add(samples.ctypes.data)
                n_put += put(ring, n_put)
        elif move == "take" and held is None:
            held = ring.take()
            if held is not None:
                seen.append(held.stamp.index)
                assert (held.samples == held.stamp.index).all()
        elif move == "release" and held is not None:
            assert (held.samples == held.stamp.index).all()
            ring.release()
            held = None
    assert n_put == len(seen) + ring.n_dropped + ring.n_waiting
    assert seen == sorted(seen)
    assert len(buffers) <= depth + 2
    assert keep == "newest" or ring.n_dropped == 0
