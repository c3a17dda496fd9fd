#!/usr/bin/env bash
# Runs a command where there is Swift: here, or else in a Debian of its own (scripts/in-debian.sh), which needs root.
#
#   scripts/with-swift.sh [-m FOLDER ... --] [NAME=VALUE ...] COMMAND ...
#
#   -m   folders outside of the project that the command needs
set -euo pipefail
cd "$(dirname "$0")/.."

folders=()
if [ "${1:-}" = -m ]; then
  shift
  while [ "$1" != -- ]; do
    folders+=("$1")
    shift
  done
  shift
fi
command -v swift >/dev/null && exec env "$@"
# The folder of builds may be outside of the project.
built="$(scripts/build-folder.sh)"
mkdir -p "$built"
exec scripts/in-debian.sh -i swiftlang libc6-dev libstdc++-14-dev ca-certificates git -m "$built" "${folders[@]}" -- \
  env -i HOME=/root PATH=/usr/bin:/bin LANG=C.UTF-8 "$@"
