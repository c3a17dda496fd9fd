#!/usr/bin/env bash
# Builds the Kotlin packages and runs their tests, against the small homeserver.
#
#   scripts/test-kotlin.sh [arguments of "mvn test"]
#
# Installs a JDK and Maven from Debian if they are missing, which needs root.
set -euo pipefail
cd "$(dirname "$0")/.."

built="$(scripts/build-folder.sh)"
homeserver="$built/keyferry-test-homeserver"
[ -x "$homeserver" ] || { echo "missing: $homeserver; first run: cargo build --release --locked" >&2; exit 1; }

scripts/java.sh
scripts/generate-bindings.sh kotlin
# Needs "clean": Maven does not recompile classes when only the bindings that they use have changed.
exec mvn -B -ntp -f bindings/pom.xml -pl kotlin,kotlin-jvm,kotlin-testing clean test \
  -Dlibrary.dir="$built" -Dhomeserver.binary="$homeserver" "$@"
