#!/usr/bin/env bash
# Copies a library without its symbols, and the symbols beside it, for backtraces from the field.
#
#   scripts/split-symbols.sh LIBRARY OUT SYMBOLS
#
#   OBJCOPY   the tool for the library's machine, if it is not this one's
set -euo pipefail

library=$1
out=$2
symbols=$3
objcopy="${OBJCOPY:-objcopy}"
command -v "$objcopy" >/dev/null || { echo "missing: $objcopy, of binutils or of the NDK" >&2; exit 1; }

mkdir -p "$(dirname "$out")" "$(dirname "$symbols")"
"$objcopy" --only-keep-debug "$library" "$symbols"
"$objcopy" --strip-unneeded --add-gnu-debuglink="$symbols" "$library" "$out"
