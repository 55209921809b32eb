"""A front end in another process, on this machine or another one, over ZeroMQ: the receiving side.

The front end publishes, we subscribe: it never waits for us. A first connection asks for the description alone, with
room for no more than that; the second one then has room for packets of the described size, and for no larger ones.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import Stamp
from trueflow.pipeline.live.described import DescribedSource
from trueflow.pipeline.live.description import Description
from trueflow.pipeline.live.message import (
    ANNOUNCEMENT,
    DESCRIPTION,
    END,
    LARGEST_DESCRIPTION_BYTES,
    MAGIC,
    PACKET,
    BadMessageError,
    Header,
    checksum,
)
from trueflow.pipeline.live.numbers import Numbers

__all__ = ["NetworkSource", "import_zmq", "open_network"]

PATIENCE_S = 10.0  # a front end that simulates its packets first takes some seconds
QUEUED = 16  # messages that may wait on either side: announcements and packets, so eight packets
PARTS = 2  # a message has at most
# A front end repeats its description, so a connection that says nothing for so long is dead. ZeroMQ makes broken ones
# anew, but not those that it has cut because of a message that was too large.
DEAD_S = 3.0


def import_zmq() -> Any:
    """PyZMQ.

    Raises
    ------
    TrueflowError
        Where it is not installed.
    """
    try:
        import zmq
    except ImportError as error:
        raise TrueflowError(
            "the network front end needs PyZMQ", found=str(error), advice="pip install 'trueflow[live]'"
        ) from error
    return zmq


def open_network(url: str) -> NetworkSource:
    """Connect to the front end at an ipc:// or tcp:// address."""
    return NetworkSource(url)


