#!/usr/bin/env bash
# Builds the Swift package and runs its tests, against the small homeserver.
#
#   scripts/test-swift.sh [arguments of "swift test"]
#
# On Linux, modules with the names of Apple's (bindings/swift/Stubs) stand for the systems that are not there.
# If Swift is not on the PATH, this takes Debian's, in a Debian of its own (scripts/in-debian.sh), which needs root.
set -euo pipefail
cd "$(dirname "$0")/.."
project="$PWD"

built="$(scripts/build-folder.sh)"
homeserver="$built/keyferry-test-homeserver"
[ -x "$homeserver" ] || { echo "missing: $homeserver; first run: cargo build --release --locked" >&2; exit 1; }
scripts/generate-bindings.sh swift

# Tells the package and its tests where things are on this machine.
settings=(
  "LIBRARY_PATH=$built"
  "LD_LIBRARY_PATH=$built"
  "DYLD_LIBRARY_PATH=$built"
  "KEYFERRY_LIBRARY=local"
  "KEYFERRY_TEST_HOMESERVER=$homeserver"
)
package=(--package-path "$project" --scratch-path "$project/bindings/swift/.build")
# Includes the checks that Swift 6 makes on Apple systems for closures that the OS calls on the wrong queue.
test_command=(swift test "${package[@]}" --disable-swift-testing -Xswiftc -enable-actor-data-race-checks "$@")

if [ "$(uname -s)" != Linux ]; then
  exec env "${settings[@]}" "${test_command[@]}"
fi

# With the stubs, the code for Apple systems is compiled, too. scripts/try-release.sh builds the package without them.
settings+=("KEYFERRY_APPLE_STUBS=1")
scripts/with-swift.sh "${settings[@]}" "${test_command[@]}"
scripts/with-swift.sh "${settings[@]}" scripts/swift-docs.sh
scripts/build-xcframework.sh --check
