#!/usr/bin/env bash
# Sets the version of the next release everywhere: in Cargo.toml, in the lock files, and in what the documentation tells apps
# to depend on.
#
#   scripts/set-version.sh VERSION
#   scripts/set-version.sh --check      fails if something does not repeat what Cargo.toml says
set -euo pipefail
cd "$(dirname "$0")/.."

crates=(Cargo.toml bindings/matrix-sdk/Cargo.toml)
locks=(Cargo.lock bindings/matrix-sdk/Cargo.lock fuzz/Cargo.lock)
# They name Maven packages.
guides=(docs/android.md examples/android/app/build.gradle.kts)

group="$(scripts/coordinates.sh group)"

check() {
  local version file
  version="$(scripts/coordinates.sh version)"
  for file in "${crates[@]}" "${locks[@]}"; do
    # The line after the name in a lock file, and in our own manifests.
    ! grep -A1 '^name = "keyferry\(-matrix-sdk\)\?"$' "$file" | grep '^version' | grep -vF "\"$version\"" || stale "$file"
  done
  for file in "${guides[@]}"; do
    ! grep -o '"[a-z.]*:keyferry-[a-z]*:[^"]*"' "$file" | grep -v "^\"$group:.*:$version\"$" || stale "$file"
  done
}

stale() {
  echo "$1 does not say what Cargo.toml says: run scripts/set-version.sh $(scripts/coordinates.sh version)" >&2
  exit 1
}

set_version() {
  export VERSION=$1 GROUP=$group
  perl -0pi -e 's/(^name = "keyferry(-matrix-sdk)?"\nversion = )"[^"]*"/$1"$ENV{VERSION}"/gm' \
    "${crates[@]}" "${locks[@]}"
  perl -pi -e 's/^(keyferry = .*version = )"[^"]*"/$1"$ENV{VERSION}"/' "${crates[@]}"
  perl -pi -e 's/"[a-z.]+:(keyferry-[a-z]+):[^"]*"/"$ENV{GROUP}:$1:$ENV{VERSION}"/' "${guides[@]}"
  check
}

case "${1:-}" in
  --check) check ;;
  [0-9]*.[0-9]*.[0-9]*) set_version "$1" ;;
  *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
