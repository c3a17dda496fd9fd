#!/usr/bin/env python3
"""Writes the licences of all that is linked into the library, for the apps that embed it.

    licences.py OUT [TARGET]

TARGET is the Rust target that the library is built for; without it, that of this machine. Needs cargo, and the sources
of the crates that a build has fetched.
"""
import json
import pathlib
import re
import subprocess
import sys

# "MIT OR Apache-2.0", in either order, also written with a slash.
CHOICE = re.compile(r"^(?!.*AND).*\bApache-2\.0\b")
NAMES = ("LICENSE", "LICENCE", "COPYING", "NOTICE", "COPYRIGHT", "UNLICENSE")


def linked_packages(metadata):
    """Returns the packages that end in the library: not those that only build it or write its code."""
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    found, todo = {}, [next(package["id"] for package in metadata["packages"] if package["name"] == "keyferry")]
    while todo:
        name = todo.pop()
        writes_code = any("proc-macro" in target["kind"] for target in packages[name]["targets"])
        if name in found or writes_code:
            continue
        found[name] = packages[name]
        for dependency in nodes[name]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                todo.append(dependency["pkg"])
    return sorted(found.values(), key=lambda package: (package["name"], package["version"]))


def texts_of(package):
    """Returns the texts of a package's licences: of those that one may choose from, of the one that most have."""
    folder = pathlib.Path(package["manifest_path"]).parent
    files = sorted(file for file in folder.iterdir() if file.is_file() and file.name.upper().startswith(NAMES))
    apache = [file for file in files if "APACHE" in file.name.upper()]
    if apache and CHOICE.search(package["license"]):
        files = apache + [file for file in files if file.name.upper().startswith(("NOTICE", "COPYRIGHT"))]
    return [file.read_text("utf-8", "replace").strip() for file in files]


def main(out, *target):
    platform = ["--filter-platform", target[0]] if target else []
    command = ["cargo", "metadata", "--format-version", "1", "--locked", *platform]
    packages = linked_packages(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))
    by_text = {}
    lines = ["keyferry contains the following. Each licence follows once, with those that it covers.", ""]
    for package in packages:
        name = f"{package['name']} {package['version']}"
        source = package["repository"] or ""
        lines.append(f"{name} ({package['license']}) {source}".rstrip())
        for text in texts_of(package):
            # Copies of a licence differ in their line breaks and blanks.
            by_text.setdefault(" ".join(text.split()), (text, []))[1].append(name)
    for text, names in by_text.values():
        lines += ["", "=" * 80, ", ".join(names), "=" * 80, "", text]
    file = pathlib.Path(out)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines) + "\n", "utf-8")
    print(f"{len(packages)} packages, {len(by_text)} texts: {out}")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(*sys.argv[1:])
