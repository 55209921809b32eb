"""What a Verasonics workspace says about its acquisition: events, transmits, probe, channels, frame order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.acquisition import Transmit
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.probe import Probe, ProbeKind
from trueflow.pipeline.sources.fields import Fields
from trueflow.pipeline.sources.transmits import MOST_WAVES, transmit_from_delays
from trueflow.pipeline.sources.verasonics_mat import MatFile

__all__ = [
    "Pulse",
    "bounded",
    "center_frequency_hz_of",
    "channels_of",
    "frame_order",
    "frequency_mhz_of",
    "probe_of",
    "pulses_of_a_frame",
    "rx_start_periods",
    "waves_of",
]

PHASED_PITCH_WAVELENGTHS = 0.6  # half a wavelength and some: such arrays steer, wider ones are linear
MOST_PULSES = 1 << 16
FARTHEST = 1e5  # mm or wavelengths


@dataclass(frozen=True, slots=True)
class Pulse:
    """One acquisition of a frame: indices from 0 into TX and Receive, rows in the buffer, time to the next (s)."""

    tx: int
    receive: int
    first_row: int
    n_rows: int
    interval_s: float


def bounded(fields: Fields, name: str, *, low: float, high: float, unit: str, default: float | None = None) -> float:
    """A number within what it can be: sums and quotients of it stay finite."""
    value = fields.scalar(name, default=default, expected=unit)
    if not low <= value <= high:
        raise TrueflowError(
            "out of range", where=fields.name(name), found=f"{value:g}", expected=f"{low:g} to {high:g} {unit}"
        )
    return value


def frequency_mhz_of(mat: MatFile) -> float:
    """The transducer's frequency, which sets the wavelength all lengths are given in."""
    return bounded(mat.fields("Trans"), "frequency", low=0.01, high=200.0, unit="MHz")


def _index(mat: MatFile, struct: str, field: str, index: int) -> int:
    """A whole number that counts from 1 (0: none)."""
    fields = mat.fields(struct, index)
    value = fields.scalar(field, default=0.0)
    if value != int(value) or not 0 <= value < 1 << 31:
        raise TrueflowError("not an index", where=fields.name(field), found=value, expected="a whole number from 0")
    return int(value)


def pulses_of_a_frame(mat: MatFile, buffer: int) -> list[Pulse]:
    """The acquisitions of the first frame of a buffer, in the order of their events."""
    pulses: list[Pulse] = []
    frame = None
    for event in range(mat.length("Event", "tx")):
        tx, receive = _index(mat, "Event", "tx", event) - 1, _index(mat, "Event", "rcv", event) - 1
        if tx < 0 or receive < 0 or (_index(mat, "Receive", "bufnum", receive) or 1) != buffer:
            continue
        frame_number = _index(mat, "Receive", "framenum", receive)
        if frame is not None and frame_number != frame:
            break
        frame = frame_number
        fields = mat.fields("Receive", receive)
        if fields.scalar("mode", default=0.0) != 0:
            raise TrueflowError(
                "accumulated pulses",
                where=fields.name("mode"),
                found="mode 1",
                expected="mode 0 (each pulse kept)",
                advice="slow time is gone where pulses are summed in the scanner",
            )
        first = fields.positive("startSample", expected="a row from 1")
        last = fields.positive("endSample", expected="a row from 1")
        if first != int(first) or last != int(last) or last < first:
            raise TrueflowError(
                "not a range of rows",
                where=fields.name("startSample"),
                found=f"{first:g} to {last:g}",
                expected="startSample <= endSample, counted from 1",
            )
        pulses.append(Pulse(tx, receive, int(first) - 1, int(last - first) + 1, _interval_s(mat, event)))
        if len(pulses) > MOST_PULSES:
            raise TrueflowError("implausibly many pulses in a frame", where=f"{mat.path} Event", found=len(pulses))
    if not pulses:
        raise TrueflowError(
            "no pulses",
            where=f"{mat.path} Event",
            found=f"no event that fires and receives into buffer {buffer}",
            expected="events with tx and rcv",
        )
    return pulses


