"""us4us captures: what is read, how the physical order is undone, and that nothing in a pickle is ever executed."""

from __future__ import annotations

import os
import pickle
import struct
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trueflow.pipeline.acquisition import DivergingWave, PlaneWave
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.sources.us4us import Us4usRecording
from trueflow.pipeline.sources.us4us_remap import ChannelMap, remap_to_logical
from trueflow.pipeline.sources.us4us_unpickle import read_pickle

N_ELEMENTS, N_SAMPLES, PITCH_M, SPEED_M_S, CENTER_HZ, RATE_HZ = 64, 24, 0.3e-3, 1540.0, 5e6, 32.5e6
PRI_S, N_PERIODS, START_SAMPLE = 100e-6, 2, 13
CLASSES = {
    "arrus.metadata": ["ConstMetadata", "FrameAcquisitionContext", "EchoDataDescription"],
    "arrus.devices.us4r": ["Us4RDTO", "FrameChannelMapping"],
    "arrus.devices.probe": ["ProbeDTO", "ProbeModel", "ProbeModelId"],
    "arrus.ops.us4r": ["TxRxSequence", "TxRx", "Tx", "Rx", "Pulse"],
    "arrus.medium": ["MediumDTO"],
}
Make = Callable[..., Any]


@pytest.fixture
def arrus(monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes objects of classes that have the names of ARRUS' metadata classes, so that they can be pickled."""
    made = {}
    for package in ("arrus", "arrus.devices", "arrus.ops"):
        monkeypatch.setitem(sys.modules, package, types.ModuleType(package))
    for module_name, names in CLASSES.items():
        module = types.ModuleType(module_name)
        monkeypatch.setitem(sys.modules, module_name, module)
        for name in names:
            made[name] = type(name, (), {"__module__": module_name})
            setattr(module, name, made[name])

    def make(class_name: str, **attributes: Any) -> Any:
        instance = made[class_name]()
        instance.__dict__.update(attributes)
        return instance

    return make


def delays_of(angle_rad: float) -> np.ndarray:
    x = (np.arange(N_ELEMENTS) - (N_ELEMENTS - 1) / 2) * PITCH_M
    delays = x * np.sin(angle_rad) / SPEED_M_S
    return np.asarray(delays - delays.min())


@pytest.fixture
def metadata(arrus: Make) -> Make:
    """ConstMetadata of a sequence of plane waves; keywords change what it says."""

    def op(angle_rad: float, changes: dict[str, Any]) -> Any:
        everything = np.ones(N_ELEMENTS, dtype=bool)
        pulse = arrus("Pulse", center_frequency=CENTER_HZ, n_periods=N_PERIODS, inverse=False)
        transmit = {"aperture": everything, "excitation": pulse, "delays": delays_of(angle_rad)}
        receive = {
            "aperture": everything, "sample_range": (START_SAMPLE, START_SAMPLE + N_SAMPLES), "downsampling_factor": 2,
            "padding": (0, 0), "init_delay": "tx_start",
        }
        return arrus(
            "TxRx", tx=arrus("Tx", **{**transmit, **changes.get("tx", {})}),
            rx=arrus("Rx", **{**receive, **changes.get("rx", {})}), pri=changes.get("pri", PRI_S),
        )

    def make(angles_rad: Any = (0.0,) * 4, mapping: dict[str, Any] | None = None, **changes: Any) -> Any:
        model = {
            "n_elements": N_ELEMENTS, "pitch": PITCH_M, "curvature_radius": 0.0,
            "model_id": arrus("ProbeModelId", manufacturer="us4us", name="probe 7"),
        }
        probe = arrus("ProbeDTO", model=arrus("ProbeModel", **{**model, **changes.get("model", {})}))
        custom: dict[str, Any] = {"rx_offset": changes.get("rx_offset", 0.0)}
        if mapping is not None:
            custom["frame_channel_mapping"] = arrus("FrameChannelMapping", **mapping)
        sequence = arrus("TxRxSequence", ops=[op(a, changes) for a in angles_rad], sri=changes.get("sri"))
        device = {"probe": [probe], "sampling_frequency": 65e6, "data_sampling_frequency": RATE_HZ}
        context = arrus(
            "FrameAcquisitionContext", device=arrus("Us4RDTO", **{**device, **changes.get("device", {})}),
            sequence=sequence, raw_sequence=sequence,
            medium=arrus("MediumDTO", name="tissue", speed_of_sound=SPEED_M_S),
        )
        description = arrus("EchoDataDescription", sampling_frequency=RATE_HZ, custom=custom)
        return arrus("ConstMetadata", _context=context, _data_char=description, _is_iq_data=False, _version="0.11.3")

    return make


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    def write(content: Any, name: str = "capture.pkl", protocol: int = 4) -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, protocol))
        return path

    return write


