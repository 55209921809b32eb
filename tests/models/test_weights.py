"""What is loaded is what was shipped, and says so where it is not."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from trueflow.models.weights import (
    FILES,
    MANIFEST,
    NetworkError,
    available,
    load_network,
    load_shipped,
    manifest,
    weights_folder,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Shipped weights of two precisions."""
    files = {FILES["fp32"]: b"thirty-two", FILES["int8"]: b"eight"}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    table = {name: {"sha256": hashlib.sha256(content).hexdigest()} for name, content in files.items()}
    (tmp_path / MANIFEST).write_text(json.dumps({"name": "test", "files": table}))
    return tmp_path


def test_the_first_of_the_preferred_precisions_that_is_there_is_loaded(folder):
    assert available(folder) == ("fp32", "int8")
    network = load_shipped(("fp16", "int8", "fp32"), folder)
    assert (network.precision, network.name, network.onnx) == ("int8", "unet_int8", b"eight")
    assert network.sha256 == hashlib.sha256(b"eight").hexdigest()


def test_a_precision_that_is_not_there_names_those_that_are(folder):
    with pytest.raises(NetworkError, match="no segmentation network in fp16; this installation has fp32, int8"):
        load_shipped(("fp16",), folder)


@pytest.mark.parametrize("damage", [b"Eight", b"", b"eight "])
def test_a_changed_file_is_refused(folder, damage):
    (folder / FILES["int8"]).write_bytes(damage)
    with pytest.raises(NetworkError, match=r"unet_int8\.onnx is not the file that belongs .* reinstall"):
        load_shipped(("int8",), folder)


def test_a_missing_file_is_named(folder):
    (folder / FILES["int8"]).unlink()
    with pytest.raises(NetworkError, match=r"unet_int8\.onnx cannot be read: No such file"):
        load_shipped(("int8",), folder)


@pytest.mark.parametrize("text", ["{", "[]", '{"files": []}'])
def test_a_damaged_manifest_is_refused(folder, text):
    (folder / MANIFEST).write_text(text)
    with pytest.raises(NetworkError, match=r"weights\.json is damaged"):
        manifest(folder)


def test_without_weights_the_error_says_what_to_do(tmp_path):
    with pytest.raises(NetworkError, match=r"network is missing .* reinstall trueflow, or name an ONNX file"):
        load_shipped(("int8",), tmp_path)


def test_a_network_of_ones_own_needs_no_manifest(tmp_path):
    path = tmp_path / "mine.onnx"
    path.write_bytes(b"mine")
    assert load_network(path).precision == "own"
    with pytest.raises(NetworkError, match=r"none\.onnx cannot be read"):
        load_network(tmp_path / "none.onnx")


def test_the_shipped_networks_are_whole_and_small():
    for precision in available():
        load_shipped((precision,))
    assert {"fp32", "int8"} <= set(available())
    assert sum(path.stat().st_size for path in weights_folder().iterdir()) <= 5e6


def test_deep_or_damaged_lists_are_one_error(folder):
    for text in ("[" * 100_000, "{", "[]"):
        (folder / MANIFEST).write_text(text)
        with pytest.raises(NetworkError, match="is damaged"):
            manifest(folder)


def test_a_network_names_no_other_files(tmp_path):
    """Runtimes would read them, wherever they are."""
    helper = pytest.importorskip("onnx").helper
    tensor = helper.make_tensor("w", 1, (2,), [1.0, 2.0])
    graph = helper.make_graph([], "g", [], [], [tensor])
    (tmp_path / "own.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    assert load_network(tmp_path / "own.onnx").precision == "own"
    graph.initializer[0].data_location = 1
    entry = graph.initializer[0].external_data.add()
    entry.key, entry.value = "location", "../../elsewhere"
    (tmp_path / "own.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    with pytest.raises(NetworkError, match=r"own.onnx keeps weights in other files"):
        load_network(tmp_path / "own.onnx")


def test_a_network_without_end_is_not_read_to_it():
    with pytest.raises(NetworkError, match="/dev/zero is larger than 256 MB"):
        load_network("/dev/zero")
