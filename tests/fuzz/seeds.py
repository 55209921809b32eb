"""Makes the corpus anew: small valid inputs of every format. `python -m tests.fuzz.seeds`."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import shutil
import sys
import tempfile
import types
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
from scipy.io import savemat

from tests.pipeline.sources import test_verasonics as verasonics

from .mutate_records import join_messages
from .targets import CORPUS, SEPARATOR

N_ELEMENTS, N_SAMPLES, N_PULSES, PITCH_M = 6, 12, 6, 0.3e-3
X_M = (np.arange(N_ELEMENTS) - (N_ELEMENTS - 1) / 2) * PITCH_M


def counted(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.int64).reshape(shape).astype(np.int16)


def hdf5(fill: Callable[[h5py.File], None], **options: Any) -> bytes:
    memory = io.BytesIO()
    with h5py.File(memory, "w", **options) as file:
        fill(file)
    return memory.getvalue()


def put(group: h5py.Group, fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        if isinstance(value, dict):
            child = group.create_group(name)
            if "class" in value:
                child.attrs["class"] = value["class"]
            put(child, {key: item for key, item in value.items() if key != "class"})
        elif np.iscomplexobj(value):
            put(group.create_group(name), {"real": np.real(value), "imag": np.imag(value)})
        else:
            group[name] = value


def zea_scan(n_frames: int, n_transmits: int) -> dict[str, Any]:
    angles = np.linspace(-0.1, 0.1, n_transmits) if n_transmits > 1 else np.zeros(1)
    delays = X_M[None] * np.sin(angles)[:, None] / 1500.0
    return {
        "sampling_frequency": np.float32(20e6),
        "center_frequency": np.float32(5e6),
        "sound_speed": np.float32(1500.0),
        "demodulation_frequency": np.float32(5e6),
        "initial_times": np.full(n_transmits, 2e-6, np.float32),
        "t0_delays": (delays - delays.min(1, keepdims=True)).astype(np.float32),
        "time_to_next_transmit": np.full((n_frames, n_transmits), 1 / 8e3, np.float32),
    }


def zea() -> dict[str, bytes]:
    positions = np.zeros((N_ELEMENTS, 3), np.float32)
    positions[:, 0] = X_M
    probe = {"name": "L", "type": "linear", "probe_geometry": positions, "probe_center_frequency": np.float32(5e6)}
    raw = counted(N_PULSES, 1, N_SAMPLES, N_ELEMENTS, 1)
    x, z = np.meshgrid(np.arange(3) * 1e-3, 5e-3 + np.arange(4) * 2e-3)
    coordinates = np.stack([x, 0 * x, z], -1).astype(np.float32)
    pixels = {
        "values": np.random.default_rng(3).standard_normal((5, 4, 3, 2)).astype(np.float32),
        "coordinates": coordinates,
        "timestamps": np.arange(5) / 2e3,
    }
    truth = {
        "axis_0": np.arange(1, 5) * 1e-3,
        "axis_1": X_M,
        "velocity_m_s": np.zeros((N_PULSES, 4, N_ELEMENTS), np.float32),
        "mask": np.ones((N_PULSES, 4, N_ELEMENTS), bool),
    }

    def compressed(file: h5py.File) -> None:
        put(file, {"probe": probe, "tracks": {"track_0": {"scan": zea_scan(3, 2), "data": {}}}})
        file.create_dataset(
            "tracks/track_0/data/raw_data",
            data=counted(3, 2, N_SAMPLES, N_ELEMENTS, 2),
            chunks=(1, 2, N_SAMPLES, N_ELEMENTS, 2),
            **hdf5plugin.Blosc(),
        )

    return {
        "tracks.h5": hdf5(
            lambda f: put(
                f,
                {
                    "probe": probe,
                    "truth": truth,
                    "tracks": {"track_0": {"data": {"raw_data": raw}, "scan": zea_scan(N_PULSES, 1)}},
                },
            )
        ),
        "blosc-iq.h5": hdf5(compressed, libver="latest"),
        "old-layout.h5": hdf5(
            lambda f: put(
                f, {"data": {"raw_data": raw}, "scan": zea_scan(N_PULSES, 1) | {"probe_geometry": positions}}
            ),
            libver="latest",
        ),
        "beamformed.h5": hdf5(
            lambda f: put(
                f,
                {"probe": probe, "tracks": {"track_0": {"data": {"beamformed_data": pixels}, "scan": zea_scan(5, 1)}}},
            ),
            libver="latest",
        ),
    }


def uff() -> dict[str, bytes]:
    geometry = np.zeros((7, N_ELEMENTS), np.float32)
    geometry[0], geometry[5] = X_M, 0.25e-3

    def wave(azimuth: float, distance: float = np.inf, kind: int = 0) -> dict[str, Any]:
        return {"wavefront": [[kind]], "source": {"distance": distance, "azimuth": azimuth, "elevation": 0.0}}

    def channels(data: np.ndarray, waves: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        return {
            "class": "uff.channel_data",
            "sampling_frequency": [[20e6]],
            "initial_time": [[2e-6]],
            "sound_speed": [[1500.0]],
            "modulation_frequency": [[0.0]],
            "PRF": [[8e3]],
            "data": data,
            "probe": {"class": "uff.linear_array", "geometry": geometry},
            "pulse": {"class": "uff.pulse", "center_frequency": [[5e6]]},
            "sequence": {f"sequence_{i + 1:04d}": w for i, w in enumerate(waves)},
            **more,
        }

    scan = {"class": "uff.linear_scan", "x_axis": np.arange(3.0)[None] * 1e-3, "z_axis": np.arange(1, 5.0)[None] * 1e-3}
    sector = {
        "class": "uff.sector_scan",
        "azimuth_axis": np.linspace(-0.3, 0.3, 3),
        "depth_axis": np.arange(1, 5.0) * 1e-3,
        "apex": {"distance": 0.01, "azimuth": 0.0},
    }
    image = counted(5, 1, 1, 12) * np.complex64(1 + 2j)
    beamformed = {
        "class": "uff.beamformed_data",
        "data": image,
        "PRF": 4e3,
        "pulse": {"class": "uff.pulse", "center_frequency": 5e6},
    }
    rf = counted(N_PULSES, 1, N_ELEMENTS, N_SAMPLES).astype(np.float32)
    return {
        "rf.uff": hdf5(lambda f: put(f, {"channel_data": channels(rf, [wave(0.0)])})),
        "iq.uff": hdf5(
            lambda f: put(
                f,
                {
                    "channel_data": channels(
                        counted(3, 2, N_ELEMENTS, N_SAMPLES) * (1 + 1j),
                        [wave(-0.1, -0.02, 1), wave(0.1, -0.03, 1)],
                        modulation_frequency=4.5e6,
                    )
                },
            ),
            libver="latest",
        ),
        "linear.uff": hdf5(lambda f: put(f, {"b": beamformed | {"scan": scan}}), libver="latest"),
        "sector.uff": hdf5(lambda f: put(f, {"b": beamformed | {"scan": sector}}), libver="latest"),
    }


def must() -> dict[str, bytes]:
    param = {
        "fs": 20e6,
        "fc": np.int32(5e6),
        "c": np.uint16(1500),
        "PRF": np.uint16(8e3),
        "t0": 2e-6,
        "pitch": PITCH_M,
        "width": 0.25e-3,
        "Nelements": np.uint8(N_ELEMENTS),
        "bandwidth": np.uint8(60),
        "radius": 0.05,
        "TXdelay": np.zeros((1, N_ELEMENTS), np.uint8),
    }
    found = {}
    for name, rf, more, packed in (
        ("rf.mat", counted(N_SAMPLES, N_ELEMENTS, N_PULSES), {"radius": np.inf}, True),
        ("iq.mat", counted(N_SAMPLES, N_ELEMENTS, N_PULSES) * 1j, {"radius": np.inf, "width": np.zeros((0, 0))}, False),
    ):
        memory = io.BytesIO()
        savemat(memory, {"RF": rf, "param": param | more}, do_compression=packed)
        found[name] = memory.getvalue()
    stored = {name: np.atleast_2d(value).T for name, value in param.items() if name != "radius"}
    stored["TXdelay"] = np.zeros((N_ELEMENTS, 1))
    found["v73.mat"] = hdf5(lambda f: put(f, {"RF": counted(N_PULSES, N_ELEMENTS, N_SAMPLES), "param": stored}))
    return found


def verasonics_files() -> dict[str, bytes]:
    folder = Path(tempfile.mkdtemp())
    verasonics.N_ELEMENTS, verasonics.N_CHANNELS, verasonics.N_ROWS = 6, 8, 8  # type: ignore[misc]
    made = {}
    for name, write, angles, n_frames in (
        ("v5.mat", verasonics.write_v5, (-0.1, 0.1), 2),
        ("v73.mat", verasonics.write_v73, (0.0, 0.0), 1),
    ):
        verasonics.N_FRAMES = n_frames  # type: ignore[misc]
        verasonics.h5py = types.SimpleNamespace(**vars(h5py) | {"File": partial(h5py.File, libver="latest")})  # small
        write(folder / name, verasonics.workspace(angles, Trans_Connector=np.arange(6.0, 0, -1)[:, None]))
        made[name] = (folder / name).read_bytes()
    shutil.rmtree(folder)
    return made


def us4us() -> dict[str, bytes]:
    classes: dict[str, type[Any]] = {}
    sys.modules.update({package: types.ModuleType(package) for package in ("arrus", "arrus.devices", "arrus.ops")})
    for module_name, names in (
        ("arrus.metadata", ("ConstMetadata", "FrameAcquisitionContext", "EchoDataDescription")),
        ("arrus.devices.us4r", ("Us4RDTO", "FrameChannelMapping")),
        ("arrus.medium", ("MediumDTO",)),
        ("arrus.devices.probe", ("ProbeDTO", "ProbeModel", "ProbeModelId")),
        ("arrus.ops.us4r", ("TxRxSequence", "TxRx", "Tx", "Rx", "Pulse")),
    ):
        module = sys.modules[module_name] = types.ModuleType(module_name)
        for name in names:
            classes[name] = type(name, (), {"__module__": module_name})
            setattr(module, name, classes[name])

    def make(class_name: str, **attributes: Any) -> Any:
        instance = classes[class_name]()
        instance.__dict__.update(attributes)
        return instance

    def metadata(mapping: dict[str, Any] | None) -> Any:
        every = np.ones(32, bool)
        pulse = make("Pulse", center_frequency=5e6, n_periods=2, inverse=False)
        op = make(
            "TxRx",
            tx=make("Tx", aperture=every, excitation=pulse, delays=np.zeros(32)),
            pri=1e-4,
            rx=make("Rx", aperture=every, sample_range=(13, 13 + 16), downsampling_factor=2, padding=(0, 0)),
        )
        model = make(
            "ProbeModel",
            n_elements=32,
            pitch=PITCH_M,
            curvature_radius=0.0,
            model_id=make("ProbeModelId", manufacturer="us4us", name="probe 7"),
        )
        custom: dict[str, Any] = {"rx_offset": 0.0}
        if mapping is not None:
            custom["frame_channel_mapping"] = make("FrameChannelMapping", **mapping)
        sequence = make("TxRxSequence", ops=[op, op], sri=None)
        context = make(
            "FrameAcquisitionContext",
            sequence=sequence,
            raw_sequence=sequence,
            medium=make("MediumDTO", speed_of_sound=1540.0),
            device=make(
                "Us4RDTO",
                probe=[make("ProbeDTO", model=model)],
                sampling_frequency=65e6,
                data_sampling_frequency=3.25e6,
            ),
        )
        return make(
            "ConstMetadata",
            _context=context,
            _data_char=make("EchoDataDescription", sampling_frequency=3.25e6, custom=custom),
            _is_iq_data=False,
            _version="0.11.3",
        )

    physical = {
        "frames": np.arange(2)[:, None] * np.ones((1, 32), int),
        "channels": np.tile(np.arange(32), (2, 1)),
        "us4oems": np.zeros((2, 32), int),
        "frame_offsets": np.zeros(1, int),
        "n_frames": np.full(1, 2),
        "batch_size": 1,
    }
    logical = counted(2, 1, 2, 16, 32)
    return {
        "logical.pkl": pickle.dumps({"data": [(a,) for a in logical], "metadata": [metadata(None)]}, 4),
        "physical.pkl": pickle.dumps({"data": [counted(32, 32)], "metadata": metadata(physical)}, 5),
        "pair.pkl": pickle.dumps([list(logical), metadata(None)], 3),
    }


def arrus() -> dict[str, bytes]:
    prototxt = b'file: { filepath: "x.bin" n_frames: 3\n probe_id { manufacturer: \'us4us\' name: "SL1543" } }\n'
    linear = (
        b'[probe]\nkind = "linear"\nn_elements = 4\npitch_m = 0.2e-3\n\n[sequence]\n'
        b"angles_rad = [-0.1, 0.1]\nn_repeats = 2\n"
        b"center_frequency_hz = 6e6\nprf_hz = 10e3\nn_samples = 8\nsampling_frequency_hz = 2e6\n"
    )
    convex = (
        b'[probe]\nkind = "convex"\nn_elements = 4\npitch_m = 0.2e-3\nradius_m = 40e-3\nbandwidth_fraction = 0.6\n\n'
        b"[sequence]\nvirtual_sources_m = [[0.0, -0.01]]\nn_repeats = 4\ncenter_frequency_hz = 6e6\nprf_hz = 10e3\n"
        b"n_samples = 8\nsampling_frequency_hz = 2e6\niq = true\n"
        b'demodulation_frequency_hz = 5e6\nstagger = "3:4"\nrx_start_s = 0.0\n'
    )
    return {
        "linear": SEPARATOR.join((prototxt, linear, counted(3, 2, 2, 4, 8).tobytes())),
        "convex": SEPARATOR.join((prototxt, convex, counted(3, 4, 4, 8, 2).tobytes())),
    }


def recordings() -> dict[str, bytes]:
    from trueflow.pipeline.acquisition import Acquisition, PlaneWave
    from trueflow.pipeline.config import Config
    from trueflow.pipeline.frames import BmodeFrame, ColorFrame, DopplerFrame, RfPacket, Stamp, VelocityFrame
    from trueflow.pipeline.live.description import Description
    from trueflow.pipeline.live.recorder import Recorder
    from trueflow.pipeline.probe import Probe

    probe = Probe.linear(4, pitch_m=PITCH_M, center_frequency_hz=5e6)
    acquisition = Acquisition(probe, (PlaneWave(0.0),), 2e6, 5e6, 4e3, n_samples=16, n_ensemble=4)
    folder = Path(tempfile.mkdtemp())
    path = folder / "three.tfr"
    with Recorder(
        path, Description(acquisition, np.dtype("int16"), frame_rate_hz=50.0, name="toy"), results=True
    ) as recorder:
        recorder.changed(Config(), anew=True, made_with=None)
        for index in range(3):
            stamp = Stamp(index, 0.02 * index, 100.0 + index)
            recorder.raw(RfPacket(counted(4, 1, 4, 16), stamp))
            f4, flat = np.ones((3, 2), np.float32), np.zeros((3, 2), np.int8)
            recorder.result(
                ColorFrame(
                    BmodeFrame(f4, stamp),
                    DopplerFrame(f4.astype("c8"), f4, 0.3, stamp),
                    None,
                    VelocityFrame(f4, f4, flat, f4, flat > 0, 0.3, stamp),
                )
            )
    content = path.read_bytes()
    shutil.rmtree(folder)
    return {"three-packets.tfr": content}


def streams() -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Messages of a front end, and a segment of shared memory."""
    from trueflow.pipeline.acquisition import Acquisition, DivergingWave, PlaneWave
    from trueflow.pipeline.grid import ImageGrid
    from trueflow.pipeline.live import message as m
    from trueflow.pipeline.live.description import Description
    from trueflow.pipeline.live.shared_memory import SharedMemoryWriter
    from trueflow.pipeline.live.shared_memory_segment import FOLDER, PREFIX
    from trueflow.pipeline.probe import Probe

    linear = Acquisition(
        Probe.linear(4, pitch_m=PITCH_M), (PlaneWave(0.0),), 20e6, 5e6, 4e3, n_samples=16, n_ensemble=4
    )
    convex = Acquisition(
        Probe.convex(4, pitch_m=PITCH_M, radius_m=0.05),
        (DivergingWave(0.0, -0.01),),
        20e6,
        5e6,
        4e3,
        n_samples=3,
        n_ensemble=4,
        sample_kind="beamformed",
        stagger=(3, 4),
    )
    grid = ImageGrid.polar(np.linspace(-0.1, 0.1, 2), np.linspace(0.01, 0.02, 3), apex_z_m=-0.05)
    found = {}
    for name, description in (
        ("channels", Description(linear, np.dtype("int16"), frame_rate_hz=50.0, name="toy")),
        ("beamformed", Description(convex, np.dtype("complex64"), grid)),
    ):
        text, samples = description.pack(), np.zeros(description.layout.shape, description.layout.dtype).tobytes()
        described = [
            m.Header(m.DESCRIPTION, 7, 0, payload_bytes=len(text), payload_check=m.checksum(text)).pack(),
            text,
        ]
        messages = [described, described]
        for number in range(3):
            whole = m.Header(
                m.PACKET,
                7,
                number,
                description.layout,
                0.02 * number,
                1.0,
                len(samples),
                m.checksum(samples),
                number > 0,
            )
            messages += [
                [m.Header(m.ANNOUNCEMENT, 7, number, description.layout, payload_bytes=len(samples)).pack()],
                [whole.pack(), samples],
            ]
        found[name] = join_messages([*messages, described, [m.Header(m.END, 7, 3).pack()]])
    with SharedMemoryWriter("shm://seed", Description(linear, np.dtype("int16")), n_slots=2, checksums=True) as writer:
        for number in range(3):
            writer.write(counted(4, 1, 4, 16), acquisition_time_s=0.02 * number)
        segment = (FOLDER / f"{PREFIX}seed").read_bytes()
    return found, {"three-packets": segment}


