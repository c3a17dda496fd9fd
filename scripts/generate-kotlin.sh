#!/usr/bin/env bash
# Makes the Kotlin code of the bindings from the built library, in bindings/kotlin/src/generated/kotlin.
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
# The generator asks it where the crate's uniffi.toml is; nothing is built.
command -v cargo >/dev/null || { echo "missing: cargo" >&2; exit 1; }

fresh="$(mktemp -d)"
trap 'rm -rf "$fresh"' EXIT
"$generator" generate --library "$library" --language kotlin --no-format --out-dir "$fresh"

# Only now, so that a failure leaves what was there.
generated=bindings/kotlin/src/generated/kotlin
rm -rf "$generated"
mkdir -p "$generated"
cp -R "$fresh/." "$generated"
echo "made $generated"