def _interval_s(mat: MatFile, event: int) -> float:
    """What an event's `timeToNextAcq` says, NaN where it has none."""
    controls = mat.fields("Event", event).find("seqControl")
    for number in [] if controls is None else np.asarray(controls, dtype=np.float64).reshape(-1)[:64]:
        if not (np.isfinite(number) and number >= 1):
            continue
        if mat.text("SeqControl", "command", int(number) - 1) == "timeToNextAcq":
            us = bounded(mat.fields("SeqControl", int(number) - 1), "argument", low=1.0, high=1e7, unit="us")
            return us * 1e-6
    return float("nan")


def rx_start_periods(mat: MatFile, pulses: list[Pulse]) -> float:
    """Time of sample 0, in periods of the transducer's frequency, corrected for pulse peak and lens."""
    receives = [mat.fields("Receive", pulse.receive) for pulse in pulses]
    depths = {
        bounded(fields, "startDepth", low=0.0, high=FARTHEST, unit="wavelengths", default=0.0) for fields in receives
    }
    if len(depths) != 1:
        raise TrueflowError(
            "receptions start at different depths",
            where=f"{mat.path} Receive.startDepth",
            found=f"{min(depths):g} to {max(depths):g} wavelengths",
            expected="one depth",
        )
    waveform = max(0, _index(mat, "TX", "waveform", pulses[0].tx) - 1)
    peak = bounded(mat.fields("TW", waveform), "peak", low=0.0, high=FARTHEST, unit="wavelengths", default=0.0)
    lens = bounded(mat.fields("Trans"), "lensCorrection", low=0.0, high=FARTHEST, unit="wavelengths", default=0.0)
    return 2 * depths.pop() - peak - 2 * lens


def center_frequency_hz_of(mat: MatFile, transmits: list[int]) -> float:
    """Of the transmitted pulse: the first parameter of a parametric waveform, else the transducer's."""
    found = set()
    for waveform in {max(0, _index(mat, "TX", "waveform", tx) - 1) for tx in set(transmits)}:
        parameters = mat.fields("TW", waveform).find("Parameters")
        if mat.text("TW", "type", waveform) == "parametric" and parameters is not None:
            found.add(float(parameters.reshape(-1)[0]))
        else:
            found.add(frequency_mhz_of(mat))
    if len(found) != 1:
        raise TrueflowError(
            "transmits differ in frequency",
            where=f"{mat.path} TW",
            found=f"{min(found):g} to {max(found):g} MHz",
            expected="one frequency",
        )
    frequency_mhz = found.pop()
    if not 0.01 <= frequency_mhz <= 200.0:
        raise TrueflowError(
            "out of range", where=f"{mat.path} TW.Parameters", found=f"{frequency_mhz:g}", expected="0.01 to 200 MHz"
        )
    return frequency_mhz * 1e6


def waves_of(
    mat: MatFile, pulses: list[Pulse], probe: Probe, sound_speed_m_s: float, period_s: float, center_frequency_hz: float
) -> list[Transmit]:
    """The wave of each pulse, from its firing delays."""
    known: dict[int, Transmit] = {}
    different = {pulse.tx for pulse in pulses}
    if len(different) > MOST_WAVES:
        raise TrueflowError(
            "implausibly many different transmits", where=f"{mat.path} TX", found=len(different),
            expected=f"<= {MOST_WAVES}",
        )
    for tx in different:
        fields = mat.fields("TX", tx)
        periods = fields.find("Delay")
        if periods is None:
            raise fields.missing("Delay", f"{probe.n_elements} wavelengths")
        apodization = fields.find("Apod")
        fires = np.ones(periods.size, dtype=bool) if apodization is None else apodization.reshape(-1) != 0
        if periods.size != probe.n_elements or fires.size != probe.n_elements or not (np.abs(periods) < FARTHEST).all():
            raise TrueflowError(
                "does not fit the probe",
                where=fields.name("Delay"),
                found=f"{periods.size} delays, {fires.size} weights",
                expected=f"{probe.n_elements}, below {FARTHEST:g} wavelengths",
            )
        delays_s = np.where(fires, periods.reshape(-1).astype(np.float64) * period_s, np.nan)
        known[tx] = transmit_from_delays(
            delays_s, probe, sound_speed_m_s, center_frequency_hz=center_frequency_hz, where=fields.name("Delay")
        )
    return [known[pulse.tx] for pulse in pulses]


