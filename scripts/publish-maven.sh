#!/usr/bin/env bash
# Puts the packages for Kotlin and Android, which scripts/build-android.sh has built, into a Maven repository in a folder, under
# the group id and version of Cargo.toml: each with its POM, its sources and its documentation.
#
#   scripts/publish-maven.sh FOLDER
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# -eq 1 ] || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2; }
repository="$(realpath -m "$1")"
group="$(scripts/coordinates.sh group)"
version="$(scripts/coordinates.sh version)"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

# Packs folders into a jar.
pack() {
  local jar=$1 folder arguments=()
  shift
  for folder in "$@"; do arguments+=(-C "$folder" .); done
  jar --create --file "$jar" "${arguments[@]}"
}

# Publishes the package that a folder has built.
#   publish FOLDER POM FILE SOURCES ...
publish() {
  local folder=$1 pom=$2 file=$3
  shift 3
  # For this build, packages have a group and a version of their own.
  sed -e "s|<groupId>keyferry</groupId>|<groupId>$group</groupId>|" -e "s|<version>local</version>|<version>$version</version>|" \
    -e "s|^  <name>|  <packaging>${file##*.}</packaging>\\n  <name>|" "$folder/$pom" > "$work/pom.xml"
  pack "$work/sources.jar" "$@"
  # Without classes there is nothing to document. Maven Central asks for the file.
  mkdir -p "$folder/target/dokka"
  pack "$work/javadoc.jar" "$folder/target/dokka"
  mvn -B -ntp -q deploy:deploy-file -Dfile="$folder/target/$file" -DpomFile="$work/pom.xml" \
    -Dsources="$work/sources.jar" -Djavadoc="$work/javadoc.jar" -DrepositoryId=folder -Durl="file:$repository"
}

publish bindings/kotlin target/published-pom.xml keyferry-kotlin-local.jar \
  bindings/kotlin/src/{main,exceptions,generated}/kotlin
# It has no classes: its source is that of the library.
publish bindings/kotlin-jvm target/published-pom.xml keyferry-jvm-local.jar src
publish bindings/kotlin-testing target/published-pom.xml keyferry-testing-local.jar bindings/kotlin-testing/src/main/kotlin
publish bindings/android target/publish/published-pom.xml keyferry-android-local.aar bindings/android/src/main/kotlin
