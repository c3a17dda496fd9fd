#!/usr/bin/env bash
# Restores a backup with what scripts/release.sh has put into a folder, as apps get it: by a new Rust, Kotlin and Swift program each,
# outside of this project, against the small homeserver.
#
#   scripts/try-release.sh FOLDER [rust kotlin swift]
#
# Needs the release build (cargo build --release --locked), for the homeserver; a JDK and Maven, and Swift (scripts/with-swift.sh).
set -euo pipefail
cd "$(dirname "$0")/.."

[ -d "${1:-}" ] || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2; }
folder="$(realpath "$1")"
shift
languages=("$@")
[ ${#languages[@]} -gt 0 ] || languages=(rust kotlin swift)
version="$(scripts/coordinates.sh version)"
group="$(scripts/coordinates.sh group)"
homeserver="$(scripts/build-folder.sh)/keyferry-test-homeserver"
[ -x "$homeserver" ] || { echo "missing: $homeserver; first run: cargo build --release --locked" >&2; exit 1; }

work="$(mktemp -d)"
# Ends when its input does.
coproc SERVER { exec "$homeserver" --keys 2000 --rooms 20; }
server=$SERVER_PID
trap 'kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
read -r account <&"${SERVER[0]}"
echo "$account" > "$work/account.json"
# Starts a program with the account and an empty folder for its data.
restore() {
  "${@:2}" "$work/account.json" "$work/data-$1"
}

try_rust() {
  mkdir "$work/crates"
  tar -C "$work/crates" -xf "$folder/crates/keyferry-$version.crate"
  cp -R tests/release/rust "$work/rust"
  # The versions of dependencies that the release was tested with.
  cp "$work/crates/keyferry-$version/Cargo.lock" "$work/rust/"
  # With the profile and the folder of tests and the demonstration: most of its dependencies are the same.
  sed -n '/^\[profile.quick/,/^$/p' Cargo.toml > "$work/quick.toml"
  CARGO_TARGET_DIR="$PWD/target" cargo build --profile quick --manifest-path "$work/rust/Cargo.toml" --config "$work/quick.toml" \
    --config "patch.crates-io.keyferry.path=\"$work/crates/keyferry-$version\""
  restore rust target/quick/release-consumer
}

try_kotlin() {
  scripts/java.sh
  cp -R tests/release/kotlin "$work/kotlin"
  # Maven keeps what it has got once under a version.
  local kept="$HOME/.m2/repository/${group//.//}"
  rm -rf "$kept"
  mvn -B -ntp -q -f "$work/kotlin/pom.xml" compile -Drelease.repository="file:$folder/maven" -Drelease.group="$group" \
    -Drelease.version="$version"
  restore kotlin java -cp "$work/kotlin/target/classes:$(cat "$work/kotlin/target/classpath")" RestoreKt
  rm -rf "$kept"
}

try_swift() {
  cp -R tests/release/swift "$work/swift"
  local library="$folder/assets"
  scripts/with-swift.sh -m "$work" "$folder" -- \
    RELEASE_PACKAGE="file://$folder/swift/keyferry" RELEASE_VERSION="$version" LIBRARY_PATH="$library" \
    LD_LIBRARY_PATH="$library" DYLD_LIBRARY_PATH="$library" KEYFERRY_LIBRARY=local \
    swift run --package-path "$work/swift" --cache-path "$work/cache" --security-path "$work/security" Restore "$work/account.json" "$work/data-swift"
}

for language in "${languages[@]}"; do
  "try_$language"
done
