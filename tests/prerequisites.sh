#!/usr/bin/env bash
# Checks for what cannot be had from the Python package index: Python with venv, a C++ compiler, and for the viewer's
# tests OpenGL, a virtual display and a hand on it. Root on Debian or Ubuntu (a container, say) gets it installed;
# everybody else is told the command. Exit code 2: something is missing that nothing goes without.
# Usage: prerequisites.sh [PYTHON]
set -eu
python=${1:-python3}
missing=() packages=() wanting=() comforts=()

good_python() { "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; }
good_venv() { "$python" -c 'import ensurepip, venv' 2>/dev/null; }
# $1: a compiler command, words and all.
good_compiler() {
  $1 -x c++ -std=c++17 -fsyntax-only - 2>/dev/null <<'END'
#include <atomic>
#if defined(__clang__) ? __clang_major__ < 14 : __GNUC__ < 11
#error too old
#endif
END
}
any_compiler() {
  if [ -n "${CXX:-}" ]; then good_compiler "$CXX"; return; fi
  good_compiler c++ || good_compiler g++ || good_compiler clang++
}

look() {
  missing=() packages=()
  if ! good_python; then
    missing+=("Python 3.10 or newer ('$python' is missing or older; name another: make PYTHON=python3.12 ...)")
    packages+=(python3 python3-venv)
  elif ! good_venv; then
    missing+=("the venv module of Python")
    packages+=(python3-venv)
  fi
  if ! any_compiler; then
    missing+=("a C++ compiler: g++ 11 or clang 14, or newer (another can be named by CXX${CXX:+; CXX=$CXX is none})")
    packages+=(g++)
  fi
  [ ${#missing[@]} -eq 0 ]
}

# What only the viewer's tests need: without it they are skipped.
look_for_viewer() {
  wanting=() comforts=()
  libraries=$(PATH="$PATH:/sbin:/usr/sbin" ldconfig -p 2>/dev/null || true)
  for pair in libGL.so.1:libgl1 libEGL.so.1:libegl1 libEGL_mesa.so.0:libegl-mesa0 libGLX_mesa.so.0:libglx-mesa0; do
    case "$libraries" in *"${pair%%:*}"*) ;; *) wanting+=("${pair%%:*}") comforts+=("${pair##*:}") ;; esac
  done
  if ! command -v Xvfb >/dev/null; then wanting+=(Xvfb) comforts+=(xvfb xauth libgl1-mesa-dri); fi
  if ! command -v xdotool >/dev/null; then wanting+=(xdotool) comforts+=(xdotool); fi
  [ ${#wanting[@]} -eq 0 ]
}

look && look_for_viewer && exit 0
look || true
look_for_viewer || true
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "Installing ${packages[*]} ${comforts[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" "${comforts[@]}" \
    </dev/null >/dev/null || true
fi
if ! look_for_viewer; then
  echo "The viewer's tests will be skipped without ${wanting[*]}: apt-get install ${comforts[*]}" >&2
fi
look && exit 0
{
  echo "Trueflow needs what is not on this machine:"
  printf '  %s\n' "${missing[@]}"
  echo "On Debian or Ubuntu:  sudo apt-get install ${packages[*]}"
} >&2
exit 2
