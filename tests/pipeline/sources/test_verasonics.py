"""Verasonics workspaces of both MATLAB formats: what is read, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from trueflow.pipeline.acquisition import DivergingWave, PlaneWave
from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.sources.verasonics import VerasonicsRecording

FREQUENCY_HZ, SPEED_M_S, N_ELEMENTS, N_CHANNELS, N_FRAMES, N_ROWS = 5e6, 1500.0, 17, 23, 3, 24
WAVELENGTH_M = SPEED_M_S / FREQUENCY_HZ
PITCH_M = 0.3e-3
GONE = object()
Write = Callable[..., Path]
Struct = dict[str, Any]


def write_v73(path: Path, variables: Struct) -> None:
    """HDF5 the way MATLAB lays it out: transposed arrays, text as character codes, struct arrays as references."""
    with h5py.File(path, "w") as file:
        references = file.create_group("#refs#")

        def store(parent: h5py.Group, name: str, value: Any) -> h5py.Dataset | None:
            if isinstance(value, dict):
                group = parent.create_group(name)
                for key, item in value.items():
                    store(group, key, item)
                return None
            if isinstance(value, list) and value and isinstance(value[0], dict) and len(value) == 1:
                return store(parent, name, value[0])
            if isinstance(value, list) and value and isinstance(value[0], dict):
                group = parent.create_group(name)
                for key in value[0]:
                    refer(group, key, [item[key] for item in value])
                return None
            if isinstance(value, list):
                return refer(parent, name, value)
            if isinstance(value, str):
                codes = np.array([[ord(c)] for c in value], dtype=np.uint16)
                node = parent.create_dataset(name, data=codes)
                node.attrs["MATLAB_class"] = np.bytes_("char")
                return node
            array = np.atleast_2d(np.asarray(value))
            if array.size == 0:
                node = parent.create_dataset(name, data=np.array(array.shape, dtype=np.uint64))
                node.attrs["MATLAB_empty"] = np.uint8(1)
                return node
            return parent.create_dataset(name, data=np.ascontiguousarray(array.T))

        def refer(parent: h5py.Group, name: str, items: list[Any]) -> h5py.Dataset:
            nodes = [store(references, f"r{len(references)}", item) for item in items]
            table = np.array([[node.ref] for node in nodes if node is not None], dtype=h5py.ref_dtype)
            return parent.create_dataset(name, data=table, dtype=h5py.ref_dtype)

        for name, value in variables.items():
            store(file, name, value)


def write_v5(path: Path, variables: Struct) -> None:
    def convert(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: convert(item) for key, item in value.items()}
        if isinstance(value, list) and value and isinstance(value[0], dict):
            table = np.zeros((1, len(value)), dtype=[(key, object) for key in value[0]])
            for index, item in enumerate(value):
                for key in item:
                    table[0, index][key] = convert(item[key])
            return table
        if isinstance(value, list):
            cells = np.empty((1, len(value)), dtype=object)
            for index, item in enumerate(value):
                cells[0, index] = item
            return cells
        return value

    savemat(path, {name: convert(value) for name, value in variables.items()}, do_compression=True)


def delays_periods(angle_rad: float) -> np.ndarray:
    x = (np.arange(N_ELEMENTS) - (N_ELEMENTS - 1) / 2) * PITCH_M / WAVELENGTH_M
    delays = x * np.sin(angle_rad)
    return np.asarray((delays - delays.min())[None])


def workspace(angles_rad: tuple[float, ...] = (0.0,) * 4, **changes: Any) -> Struct:
    """A workspace whose frames fire plane waves; `changes` go to the struct they name, as `TX_Delay=...`."""
    waves = sorted(set(angles_rad))
    n_pulses = len(angles_rad)
    x = (np.arange(N_ELEMENTS) - (N_ELEMENTS - 1) / 2) * PITCH_M
    receive: list[Struct] = []
    events: list[Struct] = []
    for frame in range(N_FRAMES):
        for pulse, angle in enumerate(angles_rad):
            receive.append({
                "startSample": 1.0 + pulse * N_ROWS, "endSample": float((pulse + 1) * N_ROWS), "framenum": 1.0 + frame,
                "acqNum": 1.0 + pulse, "bufnum": 1.0, "mode": 0.0, "decimSampleRate": 20.0, "quadDecim": 1.0,
                "demodFrequency": 5.0, "sampleMode": "NS200BW", "startDepth": 4.0, "Apod": np.ones((1, N_ELEMENTS)),
            })
            events.append({
                "info": "fire", "tx": 1.0 + waves.index(angle), "rcv": float(len(receive)), "recon": 0.0,
                "seqControl": np.array([[1.0, 2.0]]),
            })
        events.append({"info": "transfer", "tx": 0.0, "rcv": 0.0, "recon": 0.0, "seqControl": np.array([[1.0]])})
    structs: dict[str, Any] = {
        "Receive": receive, "Event": events,
        "TX": [{"waveform": 1.0, "Delay": delays_periods(a), "Apod": np.ones((1, N_ELEMENTS))} for a in waves],
        "TW": [{"type": "parametric", "Parameters": np.array([[5.2, 0.67, 2.0, 1.0]]), "peak": 0.75}],
        "SeqControl": [{"command": "transferToHost", "argument": 0.0}, {"command": "timeToNextAcq", "argument": 125.0}],
    }
    single: dict[str, Struct] = {
        "Trans": {
            "name": "L7-4", "frequency": 5.0, "units": "mm", "type": 0.0, "elementWidth": 0.25, "lensCorrection": 0.5,
            "ElementPos": np.column_stack([x * 1e3, np.zeros((N_ELEMENTS, 3))]), "Bandwidth": np.array([[4.0, 7.0]]),
            "Connector": np.arange(N_ELEMENTS, 0, -1.0)[:, None] + 3,
        },
        "Resource": {
            "Parameters": {"speedOfSound": SPEED_M_S}, "RcvBuffer": [{"numFrames": float(N_FRAMES), "lastFrame": 1.0}],
        },
    }
    rows = np.arange((n_pulses * N_ROWS + 6) * N_CHANNELS * N_FRAMES).astype(np.int16)
    variables = {"RcvData": [rows.reshape(-1, N_CHANNELS, N_FRAMES)], **structs, **single}
    for change, value in changes.items():
        name, _, field = change.partition("_")
        if not field:
            variables[name] = value
            continue
        tables = variables[name] if isinstance(variables[name], list) else [variables[name]]
        for table in tables:
            table[field] = value
            if value is GONE:
                del table[field]
    return {name: value for name, value in variables.items() if value is not GONE}


def expected_samples(variables: Struct, n_pulses: int = 4) -> np.ndarray:
    """(frames x pulses, elements, rows), one row of the buffer at a time; frame 1 was the last one written."""
    (rows,) = variables["RcvData"]
    columns = [N_ELEMENTS - element + 2 for element in range(N_ELEMENTS)]
    pulses = [
        np.stack([rows[p * N_ROWS : (p + 1) * N_ROWS, column, frame] for column in columns])
        for frame in (1, 2, 0) for p in range(n_pulses)
    ]
    return np.stack(pulses)


@pytest.fixture(params=["v5", "v7.3"])
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Write:
    names = (tmp_path / f"{index}_workspace.mat" for index in range(9))  # files that are open cannot be replaced

    def build(variables: Struct) -> Path:
        path = next(names)
        (write_v73 if request.param == "v7.3" else write_v5)(path, variables)
        return path

    return build


def test_samples_in_order_of_time_and_elements(write: Write) -> None:
    variables = workspace()
    expected = expected_samples(variables)
    with VerasonicsRecording(write(variables)) as recording:
        read = recording.read(0, 12)
        assert read.dtype == np.int16
        assert read.flags.c_contiguous
        np.testing.assert_array_equal(read[:, 0], expected)
        np.testing.assert_array_equal(recording.read(3, 6)[:, 0], expected[3:6])
        assert recording.read(5, 5).shape == (0, 1, N_ELEMENTS, N_ROWS)
        assert (recording.n_slow_time, recording.burst_length) == (12, 12)  # 125 us also from frame to frame


def test_acquisition(write: Write) -> None:
    acquisition = VerasonicsRecording(write(workspace())).acquisition
    assert acquisition.transmits == (PlaneWave(0.0, 0.0),)
    assert acquisition.sampling_frequency_hz == pytest.approx(20e6)
    assert acquisition.center_frequency_hz == pytest.approx(5.2e6)
    assert acquisition.prf_hz == pytest.approx(8e3)
    assert acquisition.sound_speed_m_s == SPEED_M_S
    assert acquisition.rx_start_s == pytest.approx((2 * 4.0 - 0.75 - 2 * 0.5) / FREQUENCY_HZ)
    assert (acquisition.n_samples, acquisition.sample_kind) == (N_ROWS, "rf")
    probe = acquisition.probe
    assert (probe.n_elements, probe.kind, probe.name) == (N_ELEMENTS, "linear", "L7-4")
    np.testing.assert_allclose(np.diff(probe.element_positions_m[:, 0]), PITCH_M)
    assert probe.center_frequency_hz == pytest.approx(5e6)
    assert probe.bandwidth_fraction == pytest.approx(0.6)
    assert probe.element_width_m == pytest.approx(0.25e-3)


def test_positions_in_wavelengths(write: Write) -> None:
    variables = workspace(Trans_units="wavelengths", Trans_elementWidth=0.8)
    variables["Trans"]["ElementPos"] = variables["Trans"]["ElementPos"] * 1e-3 / WAVELENGTH_M
    probe = VerasonicsRecording(write(variables)).acquisition.probe
    np.testing.assert_allclose(np.diff(probe.element_positions_m[:, 0]), PITCH_M)
    assert probe.element_width_m == pytest.approx(0.8 * WAVELENGTH_M)


def test_curved_and_phased_probes(write: Write) -> None:
    angles = (np.arange(N_ELEMENTS) - (N_ELEMENTS - 1) / 2) * PITCH_M / 0.05
    z_m = 0.05 * (np.cos(angles) - 1)
    columns = np.column_stack([50 * np.sin(angles), np.zeros(N_ELEMENTS), z_m * 1e3, angles])
    delays = ((z_m - z_m.min()) / WAVELENGTH_M)[None]
    recording = VerasonicsRecording(write(workspace(Trans_ElementPos=columns, Trans_type=1.0, TX_Delay=delays)))
    probe = recording.acquisition.probe
    assert probe.kind == "convex"
    np.testing.assert_allclose(probe.element_angles_rad[1:-1], angles[1:-1], atol=1e-4)
    (wave,) = recording.acquisition.transmits
    assert isinstance(wave, PlaneWave)
    assert wave.angle_rad == pytest.approx(0.0, abs=1e-6)
    columns = np.column_stack([np.arange(N_ELEMENTS) * 0.15, np.zeros((N_ELEMENTS, 3))])
    columns[:, 0] -= columns[:, 0].mean()
    assert VerasonicsRecording(write(workspace(Trans_ElementPos=columns))).acquisition.probe.kind == "phased"


def test_angles_in_turn_are_compounded(write: Write) -> None:
    variables = workspace(angles_rad=(-0.1, 0.1, -0.1, 0.1))
    recording = VerasonicsRecording(write(variables))
    acquisition = recording.acquisition
    assert (recording.n_slow_time, acquisition.n_transmits) == (6, 2)
    assert acquisition.slow_time_rate_hz == pytest.approx(4e3)
    for wave, angle in zip(acquisition.transmits, (-0.1, 0.1), strict=True):
        assert isinstance(wave, PlaneWave)
        assert wave.angle_rad == pytest.approx(angle)
        assert wave.origin_time_s == pytest.approx(np.median(delays_periods(angle)) / FREQUENCY_HZ)
    expected = expected_samples(variables).reshape(6, 2, N_ELEMENTS, N_ROWS)
    np.testing.assert_array_equal(recording.read(1, 5), expected[1:5])


def test_one_slow_time_sample_per_frame(write: Write) -> None:
    recording = VerasonicsRecording(write(workspace(angles_rad=(-0.1, 0.0, 0.1, 0.2))))
    assert (recording.n_slow_time, recording.burst_length) == (3, 3)
    assert recording.acquisition.slow_time_rate_hz == pytest.approx(2e3)


def test_elements_that_do_not_fire_do_not_count(write: Write) -> None:
    delays, weights = delays_periods(0.0), np.zeros((1, N_ELEMENTS))
    x = (np.arange(N_ELEMENTS) - (N_ELEMENTS - 1) / 2) * PITCH_M
    delays[0, 4:13] = (np.hypot(x, 2e-3) - 2e-3)[4:13] / WAVELENGTH_M
    weights[0, 4:13] = 1
    (wave,) = VerasonicsRecording(write(workspace(TX_Delay=delays, TX_Apod=weights))).acquisition.transmits
    assert isinstance(wave, DivergingWave)
    assert (wave.source_x_m, wave.source_z_m) == pytest.approx((0.0, -2e-3), abs=1e-6)


def test_a_longer_pause_between_frames_makes_bursts(write: Write) -> None:
    variables = workspace()
    variables["SeqControl"].append({"command": "timeToNextAcq", "argument": 5000.0})
    for event in variables["Event"]:
        if event["rcv"] and event["rcv"] % 4 == 0:
            event["seqControl"] = np.array([[3.0]])
    recording = VerasonicsRecording(write(variables))
    assert (recording.n_slow_time, recording.burst_length) == (12, 4)
    assert recording.acquisition.prf_hz == pytest.approx(8e3)


def test_an_unknown_pause_between_frames_makes_bursts(write: Write) -> None:
    variables = workspace()
    for event in variables["Event"]:
        if event["rcv"] and event["rcv"] % 4 == 0:
            event["seqControl"] = np.array([[1.0]])
    assert VerasonicsRecording(write(variables)).burst_length == 4


@pytest.mark.parametrize(
    ("mode", "quad_decim", "rate_hz"),
    [("NS200BW", 1.0, 20e6), ("BS67BW", 3.0, 20e6 / 3), ("BS100BW", 2.0, 5e6), ("BS50BW", 4.0, 2.5e6)],
)
def test_sampling_rates_of_the_sample_modes(write: Write, mode: str, quad_decim: float, rate_hz: float) -> None:
    variables = workspace(Receive_sampleMode=mode, Receive_quadDecim=quad_decim)
    acquisition = VerasonicsRecording(write(variables)).acquisition
    assert acquisition.sampling_frequency_hz == pytest.approx(rate_hz)
    iq = mode in ("BS100BW", "BS50BW")
    assert (acquisition.sample_kind, acquisition.n_samples) == (("iq", 12) if iq else ("rf", 24))
    assert acquisition.mixing_frequency_hz == pytest.approx(5e6 if iq else 5.2e6)


@pytest.mark.parametrize("phase_rad", [-2.0, 0.3, 1.5])
@pytest.mark.parametrize(("mode", "periods_per_pair"), [("BS100BW", 1), ("BS50BW", 2)])
def test_quadrature_samples_have_the_phase_of_the_echo(
    write: Write, phase_rad: float, mode: str, periods_per_pair: int
) -> None:
    # A pair: cos(2 pi f t + phase) now and a quarter period later; mixing with exp(-j 2 pi f t) leaves exp(j phase).
    pairs = np.arange(N_ROWS // 2) * periods_per_pair
    periods = np.column_stack([pairs, pairs + 0.25]).ravel()
    rf = np.round(20_000 * np.cos(2 * np.pi * periods + phase_rad)).astype(np.int16)
    buffer = np.zeros((4 * N_ROWS, N_CHANNELS, N_FRAMES), np.int16)
    buffer[:] = np.tile(rf, 4)[:, None, None]
    variables = workspace(RcvData=[buffer], Receive_sampleMode=mode, Receive_quadDecim=2.0 * periods_per_pair)
    read = VerasonicsRecording(write(variables)).read(0, 2)
    assert read.dtype == np.complex64
    np.testing.assert_allclose(read, 20_000 * np.exp(1j * phase_rad), atol=1.0)


def test_optional_fields_may_be_missing(write: Write) -> None:
    variables = workspace(
        Trans_lensCorrection=GONE, Trans_Bandwidth=GONE, Trans_elementWidth=GONE, TW_peak=GONE, Receive_quadDecim=GONE,
        Receive_bufnum=GONE, Receive_demodFrequency=GONE, Trans_name=GONE, TX_Apod=np.zeros((0, 0)),
    )
    del variables["Resource"]["RcvBuffer"][0]["lastFrame"]
    recording = VerasonicsRecording(write(variables))
    assert recording.acquisition.rx_start_s == pytest.approx(8.0 / FREQUENCY_HZ)
    (rows,) = variables["RcvData"]
    np.testing.assert_array_equal(recording.read(0, 1)[0, 0, 0], rows[:N_ROWS, N_ELEMENTS + 2, 0])


def test_channels_follow_the_elements_without_a_connector(write: Write) -> None:
    variables = workspace(Trans_Connector=GONE)
    (rows,) = variables["RcvData"]
    read = VerasonicsRecording(write(variables)).read(0, 1)
    np.testing.assert_array_equal(read[0, 0], rows[:N_ROWS, :N_ELEMENTS, 1].T)


def test_a_single_frame_of_a_single_pulse(write: Write) -> None:
    variables = workspace(angles_rad=(0.1,))
    variables["RcvData"] = [variables["RcvData"][0][:, :, 0]]
    variables["Resource"]["RcvBuffer"][0]["lastFrame"] = 1.0
    variables["Receive"], variables["Event"] = variables["Receive"][:1], variables["Event"][:1]
    recording = VerasonicsRecording(write(variables))
    assert recording.n_slow_time == 1
    assert recording.read(0, 1).shape == (1, 1, N_ELEMENTS, N_ROWS)


def test_the_second_buffer(write: Write) -> None:
    variables = workspace()
    variables["RcvData"].insert(0, np.zeros((5, N_CHANNELS, 2), np.int16))
    for receive in variables["Receive"]:
        receive["bufnum"] = 2.0
    variables["Resource"]["RcvBuffer"].insert(0, {"numFrames": 2.0, "lastFrame": 2.0})
    recording = VerasonicsRecording(write(variables), buffer=2)
    np.testing.assert_array_equal(recording.read(0, 12)[:, 0], expected_samples({"RcvData": variables["RcvData"][1:]}))
    with pytest.raises(TrueflowError, match="no pulses"):
        VerasonicsRecording(write(variables))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"RcvData": GONE}, "missing variables; found no RcvData"),
        ({"Event": GONE}, "missing variables; found no Event"),
        ({"RcvData": [np.zeros((10, N_CHANNELS, N_FRAMES), np.int16)]}, "rows are missing; found 10; expected 96"),
        ({"RcvData": [np.zeros((96, N_CHANNELS, N_FRAMES))]}, "RcvData{1}: wrong type; found float64"),
        ({"RcvData": [np.zeros((0, N_CHANNELS, N_FRAMES), np.int16)]}, "RcvData{1}: wrong shape"),
        ({"Event_rcv": 0.0}, "no pulses"),
        ({"Event_tx": GONE}, "no pulses"),
        ({"Event_tx": 1.5}, "tx: not an index"),
        ({"Event_tx": np.nan}, "tx: not finite"),
        ({"Event_tx": 9.0}, "TX(9) Delay: missing field"),
        ({"Event_seqControl": 1.0}, "time between pulses is unknown"),
        ({"SeqControl_argument": 0.0}, "argument: out of range"),
        ({"SeqControl_argument": np.nan}, "argument: not finite"),
        ({"Receive_mode": 1.0}, "mode: found mode 1"),
        ({"Receive_endSample": 0.0}, "endSample: not positive"),
        ({"Receive_startSample": 30.0}, "startSample: not a range of rows"),
        ({"Receive_startSample": 0.0}, "startSample: not positive"),
        ({"Receive_endSample": GONE}, "endSample: missing field"),
        ({"Receive_decimSampleRate": GONE}, "decimSampleRate: missing field"),
        ({"Receive_sampleMode": "NS200BWI"}, "sampleMode: unknown sample mode; found 'NS200BWI'"),
        ({"Receive_startDepth": np.inf}, "startDepth: not finite"),
        ({"TX_Delay": np.zeros((1, 3))}, "Delay: does not fit the probe; found 3 delays"),
        ({"TX_Delay": np.full((1, N_ELEMENTS), np.nan)}, "Delay: does not fit the probe"),
        ({"TX_Delay": "zero"}, "Delay: missing field"),
        ({"TX_Apod": np.zeros((1, N_ELEMENTS))}, "Delay: too few elements fire"),
        ({"Trans_frequency": GONE}, "frequency: missing field"),
        ({"Trans_frequency": -5.0}, "frequency: out of range; found -5"),
        ({"Trans_ElementPos": np.zeros((N_ELEMENTS, 2))}, "ElementPos: wrong shape"),
        ({"Trans_ElementPos": np.full((N_ELEMENTS, 4), np.nan)}, "ElementPos: wrong shape"),
        ({"Trans_ElementPos": np.zeros((N_ELEMENTS, 4))}, "ElementPos: elements out of order"),
        ({"Trans_units": "inches"}, "units: unknown units; found 'inches'"),
        ({"Trans_type": 2.0}, "type: unknown probe"),
        ({"Trans_Connector": np.ones((N_ELEMENTS, 1))}, "Connector: does not fit the samples"),
        ({"Trans_Connector": np.arange(20.0, 20 + N_ELEMENTS)}, "Connector: does not fit the samples"),
        ({"Resource": {"Parameters": {"speedOfSound": np.nan}}}, "speedOfSound: not finite"),
        ({"Resource": {"Parameters": {}, "RcvBuffer": [{"lastFrame": 9.0}]}}, "lastFrame: out of range; found 9"),
        ({"TW_Parameters": np.array([[1e9, 1, 1, 1]])}, "Parameters: out of range"),
    ],
)
def test_what_is_wrong_is_named(write: Write, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TrueflowError) as refused:
        VerasonicsRecording(write(workspace(**changes)))
    text = str(refused.value)
    assert "workspace.mat" in text
    words = message.split(": ", 1)
    assert all(word in text for word in words), text


def test_uneven_pulses_and_unequal_echoes(write: Write) -> None:
    variables = workspace()
    variables["SeqControl"] += [{"command": "timeToNextAcq", "argument": us} for us in (300.0, 200.0)]
    variables["Event"][0]["seqControl"], variables["Event"][1]["seqControl"] = np.array([[3.0]]), np.array([[4.0]])
    with pytest.raises(TrueflowError, match="evenly sampled"):
        VerasonicsRecording(write(variables))
    variables = workspace()
    variables["Receive"][2]["endSample"] -= 1
    with pytest.raises(TrueflowError, match="echoes of different lengths"):
        VerasonicsRecording(write(variables))
    variables = workspace()
    variables["Receive"][2]["startDepth"] = 5.0
    with pytest.raises(TrueflowError, match="different depths"):
        VerasonicsRecording(write(variables))


def test_half_a_quadrature_pair_is_refused(write: Write) -> None:
    variables = workspace(Receive_sampleMode="BS100BW")
    for receive in variables["Receive"]:
        receive["endSample"] -= 1
    with pytest.raises(TrueflowError, match="odd number of samples"):
        VerasonicsRecording(write(variables))


def test_a_file_cut_short_is_refused(write: Write, tmp_path: Path) -> None:
    path = write(workspace())
    content = path.read_bytes()
    for size in np.linspace(0, len(content) - 1, 25).astype(int):
        (tmp_path / "cut.mat").write_bytes(content[:size])
        with pytest.raises(TrueflowError):  # noqa: PT012  (opening may succeed where only samples are cut off)
            recording = VerasonicsRecording(tmp_path / "cut.mat")
            recording.read(0, recording.n_slow_time)


def test_references_that_lead_nowhere_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "workspace.mat"
    write_v73(path, workspace())
    with h5py.File(path, "r+") as file:
        del file["Event/tx"]
        table = np.array([[h5py.Reference()]] * 15, dtype=h5py.ref_dtype)
        file["Event"].create_dataset("tx", data=table, dtype=h5py.ref_dtype)
    with pytest.raises(TrueflowError, match="no pulses"):
        VerasonicsRecording(path)
    with h5py.File(path, "r+") as file:
        del file["Event/tx"]
        itself = file["Event"].create_dataset("tx", (15, 1), dtype=h5py.ref_dtype)
        for row in range(15):
            itself[row, 0] = itself.ref
    with pytest.raises(TrueflowError, match="no pulses"):
        VerasonicsRecording(path)


def test_a_virtual_dataset_behind_a_reference_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "workspace.mat"
    write_v73(path, workspace())
    with h5py.File(path, "r+") as file:
        layout = h5py.VirtualLayout((1, 1), "f8")
        layout[...] = h5py.VirtualSource("elsewhere.h5", "value", (1, 1))
        made = file.create_virtual_dataset("#refs#/virtual", layout)
        file["Event/tx"][0, 0] = made.ref
    monkeypatch.setattr(h5py.Dataset, "is_virtual", False)  # what the opened dataset would say comes too late
    with pytest.raises(TrueflowError, match="is in another file; found a virtual dataset"):
        VerasonicsRecording(path)


def test_fields_too_large_to_be_real_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "workspace.mat"
    write_v73(path, workspace())
    with h5py.File(path, "r+") as file:
        del file["Trans/ElementPos"]
        file["Trans"].create_dataset("ElementPos", (4, 1 << 40), "f8", chunks=(4, 1 << 20))
    with pytest.raises(TrueflowError, match="implausibly large"):
        VerasonicsRecording(path)
