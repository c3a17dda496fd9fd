#!/usr/bin/env bash
# Prints the name under which the packages are published.
#
#   scripts/coordinates.sh version    of all packages
#   scripts/coordinates.sh group      the group id of the Maven packages
#
# Both are in Cargo.toml, and nowhere else; scripts/set-version.sh keeps what has to repeat them.
set -euo pipefail
cd "$(dirname "$0")/.."

case "${1:-}" in
  version) section=package name=version ;;
  group) section=workspace.metadata.maven name=group ;;
  *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
value="$(sed -n "/^\[$section\]$/,/^\[/s/^$name = \"\(.*\)\"$/\1/p" Cargo.toml)"
[ -n "$value" ] || { echo "Cargo.toml has no $name in [$section]" >&2; exit 1; }
echo "$value"
