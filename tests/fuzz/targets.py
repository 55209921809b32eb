"""What is fuzzed: each target reads one input as the commands would, and looks at what comes out."""

from __future__ import annotations

import contextlib
import os
import shutil
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .mutate import Mutator, mutate_numbers, text_of
from .mutate_hdf5 import mutate_hdf5
from .mutate_mat5 import mutate_mat5
from .mutate_pickle import mutate_pickle
from .mutate_records import mutate_messages, mutate_plan, mutate_recording, mutate_segment, split_messages

CORPUS = Path(__file__).parent / "corpus"
CRASHES = Path(__file__).parent / "crashes"
SEPARATOR = b"\n--8<--\n"  # between the files of an input that is several
MOST_PACKETS = 3
RARELY = 16


class InvalidResultError(Exception):
    """A reader took an input and gave something that it must not."""


@dataclass(frozen=True)
class Target:
    """One reader.

    Attributes
    ----------
    name : str
        Also of its folder in the corpus.
    read : callable
        Reads the input that lies in a folder.
    mutators : tuple of Mutator
        Those that know the format.
    structured : float
        How often one of them is taken.
    names : tuple of str
        Of the files in an input, which then are parts of it.
    cpu_s : float
        What one input may take of the processor; twenty times what a valid one takes, on a slow machine.
    may_start : bool
        Whether it tries something in a process of its own.
    always_clean : bool
        Whether its mutators can take anything; those of HDF5 and MATLAB use libraries that crash on damaged files.
    """

    name: str
    read: Callable[[Path], None]
    mutators: tuple[Mutator, ...] = ()
    structured: float = 0.75
    names: tuple[str, ...] = ("input",)
    cpu_s: float = 8.0
    always_clean: bool = True
    may_start: bool = False

    def files(self) -> list[Path]:
        """Valid inputs, and those that once were findings."""
        return [
            path for folder in (CORPUS, CRASHES) for path in sorted((folder / self.name).glob("*")) if path.is_file()
        ]

    def prepare(self, folder: Path, data: bytes) -> None:
        parts = data.split(SEPARATOR, len(self.names) - 1) if len(self.names) > 1 else [data]
        for name, part in zip(self.names, parts, strict=False):
            (folder / name).write_bytes(part)

    def clean(self, folder: Path) -> None:
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def check(holds: bool, what: str) -> None:
    if not holds:
        raise InvalidResultError(what)


def read_recording(path: Path | str) -> None:
    """As `info` and `replay` do: facts, framing, the first and last packets, truth, pixels."""
    from trueflow.pipeline.cli.info import _rows, describe
    from trueflow.pipeline.config import GridConfig
    from trueflow.pipeline.geometry import make_grid, make_waves
    from trueflow.pipeline.sources import open_source

    with open_source(path) as recording:
        acquisition = recording.acquisition
        check(acquisition.probe.name.isprintable(), "a name that is not printable")
        check(0 < recording.burst_length <= recording.n_slow_time, "burst longer than the recording")
        check(recording.n_slow_time % recording.burst_length == 0, "bursts of different lengths")
        for _, text in _rows(describe(recording)):
            check(text.isprintable(), "a fact that is not printable")
        grid = recording.grid or make_grid(acquisition, GridConfig())
        make_waves(acquisition)
        _read_packets(recording, grid)


