"""A us4R-lite that is not there: exactly the calls of ARRUS (0.11 and later) that its documentation names, no others.

Two us4OEM modules of 32 channels. A receive aperture of more than 64 elements takes several firings, each of which
lasts `pri`. Elements are spread over modules and channels as a permutation. An element of the buffer is overwritten as
soon as it is released; one that is not released in time makes the buffer overflow, and the device stop.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

N_MODULES, N_CHANNELS = 2, 32
NOMINAL_HZ = 65e6
PITCH_M = 0.3e-3


@dataclass(frozen=True)
class Pulse:
    center_frequency: float
    n_periods: float
    inverse: bool


@dataclass(frozen=True)
class DataBufferSpec:
    n_elements: int
    type: str


@dataclass(frozen=True)
class DigitalDownConversion:
    demodulation_frequency: float
    fir_coefficients: Iterable[float]
    decimation_factor: float


@dataclass(frozen=True)
class PwiSequence:
    pulse: Pulse
    pri: float
    rx_sample_range: tuple[int, int]
    sri: float | None = None
    speed_of_sound: float | None = None
    angles: Any = 0.0
    downsampling_factor: int = 1
    n_repeats: int = 1


@dataclass(frozen=True)
class Scheme:
    tx_rx_sequence: PwiSequence
    rx_buffer_size: int = 2
    output_buffer: DataBufferSpec = field(default_factory=lambda: DataBufferSpec(4, "FIFO"))
    work_mode: str = "HOST"
    digital_down_conversion: DigitalDownConversion | None = None


@dataclass(frozen=True)
class LinearTgc:
    start: float
    slope: float


@dataclass(frozen=True)
class Medium:
    name: str
    speed_of_sound: float


class Thing:
    """One of ARRUS' many small classes of attributes."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


class ConstMetadata:
    def __init__(self, context: Any, description: Any, shape: tuple[int, ...]) -> None:
        self._context, self._data_char, self._input_shape = context, description, shape

    @property
    def context(self) -> Any:
        return self._context

    @property
    def data_description(self) -> Any:
        return self._data_char

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self._input_shape


class Element:
    def __init__(self, shape: tuple[int, ...]) -> None:
        self._memory = np.zeros(shape, np.int16)
        self.is_free = True

    @property
    def arrays(self) -> list[NDArray[np.int16]]:
        assert not self.is_free, "looked at after it was released"
        return [self._memory]

    def release(self) -> None:
        assert not self.is_free, "released twice"
        self._memory[...] = -1
        self.is_free = True


class DataBuffer:
    def __init__(self, n_elements: int, shape: tuple[int, ...]) -> None:
        self.elements = [Element(shape) for _ in range(n_elements)]
        self.on_data: list[Callable[[Element], None]] = []
        self.on_overflow: list[Callable[[], None]] = []

    def append_on_new_data_callback(self, callback: Callable[[Element], None]) -> None:
        self.on_data.append(callback)

    def append_on_buffer_overflow_callback(self, callback: Callable[[], None]) -> None:
        self.on_overflow.append(callback)


class Us4R:
    def __init__(self, log: list[Any]) -> None:
        self._log, self.is_loaded = log, False

    def set_hv_voltage(self, voltage: int) -> None:
        assert isinstance(voltage, int)
        if voltage > 90:
            raise ValueError(f"Voltage {voltage} V is above the limit of 90 V.")
        self._log.append(("voltage", voltage))

    def disable_hv(self) -> None:
        self._log.append("high voltage off")

    def set_tgc(self, tgc: LinearTgc) -> None:
        if not self.is_loaded:
            raise ValueError("TGC context is currently not set. Make sure a TX/RX sequence is uploaded.")
        self._log.append(tgc)


