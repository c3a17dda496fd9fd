#!/usr/bin/env bash
# Builds the Swift package and runs its tests, against the small homeserver.
#
#   scripts/test-swift.sh [arguments of "swift test"]
#
# If Swift is not on the PATH, this takes Debian's, in a Debian of its own (scripts/in-debian.sh), which needs root.
set -euo pipefail
cd "$(dirname "$0")/.."
project="$PWD"

release="$(scripts/release-folder.sh)"
homeserver="$release/keyferry-test-homeserver"
[ -x "$homeserver" ] || { echo "missing: $homeserver; first run: cargo build --release --locked" >&2; exit 1; }
scripts/generate-bindings.sh swift

# Tells the package and its tests where things are on this machine.
settings=(
  "LIBRARY_PATH=$release"
  "LD_LIBRARY_PATH=$release"
  "DYLD_LIBRARY_PATH=$release"
  "KEYFERRY_TEST_HOMESERVER=$homeserver"
)
# Includes the checks that Swift 6 makes on Apple systems for closures that the OS calls on the wrong queue.
test_command=(
  swift test --disable-swift-testing -Xswiftc -enable-actor-data-race-checks --package-path "$project/bindings/swift" "$@"
)

if command -v swift >/dev/null; then
  exec env "${settings[@]}" "${test_command[@]}"
fi

# The release folder may be outside of the project.
mkdir -p "$release"
scripts/in-debian.sh -i swiftlang libc6-dev libstdc++-14-dev ca-certificates git -m "$release" -- \
  env -i HOME=/root PATH=/usr/bin:/bin LANG=C.UTF-8 "${settings[@]}" "${test_command[@]}"
