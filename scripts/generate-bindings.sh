#!/usr/bin/env bash
# Generates the Kotlin or Swift code of the bindings from the built library.
#
#   scripts/generate-bindings.sh kotlin    into bindings/kotlin/src/generated/kotlin
#   scripts/generate-bindings.sh swift     into bindings/swift/Sources: Keyferry/Generated and KeyferryFFI
set -euo pipefail
cd "$(dirname "$0")/.."

language="${1:-}"
case "$language" in
  kotlin | swift) ;;
  *) echo "usage: $0 kotlin|swift" >&2; exit 2 ;;
esac

built="$(scripts/build-folder.sh)"
generator="$built/uniffi-bindgen"
case "$(uname -s)" in
  Darwin) library="$built/libkeyferry.dylib" ;;
  *) library="$built/libkeyferry.so" ;;
esac
for file in "$generator" "$library"; do
  [ -f "$file" ] || { echo "missing: $file; first run: cargo build --release --locked" >&2; exit 1; }
done
# The generator asks cargo where the crate's uniffi.toml is; nothing is built.
command -v cargo >/dev/null || { echo "missing: cargo" >&2; exit 1; }

fresh="$(mktemp -d)"
trap 'rm -rf "$fresh"' EXIT
"$generator" generate --library "$library" --language "$language" --no-format --out-dir "$fresh"

# Leaves an unchanged file alone, so that it is not compiled again.
put() {
  mkdir -p "$(dirname "$2")"
  cmp -s "$1" "$2" || cp "$1" "$2"
}

case "$language" in
  kotlin)
    generated=bindings/kotlin/src/generated/kotlin
    scripts/tidy-kotlin.py < "$fresh/io/keyferry/keyferry.kt" > "$fresh/tidy.kt"
    put "$fresh/tidy.kt" "$generated/io/keyferry/keyferry.kt"
    ;;
  swift)
    generated=bindings/swift/Sources
    scripts/tidy-swift.py < "$fresh/Keyferry.swift" > "$fresh/tidy.swift"
    put "$fresh/tidy.swift" "$generated/Keyferry/Generated/Keyferry.swift"
    put "$fresh/KeyferryFFI.h" "$generated/KeyferryFFI/KeyferryFFI.h"
    # SwiftPM needs this name.
    put "$fresh/KeyferryFFI.modulemap" "$generated/KeyferryFFI/module.modulemap"
    ;;
esac
echo "generated $generated"
