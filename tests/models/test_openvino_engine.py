"""The network by OpenVINO: right whatever the size and the number of threads, clear words for what does not fit."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from networks import tiny_logits, tiny_network
from tolerances import EPS

from trueflow.kernels import Device, get_device
from trueflow.models import openvino_engine
from trueflow.models.openvino_engine import OpenVinoEngine
from trueflow.models.weights import Network, NetworkError, load_shipped

PADDED = (48, 32)


def image(rng, padded=PADDED):
    return rng.normal(0, 1, (1, 10, *padded)).astype(np.float32)


@pytest.mark.parametrize("padded", [(16, 16), (48, 32), (32, 160)])
def test_logits_are_those_of_the_network(device, rng, tiny, padded):
    tensor = image(rng, padded)
    expected = tiny_logits(tensor)
    # 90 products of unit size into each of 8 channels, times weights of 0.5: half of it is far more than is met.
    bound = (90 + 8) * EPS * 0.5 * float(np.abs(tensor).max()) * 8
    np.testing.assert_allclose(OpenVinoEngine(device, tiny, padded=padded)(tensor), expected, atol=bound)


def test_the_next_image_is_seen_in_the_same_array_and_in_another(device, rng, tiny):
    engine, tensor = OpenVinoEngine(device, tiny, padded=PADDED), image(rng)
    first = engine(tensor).copy()
    tensor[:] = image(rng)
    second = engine(tensor).copy()
    np.testing.assert_allclose(second, tiny_logits(tensor), atol=1e-4)
    assert np.abs(second - first).max() > 0.1
    other = image(rng)
    np.testing.assert_allclose(engine(other), tiny_logits(other), atol=1e-4)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_number_of_threads_changes_nothing(rng, precision):
    network, tensor = load_shipped((precision,)), rng.normal(0, 0.3, (1, 10, 96, 112)).astype(np.float32)
    logits = []
    for n in (1, 2, 3):
        engine = OpenVinoEngine(get_device("cpu", n_threads=n), network, padded=(96, 112))
        logits.append(engine(tensor).copy())
    for other in logits[1:]:
        np.testing.assert_array_equal(other, logits[0])


def test_threads_rest_between_images(device, rng, tiny):
    """What spins takes the processor from the kernels, which use the same cores in turn."""
    engine, tensor = OpenVinoEngine(device, tiny, padded=(256, 192)), image(rng, (256, 192))
    engine(tensor)
    began = time.process_time()
    time.sleep(0.2)
    assert time.process_time() - began < 0.05


def test_threads_are_the_devices_unless_given(tiny):
    for n in (1, 2):
        assert OpenVinoEngine(get_device("cpu", n_threads=n), tiny, padded=PADDED).n_threads == n
    assert OpenVinoEngine(get_device("cpu", n_threads=2), tiny, padded=PADDED, n_threads=1).n_threads == 1


def test_arrays_of_another_device_are_brought_and_taken(rng, tiny):
    """Somebody with a GPU may choose OpenVINO all the same."""
    tensor, there = image(rng), {"up": 0, "down": 0}
    far = mock.Mock(spec=Device)
    far.name = "cuda"

    def upload(array):
        there["up"] += 1
        return array.copy()

    def download(array):
        there["down"] += 1
        return array.copy()

    far.upload, far.download = upload, download
    engine = OpenVinoEngine(far, tiny, padded=PADDED, n_threads=1)
    for _ in range(2):
        np.testing.assert_allclose(engine(tensor), tiny_logits(tensor), atol=1e-4)
    assert there == {"up": 2, "down": 2}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_inputs": 9}, r"of \[1,9,\?,\?\] and 1 outputs, expected one input \(1, 10, H, W\)"),
        ({"n_outputs": 5}, r"it makes \(1, 5, 48, 32\), expected \(1, 6, 48, 32\)"),
        ({"stride": 2}, r"it makes \(1, 6, 24, 16\), expected \(1, 6, 48, 32\)"),
    ],
)
def test_a_network_of_another_shape_is_refused(device, options, words):
    with pytest.raises(NetworkError, match=words):
        OpenVinoEngine(device, Network("other", "own", "0", tiny_network(**options)), padded=PADDED)


def test_what_is_no_network_is_refused(device):
    with pytest.raises(NetworkError, match="OpenVINO does not take the network noise: "):
        OpenVinoEngine(device, Network("noise", "own", "0", b"no network"), padded=PADDED)


def test_without_openvino_the_error_says_what_to_install(device, tiny):
    with mock.patch.dict(sys.modules, {"openvino": None}), pytest.raises(NetworkError, match="pip install openvino"):
        OpenVinoEngine(device, tiny, padded=PADDED)


CRASHES = Path(__file__).resolve().parents[1] / "fuzz" / "crashes" / "network"


def test_a_network_on_which_openvino_crashes_is_refused(device):
    """It is tried in a process of its own first."""
    (damaged,) = CRASHES.glob("crash-*")
    with pytest.raises(NetworkError, match=r"OpenVINO crashes on the network x \(signal 11\)"):
        OpenVinoEngine(device, Network("x", "own", "0", damaged.read_bytes()), padded=(16, 16))


def test_a_network_that_never_ends_is_refused(device, monkeypatch):
    monkeypatch.setattr(openvino_engine, "PATIENCE_S", 0.01)
    with pytest.raises(NetworkError, match="does not come to an end with the network x"):
        OpenVinoEngine(device, Network("x", "own", "0", tiny_network()), padded=(16, 16))


def test_what_is_tried_is_the_installed_package(device, tmp_path, monkeypatch):
    """Not what lies in the folder that one happens to be in."""
    (tmp_path / "trueflow.py").write_text("raise SystemExit(-9)")
    (tmp_path / "numpy.py").write_text("raise SystemExit(-9)")
    monkeypatch.chdir(tmp_path)
    with mock.patch.object(openvino_engine.subprocess, "run", wraps=openvino_engine.subprocess.run) as run:
        OpenVinoEngine(device, Network("y", "own", "1", tiny_network()), padded=(16, 16))
    (folder,) = (call.kwargs["cwd"] for call in run.call_args_list)
    assert (folder / "trueflow" / "__init__.py").is_file()


def test_shipped_networks_are_known_and_not_tried(device, monkeypatch):
    monkeypatch.setattr(openvino_engine.subprocess, "run", lambda *_, **__: 1 / 0)
    openvino_engine._compiled.cache_clear()
    OpenVinoEngine(device, load_shipped(("fp32",)), padded=(16, 16))