def _read_packets(recording: Any, grid: Any) -> None:
    from trueflow.pipeline.sources import Framing, packets

    acquisition, n_packets, stream = packets(recording, Framing())
    a = acquisition
    shape = (a.n_transmits, a.probe.n_elements, a.n_samples) if recording.grid is None else recording.grid.shape
    for _, packet in zip(range(min(n_packets, MOST_PACKETS)), stream, strict=False):
        samples = packet.samples
        check(samples.shape == (a.n_ensemble, *shape), f"samples {samples.shape}, not {(a.n_ensemble, *shape)}")
        check(samples.dtype in (np.int16, np.float32, np.complex64), f"samples of {samples.dtype}")
        check(samples.flags.c_contiguous, "samples out of order")
        check(recording.format_name == "Trueflow recording" or bool(np.isfinite(samples).all()), "samples not finite")
        check(np.isfinite(packet.stamp.acquisition_time_s), "a time that is not finite")
    last = recording.n_slow_time - 1
    check(len(recording.read(last, last + 1)) == 1, "no last sample")
    if recording.format_name != "simulation" and (truth := recording.truth(0, 1, grid)) is not None:
        check(truth.velocity_m_s.shape == truth.mask.shape == grid.shape, "truth of another shape")
        check(bool(np.isfinite(truth.velocity_m_s).all()), "truth that is not finite")


def _read_file(folder: Path) -> None:
    read_recording(folder / "input")


def _read_arrus(folder: Path) -> None:
    for name in ("x.prototxt", "x.bin"):
        with contextlib.suppress(FileNotFoundError):
            read_recording(folder / name)


