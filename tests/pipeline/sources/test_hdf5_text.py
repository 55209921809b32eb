"""Texts of variable length, found in the file's own bytes: what h5py reads, and nothing where the file is damaged."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from trueflow.pipeline.sources.hdf5 import text_attribute, text_dataset
from trueflow.pipeline.sources.hdf5_text import LONGEST_TEXT, MOST_OBJECTS, _Heaps, attribute_text, dataset_text

TEXTS = ("uff.channel_data", "", "é – µ", "x" * 5000)
LAYOUTS: tuple[dict[str, Any], ...] = (
    {}, {"libver": "latest"}, {"userblock_size": 512}, {"track_order": True}, {"libver": "latest", "track_order": True},
)  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("text", TEXTS, ids=["usual", "empty", "not ASCII", "long"])
def test_they_are_what_h5py_reads(tmp_path: Path, layout: dict[str, Any], text: str) -> None:
    path = tmp_path / "texts.h5"
    with h5py.File(path, "w", **layout) as file:
        group = file.create_group("group", track_order=layout.get("track_order"))
        for number in range(6):  # with names of odd lengths, and others' texts before it in the heap
            group.attrs["b" * number + "a"] = f"another text {number}"
        group.attrs["class"], group.attrs["after"] = text, 3.0
        group["name"] = text
    with h5py.File(path) as file:
        group = file["group"]
        assert attribute_text(group, "class") == group.attrs["class"] == text
        assert dataset_text(group["name"]) == group["name"].asstr()[()] == text
        assert text_attribute(group, "bba") == "another text 2"


def test_a_header_may_go_on_elsewhere(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "many.h5", "w") as file:
        for number in range(200):
            file.attrs[f"number {number}"] = f"text {number}"
    with h5py.File(tmp_path / "many.h5") as file:
        assert [attribute_text(file, f"number {n}") for n in (0, 7, 30)] == ["text 0", "text 7", "text 30"]


def test_texts_of_fixed_length_and_codes_are_left_to_the_library(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "fixed.h5", "w") as file:
        file.attrs["class"] = np.bytes_(b"uff.probe")
        file.attrs["codes"] = np.array([117, 102, 102], np.uint16)
        file.attrs["several"] = ["one", "two"]
        file.attrs["nothing"] = h5py.Empty("f4")
        file["name"] = np.bytes_(b"L12-5")
        file["table"] = np.zeros(3)
    with h5py.File(tmp_path / "fixed.h5") as file:
        found = [text_attribute(file, name) for name in ("class", "codes", "missing")]
        assert found == ["uff.probe", "uff", ""]
        assert [text_dataset(file, name) for name in ("name", "table", "missing")] == ["L12-5", "", ""]


def damaged(path: Path, find: bytes, at: int, change: bytes) -> None:
    content = bytearray(path.read_bytes())
    place = content.index(find) + at
    content[place : place + len(change)] = change
    path.write_bytes(content)


@pytest.fixture
def simple(tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "simple.h5", "w") as file:
        file["first"], file["name"] = "unnamed", "linear"
    return tmp_path / "simple.h5"


@pytest.mark.parametrize(
    ("find", "at", "change"),
    [
        (b"GCOL", 0, b"XXXX"),
        (b"GCOL", 4, b"\x07"),  # version
        (b"GCOL", 8, struct.pack("<Q", 16)),  # ends before its objects
        (b"GCOL", 24, struct.pack("<Q", 1 << 63)),  # an object beyond the file
        (b"GCOL", 24, struct.pack("<Q", 0)),  # of no length: the next one lies in it
    ],
)
def test_damage_costs_the_text_and_no_more(simple: Path, find: bytes, at: int, change: bytes) -> None:
    damaged(simple, find, at, change)
    with h5py.File(simple) as file:
        assert text_dataset(file, "name") in ("", "linear")
        assert text_dataset(file, "name") == "" or change == bytes(8)


def test_no_more_memory_is_taken_than_a_text_has(simple: Path) -> None:
    """The library would take 4 GiB before it looks for the text."""
    with h5py.File(simple) as file:
        place = file["name"].id.get_offset()
    content = bytearray(simple.read_bytes())
    for length, expected in ((LONGEST_TEXT + 1, None), ((1 << 32) - 1, None), (200, None), (3, "lin")):
        content[place : place + 4] = struct.pack("<I", length)
        simple.write_bytes(content)
        with h5py.File(simple) as file:
            assert dataset_text(file["name"]) == expected


class _EndlessHeaps:
    """A file whose every 4,096th byte begins a heap of empty objects without end."""

    n_reads = 0

    def read(self, address: int, n_bytes: int) -> bytes:
        self.n_reads += 1
        if address % 4096 == 0:
            return struct.pack("<4sB3xQ", b"GCOL", 1, 1 << 40)
        return struct.pack("<H6xQ", 1 + address % 65535, 0)


def test_all_heaps_of_a_file_are_walked_for_a_bounded_time_and_each_once() -> None:
    file, heaps = _EndlessHeaps(), _Heaps()
    for address in range(0, 4096 * 16384, 4096):
        heaps.objects(file, address)  # type: ignore[arg-type]
    assert MOST_OBJECTS // 2 < file.n_reads < 2 * MOST_OBJECTS
    before = file.n_reads
    heaps.objects(file, 0)  # type: ignore[arg-type]
    assert file.n_reads == before
