"""The sending side of the network front end: what a scanner's software has to do, and a recording does in its place."""

from __future__ import annotations

import ipaddress
import os
import secrets
import socket as sockets
import stat
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import RfPacket, Stamp
from trueflow.pipeline.live.description import Description
from trueflow.pipeline.live.message import ANNOUNCEMENT, DESCRIPTION, END, PACKET, Header, check_sendable, checksum
from trueflow.pipeline.live.network import QUEUED, import_zmq

__all__ = ["Prepared", "Publisher", "check_address"]

REPEATS_S = 0.5  # of the description, for whoever has missed it
LINGER_MS = 1000  # for what is on its way when we end
LONGEST_IPC_PATH = 107


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A packet as it can be sent again and again: contiguous, its checksum known."""

    samples: NDArray[Any]
    stamp: Stamp
    check: int

    @classmethod
    def of(cls, packet: RfPacket) -> Prepared:
        """From a packet, whose memory must hold still."""
        samples = np.ascontiguousarray(packet.samples)
        return cls(samples, packet.stamp, checksum(_octets(samples)))


class Publisher:
    """Publishes packets; a context manager. Used by one thread.

    Parameters
    ----------
    url : str
        To bind: ipc://PATH or tcp://HOST:PORT; tcp://127.0.0.1:* takes a free port.
    description : Description
    waits : bool
        Whether a listener that is too slow makes us wait; else what it has no room for is lost to it.
    allow_remote : bool
        Whether the address may be one that other machines can reach.

    Attributes
    ----------
    url : str
        What to connect to.
    sequence : int
        Of the next packet.

    Raises
    ------
    TrueflowError
        No PyZMQ, an address that others could reach, or that cannot be bound.
    """

    def __init__(
        self, url: str, description: Description, *, waits: bool = False, allow_remote: bool = False
    ) -> None:
        self._zmq = zmq = import_zmq()
        check_address(url, allow_remote=allow_remote)
        check_sendable(description.layout)
        self._layout, self._description = description.layout, description.pack()
        self._stream, self.sequence = secrets.randbits(63), 0
        self._told_s = 0.0
        self.n_listeners = 0
        self._context = zmq.Context()
        try:
            self._socket = self._context.socket(zmq.XPUB)
            for option, value in (
                (zmq.SNDHWM, QUEUED),
                (zmq.XPUB_VERBOSER, 1),  # every listener that comes and goes, not only the first and last one
                (zmq.XPUB_NODROP, int(waits)),
                (zmq.LINGER, LINGER_MS),
                (zmq.RCVHWM, 1000),
                (zmq.MAXMSGSIZE, 256),  # of subscriptions
            ):
                self._socket.setsockopt(option, value)
            self._bind(url)
        except BaseException:
            self._context.destroy(linger=0)
            raise

    def _bind(self, url: str) -> None:
        try:
            self._socket.bind(url)
        except self._zmq.ZMQError as error:
            raise TrueflowError("cannot be bound", where=url, found=str(error)) from error
        self.url = self._socket.getsockopt(self._zmq.LAST_ENDPOINT).rstrip(b"\0").decode()
        path = _ipc_path(self.url)
        if path is not None and path.exists():
            path.chmod(0o600)  # other users of the machine are others, too

    def tend(self, timeout_s: float = 0.0) -> None:
        """Wait this long, and meanwhile answer whoever begins to listen."""
        end_s = time.monotonic() + timeout_s
        while True:
            left_s = end_s - time.monotonic()
            if self._socket.poll(max(0, int(1e3 * left_s))):
                self._answer()
            elif left_s <= 1e-3:
                break
            if time.monotonic() - self._told_s > REPEATS_S:
                self._tell()
        time.sleep(max(0.0, end_s - time.monotonic()))

    def send(self, packet: Prepared, *, samples: NDArray[Any] | None = None) -> None:
        """Send a packet under the next number.

        Parameters
        ----------
        packet : Prepared
            Its memory must hold still until it has been sent: it is not copied.
        samples : array, optional
            To be sent under the packet's checksum in place of its own: damaged ones, for tests.
        """
        self.send_as(self.sequence, packet, samples=samples)
        self.sequence += 1

    def send_as(self, sequence: int, packet: Prepared, *, samples: NDArray[Any] | None = None) -> None:
        """The same under a given number: also one that was left out before."""
        header = Header(
            ANNOUNCEMENT,
            self._stream,
            sequence,
            self._layout,
            acquisition_time_s=packet.stamp.acquisition_time_s,
            sent_s=time.monotonic(),
            payload_bytes=self._layout.n_bytes,
            payload_check=packet.check,
            continuous=packet.stamp.continuous,
        )
        self._socket.send(header.pack())
        self._socket.send(replace(header, kind=PACKET).pack(), self._zmq.SNDMORE)
        payload = packet.samples if samples is None else samples
        self._socket.send(_octets(payload), copy=False)

    def skip(self) -> int:
        """Leave the next number out; which that was."""
        self.sequence += 1
        return self.sequence - 1

    def end(self) -> None:
        """Say that nothing will follow."""
        self._socket.send(self._last_word())

    def _last_word(self) -> bytes:
        return Header(END, self._stream, self.sequence).pack()

    def close(self) -> None:
        """Send what is on its way, take the address away, and close."""
        path = _ipc_path(self.url)
        if path is not None:  # ZeroMQ leaves it; as long as we listen it is ours
            with suppress(OSError):
                path.unlink()
        self._socket.close()
        self._context.term()

    def _answer(self) -> None:
        """Listeners come (1, prefix) and go (0, prefix); those of everything are counted."""
        while self._socket.poll(0):
            event = self._socket.recv()
            if event == b"\x01":
                self.n_listeners += 1
            elif event == b"\x00":
                self.n_listeners -= 1
            if event[:1] == b"\x01":
                self._tell()

    def _tell(self) -> None:
        self._told_s = time.monotonic()
        check = checksum(self._description)
        header = Header(
            DESCRIPTION, self._stream, self.sequence, payload_bytes=len(self._description), payload_check=check
        )
        self._socket.send(header.pack(), self._zmq.SNDMORE)
        self._socket.send(self._description)

    def __enter__(self) -> Publisher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.end()
            else:  # a listener that does not take what waits must not keep us
                with suppress(self._zmq.ZMQError):
                    self._socket.send(self._last_word(), self._zmq.NOBLOCK)
        finally:
            self.close()


def _octets(samples: NDArray[Any]) -> memoryview:
    return samples.reshape(-1).view(np.uint8).data


def check_address(url: str, *, allow_remote: bool) -> None:
    """Refuse to bind what other machines could reach, or what is something else.

    Raises
    ------
    TrueflowError
    """
    scheme, separator, rest = url.partition("://")
    if scheme not in ("ipc", "tcp") or not separator or not rest:
        raise TrueflowError("not an address to bind", where=url, expected="ipc://PATH or tcp://127.0.0.1:PORT")
    path = _ipc_path(url)
    if path is not None:
        _check_path(url, path)
    elif scheme == "tcp" and not allow_remote and not _is_loopback(rest.rpartition(":")[0]):
        raise TrueflowError(
            "other machines could reach this address",
            where=url,
            expected="127.0.0.1, localhost or [::1]",
            advice="samples go over the wire for everyone to read; --allow-remote says that this is wanted",
        )


def _ipc_path(url: str) -> Path | None:
    """The file of an ipc address; None for others, and for those in Linux' abstract space."""
    rest = url.removeprefix("ipc://")
    return None if rest == url or rest.startswith("@") else Path(rest)


def _check_path(url: str, path: Path) -> None:
    """ZeroMQ deletes whatever has the name that it binds."""
    if len(os.fsencode(path)) > LONGEST_IPC_PATH:
        raise TrueflowError("too long a path", where=url, expected=f"at most {LONGEST_IPC_PATH} bytes")
    if not path.parent.is_dir():
        raise TrueflowError("no such folder", where=url, found=str(path.parent))
    if not path.exists() and not path.is_symlink():
        return
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise TrueflowError("is a file, which would be deleted", where=url, advice="choose a name that is free")
    with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(path))
        except OSError:
            return  # left behind by somebody who is gone
    raise TrueflowError("somebody listens there already", where=url, advice="end it, or choose another name")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:  # a name, an interface, or *
        return False