def texts() -> dict[str, dict[str, bytes]]:
    from trueflow.pipeline.config import Config, GridConfig
    from trueflow.pipeline.geometry import make_grid
    from trueflow.pipeline.sim.library import make_scene
    from trueflow.pipeline.sim.options import Options
    from trueflow.pipeline.sim.recording import view_of

    view = view_of(make_grid(Options().acquisition(), GridConfig()))
    options = {
        "straight": b"frames=2&pulses=4",
        "stenosis": b"peak=1.5vN&prf=5000&stagger=3:4",
        "carotid": b"angle=-5,5&seed=3",
        "chamber": b"probe=phased&cycle=0.5",
        "bifurcation": b"mode=fast&snr=20",
    }
    scenes = {name: SEPARATOR.join((make_scene(name, view).to_toml().encode(), text)) for name, text in options.items()}
    given = b"grid.n_x=64\nclutter.name=polynomial\nacquisition.stagger=3:4\n"
    given += b"dealias.previous_frame=off\nsegment.network=none\n"
    session = (
        b"[sequence]\nangles_rad = [0.0]\nn_repeats = 16\ncenter_frequency_hz = 5e6\n"
        b"n_periods = 2.0\nprf_hz = 8e3\nn_samples = 2048\n"
        b"[device]\nvoltage_v = 10\ntgc_start_db = 14.0\ntgc_slope_db_per_m = 200.0\n"
        b"[demodulation]\ndecimation_factor = 4\n"
        b"fir_coefficients = [0.1, 0.2, 0.4]\n"
    )
    return {
        "scene": scenes,
        "config": {"default": SEPARATOR.join((Config().to_toml().encode(), given))},
        "arrus_session": {
            "demodulated": SEPARATOR.join((session, b"sequence.prf_hz=4e3&device.voltage_v=5", b"us4r: {}"))
        },
    }