def _read_tfr(folder: Path) -> None:
    """Shown packets and all of them, settings and recorded frames."""
    from trueflow.pipeline.sources.recorded import LiveRecording

    path = folder / "input"
    read_recording(f"tfr://{path}?packets=all")
    read_recording(path)
    with LiveRecording(path, everything=True) as recording:
        assert isinstance(recording, LiveRecording)
        for burst in range(min(recording.n_slow_time // recording.burst_length, MOST_PACKETS)):
            recording.settings(burst * recording.burst_length)
            frame = recording.result(burst)
            if frame is not None:
                check(frame.velocity.fold.shape == frame.doppler.r0.shape, "maps of different shapes")
        recording.packet_numbered(2)


def _read_scene(folder: Path) -> None:
    """A scene's file and a sim:// address; fields are made, and of small scenes one burst of echoes."""
    from trueflow.pipeline.errors import TrueflowError
    from trueflow.pipeline.sim.options import parse_url
    from trueflow.pipeline.sim.recording import SimRecording
    from trueflow.pipeline.sim.scene import Scene

    path = folder / "scene.toml"
    options = (folder / "options").read_bytes().decode("utf-8", "replace") if (folder / "options").exists() else ""
    failure = None
    try:
        scene = Scene.load(path)
        check(Scene.from_toml(scene.to_toml()) == scene, "a scene that does not come back")
    except TrueflowError as error:
        failure = error
    url = f"sim://{path}?{options}"
    _, parsed = parse_url(url)
    if failure is not None:
        raise failure
    if zlib.crc32(path.read_bytes()) % RARELY:  # flow takes a second
        return
    recording = SimRecording(parsed.apply(scene), parsed, url=url)
    check(recording.n_slow_time >= recording.burst_length, "a simulation of nothing")


def _read_config(folder: Path) -> None:
    """A file of settings, and settings of the command line on top of it."""
    from trueflow.pipeline.config import Config
    from trueflow.pipeline.toml_text import parse_toml

    settings = (folder / "settings").read_bytes() if (folder / "settings").exists() else b""
    config = Config.load(folder / "config.toml")
    lines = [line for line in settings.decode("utf-8", "replace").split("\n") if line]
    config = config.override(lines)
    check(Config.parse(parse_toml(config.to_toml(), where="")) == config, "settings that do not come back")


def _read_arrus_session(folder: Path) -> None:
    """The two files of a scanner's session, and settings in its address."""
    from trueflow.pipeline.live.arrus_config import ArrusConfig

    options = (folder / "options").read_bytes().decode("utf-8", "replace") if (folder / "options").exists() else ""
    config = ArrusConfig.of_url(f"arrus://{folder / 'us4r.prototxt'}?{options}")
    check(config.n_firings >= 1, "a sequence of nothing")


class _Part:
    """A part of a message as ZeroMQ gives it."""

    def __init__(self, data: bytes, more: bool) -> None:
        self.buffer, self.more = memoryview(data), more


class _Socket:
    """A subscription that hands out the messages of an input."""

    def __init__(self, parts: list[_Part]) -> None:
        self._parts = parts

    def recv(self, *_: Any, **__: Any) -> _Part:
        return self._parts.pop(0)

    def poll(self, *_: Any) -> bool:
        return bool(self._parts)

    def setsockopt(self, *_: Any, **__: Any) -> None:
        pass

    connect = close = setsockopt

    def __getattr__(self, name: str) -> Any:  # of the module: constants
        return 0


def _read_messages(folder: Path) -> None:
    """A front end's messages, through the receiving side as it is; only ZeroMQ is left out."""
    from trueflow.pipeline.live import network

    messages = split_messages((folder / "input").read_bytes())
    socket = _Socket([_Part(part, i + 1 < len(parts)) for parts in messages for i, part in enumerate(parts)])

    class Source(network.NetworkSource):
        def _connect(self, prefix: bytes, largest_bytes: int) -> Any:
            return socket

    usual, network.import_zmq = network.import_zmq, lambda: _Zmq
    try:
        source = Source("ipc://nowhere", patience_s=0.01)
        into = np.empty(source.layout.shape, source.layout.dtype)
        before = -1
        while socket.poll() and not source.ended:
            stamp = source.receive(into, 0.0)
            if stamp is not None:
                check(stamp.index > before, "packets out of order")
                check(np.isfinite(stamp.acquisition_time_s), "a time that is not finite")
                before = stamp.index
        counters = source.counters
        check(counters.n_received >= 0 and counters.n_lost >= 0, "counters below zero")
        source.close()
    finally:
        network.import_zmq = usual


class _Zmq:
    """As much of PyZMQ as the receiver asks for."""

    NOBLOCK = SUB = 0

    class Context:
        def socket(self, *_: Any) -> None:
            return None

        def destroy(self, **_: Any) -> None:
            return None


def _segment_name() -> str:
    return f"fuzz-{os.getpid()}"


def _read_segment(folder: Path) -> None:
    """A segment of shared memory, from a process that lives."""
    import fcntl

    from trueflow.pipeline.live.shared_memory import SharedMemorySource
    from trueflow.pipeline.live.shared_memory_segment import FOLDER, PREFIX

    place = FOLDER / f"{PREFIX}{_segment_name()}"
    descriptor = os.open(folder / "input", os.O_RDWR)  # made before the input is read: see `_link_segment`
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        source = SharedMemorySource(f"shm://{_segment_name()}", patience_s=0.0)
        into = np.empty(source.layout.shape, source.layout.dtype)
        source._next = 0
        for _ in range(20):
            stamp = source.receive(into, 0.0)
            check(stamp is None or bool(np.isfinite(stamp.acquisition_time_s)), "a time that is not finite")
        source.close()
    finally:
        os.close(descriptor)
        check(place.exists(), "the segment of a living process was removed")


class _SegmentTarget(Target):
    """Its input lies where shared memory is."""

    def prepare(self, folder: Path, data: bytes) -> None:
        from trueflow.pipeline.live.shared_memory_segment import FOLDER, PREFIX

        super().prepare(folder, data)
        place = FOLDER / f"{PREFIX}{_segment_name()}"
        place.unlink(missing_ok=True)
        place.write_bytes(data)
        (folder / "input").unlink()
        (folder / "input").symlink_to(place)

    def clean(self, folder: Path) -> None:
        super().clean(folder)
        from trueflow.pipeline.live.shared_memory_segment import FOLDER, PREFIX

        (FOLDER / f"{PREFIX}{_segment_name()}").unlink(missing_ok=True)


def _read_network(folder: Path) -> None:
    """Somebody's own network: compiled for small images, as the segmentation does."""
    from trueflow.kernels import get_device
    from trueflow.models import openvino_engine
    from trueflow.pipeline.config import SegmentConfig
    from trueflow.pipeline.segment import make_segment

    openvino_engine._compiled.cache_clear()
    config = SegmentConfig(enabled="on", network=str(folder / "input"))
    make_segment(get_device("cpu"), shape=(16, 16), config=config)


def _read_weights(folder: Path) -> None:
    """The list of shipped weights, and a kept TensorRT plan."""
    from trueflow.models.plans import PlanKey, kept_plan
    from trueflow.models.weights import NetworkError, load_shipped
    from trueflow.pipeline.errors import TrueflowError

    key = PlanKey("net", "00", (16, 16), "tensorrt", "10", "gpu", "sm_86")
    if (folder / "plan").exists():
        (folder / "plan").rename(folder / key.file_name)
    plan = kept_plan(key, folder)
    check(plan is None or isinstance(plan, bytes), "a plan that is none")
    (folder / "unet.onnx").write_bytes(b"net")
    try:
        check(load_shipped(("fp32",), folder).onnx == b"net", "another network")
    except NetworkError as error:
        raise TrueflowError(str(error)) from error


HDF5_WORDS = ("raw_data", "scan", "values", "coordinates", "probe_geometry", "RF", "param", "RcvData", "Receive")
SCENE_WORDS = (
    "tube", "bifurcation", "chamber", "disk", "points_m", "radius_m", "flow", "stenosis", "bulb", "tissue", "dropouts",
    "peak", "cycle_s", "2.5vN", "level_db", "none", "pulse", "sinusoidal", "womersley", "plug", "frames", "prf",
    "angle",
    "mode", "fast", "convex", "phased", "stagger", "3:4", "pulses", "seed", "snr", "fps", "bandwidth", "f_number",
    "[[vessels]]\n",
)  # fmt: skip
CONFIG_WORDS = (
    "acquisition", "grid", "clutter", "dealias", "mask", "display", "segment", "doppler", "persistence", "beamform",
    "name", "prf_hz", "n_x", "n_z", "stagger", "auto", "on", "off", "none", "network", "order", "regions", "polynomial",
    "=", "\n", "[grid]\n", "true", "0.5", "3:4", '"auto"', "section.key=",
)  # fmt: skip
ARRUS_WORDS = (
    "file", "filepath", "n_frames", "probe_id", "{", "}", "<", ">", "[", "]", ":", '"x.bin"', '"/etc/passwd"', "probe",
    "sequence", "angles_rad", "virtual_sources_m", "n_repeats", "n_samples", "iq", "stagger", '"3:4"', "convex",
    "radius_m",
    "SEPARATOR", "\n", "n_receive_firings", '"../x.bin"',
)  # fmt: skip

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target("zea", _read_file, (mutate_hdf5,), always_clean=False),
        Target("uff", _read_file, (mutate_hdf5,), always_clean=False),
        Target("must", _read_file, (mutate_hdf5, mutate_mat5), always_clean=False),
        Target("verasonics", _read_file, (mutate_hdf5, mutate_mat5), always_clean=False),
        Target("us4us", _read_file, (mutate_pickle,)),
        Target("arrus", _read_arrus, (text_of(*ARRUS_WORDS), mutate_numbers), names=("x.prototxt", "x.toml", "x.bin")),
        Target("tfr", _read_tfr, (mutate_recording,)),
        Target(
            "scene",
            _read_scene,
            (text_of(*SCENE_WORDS), mutate_numbers, mutate_numbers),
            0.9,
            names=("scene.toml", "options"),
            cpu_s=60.0,
        ),
        Target(
            "config", _read_config, (text_of(*CONFIG_WORDS), mutate_numbers), 0.9, names=("config.toml", "settings")
        ),
        Target(
            "arrus_session",
            _read_arrus_session,
            (text_of("sequence", "device", "demodulation", "angles_rad"), mutate_numbers),
            0.9,
            names=("us4r.toml", "options", "us4r.prototxt"),
        ),
        Target("messages", _read_messages, (mutate_messages,)),
        _SegmentTarget("shared_memory", _read_segment, (mutate_segment,)),
        Target("network", _read_network, may_start=True),
        Target("weights", _read_weights, (mutate_plan,), names=("weights.json", "plan")),
    )
}
