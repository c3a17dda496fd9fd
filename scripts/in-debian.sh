#!/usr/bin/env bash
# Runs a command in a Debian 13 of its own, for tools that this machine's system does not have. The folder is made once and
# used again; the project has the same path inside. Needs root.
#
#   scripts/in-debian.sh [-i PACKAGE ...] [-b PACKAGE ...] [-m FOLDER ...] -- COMMAND ...
#
#   -i   packages that the command needs
#   -b   packages that it needs from Debian's backports
#   -m   folders that it needs, at the same path
#
#   KEYFERRY_DEBIAN_ROOT   where the Debian is
set -euo pipefail
cd "$(dirname "$0")/.."
project="$PWD"

packages=()
backports=()
folders=("$project")
list=
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  case "$1" in
    -i | -b | -m) list=$1 ;;
    *)
      case "$list" in
        -i) packages+=("$1") ;;
        -b) backports+=("$1") ;;
        -m) folders+=("$1") ;;
        *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
      esac
      ;;
  esac
  shift
done
[ $# -gt 1 ] || { echo "no command" >&2; exit 2; }
shift

[ "$(id -u)" = 0 ] || { echo "only root can make and enter a Debian of its own (debootstrap, chroot)" >&2; exit 1; }
root="$(realpath -m "${KEYFERRY_DEBIAN_ROOT:-$HOME/.cache/keyferry/debian}")"

# One at a time: the end of one would take the mounts from another.
mkdir -p "$root"
exec 9> "$root.lock"
flock 9

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
if ! [ -x "$root/usr/bin/apt-get" ] || [ -e "$root/debootstrap" ]; then
  echo "making $root, which takes some minutes and up to 4 GB" >&2
  command -v debootstrap >/dev/null || { apt-get update -q && apt-get install -y -q debootstrap; }
  debootstrap --variant=minbase trixie "$root"
fi
# Before packages are installed: the scripts of some look at /proc.
mount_here -t proc proc "$root/proc"
mount_here --bind /dev "$root/dev"
for folder in "${folders[@]}"; do mount_here --bind "$folder" "$root$folder"; done

has_all() {
  [ $# -eq 0 ] || chroot "$root" dpkg-query -W -f "\${Status}\n" "$@" 2>/dev/null |
    grep -c '^install ok installed$' | grep -qx $#
}
if ! has_all "${packages[@]}" "${backports[@]}"; then
  if [ ${#backports[@]} -gt 0 ]; then
    sed -n 's/ trixie / trixie-backports /p' "$root/etc/apt/sources.list" > "$root/etc/apt/sources.list.d/backports.list"
  fi
  apt=(chroot "$root" env DEBIAN_FRONTEND=noninteractive apt-get -q)
  "${apt[@]}" update
  [ ${#packages[@]} -eq 0 ] || "${apt[@]}" install -y --no-install-recommends "${packages[@]}"
  [ ${#backports[@]} -eq 0 ] || "${apt[@]}" install -y --no-install-recommends -t trixie-backports "${backports[@]}"
  "${apt[@]}" clean
fi

chroot "$root" env --chdir="$project" "$@"
