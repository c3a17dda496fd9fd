#!/usr/bin/env bash
# Shows that other SDKs read the keys that keyferry writes, and that keyferry reads the backups that they make: their keys,
# first indexes and history-sharing flags are compared (tests/interop/check.py).
#
#   scripts/interop.sh                  all: matrix-js-sdk (npm), mautrix-go with goolm (Go), trixnity (Maven)
#   scripts/interop.sh js go kotlin     only those
#
# Needs Node 20, Go 1.26, and a JDK with Maven, of those that are named; Python and openssl.
set -euo pipefail
cd "$(dirname "$0")/.."

sdks=("$@")
[ ${#sdks[@]} -gt 0 ] || sdks=(js go kotlin)
out="$PWD/target/interop"
mkdir -p "$out"

need() {
  command -v "$1" >/dev/null || { echo "missing: $1" >&2; exit 1; }
}

check() {
  python3 tests/interop/check.py "$PWD/${CARGO_TARGET_DIR:-target}/quick/keyferry-restore" "$@"
}

interop_js() {
  need node
  rm -rf "$out/js"
  cp -R tests/interop/js "$out/js"
  # Its newest version asks for Node 22, and runs with 20.
  npm --prefix "$out/js" ci --ignore-scripts --no-audit --no-fund --silent
  check matrix-js-sdk node "$out/js/interop.mjs"
}

interop_go() {
  need go
  (cd tests/interop/go && CGO_ENABLED=0 go build -trimpath -tags goolm -o "$out/go" .)
  check mautrix-go "$out/go"
}

interop_kotlin() {
  scripts/java.sh
  # Removed first: Maven does not recompile classes when only what they use has changed.
  rm -rf "$out/kotlin"
  mvn -B -ntp -q -f tests/interop/kotlin/pom.xml -DbuildDirectory="$out/kotlin" compile
  check trixnity java -XX:TieredStopAtLevel=1 -cp "$out/kotlin/classes:$(cat "$out/kotlin/classpath")" InteropKt
}

cargo build --locked --profile quick -p keyferry-restore
for sdk in "${sdks[@]}"; do
  "interop_$sdk"
done
