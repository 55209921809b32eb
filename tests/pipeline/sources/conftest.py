"""Small recordings, written into a temporary folder; each builder takes changes to what it writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy.io import savemat

N_SAMPLES, N_ELEMENTS, N_PULSES = 23, 17, 6
PITCH_M, SPEED_M_S, CENTER_HZ, PRF_HZ = 0.3e-3, 1500.0, 5e6, 8e3
GONE = object()  # the value that removes a field

Write = Callable[..., Path]


def changed(fields: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in {**fields, **changes}.items() if value is not GONE}


@pytest.fixture(scope="session")
def gone() -> object:
    """Passed for a field, leaves it out of the file."""
    return GONE


@pytest.fixture
def elements_m() -> np.ndarray:
    """Lateral element positions (17,)."""
    return (np.arange(N_ELEMENTS) - (N_ELEMENTS - 1) / 2) * PITCH_M


@pytest.fixture
def counted() -> Callable[..., np.ndarray]:
    """Samples that are all different: int16 of any shape."""
    return lambda *shape: np.arange(np.prod(shape), dtype=np.int64).reshape(shape).astype(np.int16)


@pytest.fixture
def write_must(tmp_path: Path, counted: Callable[..., np.ndarray]) -> Write:
    """Write a MUST file: RF (samples, elements, pulses) and param, with the narrow integers MATLAB would store."""

    def write(rf: Any = None, *, name: str = "must.mat", **changes: Any) -> Path:
        param = {
            "fs": 20e6, "fc": np.int32(CENTER_HZ), "c": np.uint16(SPEED_M_S), "PRF": np.uint16(PRF_HZ), "t0": 2e-6,
            "pitch": PITCH_M, "width": 0.25e-3, "Nelements": np.uint8(N_ELEMENTS), "bandwidth": np.uint8(60),
            "TXdelay": np.zeros((1, N_ELEMENTS), np.uint8),
        }
        variables: dict[str, Any] = {"RF": counted(N_SAMPLES, N_ELEMENTS, N_PULSES) if rf is None else rf}
        variables["param"] = changes.pop("param", changed(param, changes))
        savemat(tmp_path / name, {k: v for k, v in variables.items() if v is not GONE}, do_compression=True)
        return tmp_path / name

    return write


@pytest.fixture
def write_zea(tmp_path: Path, counted: Callable[..., np.ndarray]) -> Write:
    """Write a zea file of one or several tracks; `raw` is (frames, transmits, samples, elements, 1 or 2)."""

    def scan_of(shape: tuple[int, ...], changes: dict[str, Any]) -> dict[str, Any]:
        n_frames, n_transmits = shape[:2]
        return changed({
            "sampling_frequency": np.float32(20e6), "center_frequency": np.float32(CENTER_HZ),
            "demodulation_frequency": np.float32(CENTER_HZ), "sound_speed": np.float32(SPEED_M_S),
            "initial_times": np.full(n_transmits, 2e-6, np.float32),
            "t0_delays": np.zeros((n_transmits, N_ELEMENTS), np.float32),
            "tx_apodizations": np.ones((n_transmits, N_ELEMENTS), np.float32),
            "focus_distances": np.full(n_transmits, np.inf, np.float32),
            "transmit_origins": np.zeros((n_transmits, 3), np.float32),
            "polar_angles": np.zeros(n_transmits, np.float32),
            "time_to_next_transmit": np.full((n_frames, n_transmits), 1 / PRF_HZ, np.float32),
        }, changes)

    def fill(group: h5py.Group, fields: dict[str, Any]) -> None:
        for key, value in fields.items():
            if isinstance(value, dict):
                fill(group.create_group(key), value)
            else:
                group[key] = value

    def write(
        raw: Any = None, *, tracks: list[dict[str, Any]] | None = None, legacy: bool = False, probe: Any = None,
        data: Any = None, name: str = "zea.hdf5", **changes: Any,
    ) -> Path:
        positions = np.zeros((N_ELEMENTS, 3), np.float32)
        positions[:, 0] = (np.arange(N_ELEMENTS) - (N_ELEMENTS - 1) / 2) * PITCH_M
        probe = {"name": "L", "type": "linear", "probe_geometry": positions} if probe is None else probe
        raw = counted(N_PULSES, 1, N_SAMPLES, N_ELEMENTS, 1) if raw is None else raw
        one = {"data": {"raw_data": raw} if data is None else data, "scan": scan_of(np.shape(raw), changes)}
        with h5py.File(tmp_path / name, "w") as file:
            if legacy:
                one["scan"]["probe_geometry"] = positions
                fill(file, one)
            else:
                several = tracks or [one]
                fill(file, {"probe": probe, "tracks": {f"track_{i}": track for i, track in enumerate(several)}})
        return tmp_path / name

    write.scan_of = scan_of  # type: ignore[attr-defined]
    return write


@pytest.fixture
def write_uff(tmp_path: Path, counted: Callable[..., np.ndarray]) -> Write:
    """Write a UFF file; `data` is as stored, (frames, waves, channels, samples)."""

    def put(group: h5py.Group, name: str, value: Any) -> None:
        if isinstance(value, dict):
            child = group.create_group(name)
            child.attrs["class"] = value.get("class", "uff")
            for key, item in value.items():
                if key != "class":
                    put(child, key, item)
        elif np.iscomplexobj(value):
            parts = group.create_group(name)
            parts.attrs["complex"] = 1
            parts["real"], parts["imag"] = np.real(value), np.imag(value)
        else:
            group[name] = value

    def write(
        data: Any = None, *, waves: list[dict[str, Any]] | None = None, probe: Any = None, name: str = "c.uff",
        others: dict[str, Any] | None = None, **changes: Any,
    ) -> Path:
        if data is None:
            data = counted(N_PULSES, 1, N_ELEMENTS, N_SAMPLES).astype(np.float32)
        geometry = np.zeros((7, N_ELEMENTS), np.float32)
        geometry[0] = (np.arange(N_ELEMENTS) - (N_ELEMENTS - 1) / 2) * PITCH_M
        geometry[5] = 0.25e-3
        waves = [{"wavefront": [[0]], "source": {"distance": np.inf, "azimuth": 0.0, "elevation": 0.0}}] if (
            waves is None
        ) else waves
        sequence = {f"sequence_{i + 1:04d}": wave for i, wave in enumerate(waves)}
        fields = changed({
            "class": "uff.channel_data", "sampling_frequency": [[20e6]], "initial_time": [[2e-6]],
            "sound_speed": [[SPEED_M_S]], "modulation_frequency": [[0.0]], "PRF": [[PRF_HZ]], "data": data,
            "probe": {"class": "uff.linear_array", "geometry": geometry} if probe is None else probe,
            "pulse": {"class": "uff.pulse", "center_frequency": [[CENTER_HZ]]}, "sequence": sequence,
        }, changes)
        with h5py.File(tmp_path / name, "w") as file:
            for key, value in {"channel_data": fields, **(others or {})}.items():
                if value:
                    put(file, key, value)
        return tmp_path / name

    return write
