"""What a us4R sends, from the metadata that ARRUS returns with an uploaded sequence: acquisition and order of the data.

The same is read from captures (sources/us4us.py). What was asked for is compared with what the device was given:
nothing is taken for granted that decides velocities.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.acquisition import Acquisition, Transmit
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.live.arrus_config import ArrusConfig
from trueflow.pipeline.probe import Probe
from trueflow.pipeline.sources.transmits import transmit_from_delays
from trueflow.pipeline.sources.us4us_metadata import Firing, find, firings_of, number, probe_of
from trueflow.pipeline.sources.us4us_objects import Inert
from trueflow.pipeline.sources.us4us_remap import N_MODULE_CHANNELS, ChannelMap

__all__ = ["ArrusStream", "understand"]

DEEPEST = 12
SAME_DELAY_S = 1e-9
CLOSE = 0.01  # the device has steps of its own; what it makes of a number is what is used


@dataclass(frozen=True, slots=True, eq=False)
class ArrusStream:
    """A stream of a us4R.

    Parameters
    ----------
    acquisition : Acquisition
    rows_shape : tuple of int
        Of the data of one packet as it comes: (rows, 32), or (rows, 2, 32) with demodulation in the device.
    frames, channels : (n_lines,) int64
        Physical firing and channel of each line (firing, element); channel -1 where nobody listened.
    n_frames : int
        Physical firings in a packet.
    interval_s : float
        From one packet to the next, at least.
    """

    acquisition: Acquisition
    rows_shape: tuple[int, ...]
    frames: NDArray[np.int64]
    channels: NDArray[np.int64]
    n_frames: int
    interval_s: float


def understand(metadata: Any, config: ArrusConfig, *, where: str) -> ArrusStream:
    """The stream that ARRUS' ConstMetadata describes.

    Parameters
    ----------
    metadata : ConstMetadata
    config : ArrusConfig
        What was asked for.
    where : str
        Begins the messages.

    Raises
    ------
    TrueflowError
        Where something is missing, or is not what was asked for.
    """
    context, description = _inert(metadata.context), _inert(metadata.data_description)
    probe = probe_of(find(context, "device", where=where), where=where)
    firings = firings_of(context, probe, where=where)
    mapping = _mapping(metadata.data_description, where=where)
    _compare(firings, mapping, config, where=where)
    rows_shape = tuple(int(n) for n in metadata.input_shape)
    n_samples = _n_samples(rows_shape, mapping, firings, config, where=where)
    iq = config.demodulation is not None
    center_hz, n_periods, _ = firings[0].pulse
    rx_offset_s = number(description, "custom.rx_offset", where=where, default=0.0)
    acquisition = Acquisition(
        probe=probe,
        transmits=_waves(firings, probe, config, where=where),
        sampling_frequency_hz=number(description, "sampling_frequency", where=where),
        center_frequency_hz=center_hz,
        prf_hz=1 / firings[0].interval_s,
        n_samples=n_samples,
        n_ensemble=config.sequence.n_repeats,
        # Sample 0 after the start of transmission; the pulse's middle leaves half its length later.
        rx_start_s=firings[0].start_s + rx_offset_s - n_periods / (2 * center_hz),
        sound_speed_m_s=config.sequence.sound_speed_m_s,
        demodulation_frequency_hz=(config.demodulation.frequency_hz or center_hz) if config.demodulation else None,
        sample_kind="iq" if iq else "rf",
        n_receive_firings=mapping.n_receive_firings,
    )
    frames, channels = _lines(firings, mapping, probe)
    fired_s = config.n_firings * mapping.n_receive_firings * firings[0].interval_s
    rate_hz = config.sequence.frame_rate_hz
    if rate_hz is not None and 1 / rate_hz < fired_s * (1 - 1e-9):
        raise TrueflowError(
            "faster than it can be fired", where=f"{where} frame_rate_hz", found=rate_hz,
            expected=f"<= {1 / fired_s:g}: {config.n_firings} firings, each received in {mapping.n_receive_firings}",
        )
    return ArrusStream(
        acquisition, rows_shape, frames, channels, mapping.n_physical_frames, 1 / rate_hz if rate_hz else fired_s
    )


def _inert(value: Any, depth: int = 0) -> Any:
    """ARRUS' objects as captures hold them: attributes without behavior."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if depth > DEEPEST:
        return None
    if isinstance(value, (list, tuple)):
        return [_inert(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {key: _inert(item, depth + 1) for key, item in value.items() if isinstance(key, str)}
    attributes = getattr(value, "__dict__", {})
    return Inert(type(value).__name__, {name: _inert(item, depth + 1) for name, item in attributes.items()})


def _mapping(description: Any, *, where: str) -> ChannelMap:
    mapping = description.custom.get("frame_channel_mapping")
    if mapping is None:
        raise TrueflowError("no frame-channel mapping", where=where, expected="a us4R or us4R-lite")
    names = ("frames", "channels", "us4oems", "frame_offsets", "n_frames")
    try:
        frames, channels, modules, offsets, n_frames = (np.asarray(getattr(mapping, name), np.int64) for name in names)
        return ChannelMap(frames, channels, modules, offsets, n_frames, int(getattr(mapping, "batch_size", 1)))
    except (AttributeError, TypeError, ValueError) as error:
        raise TrueflowError("not a frame-channel mapping", where=where, found=str(error)) from error


def _compare(firings: list[Firing], mapping: ChannelMap, config: ArrusConfig, *, where: str) -> None:
    """What the device was given, with what was asked for."""
    n_firings, first, sequence = config.n_firings, firings[0], config.sequence
    facts: list[tuple[str, Any, Any]] = [
        ("firings", len(firings), n_firings),
        ("firings in the frame-channel mapping", mapping.n_firings * mapping.batch_size, n_firings),
        ("Hz of center frequency", first.pulse[0], sequence.center_frequency_hz),
        ("s between firings", first.interval_s, 1 / sequence.prf_hz),
    ]
    for index, firing in enumerate(firings):
        facts += [
            (f"{name} of firing {index}", getattr(firing, name), getattr(first, name))
            for name in ("start_s", "n_samples", "interval_s")
        ]
        facts.append((f"channels of firing {index}", firing.receives.size, mapping.n_channels))
    for what, found, expected in facts:
        if not math.isclose(found, expected, rel_tol=CLOSE if isinstance(expected, float) else 0.0):
            raise TrueflowError(
                "the device does something else than was asked for", where=where, found=f"{found:g} {what}",
                expected=f"{expected:g}",
            )


def _n_samples(
    rows_shape: tuple[int, ...], mapping: ChannelMap, firings: list[Firing], config: ArrusConfig, *, where: str
) -> int:
    iq = config.demodulation is not None
    n_samples, rest = divmod(rows_shape[0] if rows_shape else 0, mapping.n_physical_frames)
    right = (rows_shape[1:] == ((2, N_MODULE_CHANNELS) if iq else (N_MODULE_CHANNELS,))) and not rest and n_samples > 0
    if not right or (not iq and n_samples != firings[0].n_samples):
        raise TrueflowError(
            "data of another shape", where=where, found=rows_shape,
            expected=f"rows of {'I and Q of ' * iq}{N_MODULE_CHANNELS} channels for {mapping.n_physical_frames} "
            f"firings of {firings[0].n_samples} samples",
        )
    return n_samples


def _waves(firings: list[Firing], probe: Probe, config: ArrusConfig, *, where: str) -> tuple[Transmit, ...]:
    """One wave per angle; the repeats are the same again."""
    n_transmits, waves = len(config.angles_rad), []
    for index, firing in enumerate(firings):
        first = firings[index % n_transmits]
        if not np.allclose(firing.delays_s, first.delays_s, rtol=0, atol=SAME_DELAY_S, equal_nan=True):
            raise TrueflowError(
                "the device does something else than was asked for", where=where,
                found=f"other delays in firing {index} than in firing {index % n_transmits}",
            )
    for index, firing in enumerate(firings[:n_transmits]):
        waves.append(
            transmit_from_delays(
                firing.delays_s, probe, config.sequence.sound_speed_m_s, center_frequency_hz=firing.pulse[0],
                where=f"{where}, delays of firing {index}",
            )
        )
    return tuple(waves)


def _lines(
    firings: list[Firing], mapping: ChannelMap, probe: Probe
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Physical firing and channel of each (firing, element)."""
    n_batched = mapping.n_firings
    frames = np.zeros((len(firings), probe.n_elements), np.int64)
    channels = np.full((len(firings), probe.n_elements), -1, np.int64)
    for index, firing in enumerate(firings):
        sequence, row = divmod(index, n_batched)
        used = (firing.receives >= 0) & (mapping.channels[row] >= 0)
        elements, modules = firing.receives[used], mapping.modules[row][used]
        before = mapping.frame_offsets[modules] + sequence * mapping.n_frames[modules]
        frames[index, elements] = before + mapping.frames[row][used]
        channels[index, elements] = mapping.channels[row][used]
    return frames.ravel(), channels.ravel()
