#!/usr/bin/env python3
"""Writes the software bill of materials (CycloneDX 1.6, JSON) of one package: what is linked into its library, and what its
POMs make an app depend on.

    sbom.py OUT NAME VERSION TARGET [POM ...]

TARGET is the Rust target that the library is built for. Needs cargo and the package cyclonedx-python-lib.
"""
import json
import pathlib
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as xml

from cyclonedx.contrib.this.builders import this_component
from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

import licences

MAVEN = "{http://maven.apache.org/POM/4.0.0}"
# The crate itself is the component that the bill is for.
OURS = "keyferry"


def checksums():
    lock = tomllib.loads(pathlib.Path("Cargo.lock").read_text("utf-8"))
    return {(package["name"], package["version"]): package.get("checksum") for package in lock["package"]}


def component(kind, namespace, name, version, **more):
    url = PackageURL(kind, namespace, name, version)
    return Component(type=ComponentType.LIBRARY, group=namespace, name=name, version=version, purl=url, bom_ref=str(url), **more)


def crate(package, checksum):
    """Returns a crate that is linked in."""
    # Old manifests have a slash where there should be an "OR".
    expression = package["license"].replace("/", " OR ")
    repository = package["repository"]
    return component(
        "cargo", None, package["name"], package["version"],
        licenses=[LicenseFactory().make_from_string(expression)],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=checksum)] if checksum else [],
        external_references=[ExternalReference(type=ExternalReferenceType.VCS, url=XsUri(repository))] if repository else [],
    )


def dependencies(packages, target):
    """Returns the linked crates that each linked crate uses."""
    by_id = {package["id"]: package for package in packages}
    command = ["metadata", "--format-version", "1", "--filter-platform", target]
    nodes = json.loads(licences.cargo(*command))["resolve"]["nodes"]
    return {node["id"]: [used for used in node["dependencies"] if used in by_id] for node in nodes if node["id"] in by_id}


def maven_dependencies(pom):
    """Yields what a published POM makes an app depend on."""
    for dependency in xml.parse(pom).iter(MAVEN + "dependency"):
        group, name, version, scope = (dependency.findtext(MAVEN + part) for part in ("groupId", "artifactId", "version", "scope"))
        if scope in (None, "compile", "runtime"):
            yield component("maven", group, name, version)


def bill(name, version, target, poms):
    packages = licences.linked_packages(target)
    sums = checksums()
    bom = Bom()
    bom.metadata.tools.components.add(this_component())
    crates = {package["id"]: crate(package, sums.get((package["name"], package["version"]))) for package in packages}
    ours = next(package["id"] for package in packages if package["name"] == OURS)
    subject = component("generic", None, name, version, licenses=[LicenseFactory().make_from_string("Apache-2.0")])
    bom.metadata.component = subject
    for id, linked in crates.items():
        if id != ours:
            bom.components.add(linked)
    for id, used in dependencies(packages, target).items():
        bom.register_dependency(subject if id == ours else crates[id], [crates[one] for one in used if one != ours])
    for pom in poms:
        for one in maven_dependencies(pom):
            bom.components.add(one)
            bom.register_dependency(subject, [one])
    return bom


def main(out, name, version, target, *poms):
    text = make_outputter(bill(name, version, target, poms), OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=2)
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if error:
        sys.exit(f"{out}: {error}")
    pathlib.Path(out).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(out).write_text(text + "\n", "utf-8")
    print(f"{len(json.loads(text)['components'])} components: {out}")


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
