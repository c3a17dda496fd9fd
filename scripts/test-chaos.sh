#!/usr/bin/env bash
# Runs the tests that need a separate disk: those with full and read-only disks, and the chaos test, which mixes
# kills, pauses, faults and full disks in an order that a seed determines.
#
#   scripts/test-chaos.sh [ROUNDS] [SEED]    200 rounds by default; KEYFERRY_SEED is printed
#
# Mounts a tmpfs in a mount namespace that ends with the script. Needs root, or a system where users may have
# namespaces.
set -euo pipefail
cd "$(dirname "$0")/.."

export KEYFERRY_CHAOS_ROUNDS="${1:-200}"
export KEYFERRY_SEED="${2:-20261121}"

profile="${KEYFERRY_PROFILE:-release}"
cargo build --profile "$profile" --locked --examples
cargo test --profile "$profile" --locked --test it --no-run

namespace=(unshare --mount)
[[ $(id -u) -eq 0 ]] || namespace=(unshare --user --map-root-user --mount)
if ! "${namespace[@]}" true; then
  echo "These tests need a mount namespace: run them as root, or allow user namespaces." >&2
  exit 1
fi
# One test at a time, because the chaos test measures times.
exec "${namespace[@]}" cargo test --profile "$profile" --locked --test it -- --ignored --nocapture --test-threads=1 \
  chaos:: disk::
