#!/usr/bin/env bash
# A cross compiler for aarch64 and qemu's user mode. Root on Debian or Ubuntu gets them; others are told the command.
set -eu
there() { command -v aarch64-linux-gnu-g++ >/dev/null && command -v qemu-aarch64 >/dev/null && command -v dpkg-deb >/dev/null; }
packages="g++-aarch64-linux-gnu qemu-user"
there && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "Installing $packages"
  apt-get update -qq
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages </dev/null >/dev/null
fi
there && exit 0
echo "The aarch64 tests need a cross compiler and qemu. On Debian or Ubuntu:  sudo apt-get install $packages" >&2
exit 2
