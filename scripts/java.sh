#!/usr/bin/env bash
# Installs a JDK, Maven and the named commands from Debian if they are missing, which needs root.
#
#   scripts/java.sh [COMMAND ...]
set -euo pipefail

packages=()
command -v javac >/dev/null || packages+=(default-jdk-headless)
command -v mvn >/dev/null || packages+=(maven)
for name in "$@"; do
  command -v "$name" >/dev/null && continue
  case "$name" in
    aapt2) packages+=(aapt) ;;
    *) packages+=("$name") ;;
  esac
done
[ ${#packages[@]} -gt 0 ] || exit 0
[ "$(id -u)" = 0 ] || { echo "missing: ${packages[*]}" >&2; exit 1; }
apt-get update -q
apt-get install -y -q --no-install-recommends "${packages[@]}"
