#!/usr/bin/env bash
# Installs a cargo tool into target/tools, unless it is there: `scripts/tool.sh NAME VERSION`.
set -euo pipefail
cd "$(dirname "$0")/.."

name=$1
version=$2
# Does nothing if this version is there.
# A debug build: it takes half the time, and the tool works for seconds.
cargo install "$name" --locked --quiet --debug --version "$version" --root target/tools
