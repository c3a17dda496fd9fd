#!/usr/bin/env bash
# Installs Synapse into a virtual environment, once, and prints the path of its Python.
set -euo pipefail
venv="${KEYFERRY_SYNAPSE_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/keyferry/synapse-1.163.2}"
if ! "$venv/bin/python" -c 'import synapse' 2>/dev/null; then
  python3 -m venv "$venv" >&2
  "$venv/bin/pip" install --quiet 'matrix-synapse==1.163.2' >&2
fi
echo "$venv/bin/python"
