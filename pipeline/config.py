"""Every setting of the chain: frozen dataclasses, one per stage, read from and written to TOML."""

from __future__ import annotations

import dataclasses
import math
import sys
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import tomli_w

from trueflow.pipeline.acquisition import Acquisition, parse_stagger
from trueflow.pipeline.config_values import parse_section
from trueflow.pipeline.errors import TrueflowError, nearest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = [
    "AcquisitionConfig",
    "BeamformConfig",
    "ClutterConfig",
    "Config",
    "DealiasConfig",
    "DemodulateConfig",
    "DisplayConfig",
    "DopplerConfig",
    "GridConfig",
    "MaskConfig",
    "PersistenceConfig",
    "SegmentConfig",
]


def bounded(default: Any, low: float, high: float) -> Any:
    """A setting with a range: what lies outside is a slip of the unit or the keyboard."""
    return field(default=default, metadata={"range": (low, high)})


@dataclass(frozen=True, slots=True)
class Section:
    """One table of the config; refuses numbers that are not finite or out of their range."""

    def __post_init__(self) -> None:
        name = type(self).__name__.removesuffix("Config").lower()
        for setting in dataclasses.fields(self):
            value = getattr(self, setting.name)
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                continue
            low, high = setting.metadata.get("range", (-math.inf, math.inf))
            if not math.isfinite(value) or not low <= value <= high:
                raise TrueflowError(
                    "out of range",
                    where=f"config [{name}] {setting.name}",
                    found=value,
                    expected=f"{low:g} to {high:g}",
                )


@dataclass(frozen=True, slots=True)
class AcquisitionConfig(Section):
    """Facts of the recording that the user knows better than the file; what is not given stays as recorded."""

    prf_hz: float | None = None
    rx_start_s: float | None = None
    sound_speed_m_s: float | None = None
    center_frequency_hz: float | None = None
    sampling_frequency_hz: float | None = None
    n_receive_firings: int | None = None
    stagger: str | None = None  # "m:n", as in `Acquisition.stagger`

    def applied_to(self, acquisition: Acquisition) -> Acquisition:
        """The acquisition with what is given here in place of what was recorded."""
        given = {key: value for key, value in dataclasses.asdict(self).items() if value is not None}
        if self.stagger is not None:
            given["stagger"] = parse_stagger(self.stagger, where="config [acquisition] stagger")
        if acquisition.sample_kind == "rf" and acquisition.mixing_frequency_hz == acquisition.center_frequency_hz:
            given["demodulation_frequency_hz"] = None  # RF is mixed with the center frequency, also a corrected one
        return dataclasses.replace(acquisition, **given)


@dataclass(frozen=True, slots=True)
class GridConfig(Section):
    """Pixels. What is not given follows from the probe and the recorded depth.

    Cartesian for linear and phased arrays, polar for convex arrays and for phased arrays with diverging waves.
    """

    kind: Literal["auto", "cartesian", "polar"] = "auto"
    n_x: int | None = bounded(None, 1, 4096)
    n_z: int | None = bounded(None, 1, 8192)
    x_min_m: float | None = bounded(None, -1, 1)
    x_max_m: float | None = bounded(None, -1, 1)
    z_min_m: float | None = bounded(None, -1, 1)
    z_max_m: float | None = bounded(None, -1, 1)
    angle_min_rad: float | None = bounded(None, -1.6, 1.6)
    angle_max_rad: float | None = bounded(None, -1.6, 1.6)
    spacing_wavelengths: float = bounded(0.5, 0.05, 20)


@dataclass(frozen=True, slots=True)
class DemodulateConfig(Section):
    """Band filter, mixing and decimation of channel RF."""

    bandwidth_fraction: float | None = bounded(None, 0.01, 2)
    decimation: int | None = bounded(None, 1, 1024)


@dataclass(frozen=True, slots=True)
class BeamformConfig(Section):
    """Delay-and-sum."""

    f_number: float = bounded(1.4, 0.1, 20)
    window: Literal["boxcar", "hann", "tukey"] = "tukey"
    tukey_taper: float = bounded(0.5, 0, 1)


@dataclass(frozen=True, slots=True)
class ClutterConfig(Section):
    """Slow-time high-pass ("wall filter"). Names, and what `order` is if not given: see `trueflow.pipeline.clutter`."""

    name: str = "auto"
    order: int | None = bounded(None, 0, 256)
    cutoff_fraction: float = bounded(0.1, 0.001, 0.999)
    initialization: Literal["zero", "step", "projection"] = "projection"
    keep_state: bool = False
    rank_low: int = bounded(1, 0, 256)
    rank_high: int | None = bounded(None, 1, 256)


@dataclass(frozen=True, slots=True)
class DopplerConfig(Section):
    """Lag-one autocorrelation (Kasai et al. 1985) and the spatial averaging of R1 and R0 before the argument."""

    lag: int = bounded(1, 1, 256)
    average_z: int = bounded(3, 1, 255)
    average_x: int = bounded(3, 1, 255)


@dataclass(frozen=True, slots=True)
class PersistenceConfig(Section):
    """Recursive average of R0 and R1 over frames; 0 is none, 0.9 is slow."""

    factor: float = bounded(0.0, 0, 0.999)


