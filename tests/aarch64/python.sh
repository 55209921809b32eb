#!/usr/bin/env bash
# A Python for aarch64 with what the kernels' tests need, to be run by qemu-aarch64; the machine's own packages stay as
# they are. Debian or Ubuntu. Usage: python.sh FOLDER HOST_PYTHON
set -euo pipefail
folder=$(realpath -m "$1") host=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")

mkdir -p "$folder"/{lists/partial,cache/archives/partial,debs,root}
touch "$folder/status"
cat > "$folder/apt.conf" <<END
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
APT::Sandbox::User "";
Acquire::Languages "none";
Dir::State::Lists "$folder/lists";
Dir::State::status "$folder/status";
Dir::Cache "$folder/cache";
END
export APT_CONFIG=$folder/apt.conf
apt-get update -qq
version=$(apt-cache depends python3 | awk '/Depends: python3\./ { print $2; exit }')
packages="$version-minimal lib$version-minimal lib$version-stdlib"
libraries=$(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
  --no-enhances "lib$version-stdlib" "$version-minimal" libstdc++6 | grep -E '^(lib|zlib)' | sort -u)
cd "$folder/debs"
# shellcheck disable=SC2086
apt-get download -qq $packages $libraries
for deb in *.deb; do dpkg-deb -x "$deb" "$folder/root"; done
unset APT_CONFIG

ln -sf "$version" "$folder/root/usr/bin/python3"
"$host" -m pip install -q --upgrade --target "$folder/site" --only-binary=:all: --implementation cp \
  --python-version "${version#python}" --platform manylinux2014_aarch64 --platform manylinux_2_28_aarch64 \
  "numpy>=1.26" "scipy>=1.11" "pytest>=8" "hypothesis>=6.100" "tomli>=2"
