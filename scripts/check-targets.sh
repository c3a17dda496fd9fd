#!/usr/bin/env bash
# Type-checks the library, with its loggers, for the phones that it is made for: the Rust parts of the code that only they
# compile. Shows types, not linking: C is not compiled, because that needs the headers of the NDK and of Xcode.
#
#   scripts/check-targets.sh
#
# Takes cargo and the source of the standard library from Debian's backports (scripts/in-debian.sh), which needs root: the
# library for these targets comes from nowhere else here. With rustup, `cargo check --target …` does the same.
set -euo pipefail
cd "$(dirname "$0")/.."
project="$PWD"

targets=(aarch64-linux-android armv7-linux-androideabi aarch64-apple-ios)
out="${CARGO_TARGET_DIR:-$project/target}/targets"
case "$out" in /*) ;; *) out="$project/$out" ;; esac
tools="$out/tools"
mkdir -p "$tools"

# Stands in for a C compiler, and for a librarian: what they would write is there, and empty.
cat > "$tools/empty-cc" <<'TOOL'
#!/bin/sh
while [ $# -gt 0 ]; do
  if [ "$1" = -o ]; then : > "$2"; fi
  shift
done
TOOL
cat > "$tools/empty-ar" <<'TOOL'
#!/bin/sh
[ $# -lt 2 ] || : > "$2"
TOOL
# Prints the folder of Apple's SDK.
cat > "$tools/xcrun" <<'TOOL'
#!/bin/sh
echo /
TOOL
chmod +x "$tools"/*

settings=("PATH=$tools:/usr/bin:/bin" HOME=/root LANG=C.UTF-8 "CARGO_TARGET_DIR=$out" RUSTC_BOOTSTRAP=1)
# The certificates that this machine trusts: the registry may be behind one of its own.
if [ -f /etc/ssl/certs/ca-certificates.crt ]; then
  cp /etc/ssl/certs/ca-certificates.crt "$out/certificates.pem"
  settings+=("CARGO_HTTP_CAINFO=$out/certificates.pem")
fi
arguments=()
for target in "${targets[@]}"; do
  settings+=("CC_${target//-/_}=$tools/empty-cc" "CXX_${target//-/_}=$tools/empty-cc" "AR_${target//-/_}=$tools/empty-ar")
  arguments+=(--target "$target")
done
cargo_home="${CARGO_HOME:-$HOME/.cargo}"
cargo fetch --locked
scripts/in-debian.sh -i ca-certificates gcc libc6-dev cmake -b rustc cargo rust-src -m "$cargo_home" "$out" -- \
  env "${settings[@]}" "CARGO_HOME=$cargo_home" cargo check -Zbuild-std=std,panic_abort --locked --lib -p keyferry "${arguments[@]}"
