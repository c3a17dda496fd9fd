#!/usr/bin/env bash
# Builds the Android package around this machine's library, and runs its tests and the example app under Robolectric,
# against the small homeserver.
#
#   scripts/test-android.sh [--built] [arguments of "mvn test"]
#     --built                  takes the package that is there already
#     -Dkeyferry.redraw=true   redraws the pictures of the documentation
#     -Dkeyferry.log=true      prints Android's log
set -euo pipefail
cd "$(dirname "$0")/.."

built="$(scripts/build-folder.sh)"
homeserver="$built/keyferry-test-homeserver"
[ -x "$homeserver" ] || { echo "missing: $homeserver; first run: cargo build --release --locked" >&2; exit 1; }

if [ "${1:-}" = --built ]; then
  shift
else
  scripts/build-android.sh --this-machine
fi
group="$(scripts/coordinates.sh group)"
# `readelf` is of binutils, which the linker needs anyway.
exec mvn -B -ntp -f bindings/pom.xml -pl android-platform,../tests/android clean test \
  -Dsurefire.failIfNoSpecifiedTests=false -Dlibrary.dir="$built" -Dhomeserver.binary="$homeserver" \
  -Dpublished.packages="$PWD/target/android/maven/${group//.//}" -Dpublished.version="$(scripts/coordinates.sh version)" "$@"
