#!/usr/bin/env bash
# Fuzzes the code that reads bytes from a server or a user: `scripts/fuzz.sh [TARGET|all] [EXECUTIONS]`, 10 million by
# default.
#
# Needs no nightly compiler: it uses coverage without sanitizers, as there is no unsafe code to sanitise. Inputs that
# reach new code go into fuzz/corpus, which `cargo test` replays.
set -euo pipefail
cd "$(dirname "$0")/.."

targets=(reader entry recovery_key account_data upload)
[ "${1:-all}" = all ] || targets=("$1")
executions=${2:-10000000}

scripts/tool.sh cargo-fuzz 0.13.2
export PATH="$PWD/target/tools/bin:$PATH"
for target in "${targets[@]}"; do
  echo "== $target, $executions executions"
  kept=fuzz/corpus/$target
  found=$(mktemp -d)
  fewer=$(mktemp -d)
  cargo fuzz run --sanitizer none "$target" "$found" "$kept" -- \
    -runs="$executions" -max_len=4096 -print_final_stats=1
  # Keeps, of thousands of inputs, only the few that together reach the same code.
  cargo fuzz run --sanitizer none "$target" "$fewer" "$kept" "$found" -- -set_cover_merge=1 -use_counters=0
  find "$fewer" -type f -exec cp -n {} "$kept" \;
  rm -rf "$found" "$fewer"
done