@pytest.fixture
def logical() -> np.ndarray:
    """(2 captures, 1 sequence, 4 firings, samples, channels), all different."""
    shape = (2, 1, 4, N_SAMPLES, N_ELEMENTS)
    return np.arange(np.prod(shape)).reshape(shape).astype(np.int16)


def as_packet(logical: np.ndarray) -> np.ndarray:
    """(captures, 1, firings, samples, channels) as slow time, one transmit, elements, samples."""
    return np.ascontiguousarray(logical.reshape(-1, N_SAMPLES, N_ELEMENTS).swapaxes(1, 2)[:, None])


# Reading


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_logical_captures_read_as_slow_time(
    metadata: Make, save: Make, logical: np.ndarray, protocol: int
) -> None:
    recording = Us4usRecording(
        save({"data": [(array,) for array in logical], "metadata": [metadata()]}, protocol=protocol)
    )
    np.testing.assert_array_equal(recording.read(0, 8), as_packet(logical))
    np.testing.assert_array_equal(recording.read(3, 6), as_packet(logical)[3:6])
    assert recording.read(0, 2).dtype == np.int16
    assert recording.read(0, 2).flags.c_contiguous
    assert (recording.n_slow_time, recording.burst_length) == (8, 4)
    acquisition = recording.acquisition
    assert acquisition.probe.n_elements == N_ELEMENTS
    assert acquisition.probe.kind == "linear"
    assert acquisition.probe.name == "probe 7"
    np.testing.assert_allclose(np.diff(acquisition.probe.element_positions_m[:, 0]), PITCH_M)
    assert acquisition.transmits == (PlaneWave(0.0, 0.0),)
    assert acquisition.sampling_frequency_hz == RATE_HZ
    assert acquisition.prf_hz == pytest.approx(1 / PRI_S)
    assert acquisition.sound_speed_m_s == SPEED_M_S


def test_time_starts_at_the_first_sample_less_half_the_pulse(metadata: Make, save: Make, logical: np.ndarray) -> None:
    recording = Us4usRecording(save({"data": [(logical[0],)], "metadata": [metadata(rx_offset=3e-7)]}))
    assert recording.acquisition.rx_start_s == pytest.approx(
        START_SAMPLE / RATE_HZ + 3e-7 - N_PERIODS / (2 * CENTER_HZ)
    )


def test_sampling_rate_of_old_devices_follows_from_downsampling(
    metadata: Make, save: Make, logical: np.ndarray
) -> None:
    changed = metadata(device={"data_sampling_frequency": None})
    recording = Us4usRecording(save({"data": [(logical[0],)], "metadata": [changed]}))
    assert recording.acquisition.rx_start_s == pytest.approx(
        START_SAMPLE / (65e6 / 2) - N_PERIODS / (2 * CENTER_HZ)
    )


def test_containers(metadata: Make, save: Make, logical: np.ndarray) -> None:
    entry, frames = metadata(), [(array,) for array in logical]
    image = np.zeros((30, 40), np.float32)
    contents: list[Any] = [
        {"data": [(image, array) for array in logical], "metadata": (entry, entry)}, [frames, [entry]],
        [frames, entry], {"rf": list(logical), "metadata": entry}, {"rf": logical, "metadata": entry},
        {"data": list(logical), "metadata": [entry]},
    ]
    for index, content in enumerate(contents):
        recording = Us4usRecording(save(content, f"capture_{index}.pkl"))
        np.testing.assert_array_equal(recording.read(0, 8), as_packet(logical), err_msg=str(index))


def test_metadata_may_lie_beside_the_data(metadata: Make, save: Make, logical: np.ndarray) -> None:
    save([metadata()], "apart_metadata.pkl")
    recording = Us4usRecording(save(list(logical), "apart.pkl"))
    np.testing.assert_array_equal(recording.read(0, 8), as_packet(logical))


