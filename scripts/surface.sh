#!/usr/bin/env bash
# Writes down what apps see, so that a change of it shows in a review: docs/surface/bindings.txt what the library exports to Kotlin
# and Swift, docs/surface/rust.txt the public items of the crate.
#
#   scripts/surface.sh            writes both
#   scripts/surface.sh --check    fails if they are not what it would write
#
# Needs the release build (cargo build --release --locked).
set -euo pipefail
cd "$(dirname "$0")/.."

built="$(scripts/build-folder.sh)"
case "$(uname -s)" in
  Darwin) library="$built/libkeyferry.dylib" ;;
  *) library="$built/libkeyferry.so" ;;
esac
for file in "$built/uniffi-bindgen" "$library"; do
  [ -f "$file" ] || { echo "missing: $file; first run: cargo build --release --locked" >&2; exit 1; }
done

write_to() {
  "$built/uniffi-bindgen" surface "$library" > "$1/bindings.txt"
  "$built/uniffi-bindgen" rust-surface src > "$1/rust.txt"
}

case "${1:-}" in
  "") write_to docs/surface ;;
  --check)
    fresh="$(mktemp -d)"
    trap 'rm -rf "$fresh"' EXIT
    write_to "$fresh"
    diff -ru docs/surface "$fresh" || {
      echo "what apps see has changed: run scripts/surface.sh, and say in CHANGELOG.md what they have to do" >&2
      exit 1
    }
    ;;
  *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
