"""What a us4R is to do: SESSION.toml beside ARRUS' SESSION.prototxt, which says what it is made of.

    [sequence]
    angles_rad = [0.0]                # plane waves of one slow-time sample, in firing order
    n_repeats = 16                    # slow-time samples per packet
    center_frequency_hz = 5e6         # of the pulse, and its length
    n_periods = 2.0
    prf_hz = 8e3                      # of firings; where a wide receive aperture takes several, each counts
    n_samples = 2048                  # a multiple of 64
    # start_sample = 0                # after the start of transmission
    # downsampling_factor = 1         # of the nominal 65 MHz
    # frame_rate_hz = 30.0            # packets per second; default: one right after the other
    # sound_speed_m_s = 1540.0
    # work_mode = "ASYNC"             # or "HOST": the next packet is fired when the last one has been fetched

    [device]
    voltage_v = 10                    # of the transmit pulses, + and -: there is no default
    # tgc_start_db = 14.0             # gain at the surface and its slope; default: analog gain stays off
    # tgc_slope_db_per_m = 200.0
    # rx_buffer_size = 4              # packets in the device's and in the host's buffer
    # host_buffer_size = 8

    # [demodulation]                  # in the device
    # decimation_factor = 4
    # fir_coefficients = [0.1, 0.2, 0.4, 0.2, 0.1]
    # frequency_hz = 5e6              # default: that of the pulse

arrus://SESSION.prototxt?sequence.prf_hz=4e3&device.voltage_v=5 overrides single settings.
"""

from __future__ import annotations

import math
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

from trueflow.pipeline.config_values import Section, bounded, parse_section
from trueflow.pipeline.errors import TrueflowError, nearest
from trueflow.pipeline.toml_text import read_toml, toml_value

__all__ = ["ArrusConfig", "DemodulationConfig", "DeviceConfig", "SequenceConfig"]

SCHEME = "arrus://"
MOST_FIRINGS = 4096
N_SAMPLES_STEP = 64  # us4OEM takes samples in such pieces
LISTS = {"sequence": "angles_rad", "demodulation": "fir_coefficients"}


def needed(low: float, high: float) -> Any:
    """As `bounded`, without a default."""
    return field(metadata={"range": (low, high)})


@dataclass(frozen=True, slots=True)
class SequenceConfig(Section):
    """What is fired."""

    center_frequency_hz: float = needed(1e5, 3e7)
    n_periods: float = needed(0.5, 64)
    prf_hz: float = needed(1, 1e5)
    n_repeats: int = needed(2, MOST_FIRINGS)
    n_samples: int = needed(N_SAMPLES_STEP, 1 << 16)
    start_sample: int = bounded(0, 0, 1 << 16)
    downsampling_factor: int = bounded(1, 1, 16)
    frame_rate_hz: float | None = bounded(None, 0.1, 1e4)
    sound_speed_m_s: float = bounded(1540.0, 300, 5000)
    work_mode: Literal["ASYNC", "HOST"] = "ASYNC"


@dataclass(frozen=True, slots=True)
class DeviceConfig(Section):
    """How the device is set."""

    voltage_v: int = needed(1, 100)  # the device knows its own limit, below
    tgc_start_db: float | None = bounded(None, -40, 100)
    tgc_slope_db_per_m: float | None = bounded(None, -5000, 5000)
    rx_buffer_size: int = bounded(4, 1, 64)
    host_buffer_size: int = bounded(8, 2, 256)


@dataclass(frozen=True, slots=True)
class DemodulationConfig(Section):
    """Digital down conversion in the device."""

    decimation_factor: float = needed(1, 63)
    frequency_hz: float | None = bounded(None, 1e4, 3e7)