def test_channels_first_and_fortran_order(metadata: Make, save: Make, logical: np.ndarray) -> None:
    transposed = np.ascontiguousarray(logical[0].swapaxes(-1, -2))
    for index, array in enumerate((transposed, np.asfortranarray(logical[0]), logical[0, 0])):
        recording = Us4usRecording(save({"data": [(array,)], "metadata": [metadata()]}, f"{index}.pkl"))
        np.testing.assert_array_equal(recording.read(1, 4), as_packet(logical)[1:4], err_msg=str(index))


def test_complex_and_paired_iq(metadata: Make, save: Make, logical: np.ndarray) -> None:
    iq = (logical[0] + 1j * logical[1]).astype(np.complex64)
    recording = Us4usRecording(save({"data": [(iq,)], "metadata": [metadata()]}, "complex.pkl"))
    assert recording.acquisition.sample_kind == "iq"
    expected = as_packet(iq)
    np.testing.assert_array_equal(recording.read(0, 4), expected)
    pairs = np.stack([logical[0], logical[1]], axis=-1).swapaxes(2, 3)
    recording = Us4usRecording(save({"data": [(pairs,)], "metadata": [metadata()]}, "pairs.pkl"))
    np.testing.assert_array_equal(recording.read(0, 4), expected)
    assert recording.read(0, 4).dtype == np.complex64


def test_angles_in_turn_are_compounded(metadata: Make, save: Make, logical: np.ndarray) -> None:
    entry = metadata(angles_rad=(-0.1, 0.1) * 2)
    recording = Us4usRecording(save({"data": [(array,) for array in logical], "metadata": [entry]}))
    acquisition = recording.acquisition
    assert (recording.n_slow_time, recording.burst_length, acquisition.n_transmits) == (4, 2, 2)
    assert acquisition.slow_time_rate_hz == pytest.approx(1 / (2 * PRI_S))
    for wave, angle in zip(acquisition.transmits, (-0.1, 0.1), strict=True):
        assert isinstance(wave, PlaneWave)
        assert wave.angle_rad == pytest.approx(angle)
        assert wave.origin_time_s == pytest.approx(np.median(delays_of(angle)))  # the front crosses the middle then
    np.testing.assert_array_equal(recording.read(1, 2)[0], as_packet(logical)[2:4, 0])


def test_one_slow_time_sample_per_capture_follows_the_sequence_interval(
    metadata: Make, save: Make, logical: np.ndarray
) -> None:
    angles = (-0.1, 0.0, 0.1, 0.2)
    recording = Us4usRecording(
        save({"data": [(array,) for array in logical], "metadata": [metadata(angles_rad=angles, sri=1e-3)]})
    )
    assert (recording.n_slow_time, recording.burst_length) == (2, 2)
    assert recording.acquisition.slow_time_rate_hz == pytest.approx(1e3)


def test_virtual_source(metadata: Make, save: Make, logical: np.ndarray) -> None:
    x = (np.arange(N_ELEMENTS) - (N_ELEMENTS - 1) / 2) * PITCH_M
    delays = np.hypot(x, 0.01) / SPEED_M_S
    recording = Us4usRecording(
        save({"data": [(logical[0],)], "metadata": [metadata(tx={"delays": delays - delays.min()})]})
    )
    (wave,) = recording.acquisition.transmits
    assert isinstance(wave, DivergingWave)
    assert (wave.source_x_m, wave.source_z_m) == pytest.approx((0.0, -0.01), abs=1e-6)


def test_part_of_the_aperture_lands_on_its_elements(metadata: Make, save: Make, logical: np.ndarray) -> None:
    aperture = np.zeros(N_ELEMENTS, bool)
    aperture[:20] = True  # 20 elements, 5 channels of padding to their left
    entry = metadata(rx={"aperture": aperture, "padding": (5, 0)})
    recording = Us4usRecording(save({"data": [(logical[0][..., :25],)], "metadata": [entry]}))
    read = recording.read(0, 4)
    np.testing.assert_array_equal(read[:, :, :20], as_packet(logical)[:4, :, 5:25])
    assert not read[:, :, 20:].any()


