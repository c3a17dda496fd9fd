#!/usr/bin/env python3
"""Writes the texts of the Swift package from those of the Android package, which are the source of both.

  scripts/strings.py            writes bindings/swift/Sources/Keyferry/Resources/*.lproj/Localizable.strings
  scripts/strings.py --check    fails if they are not what it would write
"""
import pathlib
import re
import sys
import xml.etree.ElementTree as xml

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCE = ROOT / "bindings/android/src/main/res"
TARGET = ROOT / "bindings/swift/Sources/Keyferry/Resources"
# Of a notification channel, which only Android has.
ANDROID_ONLY = {"keyferry_channel", "keyferry_channel_description"}
# The Swift package chooses between these two, which is right for the languages that there are.
QUANTITIES = ["one", "other"]


def texts(file):
    """Yields the name and the text of each string; a plural gives one for each quantity."""
    for element in xml.parse(file).getroot():
        name = element.get("name")
        if element.tag == "string" and name not in ANDROID_ONLY:
            yield name, element.text
        elif element.tag == "plurals":
            items = {item.get("quantity"): item.text for item in element}
            if sorted(items) != QUANTITIES:
                sys.exit(f"{file}: {name} has {sorted(items)}: teach the Swift package the quantities of this language")
            for quantity in QUANTITIES:
                yield f"{name}.{quantity}", items[quantity]


def as_swift(text):
    """Turns Android's placeholders and escapes into those of a .strings file."""
    text = re.sub(r"%(\d)\$[sd]", r"%\1$@", text)
    text = re.sub(r"\\(['\"@?])", r"\1", text)
    return text.replace('"', '\\"')


def strings_file(file, language):
    # For numbers: a bundle does not say in which language it has found a text.
    entries = [("keyferry_language", language), *texts(file)]
    lines = [f'"{name}" = "{as_swift(text)}";\n' for name, text in entries]
    return "/* Written by scripts/strings.py. */\n" + "".join(lines)


def main():
    stale = []
    for folder in sorted(SOURCE.glob("values*")):
        source = folder / "strings.xml"
        if not source.exists():
            continue
        language = folder.name.removeprefix("values").removeprefix("-") or "en"
        target = TARGET / f"{language}.lproj/Localizable.strings"
        wanted = strings_file(source, language)
        if target.exists() and target.read_text() == wanted:
            continue
        if sys.argv[1:] == ["--check"]:
            stale.append(str(target.relative_to(ROOT)))
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(wanted)
    if stale:
        sys.exit(f"not what the texts of Android say: {', '.join(stale)}; run scripts/strings.py")


main()
