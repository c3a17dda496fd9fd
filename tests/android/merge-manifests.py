#!/usr/bin/env python3
"""Merges the manifests of an app and of the libraries in it, as far as these need it.

    merge-manifests.py APPLICATION_ID APP_MANIFEST OUT LIBRARY_MANIFEST...

Adds permissions and components. Of a component that several manifests name, it takes together the attributes and the
meta-data. The Android build tools do this, and much more, for real apps.
"""
import sys
import xml.etree.ElementTree as xml

ANDROID = "http://schemas.android.com/apk/res/android"
TOOLS = "http://schemas.android.com/tools"
NAME = f"{{{ANDROID}}}name"


def merge(into, element, package):
    """Adds a child element, or what it has and its namesake lacks."""
    name = element.get(NAME)
    if name is not None and name.startswith("."):
        name = package + name
        element.set(NAME, name)
    same = next((known for known in into if known.tag == element.tag and known.get(NAME) == name), None)
    if same is None:
        into.append(element)
        return
    for attribute, value in element.attrib.items():
        same.attrib.setdefault(attribute, value)
    for child in element:
        merge(same, child, package)


def main(application_id, app_manifest, out, *libraries):
    xml.register_namespace("android", ANDROID)
    app = xml.parse(app_manifest).getroot()
    app.set("package", application_id)
    application = app.find("application")
    for path in libraries:
        library = xml.parse(path).getroot()
        package = library.get("package")
        for element in library:
            if element.tag.startswith("uses-permission") or element.tag == "permission":
                merge(app, element, package)
        for component in library.find("application") or []:
            merge(application, component, package)
    for element in app.iter():
        for attribute, value in list(element.attrib.items()):
            if attribute.startswith(f"{{{TOOLS}}}"):
                del element.attrib[attribute]
            else:
                element.set(attribute, value.replace("${applicationId}", application_id))
    xml.ElementTree(app).write(out, encoding="utf-8", xml_declaration=True)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