class Scanner:
    """What is behind a session: the stand-in's hardware, for tests to look at and to fire."""

    def __init__(self, n_elements: int = 128) -> None:
        self.n_elements = n_elements
        self.log: list[Any] = []
        self.sessions: list[Session] = []
        self.is_running = False
        self.buffer: DataBuffer | None = None
        self.scheme: Scheme | None = None
        self.n_split = -(-n_elements // (N_MODULES * N_CHANNELS))
        self.changes: dict[str, Any] = {}  # of the metadata, to be wrong on purpose
        order = np.random.default_rng(5).permutation(N_CHANNELS)
        element = np.arange(n_elements)
        self.module = (element // N_CHANNELS) % N_MODULES
        self.part = element // (N_CHANNELS * N_MODULES)
        self.channel = order[element % N_CHANNELS]

    @property
    def n_firings(self) -> int:
        assert self.scheme is not None
        return len(np.atleast_1d(self.scheme.tx_rx_sequence.angles))

    @property
    def n_samples(self) -> int:
        assert self.scheme is not None
        start, stop = self.scheme.tx_rx_sequence.rx_sample_range
        conversion = self.scheme.digital_down_conversion
        return (stop - start) // int(conversion.decimation_factor if conversion else 1)

    @property
    def shape(self) -> tuple[int, ...]:
        parts = (2,) if self.scheme is not None and self.scheme.digital_down_conversion else ()
        return (N_MODULES * self.n_firings * self.n_split * self.n_samples, *parts, N_CHANNELS)

    def physical(self, logical: NDArray[Any]) -> NDArray[np.int16]:
        """Echoes (firing, element, sample), or (firing, element, sample, 2), as the modules send them."""
        rows = np.full((N_MODULES, self.n_firings, self.n_split, self.n_samples, *self.shape[1:]), 9999, np.int16)
        for element in range(self.n_elements):
            echo = logical[:, element]
            rows[self.module[element], :, self.part[element], ..., self.channel[element]] = echo
        rows[0, :, :, 0] = 31_000  # trigger counter and time
        return rows.reshape(self.shape)

    def fire(self, logical: NDArray[Any]) -> None:
        """One packet comes in."""
        assert self.buffer is not None
        if not self.is_running:
            return
        element = next((e for e in self.buffer.elements if e.is_free), None)
        if element is None:
            self.overflow()
            return
        element.is_free = False
        element.arrays[0][...] = self.physical(logical)
        for callback in self.buffer.on_data:
            callback(element)

    def overflow(self) -> None:
        assert self.buffer is not None
        self.is_running = False
        for callback in self.buffer.on_overflow:
            callback()

    def metadata(self, medium: Medium) -> ConstMetadata:
        assert self.scheme is not None
        sequence, conversion = self.scheme.tx_rx_sequence, self.scheme.digital_down_conversion
        rate_hz = NOMINAL_HZ / sequence.downsampling_factor / (conversion.decimation_factor if conversion else 1)
        n, x = self.n_elements, (np.arange(self.n_elements) - (self.n_elements - 1) / 2) * PITCH_M
        ops = []
        for angle in np.atleast_1d(sequence.angles):
            delays = x * np.sin(angle) / sequence.speed_of_sound
            tx = Thing(aperture=np.ones(n, bool), excitation=sequence.pulse, delays=delays - delays.min())
            rx = Thing(
                aperture=np.ones(n, bool), sample_range=sequence.rx_sample_range, padding=(0, 0),
                downsampling_factor=sequence.downsampling_factor,
            )
            ops.append(Thing(tx=tx, rx=rx, pri=self.changes.get("pri", sequence.pri)))
        model = Thing(
            n_elements=n, pitch=PITCH_M, curvature_radius=np.float64(0.0),
            model_id=Thing(manufacturer="us4us", name="a probe"),
        )
        device = Thing(
            probe=[Thing(model=model)], sampling_frequency=NOMINAL_HZ, data_sampling_frequency=np.float32(rate_hz)
        )
        context = Thing(
            device=device, sequence=sequence, raw_sequence=Thing(ops=ops[: self.changes.get("n_ops")]), medium=medium
        )
        firing = np.arange(self.n_firings)[:, None]
        mapping = Thing(
            frames=(firing * self.n_split + self.part).astype(np.int16),
            channels=np.tile(self.channel, (self.n_firings, 1)).astype(np.int8),
            us4oems=np.tile(self.module, (self.n_firings, 1)).astype(np.uint8),
            frame_offsets=(np.arange(N_MODULES) * self.n_firings * self.n_split).astype(np.uint32),
            n_frames=np.full(N_MODULES, self.n_firings * self.n_split, np.uint32),
            batch_size=1,
        )
        custom = {"frame_channel_mapping": mapping, "rx_offset": 4e-7 if conversion else 0.0}
        custom = {key: value for key, value in custom.items() if key not in self.changes.get("without", ())}
        shape = self.changes.get("shape", self.shape)
        return ConstMetadata(context, Thing(sampling_frequency=rate_hz, custom=custom), shape)


class Session:
    scanner: Scanner  # set by `install`

    def __init__(self, cfg_path: str, medium: Medium) -> None:
        assert Path(cfg_path).is_file()
        self._medium, self.is_open = medium, True
        self._device = Us4R(self.scanner.log)
        self.scanner.sessions.append(self)

    def get_device(self, path: str) -> Us4R:
        assert path == "/Us4R:0"
        return self._device

    def upload(self, scheme: Scheme) -> tuple[DataBuffer, list[ConstMetadata]]:
        scanner = self.scanner
        start, stop = scheme.tx_rx_sequence.rx_sample_range
        if (stop - start) % 64:
            raise ValueError("The number of samples should be a multiple of 64.")
        scanner.scheme, self._device.is_loaded = scheme, True
        scanner.buffer = DataBuffer(scheme.output_buffer.n_elements, scanner.shape)
        scanner.log.append("loaded")
        return scanner.buffer, [scanner.metadata(self._medium)]

    def start_scheme(self) -> None:
        assert self._device.is_loaded
        self.scanner.is_running = True
        self.scanner.log.append("started")

    def stop_scheme(self) -> None:
        assert self._device.is_loaded
        self.scanner.is_running = False
        self.scanner.log.append("stopped")
        assert self.scanner.buffer is not None
        for element in self.scanner.buffer.elements:
            element.is_free = True

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.scanner.is_running, self.is_open = False, False
        self.scanner.log.append("closed")


def install(set_module: Callable[[dict[str, Any], str, Any], None], scanner: Scanner) -> None:
    """Put the stand-in into `sys.modules`: pass `monkeypatch.setitem`."""
    contents = {
        "arrus": {"Session": type("Session", (Session,), {"scanner": scanner})},
        "arrus.medium": {"Medium": Medium},
        "arrus.ops": {},
        "arrus.ops.us4r": {
            "Pulse": Pulse, "Scheme": Scheme, "DataBufferSpec": DataBufferSpec,
            "DigitalDownConversion": DigitalDownConversion,
        },
        "arrus.ops.imaging": {"PwiSequence": PwiSequence},
        "arrus.ops.tgc": {"LinearTgc": LinearTgc},
    }
    for name, members in contents.items():
        module = types.ModuleType(name)
        module.__dict__.update(members, __path__=[])
        set_module(sys.modules, name, module)
