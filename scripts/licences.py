#!/usr/bin/env python3
"""Writes the licences of all that is linked into the library, for the apps that embed it.

    licences.py OUT TARGET

TARGET is the Rust target that the library is built for. Needs cargo, and the sources of the crates that a build has
fetched. Fails if a package has no text of its own and none is known for its licence.
"""
import json
import pathlib
import re
import subprocess
import sys

NAMES = ("LICENSE", "LICENCE", "COPYING", "NOTICE", "COPYRIGHT", "UNLICENSE")
# "MIT OR Apache-2.0", in either order, also written with a slash.
CHOICE = re.compile(r"^(?!.*AND).*\bApache-2\.0\b")
# The standard library is linked in, too, and no package.
STANDARD_LIBRARY = "The Rust standard library (MIT OR Apache-2.0) https://github.com/rust-lang/rust"


def cargo(*arguments):
    command = ["cargo", *arguments, "--locked"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def linked_packages(target):
    """Returns the packages that end in the library: not those that only build it, write its code or test it."""
    edges = ["-e", "normal,no-proc-macro", "-p", "keyferry", "--target", target, "--prefix", "none", "-f", "{p}"]
    linked = {tuple(line.split()[:2]) for line in cargo("tree", *edges).splitlines()}
    metadata = json.loads(cargo("metadata", "--format-version", "1"))
    packages = [package for package in metadata["packages"] if (package["name"], "v" + package["version"]) in linked]
    return sorted(packages, key=lambda package: (package["name"], package["version"]))


def texts_of(package):
    """Returns the texts of a package's licences: of those that one may choose from, of the one that most have."""
    folder = pathlib.Path(package["manifest_path"]).parent
    files = sorted(file for file in folder.iterdir() if file.is_file() and file.name.upper().startswith(NAMES))
    apache = [file for file in files if "APACHE" in file.name.upper()]
    if apache and CHOICE.search(package["license"]):
        files = apache + [file for file in files if file.name.upper().startswith(("NOTICE", "COPYRIGHT"))]
    return [file.read_text("utf-8", "replace").strip() for file in files]


def missing_text(package, packages):
    """Returns the text of the licence of a package that comes without: ours, or that of another package."""
    wanted = "Apache-2.0" if CHOICE.search(package["license"]) else package["license"]
    if wanted == "Apache-2.0":
        return pathlib.Path("LICENSE").read_text("utf-8").strip()
    for other in packages:
        if other["license"] == wanted and len(texts := texts_of(other)) == 1:
            # Whose copyright it is stands in the list.
            return re.sub(r"(?im)^.*copyright \(c\).*\n+", "", texts[0])
    sys.exit(f"no text for the licence of {package['name']}: {wanted}")


def main(out, target):
    packages = linked_packages(target)
    by_text = {}
    lines = ["keyferry contains the following. Each licence follows once, with those that it covers.", ""]
    lines.append(STANDARD_LIBRARY)
    for package in packages:
        name = f"{package['name']} {package['version']}"
        authors = ", ".join(re.sub(r" *<.*?>", "", author) for author in package["authors"])
        lines.append(f"{name} ({package['license']}) {package['repository'] or ''} {authors}".rstrip())
        for text in texts_of(package) or [missing_text(package, packages)]:
            # Copies of a licence differ in their line breaks and blanks.
            by_text.setdefault(" ".join(text.split()), (text, []))[1].append(name)
    for text, names in by_text.values():
        lines += ["", "=" * 80, ", ".join(names), "=" * 80, "", text]
    file = pathlib.Path(out)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines) + "\n", "utf-8")
    print(f"{len(packages)} packages, {len(by_text)} texts: {out}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
