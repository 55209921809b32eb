"""The sanitizer build is worth something only if it reports: kernels with planted mistakes must be stopped by it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LEVEL = "x86-64-v3" if platform.machine() == "x86_64" else "generic"

PLANTED = """\
#include "packet.cuh"
TF_PACKET_KERNEL(neighbours, int n, const float2* __restrict__ in, float2* __restrict__ out) {
  const int i = (blockIdx.x * blockDim.x + threadIdx.x) * PACKET_WIDTH;
  packet_store(out + i, packet_load(in + i) + packet_load(in + i + (n & 1)));  // odd n: reads past the end
}
TF_PACKET_KERNEL(sums, int n, const float2* __restrict__ in, float2* __restrict__ out) {
  const int i = (blockIdx.x * blockDim.x + threadIdx.x) * PACKET_WIDTH;
  const int sum = 2147483647 - 64 + n;  // overflows from n = 65
  packet_store(out + i, static_cast<float>(sum) * packet_load(in + i));
}
"""

LAUNCH = """\
import ctypes, os, sys
import numpy as np
symbol, n = sys.argv[1], int(sys.argv[2])
library = ctypes.CDLL(os.environ["TRUEFLOW_LIBRARY"])
given, out = np.ones(64, np.complex64), np.empty(64, np.complex64)
count, source, target = ctypes.c_int(n), ctypes.c_void_p(given.ctypes.data), ctypes.c_void_p(out.ctypes.data)
arguments = (ctypes.c_void_p * 3)(*(ctypes.addressof(a) for a in (count, source, target)))
class Launch(ctypes.Structure):
    _fields_ = [("kernel", ctypes.c_void_p), ("shape", ctypes.c_uint32 * 6), ("arguments", ctypes.c_void_p)]
kernel = ctypes.cast(getattr(library, symbol), ctypes.c_void_p)
launch = Launch(kernel, (ctypes.c_uint32 * 6)(2, 1, 1, 64 // 2 // 4, 1, 1), ctypes.addressof(arguments))
library.tf_launch((ctypes.c_void_p * 1)(ctypes.addressof(launch)), ctypes.c_uint(1), ctypes.c_uint(2))
"""

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="the sanitizer build is made with g++")


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sanitized library of the planted kernels only, built as the real one is."""
    folder = tmp_path_factory.mktemp("planted")
    (folder / "kernels").mkdir()
    shutil.copy(ROOT / "CMakeLists.txt", folder)
    for pattern in ("*.cuh", "*.hpp", "*.cpp"):
        for header in (ROOT / "kernels").glob(pattern):
            shutil.copy(header, folder / "kernels")
    (folder / "kernels" / "planted.cu").write_text(PLANTED)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    options = ["-DTRUEFLOW_SANITIZE=ON", f"-DTRUEFLOW_LEVELS={LEVEL}", "-DCMAKE_CXX_COMPILER=g++"]
    for command in (["cmake", "-S", ".", "-B", "build", "-G", "Ninja", *options], ["cmake", "--build", "build"]):
        done = subprocess.run(command, cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "build" / f"trueflow_{LEVEL}.so"


def launch(library: Path, symbol: str, n: int) -> subprocess.CompletedProcess[str]:
    wrapper = ROOT / "tests" / "sanitized.sh"
    command = [str(wrapper), str(library), sys.executable, "-c", LAUNCH, symbol, str(n)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("symbol", ["neighbours_w4", "sums_w4"])
def test_correct_kernels_pass(planted: Path, symbol: str) -> None:
    done = launch(planted, symbol, 64)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_read_past_the_end_of_an_array_is_reported_with_its_line(planted: Path) -> None:
    done = launch(planted, "neighbours_w4", 65)
    assert done.returncode != 0
    assert "ERROR: AddressSanitizer" in done.stderr
    assert "READ of size" in done.stderr
    assert "planted.cu:4" in done.stderr


def test_signed_overflow_is_reported_with_its_line(planted: Path) -> None:
    done = launch(planted, "sums_w4", 65)
    assert done.returncode != 0
    assert "planted.cu:8:" in done.stderr
    assert "signed integer overflow" in done.stderr


def test_a_library_without_sanitizers_is_refused() -> None:
    done = launch(Path(shutil.which("bash") or "/bin/bash"), "neighbours_w4", 64)
    assert done.returncode == 2
    assert "not built with -fsanitize" in done.stderr
