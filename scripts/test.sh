#!/usr/bin/env bash
# Runs every test, and installs missing tools with ordinary package managers.
#
#   scripts/test.sh            everything
#   scripts/test.sh rust …     only the named stages: style deny rust chaos synapse kotlin example release android swift targets interop
set -euo pipefail
cd "$(dirname "$0")/.."

# Most of the time goes into compiling. `KEYFERRY_PROFILE=release scripts/test.sh` tests what is optimised.
export KEYFERRY_PROFILE="${KEYFERRY_PROFILE:-quick}"
profile=$KEYFERRY_PROFILE

stages=("$@")
if [ ${#stages[@]} -eq 0 ]; then
  stages=(style prepare deny rust chaos synapse kotlin example release android swift targets interop)
fi

stage_style() {
  command -v shellcheck >/dev/null || {
    [ "$(id -u)" = 0 ] || { echo "missing: shellcheck" >&2; exit 1; }
    apt-get update -q && apt-get install -y -q shellcheck
  }
  cargo fmt --all -- --check
  cargo fmt --all --manifest-path bindings/matrix-sdk/Cargo.toml -- --check
  no_twins
  shellcheck scripts/*.sh tests/*/*.sh .ci/run
  scripts/strings.py --check
  scripts/set-version.sh --check
  cargo clippy --workspace --all-targets --profile "$profile" --locked -- -D warnings
  RUSTDOCFLAGS="-D warnings" cargo doc --profile "$profile" --locked --no-deps -p keyferry --features matrix-sdk-sink,reqwest-transport
}

# Begins to install what later stages need, beside the first builds: most of it is waiting for the network and the disk. What
# fails here fails again in its stage.
stage_prepare() {
  mkdir -p target
  { scripts/synapse-venv.sh && scripts/with-swift.sh true; } > target/prepare.log 2>&1 &
  prepared=$!
}
prepared=

# Fails if two artifacts for Android have a file of the same name: its class would be in an APK twice.
no_twins() {
  local twins
  twins="$(basename -a bindings/{kotlin/src/{main,exceptions},android/src/main}/kotlin/io/keyferry/*.kt | sort | uniq -d)"
  [ -z "$twins" ] || { echo "in keyferry-kotlin and in keyferry-android: $twins" >&2; exit 1; }
}

stage_deny() {
  # scripts/advisories.sh checks the advisories.
  scripts/tool.sh cargo-deny 0.20.2
  PATH="$PWD/target/tools/bin:$PATH" cargo deny --locked check bans licenses sources
}

stage_rust() {
  cargo test --profile "$profile" --locked
}

stage_chaos() {
  scripts/test-chaos.sh
}

stage_synapse() {
  [ -z "$prepared" ] || wait "$prepared" || true
  CARGO_TARGET_DIR=target/second-device \
    cargo build --release --locked --manifest-path bindings/matrix-sdk/Cargo.toml --workspace
  cargo build --profile "$profile" --locked --example reset
  KEYFERRY_SYNAPSE_PYTHON="$(scripts/synapse-venv.sh)" \
    KEYFERRY_SECOND_DEVICE="$PWD/target/second-device/release/keyferry-test-second-device" \
    cargo test --profile "$profile" --locked --test synapse -- --ignored --nocapture
}

stage_kotlin() {
  cargo build --profile "$profile" --locked
  scripts/surface.sh --check
  scripts/test-kotlin.sh
}

stage_release() {
  local version
  version="$(scripts/coordinates.sh version)"
  scripts/release.sh "$version" --dry-run
  scripts/try-release.sh "target/release-$version"
  android=(--built)
}
android=()

stage_android() {
  cargo build --profile "$profile" --locked
  scripts/test-android.sh "${android[@]}"
}

stage_targets() {
  scripts/check-targets.sh
}

stage_swift() {
  cargo build --profile "$profile" --locked
  scripts/test-swift.sh
}

stage_example() {
  cargo demo
  cargo run --profile "$profile" --locked --example reset
}

stage_interop() {
  # trixnity has its own two hundred packages: scripts/interop.sh has it, too.
  scripts/interop.sh js go
}

for stage in "${stages[@]}"; do
  echo "== $stage"
  began=$SECONDS
  "stage_$stage"
  echo "== $stage took $((SECONDS - began)) s"
done
