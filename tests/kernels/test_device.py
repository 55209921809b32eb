"""The seam: signatures come from the source, arguments are checked against it, memory comes back to its pool."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from trueflow.kernels import DeviceUnavailableError, device_names, get_device
from trueflow.kernels.cpu import ALIGNMENT
from trueflow.kernels.device import Device, register_device
from trueflow.kernels.library import LEVELS, available_levels, library_path, machine_levels, sources_hash
from trueflow.kernels.source import KERNEL_FOLDER, load_source


def blend_arguments(device: Device):
    params = load_source("maps").struct("BlendParams", n_pixels=6, factor=0.5)
    real = [device.zeros(6, np.float32) for _ in range(3)]
    imag = [device.zeros(6, np.complex64) for _ in range(3)]
    return [params, real[0], imag[0], real[1], imag[1], real[2], imag[2]]


def test_every_kernel_file_parses_and_every_kernel_is_in_the_library(device):
    stems = sorted(path.stem for path in KERNEL_FOLDER.glob("*.cu"))
    assert "das" in stems
    for stem in stems:
        source = load_source(stem)
        assert source.kernels, stem
        for name in source.kernels:
            widths = device.packet_widths if name in source.on_packets else (None,)
            for width in widths:
                device.kernel(stem, name, packet_width=width)


def test_struct_layout_is_read_from_the_source():
    dtype = load_source("das").structs["DasParams"]
    assert dtype.names is not None
    assert dtype.names[:2] == ("n_x", "n_z")
    assert dtype.itemsize == 4 * len(dtype.names)
    assert dtype["taper"] == np.float32


def test_a_missing_or_unknown_struct_field_is_refused():
    source = load_source("maps")
    with pytest.raises(TypeError, match="missing"):
        source.struct("BlendParams", n_pixels=3)
    with pytest.raises(TypeError, match="unknown"):
        source.struct("BlendParams", n_pixels=3, factor=0.1, n_pixel=3)
    with pytest.raises(OverflowError, match="32 bits"):
        source.struct("BlendParams", n_pixels=2**31, factor=0.1)


def test_a_float64_array_is_refused(device):
    arguments = blend_arguments(device)
    arguments[1] = np.zeros(6)
    with pytest.raises(TypeError, match="r0 has dtype float64"):
        device.kernel("maps", "blend")((1, 1, 1), (8, 1, 1), *arguments)


def test_swapped_arguments_are_refused(device):
    arguments = blend_arguments(device)
    arguments[1], arguments[2] = arguments[2], arguments[1]
    with pytest.raises(TypeError, match="r0 has dtype complex64"):
        device.kernel("maps", "blend")((1, 1, 1), (8, 1, 1), *arguments)


def test_a_strided_array_is_refused(device):
    arguments = blend_arguments(device)
    arguments[1] = np.zeros(12, np.float32)[::2]
    with pytest.raises(TypeError, match="C-contiguous"):
        device.kernel("maps", "blend")((1, 1, 1), (8, 1, 1), *arguments)


def test_a_wrong_number_of_arguments_is_refused(device):
    with pytest.raises(TypeError, match="takes 7 arguments, got 6"):
        device.kernel("maps", "blend")((1, 1, 1), (8, 1, 1), *blend_arguments(device)[:-1])


def test_packet_width_belongs_to_packet_kernels(device):
    with pytest.raises(TypeError, match="packet_width"):
        device.kernel("maps", "blend", packet_width=8)
    with pytest.raises(TypeError, match="packet_width"):
        device.kernel("das", "das")


def test_arrays_are_aligned_and_blocks_come_back(device):
    array = device.empty((1000, 33), np.float32)
    address = array.ctypes.data
    assert address % ALIGNMENT == 0
    view = array[10:]
    del array
    assert device.empty((1000, 33), np.float32).ctypes.data != address  # the view still holds it
    del view
    assert device.empty((1000, 33), np.float32).ctypes.data == address


def test_packet_width_is_the_narrowest_that_holds_the_ensemble(device):
    assert [device.packet_width(n) for n in (1, 4, 5, 16, 17, 33, 100)] == [4, 4, 8, 16, 32, 32, 32]


def test_an_unknown_device_names_the_known_ones():
    with pytest.raises(DeviceUnavailableError, match="cpu, cuda"):
        get_device("tpu")
    assert device_names() == ("cpu", "cuda")


def test_asking_for_a_gpu_that_is_not_there_says_what_is_missing():
    if Path("/dev/nvidia0").exists():
        pytest.skip("this machine has a GPU")
    with pytest.raises(DeviceUnavailableError, match=r"CuPy|driver"):
        get_device("cuda")


def test_registering_a_device_twice_is_refused():
    with pytest.raises(ValueError, match="already"):
        register_device("cpu", get_device)


def test_the_library_suits_the_machine(monkeypatch):
    assert set(available_levels()) <= set(LEVELS)
    monkeypatch.delenv("TRUEFLOW_LIBRARY", raising=False)
    assert library_path() == available_levels()[machine_levels()[0]]


def test_a_level_this_machine_lacks_is_refused(monkeypatch):
    monkeypatch.delenv("TRUEFLOW_LIBRARY", raising=False)
    monkeypatch.setenv("TRUEFLOW_LEVEL", "x86-64-v9")
    with pytest.raises(RuntimeError, match="x86-64-v9"):
        library_path()


def test_a_forked_child_computes():
    """It has none of its parent's threads. (Of children without a pool of their own one in five hung.)"""
    program = (
        "import os, numpy as np; from trueflow.kernels import get_device; "
        "from trueflow.kernels.autocorrelate import Autocorrelator; "
        "x = np.ones((64, 64, 12), np.complex64); "
        "plan = Autocorrelator(get_device('cpu', n_threads=2), shape=(64, 64), n_ensemble=12)\n"
        "for _ in range(40):\n"
        "    plan(x); child = os.fork()\n"
        "    if not child: plan(x); plan(x); os._exit(0 if np.allclose(plan(x)[0], 1) else 1)\n"
        "    assert os.waitpid(child, 0)[1] == 0"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_a_library_of_other_kernels_is_refused(tmp_path):
    other = tmp_path / "trueflow_other.so"
    built, own = library_path().read_bytes(), sources_hash().encode()
    assert own in built
    other.write_bytes(built.replace(own, own[::-1]))
    program = "from trueflow.kernels import get_device; get_device('cpu')"
    environment = os.environ | {"TRUEFLOW_LIBRARY": str(other)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.returncode != 0
    assert "built from other kernels than these: install Trueflow again" in done.stderr


@pytest.mark.parametrize("level", [level for level in machine_levels() if level in available_levels()])
def test_every_build_gives_the_same_picture(level):
    """The builds differ in rounding (fused products), not in results."""
    program = (
        "import numpy as np; from trueflow.kernels import get_device; "
        "from trueflow.kernels.autocorrelate import Autocorrelator; "
        "x = np.exp(1j * np.arange(7 * 5 * 12)).astype(np.complex64).reshape(7, 5, 12); "
        "r0, r1 = Autocorrelator(get_device('cpu'), shape=(7, 5), n_ensemble=12)(x); "
        "assert np.allclose(r0, 1, atol=1e-6) and np.allclose(np.angle(r1), 1, atol=1e-6)"
    )
    environment = {k: v for k, v in os.environ.items() if k != "TRUEFLOW_LIBRARY"}
    subprocess.run([sys.executable, "-c", program], check=True, env={**environment, "TRUEFLOW_LEVEL": level})
