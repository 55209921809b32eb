#!/usr/bin/env bash
# Runs the kernels' tests on an aarch64 processor that qemu imitates.
# Usage: run.sh PYTHON_FOLDER LIBRARY [PYTEST OPTIONS]
set -euo pipefail
folder=$(realpath "$1") library=$(realpath "$2")
shift 2
export PYTHONPATH=$folder/site:$PWD/src PYTHONDONTWRITEBYTECODE=1 TRUEFLOW_LIBRARY=$library
exec qemu-aarch64 -L "$folder/root" "$folder/root/usr/bin/python3" -m pytest tests/kernels -p no:cacheprovider \
  --ignore=tests/kernels/nvrtc --ignore=tests/kernels/test_sanitizers.py --ignore=tests/kernels/test_device.py "$@"
