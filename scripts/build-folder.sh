#!/usr/bin/env bash
# Prints the folder that cargo builds into, as an absolute path.
#
#   KEYFERRY_PROFILE   the profile that scripts build with; "release" by default. scripts/test.sh takes "quick".
set -euo pipefail
cd "$(dirname "$0")/.."

folder="${CARGO_TARGET_DIR:-$PWD/target}/${KEYFERRY_PROFILE:-release}"
case "$folder" in
  /*) echo "$folder" ;;
  *) echo "$PWD/$folder" ;;
esac
