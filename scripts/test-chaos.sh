#!/usr/bin/env bash
# Runs what needs a disk of its own: full and read-only ones, and the chaos test, which does kills, pauses, faults and full
# disks in the order of a seed.
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
  echo "These tests need a mount namespace: run them as root, or allow user namespaces." >&2
  exit 1
fi
# One after the other: the chaos test times what it does.
exec "${namespace[@]}" cargo test --release --locked --test it -- --ignored --nocapture --test-threads=1 chaos:: disk::
