#!/usr/bin/env bash
# Runs every test there is, and gets what is missing with plain package managers.
#
#   scripts/test.sh            everything
#   scripts/test.sh rust …     only the named stages: style rust synapse kotlin example
set -euo pipefail
cd "$(dirname "$0")/.."

stages=("$@")
if [ ${#stages[@]} -eq 0 ]; then
  stages=(style rust synapse kotlin example)
fi

need() {
  # need COMMAND PACKAGE: installs a Debian package if the command is missing
  command -v "$1" >/dev/null && return
  [ "$(id -u)" = 0 ] || { echo "missing: $1 (package $2)" >&2; exit 1; }
  apt-get update -q && apt-get install -y -q "$2"
}

stage_style() {
  need shellcheck shellcheck
  cargo fmt --all -- --check
  shellcheck scripts/*.sh .ci/run
  cargo clippy --workspace --all-targets --release --locked -- -D warnings
}

stage_rust() {
  cargo test --release --locked --workspace --exclude keyferry-bindings-generator
}

stage_synapse() {
  KEYFERRY_SYNAPSE_PYTHON="$(scripts/synapse-venv.sh)" \
    cargo test --release --locked --test synapse -- --ignored --nocapture
}

stage_kotlin() {
  need mvn maven
  need javac default-jdk-headless
  cargo build --release --locked -p keyferry -p keyferry-bindings-generator -p keyferry-test-homeserver
  scripts/generate-kotlin.sh
  mvn -B -f bindings/kotlin/pom.xml test
}

stage_example() {
  cargo run --release --locked --example restore
}

for stage in "${stages[@]}"; do
  echo "== $stage"
  began=$SECONDS
  "stage_$stage"
  echo "== $stage took $((SECONDS - began)) s"
done
