"""The format of a recording is decided by its content."""

from __future__ import annotations

import gzip
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.sources import open_source, registry
from trueflow.pipeline.sources.must import MustRecording
from trueflow.pipeline.sources.uff import UffRecording
from trueflow.pipeline.sources.zea import ZeaRecording

Write = Callable[..., Path]


@pytest.mark.parametrize("name", ["recording.mat", "recording.bin", "recording"])
def test_names_do_not_matter(write_must: Write, write_zea: Write, write_uff: Write, name: str) -> None:
    for write, kind in ((write_must, MustRecording), (write_zea, ZeaRecording), (write_uff, UffRecording)):
        path = write()
        moved = path.with_name(name)
        path.replace(moved)
        with open_source(str(moved)) as recording:
            assert type(recording) is kind
            assert recording.path == moved


def test_older_zea_files_are_known(write_zea: Write) -> None:
    assert open_source(write_zea(legacy=True)).format_name == "zea"


def asked(monkeypatch: pytest.MonkeyPatch, path: Path) -> str:
    """Which reader a file is handed to."""
    handed = []

    class Module:
        def __getattr__(self, name: str) -> Callable[[Path], str]:
            handed.append(name)
            return lambda path: name

    monkeypatch.setattr(registry, "import_module", lambda name: Module())
    open_source(path)
    return handed[0]


def test_verasonics_workspaces_of_both_ages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    savemat(tmp_path / "old.mat", {"Receive": 1, "Trans": 2, "RcvData": 3})
    with h5py.File(tmp_path / "new.mat", "w", userblock_size=512) as file:
        file["Receive"], file["Trans"] = 1, 2
    with (tmp_path / "new.mat").open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file")
    assert asked(monkeypatch, tmp_path / "old.mat") == "VerasonicsRecording"
    assert asked(monkeypatch, tmp_path / "new.mat") == "VerasonicsRecording"


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize("packed", [False, True])
def test_pickles_are_us4us_captures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, protocol: int, packed: bool
) -> None:
    content = pickle.dumps({"data": []}, protocol)
    (tmp_path / "capture").write_bytes(gzip.compress(content) if packed else content)
    assert asked(monkeypatch, tmp_path / "capture") == "Us4usRecording"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.bin", b"\0\1\2\3"), ("device.txt", b'file: { filepath: "x.bin" n_frames: 3 }'),
        ("x.toml", b"[probe]\nn_elements = 8\n[sequence]\n"),
    ],
)
def test_parts_of_an_arrus_file_device(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    assert asked(monkeypatch, tmp_path / name) == "ArrusBinRecording"


def test_readers_named_in_the_registry_exist() -> None:
    from importlib import import_module

    for entry in registry._FORMATS.values():
        assert getattr(import_module(entry.module), entry.reader).format_name


def test_a_result_is_no_recording(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "r.h5", "w") as file:
        file["flow/velocity_m_s"] = np.zeros((1, 2, 3))
        file.create_group("tracks")
    with pytest.raises(TrueflowError, match=r"r\.h5: is a Trueflow result, not a recording"):
        open_source(tmp_path / "r.h5")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"hello", r"not a recording; found a file that begins with b'hello'; expected one of UFF, Verasonics, MUST"),
        (b"\x1f\x8b broken", "cannot be decompressed"),
        (gzip.compress(b"text"), r"not a recording; found a file that begins with b'text'"),
        (gzip.compress(b"\x80" + bytes(9999))[:20], "cannot be decompressed"),
        (b"\x89HDF\r\n\x1a\n", r"cannot be read.*is the file truncated"),
        (b"MATLAB 7.3 MAT-file", "cannot be read"),
        (b"MATLAB 5.0 MAT-file", "cannot be read"),
    ],
)
def test_unknown_and_damaged_content_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(TrueflowError, match=message) as caught:
        open_source(path)
    assert str(path) in str(caught.value)


def test_unknown_variables_are_listed(tmp_path: Path) -> None:
    savemat(tmp_path / "x.mat", {"b": 1, "a": 2})
    with pytest.raises(TrueflowError, match="not a recording; found matlab holding a, b; expected one of"):
        open_source(tmp_path / "x.mat")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a"] = 1
    with pytest.raises(TrueflowError, match="not a recording; found hdf5 holding a; expected one of"):
        open_source(tmp_path / "x.h5")


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrueflowError, match="absent: cannot be opened; found No such file or directory"):
        open_source(tmp_path / "absent")
    with pytest.raises(TrueflowError, match="is a folder"):
        open_source(tmp_path)
    with pytest.raises(TrueflowError, match="not a path"):
        open_source("a\0b")


def test_schemes_and_formats_are_registered_once(monkeypatch: pytest.MonkeyPatch, write_must: Write) -> None:
    monkeypatch.setattr(registry, "_SCHEMES", {})
    monkeypatch.setattr(registry, "_FORMATS", dict(registry._FORMATS))
    with pytest.raises(TrueflowError, match=r"sim://tube: unknown kind of source"):
        open_source("sim://tube")
    recording, urls = MustRecording(write_must()), []

    def opener(url: str) -> MustRecording:
        urls.append(url)
        return recording

    registry.register_scheme("sim", opener)
    assert open_source("sim://tube?v=2") is recording
    assert urls == ["sim://tube?v=2"]
    with pytest.raises(TrueflowError, match="registered twice; found sim"):
        registry.register_scheme("sim", opener)
    with pytest.raises(TrueflowError, match="registered twice; found zea"):
        registry.register_format("zea", lambda content: True, "a:b")
    with pytest.raises(TrueflowError, match=r"sin://x: unknown kind of source; found sin://; did you mean 'sim'"):
        open_source("sin://x")


def test_nothing_heavy_is_imported_before_a_file_is_met() -> None:
    code = (
        "import sys, trueflow.pipeline.sources\n"
        "print([m for m in ('h5py', 'scipy', 'hdf5plugin') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.recordings
@pytest.mark.parametrize(
    ("name", "kind"),
    [("PWI_disk.mat", "MUST"), ("rotating_disk_zea.hdf5", "zea"), ("rotating_disk.uff", "UFF")],
)
def test_the_real_recordings_are_recognised(recordings: Path, name: str, kind: str) -> None:
    with open_source(recordings / name) as recording:
        assert recording.format_name == kind
