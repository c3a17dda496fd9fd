#!/usr/bin/env bash
# Fills a folder with everything that a release publishes. Publishes nothing: CONTENTS.md in the folder says how that is done.
#
#   scripts/release.sh VERSION --dry-run          with what this machine can build
#   scripts/release.sh VERSION --assets URL       the release; needs a Mac with Xcode, and the Android NDK
#
#   --assets URL    where the files of the folder "assets" will be
#   --out FOLDER    target/release-VERSION by default; it is made anew
#
# A dry run needs neither a Mac nor an NDK, and allows changes that are not committed. Without an NDK, the library of this machine
# is in the Android package; without a Mac, the Swift package takes the library of this machine, from "assets". Afterwards
# scripts/try-release.sh restores a backup with what is in the folder.
#
# VERSION is that of Cargo.toml: scripts/set-version.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
project="$PWD"

usage() {
  sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
  exit 2
}

version=
url=
is_dry=
out=
while [ $# -gt 0 ]; do
  case "$1" in
    --dry-run) is_dry=1 ;;
    --assets) url="${2:-}"; shift ;;
    --out) out="${2:-}"; shift ;;
    [0-9]*.[0-9]*.[0-9]*) version=$1 ;;
    *) usage ;;
  esac
  [ $# -gt 0 ] && shift
done
if [ -z "$version" ] || [ -z "$is_dry$url" ]; then usage; fi
out="$(realpath -m "${out:-target/release-$version}")"

check() {
  [ "$version" = "$(scripts/coordinates.sh version)" ] || {
    echo "Cargo.toml says $(scripts/coordinates.sh version): run scripts/set-version.sh $version, and commit that" >&2
    exit 1
  }
  scripts/set-version.sh --check
  [ -z "$is_dry" ] || return 0
  [ "${KEYFERRY_PROFILE:-release}" = release ] || { echo "KEYFERRY_PROFILE is for tests" >&2; exit 1; }
  [ -z "$(git status --porcelain)" ] || { echo "there are changes that are not committed" >&2; exit 1; }
  grep -q "^## \[$version\]" CHANGELOG.md || { echo "CHANGELOG.md has no section [$version]" >&2; exit 1; }
  grep -q "^repository" Cargo.toml || { echo "Cargo.toml names no repository, which packages must" >&2; exit 1; }
  has_xcode || { echo "missing: a Mac with Xcode" >&2; exit 1; }
  has_ndk || { echo "missing: the Android NDK; set ANDROID_NDK_HOME to its folder" >&2; exit 1; }
}

has_xcode() {
  command -v xcodebuild >/dev/null
}

has_ndk() {
  [ -d "${ANDROID_NDK_HOME:-${ANDROID_NDK_ROOT:-/none}}/toolchains/llvm" ]
}

# The crates, as cargo packs them for crates.io.
pack_crates() {
  local packed="$project/target/package"
  rm -f "$packed"/*.crate
  local options=(--locked --no-verify --target-dir "$project/target")
  [ -z "$is_dry" ] || options+=(--allow-dirty)
  cargo package "${options[@]}" -p keyferry
  # It depends on a version that crates.io does not have yet.
  cargo package "${options[@]}" --manifest-path bindings/matrix-sdk/Cargo.toml -p keyferry-matrix-sdk \
    --config "patch.crates-io.keyferry.path=\"$project\""
  mkdir -p "$out/crates"
  mv "$packed/keyferry-$version.crate" "$packed/keyferry-matrix-sdk-$version.crate" "$out/crates/"
}

pack_android() {
  local options=()
  has_ndk || options=(--this-machine)
  scripts/build-android.sh "${options[@]}"
  cp -R target/android/maven "$out/maven"
  mkdir -p "$out/symbols" "$out/licences"
  cp -R target/android/symbols "$out/symbols/android"
  cp target/android/licences.txt "$out/licences/android.txt"
  cp target/android/jvm/licences.txt "$out/licences/jvm.txt"
}

# The Swift package: a repository of its own, with the generated code, and the version as its tag.
pack_swift() {
  local package="$out/swift/keyferry"
  mkdir -p "$package/bindings/swift" "$out/assets"
  scripts/generate-bindings.sh swift
  cp Package.swift LICENSE README.md CHANGELOG.md "$package/"
  cp -R bindings/swift/Sources bindings/swift/Tests bindings/swift/Stubs "$package/bindings/swift/"
  if has_xcode; then
    scripts/build-xcframework.sh
    cp target/apple/KeyferryFFI.xcframework.zip "$out/assets/"
    cp target/apple/licences.txt "$out/licences/ios.txt"
    scripts/xcframework.py release "$package/Package.swift" "${url:-https://example.org}/KeyferryFFI.xcframework.zip" \
      "$out/assets/KeyferryFFI.xcframework.zip"
  else
    # Licences are those of what would be linked.
    python3 scripts/licences.py "$out/licences/ios.txt" aarch64-apple-ios
    cp target/android/jvm/libkeyferry.so "$out/assets/"
  fi
  git -C "$package" -c init.defaultBranch=main init --quiet
  git -C "$package" add --all
  git -C "$package" -c user.name=keyferry -c user.email=keyferry@localhost commit --quiet --message "Release $version"
  git -C "$package" tag "$version"
}

write_bills() {
  local tools="$project/target/tools/sbom" packages="$out/maven/${group//.//}"
  [ -x "$tools/bin/python" ] || python3 -m venv "$tools"
  "$tools/bin/pip" install --quiet --disable-pip-version-check 'cyclonedx-python-lib[json-validation]==11.12.0'
  poms() {
    local name
    for name in "$@"; do echo "$packages/keyferry-$name/$version/keyferry-$name-$version.pom"; done
  }
  bill() {
    local name=$1 target=$2
    shift 2
    "$tools/bin/python" scripts/sbom.py "$out/sbom/$name.cdx.json" "$name" "$version" "$target" "$@"
  }
  local host
  host="$(rustc -vV | sed -n "s/^host: //p")"
  # shellcheck disable=SC2046 # Two files each, without blanks in their names below this folder.
  (
    cd "$project"
    bill keyferry-android aarch64-linux-android $(poms android kotlin)
    bill keyferry-jvm "$host" $(poms jvm kotlin)
    bill keyferry-ios aarch64-apple-ios
  )
}

write_contents() {
  local stand_ins=()
  has_ndk || stand_ins+=("- The Android package has the library of this machine only: it runs in unit tests, and not on phones.")
  has_xcode || stand_ins+=("- There is no XCFramework: the Swift package takes the library of this machine (assets/libkeyferry.so).")
  {
    echo "# keyferry $version"
    [ ${#stand_ins[@]} -eq 0 ] || printf '\n%s\n\n' "**Not for publication.** Made on a machine without an Android NDK, or without Xcode:"
    printf '%s\n' "${stand_ins[@]}"
    cat <<TEXT

| | what | published by |
|---|---|---|
| crates | the crates \`keyferry\` and \`keyferry-matrix-sdk\` | \`cargo publish -p keyferry\`; then, in \`bindings/matrix-sdk\`, \`cargo publish\` |
| maven | the Maven packages of the group \`$group\`, with POMs, sources and documentation | signing each file (\`gpg -ab\`), and uploading the folder as a bundle to Maven Central |
| assets | files that packages download | adding them to the release, before the Swift package is published |
| swift | the Swift package, a Git repository with the tag \`$version\` | \`git push --tags\` to the repository of the Swift package |
| sbom | what each package contains and depends on (CycloneDX 1.6) | adding them to the release |
| licences | the licences of everything that is linked into each library; each package has its own inside | nothing |
| symbols | for backtraces from the field | keeping them |
| SHA256SUMS | of all of these files | adding it to the release |
TEXT
  } > "$out/CONTENTS.md"
  # The Swift package has its commit.
  local sums
  sums="$(cd "$out" && find . -type f ! -path './swift/*' -print0 | sort -z | xargs -0 sha256sum)"
  echo "$sums" > "$out/SHA256SUMS"
}

check
group="$(scripts/coordinates.sh group)"
profile="${KEYFERRY_PROFILE:-release}"
rm -rf "$out"
mkdir -p "$out"
cargo build --profile "$profile" --locked
pack_crates
pack_android
pack_swift
write_bills
write_contents
echo "filled $out"