def weights() -> dict[str, dict[str, bytes]]:
    from onnx import TensorProto, helper

    from trueflow.models.plans import PlanKey

    conv = helper.make_node("Conv", ["x", "w"], ["y"])
    kernel = helper.make_tensor("w", TensorProto.FLOAT, (6, 10, 1, 1), np.linspace(-1, 1, 60).tolist())
    sides = [1, 10, "h", "w"], [1, 6, "h", "w"]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in zip("xy", sides, strict=True)]
    graph = helper.make_graph([conv], "g", ends[:1], ends[1:], [kernel])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    listed = {"files": {"unet.onnx": {"sha256": hashlib.sha256(b"net").hexdigest()}}}
    head = PlanKey("net", "00", (16, 16), "tensorrt", "10", "gpu", "sm_86").head()
    plan = json.dumps(head).encode() + b"\nplan"
    return {
        "network": {"tiny.onnx": model.SerializeToString()},
        "weights": {"shipped": SEPARATOR.join((json.dumps(listed).encode(), plan))},
    }


def main() -> None:
    """Write all of it."""
    messages, segments = streams()
    corpus = {
        "zea": zea(),
        "uff": uff(),
        "must": must(),
        "verasonics": verasonics_files(),
        "us4us": us4us(),
        "arrus": arrus(),
        "tfr": recordings(),
        "messages": messages,
        "shared_memory": segments,
        **texts(),
        **weights(),
    }
    shutil.rmtree(CORPUS, ignore_errors=True)
    for target, inputs in corpus.items():
        (CORPUS / target).mkdir(parents=True)
        for name, content in inputs.items():
            (CORPUS / target / name).write_bytes(content)


if __name__ == "__main__":
    main()