def test_convex_probe(metadata: Make, save: Make, logical: np.ndarray) -> None:
    radius_m = 0.05
    angles = (np.arange(N_ELEMENTS) - (N_ELEMENTS - 1) / 2) * PITCH_M / radius_m
    z = radius_m * (np.cos(angles) - 1)
    entry = metadata(model={"curvature_radius": radius_m}, tx={"delays": (z - z.min()) / SPEED_M_S})
    recording = Us4usRecording(save({"data": [(logical[0],)], "metadata": [entry]}))
    assert recording.acquisition.probe.kind == "convex"
    (wave,) = recording.acquisition.transmits
    assert isinstance(wave, PlaneWave)
    assert wave.angle_rad == pytest.approx(0.0, abs=1e-6)


# Physical order


def physical_order(logical: np.ndarray, *, n_modules: int = 2, batch: int = 1) -> tuple[np.ndarray, dict[str, Any]]:
    """Rows of 32 channels, by the definition, one echo at a time: 2 modules, the aperture split into sub-apertures.

    Elements are dealt to the modules in groups of 16 and reversed within, so that modules, firings and channels all
    matter. `logical` is (batch * firings, samples, channels).
    """
    n_all, n_samples, n_channels = logical.shape
    n_firings = n_all // batch
    n_sub = -(-n_channels // (16 * n_modules))
    frames = np.zeros((n_firings, n_channels), np.int16)
    channels, modules = np.zeros(frames.shape, np.int8), np.zeros(frames.shape, np.uint8)
    rows = np.zeros((n_modules, batch, n_firings * n_sub, n_samples, 32), np.int16)
    for firing in range(n_firings):
        for channel in range(n_channels):
            group, within = divmod(channel, 16)
            modules[firing, channel] = group % n_modules
            frames[firing, channel] = firing * n_sub + group // n_modules
            channels[firing, channel] = 31 - 2 * within
            for sequence in range(batch):
                rows[
                    modules[firing, channel], sequence, frames[firing, channel], :, channels[firing, channel]
                ] = logical[sequence * n_firings + firing, :, channel]
    per_module = n_firings * n_sub
    return rows.reshape(-1, 32), {
        "frames": frames, "channels": channels, "us4oems": modules,
        "frame_offsets": (np.arange(n_modules) * per_module * batch).astype(np.uint32),
        "n_frames": np.full(n_modules, per_module, np.uint32), "batch_size": batch,
    }


@pytest.mark.parametrize("batch", [1, 2])
def test_physical_order_is_undone(metadata: Make, save: Make, logical: np.ndarray, batch: int) -> None:
    rows, mapping = physical_order(logical[:batch].reshape(-1, N_SAMPLES, N_ELEMENTS), batch=batch)
    recording = Us4usRecording(save({"data": [(rows,)], "metadata": [metadata(mapping=mapping)]}))
    np.testing.assert_array_equal(recording.read(0, 4 * batch), as_packet(logical[:batch]))
    np.testing.assert_array_equal(recording.read(1, 4 * batch - 1), as_packet(logical[:batch])[1:-1])
    acquisition = recording.acquisition
    assert acquisition.n_receive_firings == 2  # 64 channels, 16 of each of 2 modules at a time
    assert acquisition.slow_time_rate_hz == pytest.approx(1 / (2 * PRI_S))


def test_physical_iq_is_undone(metadata: Make, save: Make, logical: np.ndarray) -> None:
    in_phase, mapping = physical_order(logical[0, 0])
    quadrature, _ = physical_order(logical[1, 0])
    rows = np.stack([in_phase, quadrature], axis=1)
    recording = Us4usRecording(save({"data": [(rows,)], "metadata": [metadata(mapping=mapping)]}))
    np.testing.assert_array_equal(recording.read(0, 4), as_packet(logical[:1]) + 1j * as_packet(logical[1:]))


def test_channels_that_nobody_recorded_are_zero(logical: np.ndarray) -> None:
    rows, mapping = physical_order(logical[0, 0])
    mapping["channels"][2, 5] = -1
    names = ("frames", "channels", "us4oems", "frame_offsets", "n_frames")
    arrays = [np.asarray(mapping[name]).astype(np.int64) for name in names]
    out = remap_to_logical(rows, ChannelMap(*arrays), n_samples=N_SAMPLES)
    expected = as_packet(logical[:1])[:, 0]
    expected[2, 5] = 0
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("frames", 8), ("frames", -1), ("channels", 32), ("us4oems", 2), ("frame_offsets", 17), ("n_frames", 0),
        ("n_frames", 1000),
    ],
)
def test_a_map_that_points_outside_is_refused(
    metadata: Make, save: Make, logical: np.ndarray, field: str, value: int
) -> None:
    rows, mapping = physical_order(logical[0, 0])
    mapping[field] = mapping[field].astype(np.int64)
    mapping[field].flat[-1] = value
    with pytest.raises(TrueflowError, match="frame_channel_mapping"):
        Us4usRecording(save({"data": [(rows,)], "metadata": [metadata(mapping=mapping)]}))


