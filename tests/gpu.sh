#!/usr/bin/env bash
# Whether there is a driver to ask for a GPU at all, before anything is installed for it. Exit code 2: there is none.
# Usage: gpu.sh [PYTHON]
set -eu
"${1:-python3}" -c 'import ctypes; ctypes.CDLL("libcuda.so.1")' 2>/dev/null && exit 0
echo "gpu-check: no NVIDIA GPU can be used here: the driver (libcuda.so.1) is missing. It takes one for CUDA 12 or newer" \
  "(on Jetson boards JetPack brings it). Nothing was run: no tests, no comparison with the CPU, no benchmarks" >&2
exit 2
