#!/usr/bin/env python3
"""Says what the library weighs in an app, and what its bytes are: a table by crate, and one by section.

    scripts/library-size.py            builds the library for this machine (profile `mobile`) and prints both tables
    scripts/library-size.py --write    writes them to docs/bench/size.md

Needs cargo, and nm, objcopy and readelf of binutils. Symbols of C are told apart by the archives that they come from.
"""

import collections
import lzma
import os
import pathlib
import re
import subprocess
import sys
import tempfile

PROJECT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", PROJECT / "target"))
BUILD = TARGET / "mobile"
# Crates that are shown by themselves; the others are too small.
LEAST_SHOWN = 30_000
SECTIONS = {
    ".text": "code",
    ".rodata": "constants",
    ".rela.dyn": "relocations",
    ".relr.dyn": "relocations, packed",
    ".data.rel.ro": "constants that need relocations",
    ".eh_frame": "unwind data",
    ".eh_frame_hdr": "unwind data, index",
    ".gcc_except_table": "exception tables",
}


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def build():
    environment = {**os.environ, "CARGO_PROFILE_MOBILE_STRIP": "none"}
    # As packages are built: with an rlib beside it, cargo would not optimise across crates.
    command = ["cargo", "rustc", "--locked", "--profile", "mobile", "--lib", "--crate-type", "cdylib"]
    subprocess.run(command, check=True, cwd=PROJECT, env=environment)
    return BUILD / "libkeyferry.so"


def c_symbols():
    """Returns the library that each symbol of C belongs to, and those that only x86 with AVX-512 uses."""
    owners, only_avx512 = {}, set()
    for pattern, owner in [("libsqlite3-sys-*/out/libsqlite3.a", "SQLite"), ("aws-lc-sys-*/out/**/lib*crypto*.a", "AWS-LC")]:
        for archive in (BUILD / "build").glob(pattern):
            for line in run("nm", "-A", "--defined-only", archive).splitlines():
                place, _, name = line.rpartition(" ")
                owners[name] = owner
                if "avx512" in place.lower():
                    only_avx512.add(name)
    return owners, only_avx512


def crate_of(symbol):
    """Returns the crate that a symbol of Rust belongs to: the first one that it names which is not the language's own."""
    crates = re.findall(r"(?<![\w:])([a-z_][a-z0-9_]*)::", symbol)
    others = [crate for crate in crates if crate not in ("core", "alloc", "std", "hashbrown")]
    return others[0] if others else "Rust's own library"


def by_crate(library):
    owners, only_avx512 = c_symbols()
    sizes = collections.Counter()
    for line in run("nm", "-SC", "--defined-only", library).splitlines():
        match = re.match(r"[0-9a-f]+ ([0-9a-f]+) [tTrRdDwWvV] (.*)", line)
        if not match:
            continue
        size, symbol = int(match[1], 16), match[2]
        if symbol in only_avx512 or "avx512" in symbol.lower():
            sizes["AWS-LC, AVX-512 (x86-64 only)"] += size
        elif symbol in owners or re.match(r"aws_lc_\d", symbol):
            sizes[owners.get(symbol, "AWS-LC")] += size
        else:
            sizes[crate_of(symbol)] += size
    small = sum(size for size in sizes.values() if size < LEAST_SHOWN)
    shown = [(crate, size) for crate, size in sizes.most_common() if size >= LEAST_SHOWN]
    return [*shown, ("all others", small)]


def by_section(library):
    sizes = collections.Counter()
    for line in run("readelf", "-SW", library).splitlines():
        match = re.match(r"\s*\[\s*\d+\]\s+(\S+)\s+\S+\s+[0-9a-f]+\s+[0-9a-f]+\s+([0-9a-f]+)", line)
        if match and match[1] in SECTIONS:
            sizes[SECTIONS[match[1]]] += int(match[2], 16)
    return sizes.most_common()


def stripped(library):
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / "library.so"
        run("objcopy", "--strip-all", library, copy)
        content = copy.read_bytes()
        return len(content), len(lzma.compress(content, preset=9))


def table(title, rows):
    lines = [f"| {title} | MB |", "|---|---|"]
    return "\n".join(lines + [f"| {name} | {size / 1e6:.2f} |" for name, size in rows])


def report(library):
    size, compressed = stripped(library)
    crates = by_crate(library)
    avx512 = sum(size for crate, size in crates if "AVX-512" in crate)
    return f"""# Size of the library

Made by `scripts/library-size.py --write`: profile `mobile`, x86-64, stripped. An app for phones has one such library for
each ABI, without what only x86 has.

**{size / 1e6:.2f} MB**, {compressed / 1e6:.2f} MB as xz; {(size - avx512) / 1e6:.2f} MB without the code for AVX-512.

{table("section", by_section(library))}

Symbols, by the crate or the library of C that they belong to. What generic code of Rust's own library does for a crate counts
there.

{table("crate", crates)}
"""


def main():
    text = report(build())
    if sys.argv[1:] == ["--write"]:
        (PROJECT / "docs/bench/size.md").write_text(text)
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        print(text)


main()