@dataclass(frozen=True, slots=True)
class ArrusConfig:
    """All of it.

    Parameters
    ----------
    session : Path
        ARRUS' own configuration file.
    angles_rad : tuple of float
    sequence : SequenceConfig
    device : DeviceConfig
    demodulation : DemodulationConfig, optional
    fir_coefficients : tuple of float
        Of the demodulation.
    """

    session: Path
    angles_rad: tuple[float, ...]
    sequence: SequenceConfig
    device: DeviceConfig
    demodulation: DemodulationConfig | None = None
    fir_coefficients: tuple[float, ...] = ()

    @classmethod
    def of_url(cls, url: str) -> ArrusConfig:
        """From arrus://SESSION.prototxt, with SESSION.toml beside it.

        Raises
        ------
        TrueflowError
            Where one of them is missing, or says what cannot be.
        """
        name, _, overrides = url.removeprefix(SCHEME).partition("?")
        session = Path(unquote(name))
        if not name or not session.is_file():
            raise TrueflowError(
                "no session", where=url, found=f"no file {str(session)!r}",
                expected="arrus:// and the path of ARRUS' us4r.prototxt",
            )
        path = session.with_suffix(".toml")
        tables = read_toml(
            path, what="the sequence is not described",
            expected="a .toml beside the .prototxt with [sequence] and [device]",
        )
        for item in filter(None, overrides.split("&")):
            _override(tables, unquote(item), url)
        return _parse(tables, session, where=str(path))

    @property
    def n_firings(self) -> int:
        """Of a packet, before receive apertures are split."""
        return len(self.angles_rad) * self.sequence.n_repeats


def _override(tables: dict[str, Any], item: str, url: str) -> None:
    key, equals, text = item.partition("=")
    section, dot, name = key.partition(".")
    if not equals or not dot or not isinstance(tables.setdefault(section, {}), dict):
        raise TrueflowError("not a setting", where=url, found=repr(item), expected="section.key=value")
    tables[section][name] = toml_value(text, where=f"{url} {key}")


def _parse(tables: dict[str, Any], session: Path, *, where: str) -> ArrusConfig:
    kinds: dict[str, type[Any]] = {
        "sequence": SequenceConfig, "device": DeviceConfig, "demodulation": DemodulationConfig,
    }
    sections: dict[str, Any] = {}
    lists: dict[str, tuple[float, ...]] = {"angles_rad": (0.0,), "fir_coefficients": ()}
    for name in tables:
        if name not in kinds:
            raise TrueflowError("unknown section", where=f"{where} [{name}]", advice=nearest(name, kinds))
    for name, kind in kinds.items():
        if name not in tables and name == "demodulation":
            continue
        table = tables.get(name, {})
        if not isinstance(table, dict):
            raise TrueflowError("not a section", where=f"{where} [{name}]", expected="key = value lines")
        table = dict(table)
        if (items := LISTS.get(name)) in table:
            lists[str(items)] = _numbers(table.pop(items), where=f"{where} [{name}] {items}")
        missing = [f.name for f in fields(kind) if f.default is MISSING and f.name not in table]
        if missing:
            raise TrueflowError("missing setting", where=f"{where} [{name}]", expected=", ".join(missing))
        sections[name] = parse_section(kind, table, where=f"{where} [{name}]")
    config = ArrusConfig(session, lists["angles_rad"], fir_coefficients=lists["fir_coefficients"], **sections)
    _check(config, where)
    return config


def _numbers(value: object, *, where: str) -> tuple[float, ...]:
    items = value if isinstance(value, list) else []
    if not items or not all(
        isinstance(item, (int, float)) and not isinstance(item, bool) and math.isfinite(item) for item in items
    ):
        raise TrueflowError("not a list of numbers", where=where, found=repr(value)[:80])
    return tuple(float(item) for item in items)


def _check(config: ArrusConfig, where: str) -> None:
    sequence, device = config.sequence, config.device
    if max(map(abs, config.angles_rad)) > 1.0:
        raise TrueflowError("out of range", where=f"{where} [sequence] angles_rad", expected="-1 to 1 (radians)")
    if config.n_firings > MOST_FIRINGS:
        raise TrueflowError(
            "too many firings", where=f"{where} [sequence]", found=config.n_firings, expected=f"<= {MOST_FIRINGS}"
        )
    if sequence.n_samples % N_SAMPLES_STEP:
        raise TrueflowError(
            "does not suit the device", where=f"{where} [sequence] n_samples", found=sequence.n_samples,
            expected=f"a multiple of {N_SAMPLES_STEP}",
        )
    if (device.tgc_start_db is None) != (device.tgc_slope_db_per_m is None):
        raise TrueflowError(
            "half a gain", where=f"{where} [device]", expected="tgc_start_db and tgc_slope_db_per_m, or neither"
        )
    if config.demodulation is not None and not config.fir_coefficients:
        raise TrueflowError("missing setting", where=f"{where} [demodulation]", expected="fir_coefficients")
