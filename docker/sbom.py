"""Print what is installed in the image that this runs in, as a CycloneDX 1.6 bill of materials.  Standard library only.

``python sbom.py NAME`` lists every Python distribution and every Debian package, with version, licence where one is stated,
and package URL.  Equal images give equal bytes: the serial number is computed from the content, and no time is noted.
"""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from importlib.metadata import Distribution, distributions
from typing import Any
from urllib.parse import quote

DEBIAN_FORMAT = "${Package}\\t${Version}\\t${Architecture}\\t${db:Status-Status}\\n"

LONGEST_NAME = 100
"""Some packages put the whole text of their licence where its name belongs."""


def bill_of_materials(name: str) -> dict[str, Any]:
    """Return the CycloneDX document of this machine, called ``name``."""
    components = sorted([*_python_components(), *_debian_components()], key=lambda component: str(component["bom-ref"]))
    content = json.dumps([name, components], sort_keys=True)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, content)}",
        "version": 1,
        "metadata": {"component": {"type": "container", "bom-ref": name, "name": name}},
        "components": components,
    }


def _python_components() -> list[dict[str, Any]]:
    return [
        {
            **_component(f"pkg:pypi/{_normalised(found.metadata['Name'])}@{quote(found.version)}", found.metadata["Name"]),
            "version": found.version,
            **_licences(found),
        }
        for found in distributions()
    ]


def _debian_components() -> list[dict[str, Any]]:
    listed = subprocess.run(
        ["dpkg-query", "--show", f"--showformat={DEBIAN_FORMAT}"], check=True, capture_output=True, text=True
    )
    packages = [line.split("\t") for line in listed.stdout.splitlines()]
    return [
        {**_component(f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={architecture}", name), "version": version}
        for name, version, architecture, status in packages
        if status == "installed"
    ]


def _component(purl: str, name: str) -> dict[str, Any]:
    return {"type": "library", "bom-ref": purl, "name": name, "purl": purl}


def _normalised(name: str) -> str:
    """Return a distribution's name as a package URL has it."""
    return name.lower().replace("_", "-").replace(".", "-")


def _licences(found: Distribution) -> dict[str, Any]:
    stated = found.metadata
    if stated.get("License-Expression"):
        return {"licenses": [{"expression": stated["License-Expression"]}]}
    classifiers = [c.rpartition(" :: ")[2] for c in stated.get_all("Classifier") or [] if c.startswith("License ::")]
    names = classifiers or [stated["License"] or ""]
    short = [name for name in names if name and "\n" not in name and len(name) < LONGEST_NAME and name != "OSI Approved"]
    return {"licenses": [{"license": {"name": name}} for name in short]} if short else {}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(bill_of_materials(sys.argv[1]), indent=1, sort_keys=True) + "\n")