@dataclass(frozen=True, slots=True)
class MaskConfig(Section):
    """Flow mask: gates on power, coherence and speed, then specks out and pinholes closed, then small islands out.

    The coherence that is not given is what one in ten pixels of noise would reach after the clutter filter; the vote
    takes most of those out. (Of flow at 8 dB seen with 8 pulses this shows 0.8 with 0.7 % of false color; one in a
    hundred: 0.6 with none.) Islands are measured in square wavelengths at the center frequency.
    """

    power_db: float = bounded(-20.0, -200, 100)
    coherence: float | None = bounded(None, 0, 1)
    velocity_fraction: float = bounded(0.0, 0, 1)
    speck_radius: int = bounded(2, 0, 100)
    speck_fraction: float = bounded(0.5, 0, 0.999)
    least_area_wavelengths2: float = bounded(75.0, 0, 1e6)


@dataclass(frozen=True, slots=True)
class SegmentConfig(Section):
    """The segmentation network.

    It is off by default: it does not reach its goals yet. "auto" asks it where there is no second phase, beside which
    it was found to add little; where its runtime is not installed it leaves it out and says so in the log. "on" asks it
    always, and is an error there. The engine follows the device unless it is named: OpenVINO on the CPU, TensorRT on
    CUDA. `network` is the path of an ONNX file to be used in place of the shipped one, whose precision then is what the
    file says.
    """

    enabled: Literal["auto", "on", "off"] = "off"
    engine: Literal["auto", "openvino", "tensorrt"] = "auto"
    precision: Literal["auto", "int8", "fp16", "fp32"] = "auto"
    network: str | None = None


@dataclass(frozen=True, slots=True)
class DealiasConfig(Section):
    """Which dealiaser runs (names: see `trueflow.pipeline.dealias`), and which evidence the engine, "regions", hears.

    The previous frame helps only where flow changes by less than 0.8 v_N from frame to frame; "auto" asks whether the
    largest acceleration allows that.
    """

    name: str = "regions"
    continuity: bool = True
    second_phase: bool = True
    wall: bool = True
    segmentation: bool = True
    previous_frame: Literal["auto", "on", "off"] = "auto"
    largest_acceleration_m_s2: float = bounded(20.0, 0, 1e5)


@dataclass(frozen=True, slots=True)
class DisplayConfig(Section):
    """How exported pictures look; the numbers do not depend on it."""

    dynamic_range_db: float = bounded(60.0, 1, 200)
    gain_db: float = bounded(0.0, -100, 100)
    scale_m_s: float | None = bounded(None, 0.0001, 100)
    baseline_m_s: float = bounded(0.0, -100, 100)
    color_map: str = "red_blue"


@dataclass(frozen=True, slots=True)
class Config:
    """All settings of the chain.

    Examples
    --------
    >>> Config.parse({"clutter": {"name": "polynomial", "order": 2}}).clutter.order
    2
    """

    acquisition: AcquisitionConfig = field(default_factory=AcquisitionConfig)
    grid: GridConfig = field(default_factory=GridConfig)
    demodulate: DemodulateConfig = field(default_factory=DemodulateConfig)
    beamform: BeamformConfig = field(default_factory=BeamformConfig)
    clutter: ClutterConfig = field(default_factory=ClutterConfig)
    doppler: DopplerConfig = field(default_factory=DopplerConfig)
    persistence: PersistenceConfig = field(default_factory=PersistenceConfig)
    mask: MaskConfig = field(default_factory=MaskConfig)
    segment: SegmentConfig = field(default_factory=SegmentConfig)
    dealias: DealiasConfig = field(default_factory=DealiasConfig)
    display: DisplayConfig = field(default_factory=DisplayConfig)

    @classmethod
    def parse(cls, tables: dict[str, Any], *, where: str = "config") -> Config:
        """A config from nested tables; unknown keys are answered with the nearest known one."""
        sections = {f.name: f for f in dataclasses.fields(cls)}
        parsed = {}
        for name, table in tables.items():
            if name not in sections:
                raise TrueflowError("unknown section", where=f"{where} [{name}]", advice=nearest(name, sections))
            if not isinstance(table, dict):
                raise TrueflowError(
                    "not a section", where=f"{where} [{name}]", found=table, expected="key = value lines"
                )
            section = typing.cast("type[Any]", sections[name].default_factory)
            parsed[name] = parse_section(section, table, where=f"{where} [{name}]")
        return cls(**parsed)

    @classmethod
    def load(cls, path: str | Path) -> Config:
        """A config from a TOML file."""
        try:
            with open(path, "rb") as file:
                tables = tomllib.load(file)
        except OSError as error:
            raise TrueflowError("cannot be read", where=str(path), found=error.strerror) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise TrueflowError("not TOML", where=str(path), found=str(error)) from error
        return cls.parse(tables, where=str(path))

    def override(self, settings: typing.Iterable[str]) -> Config:
        """A copy with `section.key=value` settings applied; values are written as in TOML, strings may be bare."""
        tables = self.to_tables()
        for setting in settings:
            key, equals, text = setting.partition("=")
            section, dot, name = key.strip().partition(".")
            if not equals or not dot:
                raise TrueflowError("not a setting", where="--set", found=repr(setting), expected="section.key=value")
            text = text.strip()
            try:
                value = tomllib.loads(f"value = {text}")["value"]
            except tomllib.TOMLDecodeError:
                value = text
            table = tables.setdefault(section, {})
            if text in ("", "none") and name != "name":
                table.pop(name, None)
            else:
                table[name] = value
        return type(self).parse(tables, where="--set")

    def to_tables(self) -> dict[str, dict[str, Any]]:
        """Nested tables; settings that are None (follow from the data) are left out."""
        return {
            section: {key: value for key, value in table.items() if value is not None}
            for section, table in dataclasses.asdict(self).items()
        }

    def to_toml(self) -> str:
        """TOML that `load` reads back to an equal config."""
        return tomli_w.dumps(self.to_tables())