def test_missing_rows_are_named(metadata: Make, save: Make, logical: np.ndarray) -> None:
    rows, mapping = physical_order(logical[0, 0])
    with pytest.raises(TrueflowError, match="found 383 rows; expected 16 physical firings of 24 samples"):
        Us4usRecording(save({"data": [(rows[:-1],)], "metadata": [metadata(mapping=mapping)]}))


# Refusals of what does not fit


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"angles_rad": ()}, "no pulses"),
        ({"pri": float("nan")}, "pri: not a finite number; found nan"),
        ({"pri": 0.0}, "pri"),
        ({"pri": "fast"}, "pri: not a finite number; found str"),
        ({"rx_offset": 1.0}, "rx_start_s"),
        ({"model": {"pitch": -1.0}}, "pitch: out of range; found -1.0"),
        ({"model": {"pitch": None}}, "no 'pitch'"),
        ({"model": {"n_elements": 65}}, "aperture"),
        ({"model": {"n_elements": 1e9}}, "not an element count"),
        ({"tx": {"delays": np.zeros(3)}}, "delays: wrong length; found 3"),
        ({"tx": {"delays": np.full(N_ELEMENTS, np.nan)}}, "delays"),
        ({"tx": {"delays": np.full(N_ELEMENTS, 1e200)}}, "delays: out of range"),
        ({"model": {"curvature_radius": 1e-9}}, "curvature_radius"),
        ({"tx": {"delays": None}}, "no 'tx.delays'"),
        ({"tx": {"aperture": np.zeros(N_ELEMENTS, bool)}}, "not an aperture"),
        ({"rx": {"sample_range": (5, 5)}}, "not a sample range"),
        ({"rx": {"padding": (-1, 1)}}, "padding"),
        ({"rx": {"padding": (1,)}}, "padding"),
        ({"device": {"probe": []}}, "empty list"),
        ({"device": {"sampling_frequency": None, "data_sampling_frequency": None}}, "no sampling frequency"),
    ],
)
def test_bad_metadata_is_named(
    metadata: Make, save: Make, logical: np.ndarray, changes: dict[str, Any], message: str
) -> None:
    path = save({"data": [(logical[0],)], "metadata": [metadata(**changes)]})
    with pytest.raises(TrueflowError, match=r"capture\.pkl") as refused:
        Us4usRecording(path)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "missing field"), ({}, "missing field"), ([], "missing field"), ({"data": []}, "missing field"),
        ({"data": [(np.zeros(3),)], "metadata": ["x"]}, "missing field"), (3.5, "missing field"),
    ],
)
def test_other_pickles_are_refused(save: Make, content: Any, message: str) -> None:
    with pytest.raises(TrueflowError, match=message):
        Us4usRecording(save(content))


def test_captures_without_channel_data_list_their_shapes(metadata: Make, save: Make) -> None:
    image = np.zeros((30, 40), np.float32)
    with pytest.raises(TrueflowError, match=r"no channel data; found outputs of shape \(30, 40\), \(1, 2, 3\)"):
        Us4usRecording(
            save({"data": [(image, np.zeros((1, 2, 3), np.int16))], "metadata": [metadata(), metadata()]})
        )


def test_no_captures_and_differing_captures(metadata: Make, save: Make, logical: np.ndarray) -> None:
    with pytest.raises(TrueflowError, match="no pulses"):
        Us4usRecording(save({"data": [], "metadata": [metadata()]}))
    with pytest.raises(TrueflowError, match="captures differ"):
        Us4usRecording(save({"data": [(logical[0],), (logical[0][:, :3],)], "metadata": [metadata()]}))
    with pytest.raises(TrueflowError, match="not an array"):
        Us4usRecording(save({"data": [(logical[0],), ("x",)], "metadata": [metadata()]}))