def probe_of(mat: MatFile, wavelength_m: float) -> Probe:
    """The probe, from its element positions."""
    trans = mat.fields("Trans")
    columns = trans.find("ElementPos")
    if columns is None or columns.ndim != 2 or columns.shape[1] < 3 or not (np.abs(columns) < FARTHEST).all():
        raise TrueflowError(
            "wrong shape",
            where=trans.name("ElementPos"),
            found="nothing" if columns is None else columns.shape,
            expected=f"(n_elements, 4 or 5) mm or wavelengths, below {FARTHEST:g}",
        )
    units = mat.text("Trans", "units", default="wavelengths")
    if units not in ("mm", "wavelengths"):
        raise TrueflowError("unknown units", where=trans.name("units"), found=repr(units[:20]), expected="mm")
    scale_m = 1e-3 if units == "mm" else wavelength_m
    positions_m = columns[:, :3].astype(np.float64) * scale_m
    shape = trans.scalar("type", default=0.0)
    if shape not in (0.0, 1.0):
        raise TrueflowError("unknown probe", where=trans.name("type"), found=f"{shape:g}", expected="0 or 1 (curved)")
    pitch_m = float(np.median(np.diff(positions_m[:, 0]))) if len(positions_m) > 1 else wavelength_m
    if pitch_m < 1e-6:
        raise TrueflowError(
            "elements out of order",
            where=trans.name("ElementPos"),
            found=f"a pitch of {pitch_m:g} m",
            expected="x increasing from element to element",
        )
    straight: ProbeKind = "phased" if pitch_m <= PHASED_PITCH_WAVELENGTHS * wavelength_m else "linear"
    frequency_mhz = frequency_mhz_of(mat)
    band = trans.array("Bandwidth", (1, 2), expected="MHz, lower and upper")
    width = trans.optional("elementWidth")
    if width is not None:
        width = bounded(trans, "elementWidth", low=1e-6, high=FARTHEST, unit=units)
    return Probe.from_positions(
        positions_m,
        kind="convex" if shape == 1 else straight,
        center_frequency_hz=frequency_mhz * 1e6,
        bandwidth_fraction=None if band is None or np.ptp(band) <= 0 else float(np.ptp(band)) / frequency_mhz,
        element_width_m=None if width is None else width * scale_m,
        name=mat.text("Trans", "name", default="unnamed"),
    )


def channels_of(mat: MatFile, n_elements: int, n_channels: int) -> NDArray[np.int64]:
    """Column of the receive buffer that each element is connected to, from 0."""
    trans = mat.fields("Trans")
    connector = trans.find("Connector")
    if connector is None:
        connector = np.arange(1, n_elements + 1)
    channels = np.asarray(connector, dtype=np.float64).reshape(-1) - 1
    if (
        channels.size != n_elements
        or np.unique(channels).size != n_elements
        or not ((channels >= 0) & (channels < n_channels)).all()
        or (channels != channels.astype(np.int64)).any()
    ):
        raise TrueflowError(
            "does not fit the samples",
            where=trans.name("Connector"),
            found=f"{channels.size} entries",
            expected=f"{n_elements} different channels from 1 to {n_channels}",
            advice="multiplexed probes are not supported",
        )
    return channels.astype(np.int64)


def frame_order(mat: MatFile, buffer: int, n_frames: int) -> NDArray[np.int64]:
    """Frames of the circular buffer from the oldest to the newest."""
    last = _index(mat, "Resource.RcvBuffer", "lastFrame", buffer - 1)
    if last > n_frames:
        raise TrueflowError(
            "out of range", where=f"{mat.path} Resource.RcvBuffer.lastFrame", found=last, expected=f"<= {n_frames}"
        )
    return (np.arange(n_frames) + last) % n_frames
