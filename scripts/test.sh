#!/usr/bin/env bash
# Runs every test, and installs missing tools with ordinary package managers.
#
#   scripts/test.sh            everything
#   scripts/test.sh rust …     only the named stages: style deny rust chaos synapse kotlin android swift targets example
set -euo pipefail
cd "$(dirname "$0")/.."

stages=("$@")
if [ ${#stages[@]} -eq 0 ]; then
  stages=(style deny rust chaos synapse kotlin android swift targets example)
fi

stage_style() {
  command -v shellcheck >/dev/null || {
    [ "$(id -u)" = 0 ] || { echo "missing: shellcheck" >&2; exit 1; }
    apt-get update -q && apt-get install -y -q shellcheck
  }
  cargo fmt --all -- --check
  shellcheck scripts/*.sh tests/*/*.sh .ci/run
  scripts/strings.py --check
  cargo clippy --workspace --all-targets --release --locked -- -D warnings
}

stage_deny() {
  # scripts/advisories.sh checks the advisories.
  scripts/tool.sh cargo-deny 0.20.2
  PATH="$PWD/target/tools/bin:$PATH" cargo deny --locked check bans licenses sources
}

stage_rust() {
  cargo test --release --locked
}

stage_chaos() {
  scripts/test-chaos.sh
}

stage_synapse() {
  CARGO_TARGET_DIR=target/second-device \
    cargo build --release --locked --manifest-path tests/second-device/Cargo.toml
  cargo build --release --locked --example reset
  KEYFERRY_SYNAPSE_PYTHON="$(scripts/synapse-venv.sh)" \
    KEYFERRY_SECOND_DEVICE="$PWD/target/second-device/release/keyferry-test-second-device" \
    cargo test --release --locked --test synapse -- --ignored --nocapture
}

stage_kotlin() {
  cargo build --release --locked
  scripts/test-kotlin.sh
}

stage_android() {
  cargo build --release --locked
  scripts/test-android.sh
}

stage_targets() {
  scripts/check-targets.sh
}

stage_swift() {
  cargo build --release --locked
  scripts/test-swift.sh
}

stage_example() {
  cargo run --release --locked --example restore
  cargo run --release --locked --example reset
}

for stage in "${stages[@]}"; do
  echo "== $stage"
  began=$SECONDS
  "stage_$stage"
  echo "== $stage took $((SECONDS - began)) s"
done
