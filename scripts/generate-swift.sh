#!/usr/bin/env bash
# Makes the Swift code of the bindings from the built library, in bindings/swift/generated.
set -euo pipefail
cd "$(dirname "$0")/.."

release="${CARGO_TARGET_DIR:-target}/release"
generator="$release/uniffi-bindgen"
case "$(uname -s)" in
  Darwin) library="$release/libkeyferry.dylib" ;;
  *) library="$release/libkeyferry.so" ;;
esac
for file in "$generator" "$library"; do
  [ -f "$file" ] || { echo "missing: $file; first run: cargo build --release --locked --workspace" >&2; exit 1; }
done

generated=bindings/swift/generated
fresh="$(mktemp -d)"
trap 'rm -rf "$fresh"' EXIT
"$generator" generate --library "$library" --language swift --no-format --out-dir "$fresh"

# SwiftPM wants a folder for each module, and that name for the map. A file that is as before stays as it is, so that
# it is not compiled again.
put() {
  cmp -s "$1" "$2" || cp "$1" "$2"
}
mkdir -p "$generated/KeyferryFFI" "$generated/KeyferryFFIFFI"
put "$fresh/KeyferryFFI.swift" "$generated/KeyferryFFI/KeyferryFFI.swift"
put "$fresh/KeyferryFFIFFI.h" "$generated/KeyferryFFIFFI/KeyferryFFIFFI.h"
put "$fresh/KeyferryFFIFFI.modulemap" "$generated/KeyferryFFIFFI/module.modulemap"
echo "made $generated"
