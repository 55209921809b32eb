"""Opens a recording by what is in it.

A file's content is summarised once (container and names of what it holds at the top); the formats, in their order of
registration, say whether it is theirs. Readers are imported only when their format is met.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from trueflow.pipeline.errors import TrueflowError, nearest
from trueflow.pipeline.sources.base import Recording

__all__ = ["Content", "files_of", "open_source", "register_format", "register_scheme", "supported_formats"]

HEAD_BYTES = 4096
SCHEME = re.compile(r"^([a-z][a-z0-9+.-]+)://")


@dataclass(frozen=True, slots=True)
class Content:
    """What is known of a file before a reader is chosen.

    Parameters
    ----------
    path : Path
    container : {"hdf5", "matlab", "pickle", "other"}
    head : bytes
        The first bytes, decompressed where the file is gzipped.
    names : frozenset of str
        Top-level groups, datasets or variables.
    classes : frozenset of str
        `class` attributes of the top-level groups.
    """

    path: Path
    container: Literal["hdf5", "matlab", "pickle", "other"]
    head: bytes
    names: frozenset[str] = frozenset()
    classes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Format:
    sniff: Callable[[Content], bool]
    module: str
    reader: str


_FORMATS: dict[str, _Format] = {}
_SCHEMES: dict[str, Callable[[str], Recording]] = {}


def register_format(name: str, sniff: Callable[[Content], bool], reader: str) -> None:
    """Add a file format.

    Parameters
    ----------
    name : str
    sniff : callable
        Whether a file with this content is of the format; formats are asked in the order of their registration.
    reader : str
        `module:class`, called with the path; imported when first needed.
    """
    if name in _FORMATS:
        raise TrueflowError("registered twice", where="source format", found=name, expected="a new name")
    module, _, attribute = reader.partition(":")
    _FORMATS[name] = _Format(sniff, module, attribute)


def register_scheme(scheme: str, opener: Callable[[str], Recording]) -> None:
    """Add a source that is no file: `opener` gets the whole URL, as in `scheme://rest`."""
    if scheme in _SCHEMES:
        raise TrueflowError("registered twice", where="source scheme", found=scheme, expected="a new name")
    _SCHEMES[scheme] = opener


def supported_formats() -> tuple[str, ...]:
    """Names of the file formats, in the order in which they are tried."""
    return tuple(_FORMATS)


def files_of(source: str | Path) -> list[Path]:
    """The files that an address names: none of them may be an output."""
    if isinstance(source, Path) or "://" not in source:
        return [Path(source)]
    path = Path(unquote(source.partition("://")[2].partition("?")[0]))
    return [path] if path.is_file() else []


def open_source(path: str | Path) -> Recording:
    """Open a recording; a file's format is decided by its content, not by its name.

    Parameters
    ----------
    path : str or Path
        A file, or a URL of a registered scheme.

    Raises
    ------
    TrueflowError
        No such file, nothing in it, content of no known format, or whatever its reader finds wrong.
    """
    if isinstance(path, str) and (url := SCHEME.match(path)):
        if url[1] not in _SCHEMES:
            advice = nearest(url[1], _SCHEMES) if _SCHEMES else "give a path to a recording"
            raise TrueflowError("unknown kind of source", where=path, found=f"{url[1]}://", advice=advice)
        return _SCHEMES[url[1]](path)
    content = _inspect(Path(path))
    if "flow" in content.names and content.container == "hdf5":
        raise TrueflowError(
            "is a Trueflow result, not a recording", where=str(path), advice="give the recording it was made from"
        )
    for entry in _FORMATS.values():
        if entry.sniff(content):
            reader: Callable[[Path], Recording] = getattr(import_module(entry.module), entry.reader)
            return reader(Path(path))
    held = f"{content.container} holding {', '.join(sorted(content.names)) or 'nothing'}"
    raise TrueflowError(
        "not a recording",
        where=str(path),
        found=held if content.container in ("hdf5", "matlab") else f"a file that begins with {content.head[:8]!r}",
        expected=f"one of {', '.join(_FORMATS)}",
    )


def _inspect(path: Path) -> Content:
    """Summarise a file."""
    try:
        if path.is_dir():
            raise TrueflowError("is a folder", where=str(path), expected="a recording")
        if path.exists() and not path.is_file():  # a pipe would be waited for, a device never ends
            raise TrueflowError("is not a file", where=str(path), expected="a recording")
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise TrueflowError("cannot be opened", where=str(path), found=error.strerror or str(error)) from error
    except ValueError as error:  # a path with a null character
        raise TrueflowError("not a path", where=repr(str(path)), found=str(error)) from error
    if not head:
        raise TrueflowError("is empty", where=str(path), found="0 bytes", expected="a recording")
    if head[:2] == b"\x1f\x8b":
        head = _gunzipped(path)
    if head[:1] == b"\x80":
        return Content(path, "pickle", head)
    if head.startswith(b"MATLAB 5.0"):
        return Content(path, "matlab", head, _matlab_names(path))
    if head.startswith((b"\x89HDF\r\n\x1a\n", b"MATLAB 7.3")):
        return _inspect_hdf5(path, head)
    return Content(path, "other", head)


def _gunzipped(path: Path) -> bytes:
    try:
        with gzip.open(path, "rb") as file:
            return file.read(HEAD_BYTES)
    except (OSError, EOFError, zlib.error) as error:
        raise TrueflowError(
            "cannot be decompressed", where=str(path), found=str(error), advice="is the file truncated or damaged?"
        ) from error


def _matlab_names(path: Path) -> frozenset[str]:
    from trueflow.pipeline.sources.mat5 import declared_variables  # scipy.io takes 0.2 s

    return frozenset(declared_variables(path))


def _inspect_hdf5(path: Path, head: bytes) -> Content:
    import h5py  # 0.2 s

    from trueflow.pipeline.sources.fields import naming
    from trueflow.pipeline.sources.hdf5 import child, class_of, names_in, open_hdf5

    with naming(path), open_hdf5(path) as file:
        names = names_in(file)
        groups = [node for node in (child(file, name) for name in names) if isinstance(node, h5py.Group)]
        return Content(path, "hdf5", head, frozenset(names), frozenset(class_of(group) for group in groups))


def _is_uff(content: Content) -> bool:
    return any(name.startswith("uff.") for name in content.classes)


def _is_verasonics(content: Content) -> bool:
    return content.container in ("hdf5", "matlab") and (
        {"Receive", "Trans"} <= content.names or "RcvData" in content.names
    )


def _is_must(content: Content) -> bool:
    return content.container in ("hdf5", "matlab") and bool({"RF", "param"} & content.names)


def _is_zea(content: Content) -> bool:
    return content.container == "hdf5" and ("tracks" in content.names or {"data", "scan"} <= content.names)


def _is_arrus_bin(content: Content) -> bool:
    described = b"filepath" in content.head or b"[sequence]" in content.head
    return content.container == "other" and (described or content.path.suffix.lower() == ".bin")


def _open_sim(url: str) -> Recording:
    from trueflow.pipeline.sim.recording import open_sim

    return open_sim(url)


def _open_tfr(url: str) -> Recording:
    from trueflow.pipeline.sources.recorded import open_tfr

    return open_tfr(url)


register_scheme("sim", _open_sim)
register_scheme("tfr", _open_tfr)
_HERE = "trueflow.pipeline.sources"
register_format("UFF", _is_uff, f"{_HERE}.uff:UffRecording")
register_format("Verasonics", _is_verasonics, f"{_HERE}.verasonics:VerasonicsRecording")
register_format("MUST", _is_must, f"{_HERE}.must:MustRecording")
register_format("zea", _is_zea, f"{_HERE}.zea:ZeaRecording")
register_format("us4us", lambda content: content.container == "pickle", f"{_HERE}.us4us:Us4usRecording")
register_format("Trueflow", lambda content: content.head.startswith(b"\x89TFR"), f"{_HERE}.recorded:LiveRecording")
register_format("ARRUS file device", _is_arrus_bin, f"{_HERE}.arrus_bin:ArrusBinRecording")
