#!/usr/bin/env bash
# Builds the Android package, and the Kotlin packages that it goes with, into a folder that is a Maven repository.
#
#   scripts/build-android.sh                  the library for four ABIs, by the Android NDK and cargo-ndk
#   scripts/build-android.sh --this-machine   this machine's library in their place, for tests without an NDK
#
# Afterwards there are:
#   target/android/maven     the repository: keyferry-android (AAR), -kotlin, -jvm, -testing, with sources and documentation
#   target/android/symbols   the symbols of each library, to be kept for backtraces
#
# Needs the release build of this machine (cargo build --release --locked), a JDK, Maven, Python and aapt2.
set -euo pipefail
cd "$(dirname "$0")/.."
project="$PWD"

built="$(scripts/build-folder.sh)"
out="$project/target/android"
# The oldest Android that the manifest allows.
platform=24

case "${1:-}" in
  "")
    machine=android
    for tool in cargo-ndk rustc; do
      command -v "$tool" >/dev/null || { echo "missing: $tool (cargo install cargo-ndk)" >&2; exit 1; }
    done
    ndk="${ANDROID_NDK_HOME:-${ANDROID_NDK_ROOT:-}}"
    [ -d "$ndk/toolchains/llvm" ] || {
      echo "missing: the Android NDK; set ANDROID_NDK_HOME to its folder, or pass --this-machine" >&2
      exit 1
    }
    ;;
  --this-machine) machine=this ;;
  *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
scripts/java.sh aapt2 unzip python3
rm -rf "$out"
mkdir -p "$out"

build_for_android() {
  local abis=(arm64-v8a armeabi-v7a x86_64 x86) abi targets=()
  for abi in "${abis[@]}"; do targets+=(--target "$abi"); done
  # With symbols: they are split off below. Only the cdylib: if cargo makes an rlib in the same call, it leaves `lto` out.
  CARGO_PROFILE_MOBILE_STRIP=none CARGO_PROFILE_MOBILE_DEBUG=line-tables-only \
    cargo ndk "${targets[@]}" --platform "$platform" --output-dir "$out/built" \
    rustc --locked --profile mobile --lib --crate-type cdylib
  local tools=("$ndk"/toolchains/llvm/prebuilt/*/bin)
  for abi in "${abis[@]}"; do
    OBJCOPY="${tools[0]}/llvm-objcopy" add_library "$abi" "$out/built/$abi/libkeyferry.so"
  done
  rm -rf "$out/built"
  python3 scripts/licences.py "$out/licences.txt" aarch64-linux-android
}

build_for_this_machine() {
  [ -f "$built/libkeyferry.so" ] || { echo "missing: $built/libkeyferry.so" >&2; exit 1; }
  add_library x86_64 "$built/libkeyferry.so"
  cp "$out/jvm/licences.txt" "$out/licences.txt"
}

add_library() {
  scripts/split-symbols.sh "$2" "$out/jni/$1/libkeyferry.so" "$out/symbols/$1/libkeyferry.so.debug"
}

python3 scripts/licences.py "$out/jvm/licences.txt" "$(rustc -vV | sed -n "s/^host: //p")"
scripts/split-symbols.sh "$built/libkeyferry.so" "$out/jvm/libkeyferry.so" "$out/symbols/jvm/libkeyferry.so.debug"
"build_for_$machine$([ "$machine" = this ] && echo _machine)"
scripts/generate-bindings.sh kotlin

mvn -B -ntp -q -f bindings/pom.xml -pl kotlin,kotlin-jvm,kotlin-testing,android -am clean package flatten:flatten \
  -Dkotlin.tests.skip -Ddocs.skip=false -Dlibrary.file="$out/jvm/libkeyferry.so" -Dlicences.dir="$out/jvm"
mvn -B -ntp -q -f bindings/android/publish/pom.xml flatten:flatten
scripts/publish-maven.sh "$out/maven"
echo "built $out/maven"
