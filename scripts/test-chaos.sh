#!/usr/bin/env bash
# Runs the chaos test: kills, pauses, faults and full disks in the order of a seed, on a small disk of its own.
#
#   scripts/test-chaos.sh [ROUNDS] [SEED]    200 rounds if nothing is said; KEYFERRY_SEED is printed
#
# It mounts a tmpfs, in a mount namespace that goes with it: as root, or where a user may have namespaces.
set -euo pipefail
cd "$(dirname "$0")/.."

export KEYFERRY_CHAOS_ROUNDS="${1:-200}"
export KEYFERRY_SEED="${2:-20261121}"

cargo build --release --locked --examples
cargo test --release --locked --test it --no-run

namespace=(unshare --mount)
[[ $(id -u) -eq 0 ]] || namespace=(unshare --user --map-root-user --mount)
if ! "${namespace[@]}" true; then
  echo "The chaos test needs a mount namespace: run it as root, or allow user namespaces." >&2
  exit 1
fi
exec "${namespace[@]}" cargo test --release --locked --test it -- --ignored --exact --nocapture \
  chaos::whatever_happens_in_the_end_all_keys_are_there
