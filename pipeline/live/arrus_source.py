"""A us4R or us4R-lite scanner through us4us' ARRUS, as a front end: arrus://SESSION.prototxt.

ARRUS calls back from a thread of its own for each packet that has come into its buffer. What is called there copies and
releases, nothing else: a buffer that is not released in time overflows, and the device then stops. The copy is put into
order when the packet is fetched. After an overflow the sequence is started again, and what was missed is counted.
"""

from __future__ import annotations

import dataclasses
import importlib
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.kernels.device import get_device
from trueflow.kernels.remap import Remap
from trueflow.pipeline.acquisition import Acquisition
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.frames import Stamp
from trueflow.pipeline.live.arrus_config import ArrusConfig
from trueflow.pipeline.live.arrus_stream import ArrusStream, understand
from trueflow.pipeline.live.numbers import Numbers
from trueflow.pipeline.live.source import PacketLayout, SourceCounters, packet_layout

__all__ = ["ArrusSource", "open_arrus"]

DEVICE = "/Us4R:0"
MODULES = ("arrus", "arrus.medium", "arrus.ops.us4r", "arrus.ops.imaging", "arrus.ops.tgc")
COPIES = 4  # packets that may wait here; as many again wait in ARRUS' buffer
N_BLANK = 1  # sample 0 of some firings holds the device's notes: trigger counter, time
MOST_OVERFLOWS, OVERFLOW_SPAN_S = 5, 10.0  # more than that in this time: it does not help to start again


def open_arrus(url: str) -> ArrusSource:
    """Start the scanner that arrus://SESSION.prototxt describes."""
    return ArrusSource(url)


def import_arrus() -> SimpleNamespace:
    """ARRUS' modules by their last name.

    Raises
    ------
    TrueflowError
        Where it is not installed.
    """
    try:
        found = {name.rpartition(".")[2]: importlib.import_module(name) for name in MODULES}
    except ImportError as error:
        raise TrueflowError(
            "the us4R front end needs us4us' ARRUS", found=str(error),
            advice="pip does not find it for Linux: take the wheel for this Python from the releases of us4useu/arrus "
            "on GitHub, and pip install that file (it asks for numpy<2)",
        ) from error
    return SimpleNamespace(**found)


