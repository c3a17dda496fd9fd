#!/usr/bin/env bash
# Generates the Kotlin bindings from the built library, into bindings/kotlin/src/generated/kotlin.
set -euo pipefail
cd "$(dirname "$0")/.."
library=target/release/libkeyferry.so
generator=target/release/uniffi-bindgen
for file in "$library" "$generator"; do
  [ -f "$file" ] || { echo "missing: $file; build with: cargo build --release -p keyferry -p keyferry-bindings-generator" >&2; exit 1; }
done
out=bindings/kotlin/src/generated/kotlin
rm -rf "$out"
"$generator" generate --library "$library" --language kotlin --no-format --out-dir "$out"