def test_firings_of_different_kinds_are_refused(metadata: Make, arrus: Make, save: Make, logical: np.ndarray) -> None:
    entry = metadata()
    pulse = entry._context.raw_sequence.ops[2].tx.excitation
    pulse.inverse = True
    with pytest.raises(TrueflowError, match=r"ops\[2\] pulse"):
        Us4usRecording(save({"data": [(logical[0],)], "metadata": [entry]}))


def test_nan_samples_are_refused(metadata: Make, save: Make, logical: np.ndarray) -> None:
    samples = logical[0].astype(np.float32)
    samples[0, 2, 3, 4] = np.nan
    recording = Us4usRecording(save({"data": [(samples,)], "metadata": [metadata()]}))
    recording.read(0, 2)
    with pytest.raises(TrueflowError, match="not finite"):
        recording.read(2, 3)


def test_metadata_file_alone_says_so(metadata: Make, save: Make) -> None:
    with pytest.raises(TrueflowError, match="open the file with the data"):
        Us4usRecording(save(metadata()))


# Hostile pickles


class Calls:
    """Pickles as a call of any function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


FORBIDDEN = [
    ("os", "system"), ("posix", "system"), ("nt", "system"), ("subprocess", "Popen"), ("builtins", "eval"),
    ("builtins", "exec"), ("builtins", "getattr"), ("builtins", "__import__"), ("builtins", "open"),
    ("builtins", "bytearray"), ("operator", "attrgetter"), ("functools", "partial"), ("numpy", "load"),
    ("numpy", "fromfile"), ("numpy", "memmap"), ("numpy", "dtype.__reduce__"), ("numpy.core.multiarray", "fromfile"),
    ("numpy._core.multiarray", "array"), ("numpy.f2py", "compile"), ("copyreg", "_reconstructor"), ("pickle", "loads"),
    ("arrus", "os.system"), ("arrus.metadata", "os"), ("arrus.metadata", "ConstMetadata.__init__"),
    ("arrusx.metadata", "ConstMetadata"), ("evil.arrus", "ConstMetadata"), ("collections", "namedtuple"),
    ("", "ConstMetadata"), ("_codecs", "encode"),
]


@pytest.mark.parametrize(("module", "name"), FORBIDDEN, ids=[f"{m}.{n}" for m, n in FORBIDDEN])
@pytest.mark.parametrize("instruction", ["STACK_GLOBAL", "GLOBAL", "INST"])
def test_names_off_the_list_are_refused_and_named(save: Make, module: str, name: str, instruction: str) -> None:
    if instruction == "GLOBAL":
        lookup = pickle.GLOBAL + f"{module}\n{name}\n".encode()
    elif instruction == "INST":
        lookup = pickle.MARK + pickle.INST + f"{module}\n{name}\n".encode()
    else:
        parts = [pickle.SHORT_BINUNICODE + bytes([len(t)]) + t.encode() for t in (module, name)]
        lookup = b"".join(parts) + pickle.STACK_GLOBAL
    path = save(b"\x80\x04" + lookup + pickle.EMPTY_TUPLE + pickle.REDUCE + pickle.STOP)
    with pytest.raises(TrueflowError) as refused:
        read_pickle(path)
    assert instruction == "INST" or f"found {module}.{name};" in str(refused.value)
    assert instruction != "INST" or "found INST" in str(refused.value)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_nothing_is_executed(save: Make, tmp_path: Path, protocol: int) -> None:
    target = tmp_path / "executed"
    for call in (Calls(os.mkdir, str(target)), Calls(eval, f"__import__('os').mkdir({str(target)!r})")):
        path = save({"data": [(call,)], "metadata": []}, protocol=protocol)
        with pytest.raises(TrueflowError, match="function that a capture has no use for"):
            Us4usRecording(path)
        assert not target.exists()
        with pytest.raises(FileExistsError):  # the plain reader does execute it: the pickle is a real one
            (pickle.loads(path.read_bytes()), pickle.loads(path.read_bytes()))
        target.rmdir()


def test_names_on_the_list_make_objects_without_behavior(arrus: Make, save: Make) -> None:
    loaded = read_pickle(save(arrus("Pulse", center_frequency=5e6)))
    assert type(loaded).__name__ == "Inert"
    assert (loaded.class_name, loaded.attributes) == ("Pulse", {"center_frequency": 5e6})


def test_calling_an_object_or_a_number_is_refused(save: Make) -> None:
    for target in (pickle.BININT1 + b"\x01", pickle.EMPTY_DICT, pickle.EMPTY_LIST):
        with pytest.raises(TrueflowError, match="not a class"):
            read_pickle(save(b"\x80\x04" + target + pickle.EMPTY_TUPLE + pickle.REDUCE + pickle.STOP))


def nested_tuples(depth: int) -> bytes:
    """A tuple that holds 2 ** depth tuples, each level shared."""
    level = pickle.MEMOIZE + pickle.BINGET + b"%c" + pickle.TUPLE2
    return b"\x80\x04" + pickle.EMPTY_TUPLE + b"".join(level % index for index in range(depth))


BOMBS = {
    "shared tuples": nested_tuples(60) + pickle.STOP,
    "shared tuples as a key": pickle.PROTO + b"\x04" + pickle.EMPTY_DICT + nested_tuples(60)[2:] + pickle.NONE
    + pickle.SETITEM + pickle.STOP,
    "array of 2^62 bytes": b"\x80\x04" + pickle.BINBYTES8 + struct.pack("<Q", 1 << 62) + pickle.STOP,
    "array of 2^63 + 1 bytes": b"\x80\x04" + pickle.BINBYTES8 + struct.pack("<Q", (1 << 63) + 1) + pickle.STOP,
    "bytearray of 2^40 bytes": b"\x80\x05" + pickle.BYTEARRAY8 + struct.pack("<Q", 1 << 40) + pickle.STOP,
    "text of 2^40 bytes": b"\x80\x04" + pickle.BINUNICODE8 + struct.pack("<Q", 1 << 40) + pickle.STOP,
    "text of 4 GiB": b"\x80\x04" + pickle.BINUNICODE + struct.pack("<I", 0xFFFFFFFF) + pickle.STOP,
    "integer of 2 GiB": b"\x80\x04" + pickle.LONG4 + struct.pack("<i", 0x7FFFFFFF) + pickle.STOP,
    "integer of negative length": b"\x80\x04" + pickle.LONG4 + struct.pack("<i", -1) + pickle.STOP,
    "memo at 2^32": b"\x80\x04" + pickle.NONE + pickle.LONG_BINPUT + struct.pack("<I", 0xFFFFFFFF) + pickle.STOP,
    "frame of 2^60 bytes": b"\x80\x04" + pickle.FRAME + struct.pack("<Q", 1 << 60) + pickle.NONE + pickle.STOP,
    "deep lists": b"\x80\x04" + pickle.EMPTY_LIST * 300_000 + pickle.APPEND * 299_999 + pickle.STOP,
    "list in itself": b"\x80\x04" + pickle.EMPTY_LIST + pickle.MEMOIZE + pickle.BINGET + b"\0" + pickle.APPEND
    + pickle.STOP,
    "many instructions": b"\x80\x04" + pickle.NONE * 2_100_000 + pickle.STOP,
    "persistent id": b"\x80\x04" + pickle.NONE + pickle.BINPERSID + pickle.STOP,
    "extension": b"\x80\x04" + pickle.EXT1 + b"\x01" + pickle.STOP,
    "out-of-band buffer": b"\x80\x05" + pickle.NEXT_BUFFER + pickle.STOP,
    "empty stack": b"\x80\x04" + pickle.STOP,
    "no mark": b"\x80\x04" + pickle.TUPLE + pickle.STOP,
    "only a mark": b"\x80\x04" + pickle.MARK + pickle.STOP,
    "append to nothing": b"\x80\x04" + pickle.NONE + pickle.APPEND + pickle.STOP,
    "state for a number": b"\x80\x04" + pickle.BININT1 + b"\1" + pickle.NONE + pickle.BUILD + pickle.STOP,
    "memo never stored": b"\x80\x04" + pickle.BINGET + b"\7" + pickle.STOP,
    "no end": b"\x80\x04" + pickle.NONE,
    "unknown instruction": b"\x80\x04\xff" + pickle.STOP,
    "protocol 0": pickle.dumps([1, 2], 0),
    "protocol 99": b"\x80\x63N.",
    "class name without end": b"\x80\x04" + pickle.GLOBAL + b"x" * 1000,
    "not a pickle": b"hello",
    "one byte": b"\x80",
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_bombs_and_damage_end_with_one_error(save: Make, bomb: bytes) -> None:
    with pytest.raises(TrueflowError, match=r"capture\.pkl"):
        Us4usRecording(save(bomb))


def test_an_empty_file_and_a_missing_one(save: Make, tmp_path: Path) -> None:
    with pytest.raises(TrueflowError, match="empty file"):
        Us4usRecording(save(b""))
    with pytest.raises(TrueflowError, match="cannot be read"):
        Us4usRecording(tmp_path / "nowhere.pkl")


@pytest.mark.parametrize(
    "array",
    [
        np.array([1, "a"], dtype=object), np.array(["text"]), np.zeros(2, "i2,f4"), np.zeros(2, "M8[s]"),
        np.zeros(2, np.longdouble), np.zeros(3, "V4"),
    ],
    ids=["objects", "text", "records", "dates", "long double", "void"],
)
def test_arrays_of_other_things_than_numbers_are_refused(
    save: Make, metadata: Make, array: np.ndarray
) -> None:
    with pytest.raises(TrueflowError, match="numbers"):
        Us4usRecording(save({"data": [(array,)], "metadata": [metadata()]}))


def hand_made_array(shape: tuple[int, ...], content: bytes, dtype: str = "i2") -> bytes:
    """An array's pickle whose shape and content may disagree."""
    honest = pickle.dumps(np.zeros(len(content) // 2, np.int16), 4)
    original = pickle.dumps((len(content) // 2,), 4)[11:-2]
    assert original in honest
    replacement = b"(" + b"".join(b"\x8a\x09" + n.to_bytes(9, "little", signed=True) for n in shape) + b"t"
    return honest.replace(original, replacement, 1).replace(b"i2", dtype.encode(), 1)


@pytest.mark.parametrize(
    "shape", [(1 << 40,), (5,), (-4,), (-2, -2), (1 << 62, 4), (1,) * 40, ((1 << 63) - 1, (1 << 63) - 1)]
)
def test_shapes_that_do_not_fit_the_content_are_refused(save: Make, shape: tuple[int, ...]) -> None:
    with pytest.raises(TrueflowError, match="shape"):
        read_pickle(save(hand_made_array(shape, bytes(8))))
    assert read_pickle(save(hand_made_array((2, 2), bytes(8)))).shape == (2, 2)


@pytest.fixture
def valid(metadata: Make, logical: np.ndarray) -> bytes:
    rows, mapping = physical_order(logical[0, 0])
    return pickle.dumps({"data": [(rows,)], "metadata": [metadata(mapping=mapping)]}, 4)


def test_a_capture_cut_anywhere_is_refused(save: Make, valid: bytes) -> None:
    for size in [*range(1, len(valid), 211), len(valid) - 1]:
        with pytest.raises(TrueflowError):
            Us4usRecording(save(valid[:size]))


def test_random_damage_is_read_or_refused_but_never_breaks(save: Make, valid: bytes) -> None:
    rng = np.random.default_rng(5)
    metadata_start = valid.index(b"ConstMetadata")
    refused = 0
    for _ in range(400):
        damaged = bytearray(valid)
        first = metadata_start if rng.random() < 0.9 else 0
        for position in rng.integers(first, len(valid), 3):
            damaged[position] = rng.integers(256)
        try:
            recording = Us4usRecording(save(bytes(damaged)))
            recording.read(0, recording.n_slow_time)
        except TrueflowError:
            refused += 1
    assert refused > 50


# The real thing


@pytest.mark.recordings
@pytest.mark.parametrize("order", ["logical", "physical"])
def test_disk_captures_hold_the_samples_of_the_original(recordings: Path, order: str) -> None:
    from scipy.io import loadmat

    rf = loadmat(recordings / "PWI_disk.mat", variable_names=["RF"])["RF"]
    recording = Us4usRecording(recordings / f"us4us_disk_{order}.pkl")
    np.testing.assert_array_equal(recording.read(0, 32)[:, 0], rf.transpose(2, 1, 0))
    acquisition = recording.acquisition
    assert acquisition.transmits == (PlaneWave(0.0, 0.0),)
    assert (acquisition.sampling_frequency_hz, acquisition.center_frequency_hz) == pytest.approx((20e6 / 3, 5e6))
    assert (acquisition.prf_hz, acquisition.sound_speed_m_s) == pytest.approx((10e3, 1480.0))
    np.testing.assert_allclose(np.diff(acquisition.probe.element_positions_m[:, 0]), 0.298e-3)
