#!/usr/bin/env bash
# Makes the documentation of the Swift package, into target/swift-docs, and fails for each link that leads nowhere. The
# package must be built, by scripts/test-swift.sh. On Linux, with Debian's Swift.
set -euo pipefail
cd "$(dirname "$0")/.."

docs=target/swift-docs
build=bindings/swift/.build
rm -rf "$docs"
mkdir -p "$docs/graphs"
target="$(swift -print-target-info | sed -n 's/.*"unversionedTriple" *: *"\(.*\)".*/\1/p')"
tools="$(dirname "$(realpath "$(command -v swift)")")"
"$tools/swift-symbolgraph-extract" -module-name Keyferry -target "$target" -I "$build/debug/Modules" \
  -I bindings/swift/Sources/KeyferryFFI -minimum-access-level public -skip-synthesized-members -output-dir "$docs/graphs"
"$tools/docc" convert bindings/swift/Sources/Keyferry/Keyferry.docc --additional-symbol-graph-dir "$docs/graphs" \
  --fallback-display-name Keyferry --fallback-bundle-identifier io.keyferry --fallback-bundle-version "$(scripts/coordinates.sh version)" \
  --warnings-as-errors --output-path "$docs/Keyferry.doccarchive"
echo "made $docs/Keyferry.doccarchive"
