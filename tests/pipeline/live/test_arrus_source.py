"""The us4R front end, on a stand-in of the documented calls: what is fired, what arrives, overflows, the way out."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from arrus_standin import LinearTgc, Scanner, install
from numpy.typing import NDArray

from trueflow.pipeline.acquisition import PlaneWave
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.live import arrus_source
from trueflow.pipeline.live.arrus_source import ArrusSource
from trueflow.pipeline.live.registry import is_live, open_live
from trueflow.pipeline.sources.us4us_remap import ChannelMap, remap_to_logical

SETTINGS = {
    "sequence": {
        "center_frequency_hz": 5e6, "n_periods": 2.0, "prf_hz": 8e3, "n_repeats": 4, "n_samples": 128,
        "angles_rad": [0.0], "frame_rate_hz": 50.0,
    },
    "device": {"voltage_v": 10},
}


@pytest.fixture
def scanner(monkeypatch: pytest.MonkeyPatch) -> Scanner:
    scanner = Scanner()
    install(monkeypatch.setitem, scanner)
    return scanner


@pytest.fixture
def session(tmp_path: Path) -> Callable[..., str]:
    """Writes session.prototxt and session.toml; keywords "section__key" change settings, None takes them out."""

    def write(**changes: Any) -> str:
        tables = {name: dict(table) for name, table in SETTINGS.items()}
        for key, value in changes.items():
            section, _, name = key.partition("__")
            tables.setdefault(section, {})[name] = value
        lines = []
        for section, table in tables.items():
            given = {name: value for name, value in table.items() if value is not None}
            lines += [f"[{section}]", *(f"{name} = {_toml(value)}" for name, value in given.items())]
        (tmp_path / "session.prototxt").write_text("us4r: {}\n")
        (tmp_path / "session.toml").write_text("\n".join(lines) + "\n")
        return f"arrus://{tmp_path / 'session.prototxt'}"

    return write


def _toml(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


@pytest.fixture
def start(scanner: Scanner, session: Any) -> Iterator[Callable[..., ArrusSource]]:
    """Starts the stand-in: (**changes of the settings) -> ArrusSource."""
    sources: list[ArrusSource] = []

    def start(**changes: Any) -> ArrusSource:
        sources.append(ArrusSource(session(**changes)))
        return sources[-1]

    yield start
    for source in sources:
        source.close()


def echoes(scanner: Scanner, number: int = 0, *, iq: bool = False) -> NDArray[np.int16]:
    """Of one packet, all different: (firing, element, sample[, 2])."""
    shape = (scanner.n_firings, scanner.n_elements, scanner.n_samples, *((2,) if iq else ()))
    return np.random.default_rng(number).integers(-3000, 3000, shape).astype(np.int16)


def test_what_arrives_is_in_order(start: Any, scanner: Scanner) -> None:
    source = start(sequence__angles_rad=[-0.1, 0.0, 0.1])
    into = source.layout.empty()
    assert into.shape == (4, 3, 128, 128)
    for number in range(3):
        scanner.fire(echoes(scanner, number))
        stamp = source.receive(into, 0.0)
        assert stamp is not None
        expected = echoes(scanner, number)
        expected[..., 0] = 0  # the device's notes
        np.testing.assert_array_equal(into.reshape(expected.shape), expected)
        assert stamp.index == number
        assert stamp.acquisition_time_s == pytest.approx(number / 50)
        assert time.monotonic() - 10 < stamp.receive_time_s <= time.monotonic()
        assert not stamp.continuous
    assert source.receive(into, 0.0) is None
    assert (source.counters.n_received, source.counters.n_lost) == (3, 0)


def test_the_order_is_that_of_captures(start: Any, scanner: Scanner) -> None:
    """The kernel, its tables and the reader of files agree on what the mapping means."""
    source = start()
    into = source.layout.empty()
    scanner.fire(echoes(scanner))
    source.receive(into, 0.0)
    mapping = scanner.metadata(None).data_description.custom["frame_channel_mapping"]
    tables = [np.asarray(getattr(mapping, name), np.int64)
              for name in ("frames", "channels", "us4oems", "frame_offsets", "n_frames")]
    logical = remap_to_logical(scanner.physical(echoes(scanner)), ChannelMap(*tables), n_samples=128)
    np.testing.assert_array_equal(into[:, 0, :, 1:], logical[..., 1:])


def test_what_is_asked_for_is_what_the_settings_say(start: Any, scanner: Scanner) -> None:
    start(
        sequence__angles_rad=[-0.1, 0.1], sequence__start_sample=100, sequence__downsampling_factor=2,
        device__tgc_start_db=14.0, device__tgc_slope_db_per_m=200.0, device__voltage_v=25,
        device__rx_buffer_size=3, device__host_buffer_size=6,
    )
    scheme = scanner.scheme
    assert scheme is not None
    sequence = scheme.tx_rx_sequence
    np.testing.assert_array_equal(sequence.angles, [-0.1, 0.1] * 4)
    assert (sequence.pulse.center_frequency, sequence.pulse.n_periods, sequence.pulse.inverse) == (5e6, 2.0, False)
    assert (sequence.rx_sample_range, sequence.downsampling_factor) == ((100, 228), 2)
    assert (sequence.pri, sequence.sri, sequence.speed_of_sound) == (1 / 8e3, 1 / 50, 1540.0)
    assert (scheme.work_mode, scheme.rx_buffer_size, scheme.output_buffer.n_elements) == ("ASYNC", 3, 6)
    assert scheme.digital_down_conversion is None
    assert scanner.log == [("voltage", 25), "loaded", LinearTgc(14.0, 200.0), "started"]


def test_the_acquisition_is_what_the_device_does(start: Any, scanner: Scanner) -> None:
    source = start(sequence__angles_rad=[-0.1, 0.1], sequence__start_sample=100, sequence__downsampling_factor=2)
    a = source.acquisition
    assert (a.n_ensemble, a.n_transmits, a.probe.n_elements, a.n_samples, a.sample_kind) == (4, 2, 128, 128, "rf")
    assert a.sampling_frequency_hz == 32.5e6
    assert a.rx_start_s == pytest.approx(100 / 32.5e6 - 2 / (2 * 5e6), abs=1e-9)
    for wave, angle in zip(a.transmits, (-0.1, 0.1), strict=True):
        assert isinstance(wave, PlaneWave)
        assert wave.angle_rad == pytest.approx(angle, abs=1e-6)
    assert source.frame_rate_hz == pytest.approx(50)
    assert source.grid is None


@pytest.mark.parametrize(("n_elements", "n_split"), [(64, 1), (128, 2), (192, 3)])
def test_split_receive_apertures_divide_the_slow_time_rate(
    start: Any, scanner: Scanner, monkeypatch: pytest.MonkeyPatch, n_elements: int, n_split: int
) -> None:
    """Each of the firings that a wide aperture takes lasts as long as one: v_N falls by as much."""
    scanner.__init__(n_elements)  # type: ignore[misc]
    source = start(sequence__frame_rate_hz=None)
    a = source.acquisition
    assert (a.prf_hz, a.n_receive_firings) == (pytest.approx(8e3), n_split)
    assert a.slow_time_rate_hz == pytest.approx(8e3 / n_split)
    assert a.nyquist_velocity_m_s() == pytest.approx(1540 * 8e3 / n_split / (4 * 5e6))
    assert source.frame_rate_hz == pytest.approx(8e3 / n_split / 4)
    into = source.layout.empty()
    scanner.fire(echoes(scanner))
    assert source.receive(into, 0.0) is not None
    np.testing.assert_array_equal(into[..., 1:], echoes(scanner)[:, None, :, 1:])


def test_packets_that_follow_each_other_directly_are_continuous(start: Any, scanner: Scanner) -> None:
    source = start(sequence__frame_rate_hz=None)
    into, flags = source.layout.empty(), []
    for number in range(3):
        scanner.fire(echoes(scanner, number))
        stamp = source.receive(into, 0.0)
        flags.append(stamp.continuous)
        assert stamp.acquisition_time_s == pytest.approx(number * source.acquisition.packet_s)
    assert flags == [False, True, True]


def test_demodulated_packets_are_iq(start: Any, scanner: Scanner) -> None:
    source = start(demodulation__decimation_factor=4, demodulation__fir_coefficients=[0.25, 0.5, 0.25])
    a = source.acquisition
    assert (a.sample_kind, a.n_samples, a.mixing_frequency_hz) == ("iq", 32, 5e6)
    assert a.sampling_frequency_hz == 65e6 / 4
    assert a.rx_start_s == pytest.approx(4e-7 - 2 / (2 * 5e6))  # with the delay of the device's filter
    into = source.layout.empty()
    assert into.dtype == np.complex64
    pairs = echoes(scanner, iq=True)
    scanner.fire(pairs)
    assert source.receive(into, 0.0) is not None
    expected = pairs[..., 0] + 1j * pairs[..., 1]
    expected[..., 0] = 0
    np.testing.assert_array_equal(into[:, 0], expected)


def test_the_callback_copies_and_releases_at_once(start: Any, scanner: Scanner) -> None:
    """The stand-in overwrites an element that is released: nothing may look at it later."""
    source = start()
    for number in range(3):
        scanner.fire(echoes(scanner, number))
        assert all(element.is_free for element in scanner.buffer.elements)
    into = source.layout.empty()
    for number in range(3):
        assert source.receive(into, 0.0).index == number
        np.testing.assert_array_equal(into[..., 1:], echoes(scanner, number)[:, None, :, 1:])


def test_where_nobody_fetches_the_oldest_are_lost_and_counted(start: Any, scanner: Scanner) -> None:
    source = start()
    for number in range(10):
        scanner.fire(echoes(scanner, number))
    into, numbers = source.layout.empty(), []
    while (stamp := source.receive(into, 0.0)) is not None:
        numbers.append(stamp.index)
        np.testing.assert_array_equal(into[..., 1:], echoes(scanner, stamp.index)[:, None, :, 1:])
    assert numbers == [6, 7, 8, 9]
    scanner.fire(echoes(scanner, 10))
    assert source.receive(into, 0.0).index == 10
    assert source.counters.n_lost == 6
    for number in range(11, 20):
        scanner.fire(echoes(scanner, number))
    assert source.receive(into, 0.0).index == 16
    assert source.counters.n_lost == 11


def test_a_packet_is_waited_for(start: Any, scanner: Scanner) -> None:
    source = start()
    threading.Timer(0.05, lambda: scanner.fire(echoes(scanner))).start()
    assert source.receive(source.layout.empty(), 10.0) is not None


def test_an_overflow_is_survived_and_what_it_cost_is_counted(start: Any, scanner: Scanner) -> None:
    source = start(sequence__frame_rate_hz=200.0)
    into = source.layout.empty()
    scanner.fire(echoes(scanner))
    assert source.receive(into, 0.0) is not None
    scanner.overflow()
    assert not scanner.is_running
    time.sleep(0.05)
    assert source.receive(into, 0.0) is None
    assert scanner.is_running
    assert scanner.log[-2:] == ["stopped", "started"]
    scanner.fire(echoes(scanner, 1))
    stamp = source.receive(into, 0.0)
    assert 10 <= stamp.index <= 1000  # as many as 200 a second make while it stood still
    assert stamp.acquisition_time_s == pytest.approx(stamp.index / 200)
    assert not stamp.continuous
    assert source.counters.n_restarts == 1
    assert source.counters.n_lost == stamp.index - 1


def test_overflows_without_end_are_an_error(start: Any, scanner: Scanner) -> None:
    source = start()
    for _ in range(arrus_source.MOST_OVERFLOWS):
        scanner.overflow()
        source.receive(source.layout.empty(), 0.0)
    scanner.overflow()
    with pytest.raises(TrueflowError, match="packets come faster than this machine takes them"):
        source.receive(source.layout.empty(), 0.0)


def test_a_device_that_waits_gives_its_own_times(start: Any, scanner: Scanner) -> None:
    source = start(sequence__work_mode="HOST")
    assert source.frame_rate_hz is None
    into, times_s = source.layout.empty(), []
    for number in range(2):
        time.sleep(0.03)
        scanner.fire(echoes(scanner, number))
        times_s.append(source.receive(into, 0.0).acquisition_time_s)
    assert 0.03 <= times_s[0] < times_s[1] - 0.03


def test_closing_stops_the_device_and_switches_the_voltage_off(start: Any, scanner: Scanner) -> None:
    source = start()
    source.close()
    source.close()
    assert scanner.log[-3:] == ["stopped", "high voltage off", "closed"]
    assert source.ended
    assert source.receive(source.layout.empty(), 0.0) is None


@pytest.mark.parametrize("step", ["upload", "start_scheme"])
def test_what_fails_on_the_way_leaves_the_voltage_off(
    scanner: Scanner, session: Any, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("us4OEM:1 does\nnot answer")

    monkeypatch.setattr(sys.modules["arrus"].Session, step, fail, raising=True)
    with pytest.raises(TrueflowError, match="cannot be started; found RuntimeError: us4OEM:1 does not answer"):
        ArrusSource(session())
    assert scanner.log[-2:] == ["high voltage off", "closed"]
    assert not scanner.is_running


def test_what_the_device_refuses_is_said(session: Any, scanner: Scanner) -> None:
    with pytest.raises(TrueflowError, match=r"arrus://.*: cannot be started; found ValueError: Voltage 95 V is above"):
        ArrusSource(session(device__voltage_v=95))


def test_a_mistake_in_the_callback_is_raised_where_it_is_seen(
    start: Any, scanner: Scanner, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = start()
    monkeypatch.setattr(source, "_keep", lambda *_: 1 / 0)
    scanner.fire(echoes(scanner))
    assert all(element.is_free for element in scanner.buffer.elements)
    with pytest.raises(ZeroDivisionError):
        source.receive(source.layout.empty(), 0.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pri": 200e-6}, "something else than was asked for; found 0.0002 s between firings; expected 0.000125"),
        ({"n_ops": 3}, "found 3 firings; expected 4"),
        ({"without": ["frame_channel_mapping"]}, "no frame-channel mapping"),
        ({"shape": (1000, 32)}, "data of another shape"),
        ({"shape": (4 * 2 * 2 * 128, 2, 32)}, "data of another shape"),
    ],
)
def test_a_device_that_does_something_else_is_an_error(
    scanner: Scanner, session: Any, changes: dict[str, Any], message: str
) -> None:
    scanner.changes.update(changes)
    with pytest.raises(TrueflowError, match=message):
        ArrusSource(session())
    assert "high voltage off" in scanner.log
    assert not scanner.is_running


def test_a_frame_rate_that_cannot_be_fired_is_an_error(scanner: Scanner, session: Any) -> None:
    with pytest.raises(TrueflowError, match=r"faster than it can be fired; found 2000.0; expected <= 1000: 4 fir"):
        ArrusSource(session(sequence__frame_rate_hz=2000.0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"device__voltage_v": None}, r"\[device\]: missing setting; expected voltage_v"),
        ({"sequence__prf_hz": None}, r"\[sequence\]: missing setting; expected prf_hz"),
        ({"sequence__prf_hz": 1e9}, "out of range"),
        ({"sequence__n_samples": 100}, "a multiple of 64"),
        ({"sequence__angles_rad": []}, "not a list of numbers"),
        ({"sequence__angles_rad": [2.0]}, "angles_rad: out of range"),
        ({"sequence__angles_rad": [0.0] * 2000}, "too many firings"),
        ({"sequence__speed": 3}, "unknown setting"),
        ({"sequence__work_mode": "FAST"}, "unknown choice"),
        ({"device__tgc_start_db": 3.0}, "half a gain"),
        ({"demodulation__decimation_factor": 4}, "expected fir_coefficients"),
        ({"probe__n": 4}, "unknown section"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_is_switched_on(
    scanner: Scanner, session: Any, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(TrueflowError, match=message):
        ArrusSource(session(**changes))
    assert not scanner.sessions


def test_single_settings_can_be_given_in_the_address(scanner: Scanner, session: Any) -> None:
    source = open_live(session() + "?sequence.prf_hz=4e3&device.voltage_v=5")
    try:
        assert source.acquisition.prf_hz == pytest.approx(4e3)
        assert scanner.log[0] == ("voltage", 5)
    finally:
        source.close()
    with pytest.raises(TrueflowError, match="not a setting"):
        ArrusSource(session() + "?prf=4")


def test_what_is_missing_is_said(session: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_live("arrus://x")
    with pytest.raises(TrueflowError, match="no session; found no file"):
        ArrusSource("arrus://nowhere.prototxt")
    url = session()
    for name in ("arrus", "arrus.ops.us4r"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(TrueflowError, match=r"needs us4us' ARRUS; .*releases of us4useu/arrus on GitHub"):
        ArrusSource(url)
    (tmp_path / "session.toml").unlink()
    with pytest.raises(TrueflowError, match="the sequence is not described"):
        ArrusSource(url)


def test_the_settings_of_the_documentation_are_some(scanner: Scanner, tmp_path: Path) -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / "live-sources.md").read_text()
    (tmp_path / "us4r.prototxt").write_text("us4r: {}\n")
    (tmp_path / "us4r.toml").write_text(text.split("```toml\n")[1].split("```")[0])
    source = ArrusSource(f"arrus://{tmp_path / 'us4r.prototxt'}")
    source.close()
    assert source.acquisition.n_samples == 512
    assert source.acquisition.sample_kind == "iq"
