#!/usr/bin/env bash
# Builds the Android package around this machine's library, and runs its tests and the example app under Robolectric,
# against the small homeserver.
#
#   scripts/test-android.sh [arguments of "mvn test"]
#     -Dkeyferry.redraw=true   redraws the pictures of the documentation
#     -Dkeyferry.log=true      prints Android's log
set -euo pipefail
cd "$(dirname "$0")/.."

release="$(scripts/release-folder.sh)"
homeserver="$release/keyferry-test-homeserver"
[ -x "$homeserver" ] || { echo "missing: $homeserver; first run: cargo build --release --locked" >&2; exit 1; }

scripts/build-android.sh --this-machine
# `readelf` is of binutils, which the linker needs anyway.
exec mvn -B -ntp -f bindings/pom.xml -pl android-platform,../tests/android clean test \
  -Dsurefire.failIfNoSpecifiedTests=false -Dlibrary.dir="$release" -Dhomeserver.binary="$homeserver" "$@"
