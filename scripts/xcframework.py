#!/usr/bin/env python3
"""Makes the parts of the XCFramework that are text, for scripts/build-xcframework.sh.

  scripts/xcframework.py exports HEADER               prints the symbols that the framework exports, for Apple's linker
  scripts/xcframework.py info PLATFORM VERSION        prints its Info.plist, for "iPhoneOS" or "iPhoneSimulator"
  scripts/xcframework.py release MANIFEST URL ZIP     writes the address and the checksum of ZIP into a Package.swift
  scripts/xcframework.py check LIBRARY HEADER         holds all of that against the library of this machine (Linux)
  scripts/xcframework.py built BINARY HEADER          holds the binary of a framework against it (a Mac)
"""
import hashlib
import pathlib
import plistlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PARTS = ROOT / "bindings/swift/framework"
MINIMUM_OS = "16.0"
# What Apple wants a reason for ("Describing use of required reason API"), as far as a library in C or Rust can call it.
NEEDS_REASON = {
    "NSPrivacyAccessedAPICategoryFileTimestamp": {"stat", "fstat", "lstat", "fstatat", "getattrlist"},
    "NSPrivacyAccessedAPICategoryDiskSpace": {"statfs", "fstatfs", "statvfs", "fstatvfs"},
    "NSPrivacyAccessedAPICategorySystemBootTime": {"mach_absolute_time"},
}


def functions(header):
    """Returns the functions that the generated code calls."""
    found = re.findall(r"^[\w ]+?\*?\s*\b((?:uniffi|ffi)_\w+)\(", pathlib.Path(header).read_text(), flags=re.MULTILINE)
    if not found:
        sys.exit(f"{header} declares no function")
    return sorted(set(found))


def info(platform, version):
    text = (PARTS / "Info.plist").read_text()
    for name, value in {"PLATFORM": platform, "VERSION": version, "MINIMUM": MINIMUM_OS}.items():
        text = text.replace(f"@{name}@", value)
    return text


def release(manifest, url, archive):
    checksum = hashlib.sha256(pathlib.Path(archive).read_bytes()).hexdigest()
    text = pathlib.Path(manifest).read_text()
    for name, value in {"releaseURL": url, "releaseChecksum": checksum}.items():
        text, count = re.subn(rf'^let {name} = ".*"$', f'let {name} = "{value}"', text, flags=re.MULTILINE)
        if count != 1:
            sys.exit(f"{manifest} has no line for {name}")
    pathlib.Path(manifest).write_text(text)


def symbols(*arguments):
    listed = subprocess.run(["nm", *arguments], check=True, capture_output=True, text=True).stdout
    return {line.split()[-1].split("@")[0] for line in listed.splitlines() if line.strip() and not line.endswith(":")}


def check_privacy(called, source):
    """Fails if a category of functions is called and PrivacyInfo.xcprivacy has no reason for it."""
    privacy = plistlib.loads((PARTS / "PrivacyInfo.xcprivacy").read_bytes())
    declared = {entry["NSPrivacyAccessedAPIType"] for entry in privacy["NSPrivacyAccessedAPITypes"]}
    for category, names in NEEDS_REASON.items():
        if called & names and category not in declared:
            sys.exit(f"{source}: PrivacyInfo.xcprivacy says nothing of {sorted(called & names)}")


def check(library, header):
    wanted = set(functions(header))
    defined = symbols("-D", "--defined-only", library)
    if missing := wanted - defined:
        sys.exit(f"{library} lacks {sorted(missing)}")
    callable_here = {name for name in defined if re.match(r"(uniffi|ffi)_", name)}
    if extra := callable_here - wanted:
        sys.exit(f"not in the export list: {sorted(extra)}")

    # glibc has other names for some: "fstat64".
    called = {re.sub(r"64$", "", name) for name in symbols("-D", "--undefined-only", library)}
    check_privacy(called, library)

    plist = plistlib.loads(info("iPhoneOS", "1.2.3").encode())
    assert plist["CFBundleShortVersionString"] == "1.2.3" and plist["MinimumOSVersion"] == MINIMUM_OS, plist
    manifest = (ROOT / "Package.swift").read_text()
    assert f".iOS(.v{MINIMUM_OS.split('.')[0]})" in manifest, "Package.swift has another minimum"
    print(f"{len(wanted)} symbols, minimum iOS {MINIMUM_OS}")


def built(framework, header):
    """Holds a binary of Apple's linker against the list and the privacy manifest."""
    exported = symbols("-gU", framework)
    if exported != {f"_{name}" for name in functions(header)}:
        sys.exit(f"{framework} exports {sorted(exported)[:10]} …")
    check_privacy({name.removeprefix("_").split("$")[0] for name in symbols("-u", framework)}, framework)


def main():
    command, arguments = (sys.argv[1:2] or [""])[0], sys.argv[2:]
    if command == "exports" and len(arguments) == 1:
        # C names begin with an underscore there.
        print("\n".join(f"_{name}" for name in functions(*arguments)))
    elif command == "info" and len(arguments) == 2:
        print(info(*arguments), end="")
    elif command == "release" and len(arguments) == 3:
        release(*arguments)
    elif command == "check" and len(arguments) == 2:
        check(*arguments)
    elif command == "built" and len(arguments) == 2:
        built(*arguments)
    else:
        sys.exit(__doc__)


main()