class NetworkSource(DescribedSource):
    """Packets of a publishing front end; a `LiveSource`.

    Parameters
    ----------
    url : str
        ipc://PATH or tcp://HOST:PORT.
    patience_s : float
        How long to wait for the description.

    Attributes
    ----------
    sent_s : float
        When the last packet was sent, on the clock of the front end's machine: on this one, `time.monotonic()`.

    Raises
    ------
    TrueflowError
        No PyZMQ, no such address, nobody there, a description that cannot be.
    """

    def __init__(self, url: str, *, patience_s: float = PATIENCE_S) -> None:
        self._zmq = import_zmq()
        self._url, self._context = url, self._zmq.Context()
        self._numbers = Numbers()
        self._ended = self._closed = False
        self._announced: tuple[int, float] | None = None
        self._fresh = True
        self.sent_s = 0.0
        try:
            self._stream, self._description = self._ask(patience_s)
            self._layout = self._description.layout
            self._socket, self._heard_s = self._subscribe(), time.monotonic()
        except BaseException:
            self._context.destroy(linger=0)
            raise

    @property
    def name(self) -> str:
        """The address."""
        return self._url

    def receive(self, into: NDArray[Any], timeout_s: float) -> Stamp | None:
        """The next whole packet that is younger than those before."""
        end_s = time.monotonic() + timeout_s
        while not self._ended:
            left_ms = max(0, round(1e3 * (end_s - time.monotonic())))
            if not self._socket.poll(left_ms):
                self._look_after()
                return None
            self._heard_s = time.monotonic()
            stamp = self._take(into)
            if stamp is not None:
                return stamp
            if time.monotonic() > end_s:  # also where messages come that are no packets
                return None
        return None

    def close(self) -> None:
        """Disconnect."""
        if not self._closed:
            self._closed = True
            self._context.destroy(linger=0)

    def _ask(self, patience_s: float) -> tuple[int, Description]:
        """The stream's number and description."""
        socket = self._connect(MAGIC + DESCRIPTION, LARGEST_DESCRIPTION_BYTES)
        end_s = time.monotonic() + patience_s
        try:
            while (left_s := end_s - time.monotonic()) > 0:
                if not socket.poll(max(1, round(1e3 * left_s))):
                    break
                header, payload = _read(socket, self._zmq)
                if header is not None and header.kind == DESCRIPTION and payload is not None:
                    return header.stream, Description.unpack(bytes(payload))
        finally:
            socket.close(linger=0)
        raise TrueflowError(
            "no front end answers",
            where=self._url,
            found=f"nothing within {patience_s:g} s",
            advice=f"is `trueflow frontend SOURCE --bind {self._url}` running?",
        )

    def _subscribe(self) -> Any:
        return self._connect(b"", max(LARGEST_DESCRIPTION_BYTES, self._layout.n_bytes))

    def _look_after(self) -> None:
        """Connect once more where nothing at all has come for too long."""
        if time.monotonic() - self._heard_s > DEAD_S:
            self._socket.close(linger=0)
            self._socket, self._heard_s = self._subscribe(), time.monotonic()

    def _connect(self, prefix: bytes, largest_bytes: int) -> Any:
        zmq, socket = self._zmq, self._context.socket(self._zmq.SUB)
        socket.setsockopt(zmq.RCVHWM, QUEUED)
        socket.setsockopt(zmq.MAXMSGSIZE, largest_bytes)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.RECONNECT_IVL, 50)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, 1000)
        socket.setsockopt(zmq.SUBSCRIBE, prefix)
        try:
            socket.connect(self._url)
        except zmq.ZMQError as error:
            raise TrueflowError(
                "not an address", where=self._url, found=str(error), expected="ipc://PATH or tcp://HOST:PORT"
            ) from error
        return socket

    def _take(self, into: NDArray[Any]) -> Stamp | None:
        """Deal with one message; a stamp where it was a packet for us."""
        header, payload = _read(self._socket, self._zmq)
        if header is None:
            self._numbers.rejected()
        elif header.kind == DESCRIPTION:
            self._compare(header, payload)
        elif header.stream != self._stream or (header.layout is not None and header.layout != self._layout):
            self._numbers.rejected()
        elif header.kind == ANNOUNCEMENT:
            self._announced = header.sequence, time.monotonic()
        elif header.kind == END:
            self._numbers.end(header.sequence)
            self._ended = True
        else:
            assert payload is not None  # _read has seen to that
            return self._packet(header, payload, into)
        return None

    def _packet(self, header: Header, payload: Any, into: NDArray[Any]) -> Stamp | None:
        now_s, numbers = time.monotonic(), self._numbers
        if checksum(payload) != header.payload_check:
            numbers.corrupt(header.sequence)
            return None
        verdict = numbers.judge(header.sequence)
        if verdict == "late":
            numbers.late(header.sequence)
            return None
        if verdict == "repeated":
            numbers.rejected()
            return None
        np.copyto(into, np.frombuffer(payload, self._layout.dtype).reshape(self._layout.shape))
        self.sent_s = header.sent_s
        fresh, self._fresh = self._fresh, False
        announced = self._announced
        return Stamp(
            numbers.received(header.sequence),
            acquisition_time_s=header.acquisition_time_s,
            receive_time_s=announced[1] if announced is not None and announced[0] == header.sequence else now_s,
            continuous=header.continuous and not fresh,
        )

    def _compare(self, header: Header, payload: Any) -> None:
        """A description came: the usual one, or that of a front end that has begun anew."""
        if header.stream == self._stream or payload is None:
            self._numbers.begin(header.sequence)
            return
        if not Description.unpack(bytes(payload)).same_as(self._description):
            raise TrueflowError(
                "the front end now sends something else", where=self._url, advice="connect to it once more"
            )
        self._stream, self._fresh, self._announced = header.stream, True, None
        self._numbers.restart()


def _read(socket: Any, zmq: Any) -> tuple[Header | None, Any]:
    """One message: its header and payload, or None and None where it is none of ours."""
    parts = [socket.recv(zmq.NOBLOCK, copy=False)]
    n_parts = 1
    while parts[-1].more:
        part = socket.recv(zmq.NOBLOCK, copy=False)
        n_parts += 1
        parts = [parts[0], part]  # of a message with more parts the rest is let go of at once
    try:
        header = Header.unpack(parts[0].buffer)
    except BadMessageError:
        return None, None
    with_payload = header.kind in (DESCRIPTION, PACKET)
    if n_parts != (PARTS if with_payload else 1):
        return None, None
    payload = parts[1].buffer if with_payload else None
    if payload is not None and payload.nbytes != header.payload_bytes:
        return None, None
    if header.kind == DESCRIPTION and checksum(payload) != header.payload_check:
        return None, None
    return header, payload
