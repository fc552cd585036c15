"""Adds to an inventory of Python packages (CycloneDX, JSON) the system's packages and the model bundle.

`python inventory.py PACKAGES.json --system ROOT --bundle DIR --version V --output FILE`; run while the image
is built, after cyclonedx-py has listed the Python packages.
"""

import argparse
import hashlib
import json
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote


def main(argv: Sequence[str] | None = None) -> None:
    """Write the whole inventory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("packages", type=Path, help="inventory that cyclonedx-py wrote")
    parser.add_argument("--system", type=Path, required=True, help="root of the image's file system")
    parser.add_argument("--bundle", type=Path, required=True, help="folder of the embedded bundle")
    parser.add_argument("--version", required=True, help="LeanSeg's version")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args(argv)
    document = json.loads(options.packages.read_text(encoding="utf-8"))
    whole = complete(document, options.system, options.bundle, options.version)
    options.output.write_text(json.dumps(whole, indent=2, sort_keys=True) + "\n")


def complete(document: dict[str, Any], system: Path, bundle: Path, version: str) -> dict[str, Any]:
    """An inventory with all that an image holds.

    Args:
        document: CycloneDX of the Python packages.
        system: root of the file system, whose /var/lib/dpkg/status lists Debian's packages.
        bundle: folder of the embedded bundle.
        version: LeanSeg's version.
    """
    about = {
        "type": "container",
        "bom-ref": "leanseg",
        "name": "leanseg",
        "version": version,
        "licenses": [{"license": {"id": "Apache-2.0"}}],
    }
    components = [*document.get("components", ()), _python(), *_debian(system), _model(bundle)]
    metadata = {**document.get("metadata", {}), "component": about}
    return {**document, "metadata": metadata, "components": components}


def _python() -> dict[str, Any]:
    version = platform.python_version()
    return {
        "type": "platform",
        "bom-ref": "python",
        "name": "python",
        "version": version,
        "licenses": [{"license": {"id": "PSF-2.0"}}],
        "cpe": f"cpe:2.3:a:python:python:{version}:*:*:*:*:*:*:*",
    }


def _debian(system: Path) -> Iterator[dict[str, Any]]:
    """The packages that dpkg lists as installed."""
    for entry in (system / "var/lib/dpkg/status").read_text(encoding="utf-8").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in entry.splitlines() if ": " in line and line[0] != " ")
        if not fields.get("Status", "").endswith(" installed"):
            continue
        name, version = fields["Package"], fields["Version"]
        purl = f"pkg:deb/debian/{quote(name)}@{quote(version, safe='.~-')}?arch={fields['Architecture']}"
        yield {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def _model(bundle: Path) -> dict[str, Any]:
    """The bundle, and each of its files with its hash."""
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    files = [
        {
            "type": "file",
            "bom-ref": f"bundle/{path.name}",
            "name": path.name,
            "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(path.read_bytes()).hexdigest()}],
        }
        for path in sorted(bundle.iterdir())
    ]
    return {
        "type": "machine-learning-model",
        "bom-ref": "bundle",
        "name": manifest["name"],
        "licenses": [{"license": {"name": manifest["provenance"]["licence"]}}],
        "components": files,
    }


if __name__ == "__main__":
    main()
