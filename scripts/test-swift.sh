#!/usr/bin/env bash
# Builds the Swift package and runs its tests, against the small homeserver.
#
#   scripts/test-swift.sh [arguments of "swift test"]
#
# If Swift is not on the PATH, this installs Debian's into a separate folder, which needs root:
#   KEYFERRY_SWIFT_ROOT   the folder; it is made once and used again
set -euo pipefail
cd "$(dirname "$0")/.."
project="$PWD"

release="${CARGO_TARGET_DIR:-$project/target}/release"
case "$release" in /*) ;; *) release="$project/$release" ;; esac
homeserver="$release/keyferry-test-homeserver"
[ -x "$homeserver" ] || { echo "missing: $homeserver; first run: cargo build --release --locked" >&2; exit 1; }
scripts/generate-bindings.sh swift

# Tells the package and its tests where things are on this machine.
settings=(
  "LIBRARY_PATH=$release"
  "LD_LIBRARY_PATH=$release"
  "DYLD_LIBRARY_PATH=$release"
  "KEYFERRY_TEST_HOMESERVER=$homeserver"
)
# Includes the checks that Swift 6 makes on Apple systems for closures that the OS calls on the wrong queue.
test_command=(
  swift test --disable-swift-testing -Xswiftc -enable-actor-data-race-checks --package-path "$project/bindings/swift" "$@"
)

if command -v swift >/dev/null; then
  exec env "${settings[@]}" "${test_command[@]}"
fi

[ "$(id -u)" = 0 ] || { echo "missing: swift; as root, this script installs it with debootstrap" >&2; exit 1; }
root="$(realpath -m "${KEYFERRY_SWIFT_ROOT:-$HOME/.cache/keyferry/swift-root}")"

make_root() {
  echo "Swift is missing: making $root, which takes some minutes and 3 GB" >&2
  command -v debootstrap >/dev/null || { apt-get update -q && apt-get install -y -q debootstrap; }
  mkdir -p "$root"
  debootstrap --variant=minbase trixie "$root"
}

# Call this after the mounts: the scripts of some packages look at /proc.
install_swift() {
  chroot "$root" env DEBIAN_FRONTEND=noninteractive sh -euc '
    apt-get update -q
    apt-get install -y -q --no-install-recommends swiftlang libc6-dev libstdc++-14-dev ca-certificates git
    apt-get clean'
}

mounted=()
unmount() {
  local place
  for place in "${mounted[@]}"; do
    umount -l "$place" || echo "still mounted: $place" >&2
  done
}
trap unmount EXIT

# Calls `mount` with these arguments, unless the last one, the place, is already mounted on. Unmounts it at the end.
mount_here() {
  local place="${*: -1}"
  mkdir -p "$place"
  mountpoint -q "$place" && return
  mount "$@"
  mounted=("$place" "${mounted[@]}")
}

# debootstrap keeps a folder named "debootstrap" there until it is done.
if ! [ -x "$root/usr/bin/apt-get" ] || [ -e "$root/debootstrap" ]; then make_root; fi
mount_here -t proc proc "$root/proc"
mount_here --bind /dev "$root/dev"
# Paths are the same inside and outside.
mount_here --bind "$project" "$root$project"
case "$release" in "$project"/*) ;; *) mount_here --bind "$release" "$root$release" ;; esac
# Looks inside the root, because the links there are absolute.
chroot "$root" sh -c 'command -v swift && [ -e /usr/include/stdlib.h ]' >/dev/null || install_swift

chroot "$root" env -i HOME=/root PATH=/usr/bin:/bin LANG=C.UTF-8 "${settings[@]}" "${test_command[@]}"
