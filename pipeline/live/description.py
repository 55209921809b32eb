"""What a front end sends, as JSON: acquisition, type of samples, pixels of beamformed packets. Floats stay exact.

Nothing that arrives is trusted: types, finiteness and sizes are looked at here, and what they mean by the classes.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from trueflow.pipeline.acquisition import Acquisition, DivergingWave, PlaneWave, Transmit
from trueflow.pipeline.errors import TrueflowError, printable
from trueflow.pipeline.grid import ImageGrid
from trueflow.pipeline.live.message import LARGEST_DESCRIPTION_BYTES, LARGEST_PACKET_BYTES
from trueflow.pipeline.live.source import LiveSource, PacketLayout, packet_layout
from trueflow.pipeline.probe import Probe

__all__ = ["Description"]

FORMAT = "trueflow-live/1"
DTYPES = ("int16", "float32", "complex64")
MOST_ELEMENTS = 4096
LONGEST_NAME = 200


@dataclass(frozen=True, slots=True, eq=False)
class Description:
    """The facts of a stream.

    Parameters
    ----------
    acquisition : Acquisition
    dtype : np.dtype
        Of the samples.
    grid : ImageGrid, optional
        Of beamformed packets.
    frame_rate_hz : float, optional
        Packets per second that are meant to come.
    name : str
    """

    acquisition: Acquisition
    dtype: np.dtype[Any]
    grid: ImageGrid | None = None
    frame_rate_hz: float | None = None
    name: str = ""

    @classmethod
    def of(cls, source: LiveSource) -> Description:
        """Of what a source gives."""
        return cls(source.acquisition, source.layout.dtype, source.grid, source.frame_rate_hz, source.name)

    @property
    def layout(self) -> PacketLayout:
        """Of every packet."""
        return packet_layout(self.acquisition, self.dtype, self.grid)

    def pack(self) -> bytes:
        """As JSON in UTF-8."""
        a = self.acquisition
        facts = {
            field.name: getattr(a, field.name)
            for field in dataclasses.fields(a)
            if field.name not in ("probe", "transmits")
        }
        document = {
            "format": FORMAT,
            "name": self.name[:LONGEST_NAME],
            "frame_rate_hz": self.frame_rate_hz,
            "dtype": str(np.dtype(self.dtype)),
            "acquisition": facts,
            "probe": _plain(a.probe),
            "transmits": [{"kind": _KIND_OF[type(wave)], **dataclasses.asdict(wave)} for wave in a.transmits],
            "grid": None if self.grid is None else _plain(self.grid),
        }
        return json.dumps(document, allow_nan=False).encode()

    @classmethod
    def unpack(cls, data: bytes) -> Description:
        """Read a description.

        Raises
        ------
        TrueflowError
            Where it is not one, or says what cannot be.
        """
        if len(data) > LARGEST_DESCRIPTION_BYTES:
            raise _bad("too long", found=f"{len(data)} bytes", expected=f"at most {LARGEST_DESCRIPTION_BYTES}")
        try:
            document = json.loads(data.decode("utf-8"))
        except (UnicodeDecodeError, ValueError, RecursionError) as error:
            raise _bad("not JSON", found=type(error).__name__) from error
        table = _Table(document, "")
        if table.text("format") != FORMAT:
            raise _bad("another format", found=repr(document["format"])[:40], expected=FORMAT)
        dtype = table.choice("dtype", DTYPES)
        rate_hz = table.number("frame_rate_hz") if document.get("frame_rate_hz") is not None else None
        made = cls(
            _acquisition(table),
            np.dtype(dtype),
            _grid(table),
            rate_hz if rate_hz is None or rate_hz > 0 else None,
            printable(table.text("name")[:LONGEST_NAME]),
        )
        made._check()
        return made

    def _check(self) -> None:
        beamformed = self.acquisition.sample_kind == "beamformed"
        if beamformed != (self.grid is not None):
            raise _bad("pixels and beamformed samples belong together", found=self.acquisition.sample_kind)
        if (self.dtype == np.complex64) == (self.acquisition.sample_kind == "rf"):
            raise _bad("samples of a type that does not fit", found=f"{self.acquisition.sample_kind}, {self.dtype}")
        if self.layout.n_bytes > LARGEST_PACKET_BYTES:
            raise _bad("packets too large", found=f"{self.layout.n_bytes} bytes", expected=f"{LARGEST_PACKET_BYTES}")

    def same_as(self, other: Description) -> bool:
        """Whether packets of the one can be processed as those of the other."""
        return dataclasses.replace(self, name="", frame_rate_hz=None).pack() == (
            dataclasses.replace(other, name="", frame_rate_hz=None).pack()
        )


_KINDS: dict[str, type[Transmit]] = {"plane": PlaneWave, "diverging": DivergingWave}
_KIND_OF = {wave: kind for kind, wave in _KINDS.items()}


class _Table:
    """A JSON object, read with suspicion."""

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise _bad("not a table", where=where, found=type(value).__name__)
        self._values, self._where = value, where

    def get(self, name: str) -> Any:
        if name not in self._values:
            raise _bad("missing", where=self._place(name))
        return self._values[name]

    def table(self, name: str) -> _Table:
        return _Table(self.get(name), self._place(name))

    def text(self, name: str) -> str:
        value = self.get(name)
        if not isinstance(value, str):
            raise _bad("not text", where=self._place(name), found=type(value).__name__)
        return value

    def choice(self, name: str, choices: tuple[str, ...]) -> Any:
        value = self.text(name)
        if value not in choices:
            raise _bad("unknown", where=self._place(name), found=repr(value)[:40], expected=" or ".join(choices))
        return value

    def number(self, name: str) -> float:
        value = self.get(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e300:
            raise _bad("not a finite number", where=self._place(name), found=repr(value)[:40])
        return float(value)

    def whole(self, name: str) -> int:
        value = self.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 1 << 62:
            raise _bad("not a whole number", where=self._place(name), found=repr(value)[:40])
        return value

    def optional(self, name: str) -> float | None:
        return None if self.get(name) is None else self.number(name)

    def array(self, name: str, n_dims: int, most: int) -> NDArray[np.float64]:
        value = self.get(name)
        if not isinstance(value, list) or not 1 <= len(value) <= most:
            raise _bad("not a list of a possible length", where=self._place(name))
        try:
            made = np.array(value, np.float64)
        except (ValueError, TypeError, OverflowError) as error:
            raise _bad("not numbers", where=self._place(name)) from error
        if made.ndim != n_dims or not np.isfinite(made).all():
            raise _bad("not finite numbers of the right shape", where=self._place(name), found=made.shape)
        return made

    def _place(self, name: str) -> str:
        return f"{self._where}.{name}" if self._where else name


def _acquisition(document: _Table) -> Acquisition:
    table, stagger = document.table("acquisition"), None
    if table.get("stagger") is not None:
        pair = table.array("stagger", 1, 2)
        if pair.size != 2 or (pair != np.rint(pair)).any() or np.abs(pair).max() > 1e6:
            raise _bad("not two whole numbers", where="acquisition.stagger")
        stagger = int(pair[0]), int(pair[1])
    waves = document.get("transmits")
    if not isinstance(waves, list) or not 1 <= len(waves) <= MOST_ELEMENTS:
        raise _bad("not a list of a possible length", where="transmits")
    kind: Literal["rf", "iq", "beamformed"] = table.choice("sample_kind", ("rf", "iq", "beamformed"))
    return Acquisition(
        _probe(document.table("probe")),
        tuple(_transmit(_Table(wave, f"transmits[{i}]")) for i, wave in enumerate(waves)),
        sampling_frequency_hz=table.number("sampling_frequency_hz"),
        center_frequency_hz=table.number("center_frequency_hz"),
        prf_hz=table.number("prf_hz"),
        n_samples=table.whole("n_samples"),
        n_ensemble=table.whole("n_ensemble"),
        rx_start_s=table.number("rx_start_s"),
        sound_speed_m_s=table.number("sound_speed_m_s"),
        demodulation_frequency_hz=table.number("demodulation_frequency_hz"),
        sample_kind=kind,
        n_receive_firings=table.whole("n_receive_firings"),
        slow_time_decimation=table.whole("slow_time_decimation"),
        stagger=stagger,
    )


def _transmit(table: _Table) -> Transmit:
    wave: Any = _KINDS[table.choice("kind", tuple(_KINDS))]
    made: Transmit = wave(**{field.name: table.number(field.name) for field in dataclasses.fields(wave)})
    return made


def _probe(table: _Table) -> Probe:
    return Probe(
        table.array("element_positions_m", 2, MOST_ELEMENTS),
        table.array("element_angles_rad", 1, MOST_ELEMENTS),
        table.choice("kind", ("linear", "convex", "phased")),
        table.optional("center_frequency_hz"),
        table.optional("bandwidth_fraction"),
        table.optional("element_width_m"),
        table.text("name")[:LONGEST_NAME],
    )


def _grid(document: _Table) -> ImageGrid | None:
    if document.get("grid") is None:
        return None
    table, most = document.table("grid"), math.isqrt(LARGEST_PACKET_BYTES)
    axes = table.array("axis_0", 1, most), table.array("axis_1", 1, most)
    return ImageGrid(*axes, table.choice("kind", ("cartesian", "polar")), table.number("apex_z_m"))


def _plain(thing: Any) -> dict[str, Any]:
    """A dataclass as a table of lists and numbers."""
    values = {field.name: getattr(thing, field.name) for field in dataclasses.fields(thing)}
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in values.items()}


def _bad(what: str, *, where: str = "", found: Any = None, expected: Any = None) -> TrueflowError:
    return TrueflowError(
        what,
        where=f"the front end's description{f', {where}' if where else ''}",
        found=found,
        expected=expected,
    )