class ArrusSource:
    """Packets of a us4R; a `LiveSource`. The scanner transmits from here on until `close`.

    Parameters
    ----------
    url : str
        arrus://SESSION.prototxt, with SESSION.toml beside it (`arrus_config`).

    Raises
    ------
    TrueflowError
        No ARRUS, no session, a sequence that does not fit the device; whatever ARRUS says is in the message.
    """

    def __init__(self, url: str) -> None:
        self.name, self.grid, self.ended = url, None, False
        self._config = config = ArrusConfig.of_url(url)
        self._arrus = import_arrus()
        self._changed = threading.Condition()
        self._waiting: deque[tuple[int, float, NDArray[np.int16]]] = deque()
        self._free: list[NDArray[np.int16]] = []
        self._numbers, self._count = Numbers(), 0
        self._numbers.begin(0)
        self._overflowed_s: deque[float] = deque(maxlen=MOST_OVERFLOWS)
        self._overflowed = self._closed = self._loaded = False
        self._n_overflows, self._after_gap = 0, True
        self._failure: BaseException | None = None
        self._last_s = self._began_s = time.monotonic()
        self._stack = ExitStack()
        try:
            with self._told("cannot be started"):
                self._stream = self._upload(config)
            self._plan()
            with self._told("cannot be started"):
                self._session.start_scheme()
            self._last_s = self._began_s = time.monotonic()
        except BaseException:
            with suppress(TrueflowError):  # what has gone wrong first is what there is to say
                self.close()
            raise

    def _upload(self, config: ArrusConfig) -> ArrusStream:
        """Connect, set voltage and gain, and load the sequence."""
        arrus, sequence, device = self._arrus, config.sequence, config.device
        medium = arrus.medium.Medium(name="tissue", speed_of_sound=sequence.sound_speed_m_s)
        self._session = self._stack.enter_context(arrus.arrus.Session(str(config.session), medium=medium))
        self._device = self._session.get_device(DEVICE)
        self._stack.callback(self._switch_off)
        self._device.set_hv_voltage(device.voltage_v)
        buffer, metadata = self._session.upload(self._scheme(config))
        self._loaded = True
        if device.tgc_start_db is not None:
            gain = arrus.tgc.LinearTgc(start=device.tgc_start_db, slope=device.tgc_slope_db_per_m)
            self._device.set_tgc(gain)
        if isinstance(metadata, (list, tuple)):  # ARRUS 0.11 and later: one for each sequence
            metadata = metadata[0]
        stream = understand(metadata, config, where=self.name)
        self._free = [np.zeros(stream.rows_shape, np.int16) for _ in range(COPIES)]
        buffer.append_on_new_data_callback(self._on_data)
        buffer.append_on_buffer_overflow_callback(self._on_overflow)
        return stream

    def _scheme(self, config: ArrusConfig) -> Any:
        us4r, sequence, demodulation = self._arrus.us4r, config.sequence, config.demodulation
        pulse = us4r.Pulse(
            center_frequency=sequence.center_frequency_hz, n_periods=sequence.n_periods, inverse=False
        )
        waves = self._arrus.imaging.PwiSequence(
            angles=np.tile(config.angles_rad, sequence.n_repeats),
            pulse=pulse,
            rx_sample_range=(sequence.start_sample, sequence.start_sample + sequence.n_samples),
            downsampling_factor=sequence.downsampling_factor,
            pri=1 / sequence.prf_hz,
            sri=1 / sequence.frame_rate_hz if sequence.frame_rate_hz else None,
            speed_of_sound=sequence.sound_speed_m_s,
            n_repeats=1,
        )
        more = {}
        if demodulation is not None:
            more["digital_down_conversion"] = us4r.DigitalDownConversion(
                demodulation_frequency=demodulation.frequency_hz or sequence.center_frequency_hz,
                fir_coefficients=list(config.fir_coefficients),
                decimation_factor=demodulation.decimation_factor,
            )
        return us4r.Scheme(
            tx_rx_sequence=waves,
            rx_buffer_size=config.device.rx_buffer_size,
            output_buffer=us4r.DataBufferSpec(type="FIFO", n_elements=config.device.host_buffer_size),
            work_mode=sequence.work_mode,
            **more,
        )

    def _plan(self) -> None:
        a, stream = self._stream.acquisition, self._stream
        self._layout = packet_layout(a, np.complex64 if a.sample_kind == "iq" else np.int16)
        try:
            self._remap = Remap(
                get_device("cpu", n_threads=1), frames=stream.frames, channels=stream.channels,
                n_frames=stream.n_frames, n_samples=a.n_samples, n_blank=N_BLANK, iq=a.sample_kind == "iq",
            )
        except ValueError as error:
            raise TrueflowError(str(error), where=self.name) from error

    @property
    def acquisition(self) -> Acquisition:
        """As the device was given it."""
        return self._stream.acquisition

    @property
    def layout(self) -> PacketLayout:
        """Of the packets, in order."""
        return self._layout

    @property
    def frame_rate_hz(self) -> float | None:
        """As fired; None where the device waits for us."""
        return None if self._config.sequence.work_mode == "HOST" else 1 / self._stream.interval_s

    @property
    def counters(self) -> SourceCounters:
        """So far; a restart is an overflow."""
        return dataclasses.replace(self._numbers.counters, n_restarts=self._n_overflows)

    def receive(self, into: NDArray[Any], timeout_s: float) -> Stamp | None:
        """The next packet, put into order."""
        if self._overflowed:
            self._start_again()
        with self._changed:
            if not self._changed.wait_for(lambda: self._waiting or self._failure or self._closed, timeout_s):
                return None
            if self._failure is not None:
                raise self._failure
            if not self._waiting:
                return None
            count, arrived_s, rows = self._waiting.popleft()
        try:
            self._remap(rows, into)
        finally:
            with self._changed:
                self._free.append(rows)
        index = self._numbers.received(count)
        back_to_back = self._config.sequence.frame_rate_hz is None and not self._after_gap
        self._after_gap = False
        if self._config.sequence.work_mode == "HOST":
            return Stamp(index, max(0.0, arrived_s - self._began_s), arrived_s)
        return Stamp(index, count * self._stream.interval_s, arrived_s, back_to_back)

    def close(self) -> None:
        """Stop transmitting, switch the high voltage off, and disconnect."""
        with self._changed:
            if self._closed:
                return
            self._closed = self.ended = True
            self._changed.notify_all()
        with self._told("did not stop as it should"):
            self._stack.close()

    def _switch_off(self) -> None:
        try:
            if self._loaded:
                self._session.stop_scheme()
        finally:
            self._device.disable_hv()

    def _on_data(self, element: Any) -> None:
        """In ARRUS' thread: copy and release. What is raised here would only be printed."""
        arrived_s = time.monotonic()
        try:
            self._keep(element, arrived_s)
        except Exception as error:
            with self._changed:
                self._failure = error
                self._changed.notify_all()
        finally:
            element.release()

    def _keep(self, element: Any, arrived_s: float) -> None:
        with self._changed:
            count, self._count = self._count, self._count + 1
            if self._closed:
                return
            # Where nobody fetches, the oldest makes room: it is the one whose picture nobody needs any more.
            rows = self._free.pop() if self._free else self._waiting.popleft()[2]
        np.copyto(rows, element.arrays[0] if hasattr(element, "arrays") else element.data)
        with self._changed:
            self._last_s = arrived_s
            self._waiting.append((count, arrived_s, rows))
            self._changed.notify_all()

    def _on_overflow(self) -> None:
        """In ARRUS' thread: the device has stopped, or is about to."""
        with self._changed:
            self._overflowed = True
            self._changed.notify_all()

    def _start_again(self) -> None:
        """After an overflow, in the thread that fetches."""
        now_s = time.monotonic()
        often = len(self._overflowed_s) == MOST_OVERFLOWS and now_s - self._overflowed_s[0] < OVERFLOW_SPAN_S
        if often:
            raise TrueflowError(
                "packets come faster than this machine takes them", where=self.name,
                found=f"{MOST_OVERFLOWS + 1} buffer overflows in {OVERFLOW_SPAN_S:g} s",
                advice="lower frame_rate_hz, n_samples or n_repeats, or raise downsampling_factor",
            )
        self._overflowed_s.append(now_s)
        with self._told("cannot be started again"):
            self._session.stop_scheme()
            with self._changed:
                self._overflowed = False
                self._n_overflows += 1
                self._after_gap = True
                # Time goes on while the device stands still: what it would have fired is missing.
                self._count += max(1, round((time.monotonic() - self._last_s) / self._stream.interval_s))
            self._session.start_scheme()

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """What ARRUS raises, as an error that names the session."""
        try:
            yield
        except TrueflowError:
            raise
        except Exception as error:
            said = " ".join(str(error).split())
            raise TrueflowError(what, where=self.name, found=f"{type(error).__name__}: {said}") from error
