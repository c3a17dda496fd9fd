#!/usr/bin/env bash
# Builds the Rust library for iOS as an XCFramework, which Package.swift finds, and the generated code that goes with it.
#
#   scripts/build-xcframework.sh            into target/apple; Package.swift takes it from there
#   scripts/build-xcframework.sh --check    only checks the parts that need no Mac, with the library of this machine
#
# Afterwards there are:
#   target/apple/KeyferryFFI.xcframework       for phones and for the simulator, with their symbols (dSYM)
#   target/apple/KeyferryFFI.xcframework.zip   the same, for a release
#
# Needs Rust and Python; except for --check a Mac with Xcode, and the targets
# (rustup target add aarch64-apple-ios aarch64-apple-ios-sim x86_64-apple-ios).
#
# The framework is dynamic and exports only what the generated code calls: an app may have other libraries with Rust or
# SQLite in them, and linked statically their symbols would collide with ours.
set -euo pipefail
cd "$(dirname "$0")/.."
project="$PWD"

case "${1:-}" in
  "") ;;
  --check) ;;
  *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac

out="$project/target/apple"
framework=KeyferryFFI
built="$(scripts/build-folder.sh)"
# The generator reads the library of this machine.
cargo build --profile "${KEYFERRY_PROFILE:-release}" --locked
scripts/generate-bindings.sh swift
header="$project/bindings/swift/Sources/KeyferryFFI/KeyferryFFI.h"

if [ "${1:-}" = --check ]; then
  scripts/xcframework.py check "$built/libkeyferry.so" "$header"
  # The manifest of a release, as SwiftPM reads it.
  mkdir -p "$out/check"
  cp Package.swift "$out/check/Package.swift"
  echo "in place of a zip" > "$out/check/zip"
  scripts/xcframework.py release "$out/check/Package.swift" https://example.org/KeyferryFFI.zip "$out/check/zip"
  scripts/with-swift.sh KEYFERRY_LIBRARY=release \
    swift package --package-path "$out/check" dump-package > "$out/check/package.json"
  checksum="$(sha256sum < "$out/check/zip" | cut -d " " -f 1)"
  for text in '"type" : "binary"' https://example.org/KeyferryFFI.zip "$checksum"; do
    # SwiftPM escapes slashes.
    sed 's|\\/|/|g' "$out/check/package.json" | grep -qF "$text" || { echo "the manifest has no $text" >&2; exit 1; }
  done
  exit
fi

for tool in xcrun xcodebuild lipo ditto; do
  command -v "$tool" >/dev/null || { echo "missing: $tool: this needs a Mac with Xcode" >&2; exit 1; }
done
version="$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)"
rm -rf "$out"
mkdir -p "$out"
scripts/xcframework.py exports "$header" > "$out/exports"

# Builds the library for one target of Rust, linked as the dynamic library of the framework.
#   build_library RUST_TARGET SDK CLANG_TARGET
build_library() {
  local notes libraries=()
  # With symbols: they are split off below.
  notes="$(CARGO_TERM_COLOR=never CARGO_PROFILE_MOBILE_STRIP=none CARGO_PROFILE_MOBILE_DEBUG=line-tables-only IPHONEOS_DEPLOYMENT_TARGET=16.0 \
    cargo rustc --locked --profile mobile --lib --crate-type staticlib --target "$1" -- --print native-static-libs 2>&1 |
    tee /dev/stderr)"
  read -ra libraries <<< "$(sed -n 's/^note: native-static-libs: //p' <<< "$notes" | tail -n 1)"
  mkdir -p "$out/$1"
  xcrun --sdk "$2" clang -dynamiclib -fapplication-extension -target "$3" -o "$out/$1/$framework" \
    -Wl,-force_load,"$built/../$1/mobile/libkeyferry.a" -Wl,-exported_symbols_list,"$out/exports" -Wl,-dead_strip \
    -install_name "@rpath/$framework.framework/$framework" "${libraries[@]}"
}

# Makes the framework of one platform from the libraries of its targets.
#   make_framework FOLDER PLATFORM RUST_TARGET ...
make_framework() {
  local folder="$out/$1/$framework.framework" platform=$2 target binaries=()
  shift 2
  for target in "$@"; do binaries+=("$out/$target/$framework"); done
  mkdir -p "$folder/Headers" "$folder/Modules"
  lipo -create "${binaries[@]}" -output "$folder/$framework"
  xcrun dsymutil "$folder/$framework" -o "$folder.dSYM"
  xcrun strip -x "$folder/$framework"
  scripts/xcframework.py built "$folder/$framework" "$header"
  cp "$header" "$folder/Headers/"
  cp bindings/swift/framework/module.modulemap "$folder/Modules/"
  cp bindings/swift/framework/PrivacyInfo.xcprivacy "$folder/"
  scripts/xcframework.py info "$platform" "$version" > "$folder/Info.plist"
}

build_library aarch64-apple-ios iphoneos arm64-apple-ios16.0
build_library aarch64-apple-ios-sim iphonesimulator arm64-apple-ios16.0-simulator
build_library x86_64-apple-ios iphonesimulator x86_64-apple-ios16.0-simulator
make_framework phone iPhoneOS aarch64-apple-ios
make_framework simulator iPhoneSimulator aarch64-apple-ios-sim x86_64-apple-ios

xcodebuild -create-xcframework -output "$out/$framework.xcframework" \
  -framework "$out/phone/$framework.framework" -debug-symbols "$out/phone/$framework.framework.dSYM" \
  -framework "$out/simulator/$framework.framework" -debug-symbols "$out/simulator/$framework.framework.dSYM"
python3 scripts/licences.py "$out/licences.txt" aarch64-apple-ios
(cd "$out" && ditto -c -k --sequesterRsrc --keepParent "$framework.xcframework" "$framework.xcframework.zip")
echo "built $out/$framework.xcframework"
