#!/usr/bin/env bash
# Checks the dependencies for known vulnerabilities. Separate from the other tests, because it fetches the RustSec
# database with git, which not every machine can reach. If it cannot be reached, this fails and says so.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/tool.sh cargo-deny 0.20.2
export PATH="$PWD/target/tools/bin:$PATH"
if ! cargo deny fetch db; then
    echo "The advisory database cannot be reached from here: nothing has been checked." >&2
    exit 1
fi
cargo deny check advisories
