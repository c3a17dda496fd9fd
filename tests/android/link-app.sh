#!/usr/bin/env bash
# Builds what a packaged app has besides classes: unpacks our AAR as an app's build does, merges the manifests of the
# example app and of its libraries, and links their resources.
#
#   link-app.sh AAR LIBRARIES ANDROID_JAR OUT
#
# LIBRARIES is a folder with the unpacked AARs of androidx. In OUT there is then aar/ (our AAR), AndroidManifest.xml,
# resources.apk and gen/ (the source of all R classes).
set -euo pipefail

aar=$1
libraries=$2
android_jar=$3
out=$4
here="$(cd "$(dirname "$0")" && pwd)"
app="$here/../../examples/android/app/src/main"

rm -rf "$out/aar" "$out/compiled" "$out/gen"
mkdir -p "$out/aar" "$out/compiled" "$out/gen"
unzip -q "$aar" -d "$out/aar"

python3 "$here/merge-manifests.py" io.keyferry.example "$app/AndroidManifest.xml" "$out/AndroidManifest.xml" \
  "$out/aar/AndroidManifest.xml" "$libraries"/*/AndroidManifest.xml

# Later ones win: those of the app.
overlays=()
for resources in "$libraries"/*/res "$out/aar/res" "$app/res"; do
  [ -n "$(find "$resources" -type f -print -quit)" ] || continue
  compiled="$out/compiled/${#overlays[@]}.zip"
  aapt2 compile --dir "$resources" -o "$compiled"
  overlays+=(-R "$compiled")
done
packages="$(sed -n 's/.*[^a-z]package="\([^"]*\)".*/\1/p' "$out/aar/AndroidManifest.xml" "$libraries"/*/AndroidManifest.xml |
  sort -u | paste -sd :)"
aapt2 link -I "$android_jar" --manifest "$out/AndroidManifest.xml" --min-sdk-version 24 --target-sdk-version 34 \
  --auto-add-overlay --extra-packages "$packages" --java "$out/gen" -o "$out/resources.apk" "${overlays[@]}"
