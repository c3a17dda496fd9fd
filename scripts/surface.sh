#!/usr/bin/env bash
# Writes down what the library exports to Kotlin and Swift, a line for each thing, so that a change of it shows in a review.
#
#   scripts/surface.sh            writes docs/surface.txt
#   scripts/surface.sh --check    fails if docs/surface.txt is not what the library exports
#
# Needs the release build (cargo build --release --locked).
set -euo pipefail
cd "$(dirname "$0")/.."

release="$(scripts/release-folder.sh)"
case "$(uname -s)" in
  Darwin) library="$release/libkeyferry.dylib" ;;
  *) library="$release/libkeyferry.so" ;;
esac
for file in "$release/uniffi-bindgen" "$library"; do
  [ -f "$file" ] || { echo "missing: $file; first run: cargo build --release --locked" >&2; exit 1; }
done

case "${1:-}" in
  "") "$release/uniffi-bindgen" surface "$library" > docs/surface.txt ;;
  --check)
    "$release/uniffi-bindgen" surface "$library" | diff -u docs/surface.txt - || {
      echo "the exported surface has changed: run scripts/surface.sh, and say in CHANGELOG.md what apps have to do" >&2
      exit 1
    }
    ;;
  *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
