"""HDF5 files that lead to other files, or make much out of little: refused before anything of it is read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest

from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.sources import open_source
from trueflow.pipeline.sources.hdf5 import child, names_in
from trueflow.pipeline.sources.hdf5_check import LONGEST_CHAIN

Write = Callable[..., Path]
RAW = "tracks/track_0/data/raw_data"
SHAPE = (6, 1, 23, 17, 1)


@pytest.fixture
def change(write_zea: Write) -> Callable[..., Path]:
    """A zea file whose samples, or another node, are replaced."""

    def change(replace: Callable[[h5py.File], Any], name: str = RAW) -> Path:
        path = write_zea()
        with h5py.File(path, "a") as file:
            del file[name]
            replace(file)
        return path

    return change


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Another file, with samples that would fit."""
    path = tmp_path / "secret.h5"
    with h5py.File(path, "w") as file:
        file["samples"] = np.zeros(SHAPE, np.int16)
    return path


def test_a_link_to_another_file_is_not_followed(change: Callable[..., Path], secret: Path) -> None:
    def link(file: h5py.File) -> None:
        file[RAW] = h5py.ExternalLink(secret.name, "/samples")

    with pytest.raises(TrueflowError, match="raw_data: is in another file; found a link"):
        open_source(change(link))


def test_nor_is_one_that_a_soft_link_leads_through(change: Callable[..., Path], tmp_path: Path) -> None:
    """Followed, it would wait for ever: the other file is a pipe."""
    os.mkfifo(tmp_path / "pipe.h5")

    def link(file: h5py.File) -> None:
        file["hidden"] = h5py.ExternalLink("pipe.h5", "/")
        file[RAW] = h5py.SoftLink("/hidden/samples")

    with pytest.raises(TrueflowError, match=r"is in another file; found a link"):
        open_source(change(link))


@pytest.mark.parametrize("kind", ["external", "virtual"])
def test_samples_in_another_file_are_not_read(
    change: Callable[..., Path], secret: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(h5py.Dataset, "is_virtual", False)  # to open a virtual dataset is too much already

    def external(file: h5py.File) -> None:
        file.create_dataset(RAW, SHAPE, np.int16, external=[(str(secret), 0, 2 * int(np.prod(SHAPE)))])

    def virtual(file: h5py.File) -> None:
        layout = h5py.VirtualLayout(SHAPE, np.int16)
        layout[...] = h5py.VirtualSource(secret.name, "samples", SHAPE)
        file.create_virtual_dataset(RAW, layout)

    with pytest.raises(TrueflowError, match=f"is in another file; found (a {kind} dataset|{kind} storage)"):
        open_source(change(external if kind == "external" else virtual))


def test_soft_links_inside_the_file_are_followed(change: Callable[..., Path]) -> None:
    def link(file: h5py.File) -> None:
        file["elsewhere/samples"] = np.ones(SHAPE, np.int16)
        file["one"] = h5py.SoftLink("elsewhere")
        file[RAW] = h5py.SoftLink("/./one//samples")

    with open_source(change(link)) as recording:
        assert (recording.read(0, 6) == 1).all()


def test_links_in_a_circle_and_into_nowhere(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "links.h5", "w") as file:
        file["one"], file["other"] = h5py.SoftLink("/other"), h5py.SoftLink("/one")
        file["gone"], file["number"] = h5py.SoftLink("/nothing/here"), 1.0
        file["through"] = h5py.SoftLink("/number/below")
        for number in range(LONGEST_CHAIN):
            file[f"link{number}"] = h5py.SoftLink(f"link{number + 1}")
        file[f"link{LONGEST_CHAIN}"] = 2.0
        with pytest.raises(TrueflowError, match="one: links in a circle"):
            child(file, "one")
        assert child(file, "gone") is child(file, "through") is child(file, "missing") is None
        assert child(file, "link0")[()] == 2.0


@pytest.mark.parametrize(
    ("shape", "chunks"),
    [
        ((6, 1, 1 << 21, 17, 1), (1, 1, 1 << 10, 17, 1)),  # 428 MB, of which 35 kB are stored
        ((1 << 60, 1, 23, 17, 1), (1, 1, 23, 17, 1)),
        (SHAPE, (1 << 24, 1, 23, 1, 1)),  # 771 MB to unpack for one pulse
        ((1, 1, 300, 300, 1), (1, 1, 1, 1, 1)),  # 90,000 chunks to look for
    ],
)
def test_much_is_not_made_out_of_little(
    change: Callable[..., Path], shape: tuple[int, ...], chunks: tuple[int, ...]
) -> None:
    def grow(file: h5py.File) -> None:
        file.create_dataset(RAW, shape, np.int16, chunks=chunks, maxshape=(None,) * 5)[0, 0, 0, 0, 0] = 1

    def declare(file: h5py.File) -> None:
        file.create_dataset(RAW, shape, np.int16, chunks=chunks, maxshape=(None,) * 5)

    with pytest.raises(TrueflowError, match="implausibly large for what is stored of it"):
        open_source(change(declare if max(chunks) > 1 << 20 else grow))


def test_a_field_of_another_type_is_not_read_to_find_out(change: Callable[..., Path]) -> None:
    name = "tracks/track_0/scan/sound_speed"

    def declare(file: h5py.File) -> None:
        file.create_dataset(name, (1000,), "S60000", chunks=(1,))

    with pytest.raises(TrueflowError, match=r"sound_speed: not a number; found \|S60000"):
        open_source(change(declare, name))


def test_filters_that_recordings_do_not_use_are_not_run(change: Callable[..., Path]) -> None:
    def pack(file: h5py.File) -> None:
        data = np.ones(SHAPE, np.float32)
        file.create_dataset(RAW, data=data, chunks=SHAPE, **hdf5plugin.SZ3(absolute=0.1))

    with pytest.raises(TrueflowError, match=r"compressed in a way that is not known; found filter \d+"):
        open_source(change(pack))


def test_a_group_with_too_many_members(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "many.h5", "w", libver="latest") as file:
        file["one"] = 1
        for number in range(1 << 14):
            file[f"x{number}"] = file["one"]
        with pytest.raises(TrueflowError, match="implausibly many members"):
            names_in(file)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.h5")
    with pytest.raises(TrueflowError, match=r"pipe.h5: is not a file"):
        open_source(tmp_path / "pipe.h5")
    with pytest.raises(TrueflowError, match="is not a file"):
        open_source("/dev/zero")


def test_a_field_that_no_float_holds_is_not_finite(change: Callable[..., Path]) -> None:
    name = "tracks/track_0/scan/initial_times"

    def put(file: h5py.File) -> None:
        file[name] = np.array([np.longdouble("1e400")])

    with pytest.raises(TrueflowError, match="initial_times: not finite"):
        open_source(change(put, name))


def test_samples_without_a_shape_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "empty.mat", "w") as file:
        file["RF"] = h5py.Empty("f4")
        file["param/fs"] = 20e6
    with pytest.raises(TrueflowError, match="RF: wrong rank"):
        open_source(tmp_path / "empty.mat")
