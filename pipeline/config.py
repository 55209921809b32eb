"""Every setting of the chain: frozen dataclasses (config_echo.py, config_flow.py), read from and written to TOML."""

from __future__ import annotations

import dataclasses
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomli_w

from trueflow.pipeline.config_echo import (
    AcquisitionConfig,
    BeamformConfig,
    ClutterConfig,
    DemodulateConfig,
    GridConfig,
)
from trueflow.pipeline.config_flow import (
    DealiasConfig,
    DisplayConfig,
    DopplerConfig,
    MaskConfig,
    PersistenceConfig,
    SegmentConfig,
)
from trueflow.pipeline.config_values import parse_section
from trueflow.pipeline.errors import TrueflowError, nearest
from trueflow.pipeline.toml_text import read_toml, toml_value

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
        return cls.parse(read_toml(path), where=str(path))

    def override(self, settings: typing.Iterable[str]) -> Config:
        """A copy with `section.key=value` settings applied; values are written as in TOML, strings may be bare."""
        tables = self.to_tables()
        for setting in settings:
            key, equals, text = setting.partition("=")
            section, dot, name = key.strip().partition(".")
            if not equals or not dot:
                raise TrueflowError("not a setting", where="--set", found=repr(setting), expected="section.key=value")
            text = text.strip()
            value = toml_value(text, where=f"--set {section}.{name}")
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
