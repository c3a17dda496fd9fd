#!/usr/bin/env bash
# Installs a cargo tool into target/tools, unless it is there: `scripts/tool.sh NAME VERSION`.
set -euo pipefail
cd "$(dirname "$0")/.."

name=$1
version=$2
# Does nothing if this version is there.
cargo install "$name" --locked --quiet --version "$version" --root target/tools
