#!/usr/bin/env bash
# Gets a cargo tool into target/tools, if it is not there: `scripts/tool.sh NAME VERSION`.
set -euo pipefail
cd "$(dirname "$0")/.."

name=$1
version=$2
# Does nothing where that version is there.
cargo install "$name" --locked --quiet --version "$version" --root target/tools
