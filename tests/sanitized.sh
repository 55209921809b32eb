#!/usr/bin/env bash
# Runs a command with the sanitizers of a CPU library loaded before everything else, and Trueflow told to use it.
# Usage: sanitized.sh LIBRARY COMMAND...
set -eu
library=$(realpath "$1")
shift
# libstdc++ too: AddressSanitizer stops at the first C++ exception thrown by a library that brought it in later.
runtime=$(ldd "$library" | awk '/lib(asan|ubsan|stdc\+\+)\.so/ { print $3 }' | paste -sd:)
case $runtime in
  *libasan*libubsan* | *libubsan*libasan*) ;;
  *) echo "$library was not built with -fsanitize=address,undefined" >&2; exit 2 ;;
esac
# Python's own allocator would hide small arrays from the sanitizer; Python itself leaks at exit by design.
export LD_PRELOAD=$runtime PYTHONMALLOC=malloc TRUEFLOW_LIBRARY=$library
export ASAN_OPTIONS=detect_leaks=0:strict_init_order=1 UBSAN_OPTIONS=print_stacktrace=1
exec "$@"
