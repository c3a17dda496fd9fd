#!/usr/bin/env bash
# Prints the folder of the release build, as an absolute path.
set -euo pipefail
cd "$(dirname "$0")/.."

release="${CARGO_TARGET_DIR:-$PWD/target}/release"
case "$release" in
  /*) echo "$release" ;;
  *) echo "$PWD/$release" ;;
esac
