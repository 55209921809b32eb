"""What an HDF5 file may not do to its reader: lead it to other files, or make much out of little.

A link may name another file, and so may a dataset whose samples are stored "externally" or are put together from
others ("virtual"): neither is followed. A few bytes may declare exabytes, which read as zeros, and a chunk may unpack
to gigabytes: a dataset may declare no more than deflate can make of what is stored.
"""

from __future__ import annotations

import math
from typing import Any

import h5py
import numpy as np

from trueflow.pipeline.errors import TrueflowError
from trueflow.pipeline.sources.fields import LARGEST_DEFLATE_RATIO, LARGEST_SAMPLE_BYTES
from trueflow.pipeline.sources.hdf5_text import is_virtual

__all__ = ["check_dataset", "follow", "follow_reference"]

LONGEST_CHAIN = 16  # of soft links
# What any dataset may declare: fill values need not be stored, and Blosc makes next to nothing of a constant.
UNSTORED_BYTES = 1 << 26
UNSTORED_CHUNKS = 1 << 16  # each is looked for when it is read, which takes 5 us
# Deflate, shuffle, Fletcher's checksum, szip, n-bit and scale-offset are HDF5's own; LZF, Blosc, LZ4, bitshuffle,
# Zstandard and Blosc 2 are what recordings are compressed with. Others are more code that a file could make run.
FILTERS = {1, 2, 3, 4, 5, 6, 32000, 32001, 32004, 32008, 32015, 32026}


def follow(group: h5py.Group, path: str, *, where: str, n_followed: int = 0) -> Any:
    """The node at a path below a group, or None.

    Raises
    ------
    TrueflowError
        For a link to another file, and links that go in a circle.
    """
    node: Any = group.file if path.startswith("/") else group
    for name in path.split("/"):
        if name in ("", "."):
            continue
        if not isinstance(node, h5py.Group):
            return None
        key = name.encode("utf-8", "surrogateescape")
        if not node.id.links.exists(key):
            return None
        link = node.id.links.get_info(key)
        kind = link.type
        if kind == h5py.h5l.TYPE_HARD:
            _refuse_virtual(node, link.u, where)
            node = node[name]
        elif kind == h5py.h5l.TYPE_SOFT:
            if n_followed == LONGEST_CHAIN:
                raise TrueflowError("links in a circle", where=where, expected=f"at most {LONGEST_CHAIN} in a row")
            target = node.id.links.get_val(key).decode("utf-8", "surrogateescape")
            node = follow(node, target, where=where, n_followed=n_followed + 1)
        else:
            _refuse(where, "a link")
    return node


def follow_reference(dataset: h5py.Dataset, index: tuple[int, ...], *, where: str) -> Any:
    """The node that an element of a dataset of object references stands for; None where it stands for nothing.

    Raises
    ------
    TrueflowError
        For a virtual dataset.
    """
    reference = dataset[index]
    if not reference:
        return None
    address, element = np.empty((), np.uint64), dataset.id.get_space()
    if index:  # all of it is selected where there is one element
        element.select_elements([index])
    dataset.id.read(h5py.h5s.create(h5py.h5s.SCALAR), element, address, mtype=h5py.h5t.STD_REF_OBJ)
    _refuse_virtual(dataset, int(address), where)
    return dataset.file[reference]


def _refuse_virtual(node: Any, address: int, where: str) -> None:
    if is_virtual(node, address):
        _refuse(where, "a virtual dataset")


def check_dataset(dataset: h5py.Dataset, where: str) -> None:
    """Look at how a dataset is stored, without reading it.

    Raises
    ------
    TrueflowError
        Content in other files, a filter that recordings do not use, more declared than can be stored.
    """
    if dataset.is_virtual or dataset.external:
        _refuse(where, "a virtual dataset" if dataset.is_virtual else "external storage")
    properties = dataset.id.get_create_plist()
    for index in range(properties.get_nfilters()):
        code = properties.get_filter(index)[0]
        if code not in FILTERS:
            raise TrueflowError(
                "compressed in a way that is not known", where=where, found=f"filter {code}",
                expected=f"one of {', '.join(map(str, sorted(FILTERS)))}", advice="h5repack -f GZIP=1 makes a copy",
            )
    if dataset.shape is None:
        return
    itemsize, stored = dataset.dtype.itemsize, dataset.id.get_storage_size()
    declared = itemsize * math.prod(int(n) for n in dataset.shape)
    chunk = itemsize * math.prod(int(n) for n in dataset.chunks) if dataset.chunks else 0
    stored = min(stored, int(dataset.file.id.get_filesize()))
    most = max(UNSTORED_BYTES, LARGEST_DEFLATE_RATIO * stored)
    steps = dataset.chunks or dataset.shape
    n_chunks = math.prod(-(-int(n) // int(step)) for n, step in zip(dataset.shape, steps, strict=True) if step)
    if declared > most or chunk > min(most, LARGEST_SAMPLE_BYTES) or n_chunks > UNSTORED_CHUNKS + stored:
        raise TrueflowError(
            "implausibly large for what is stored of it", where=where,
            found=f"{dataset.dtype} {dataset.shape}, {declared} bytes in {n_chunks} chunks of {chunk}",
            expected=f"what fits in {stored} stored bytes",
        )


def _refuse(where: str, what: str) -> None:
    raise TrueflowError(
        "is in another file", where=where, found=what, expected="a recording that is one file",
        advice="h5copy or h5repack can put it there",
    )
