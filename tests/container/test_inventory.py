"""The inventory of the image: what is added to the list of Python packages."""

import json
from hashlib import sha256

from container.inventory import main

STATUS = """\
Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9+deb12u10
Description: GNU C Library
 : with a line that looks like a field

Package: removed
Status: deinstall ok config-files
Architecture: amd64
Version: 1
"""


def test_system_and_bundle_stand_beside_the_packages(tmp_path):
    (tmp_path / "var/lib/dpkg").mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/status").write_text(STATUS)
    (tmp_path / "bundle").mkdir()
    manifest = json.dumps({"name": "mine", "provenance": {"licence": "CC0"}})
    (tmp_path / "bundle/manifest.json").write_text(manifest)
    listed = {"bomFormat": "CycloneDX", "metadata": {"tools": "kept"}, "components": [{"name": "numpy"}]}
    (tmp_path / "packages.json").write_text(json.dumps(listed))
    main(
        [
            str(tmp_path / "packages.json"),
            "--system",
            str(tmp_path),
            "--bundle",
            str(tmp_path / "bundle"),
            "--version",
            "1.2",
            "--output",
            str(tmp_path / "sbom.json"),
        ]
    )
    whole = json.loads((tmp_path / "sbom.json").read_text(encoding="utf-8"))
    assert whole["metadata"]["tools"] == "kept"
    assert whole["metadata"]["component"]["version"] == "1.2"
    names = [component["name"] for component in whole["components"]]
    assert names == ["numpy", "python", "libc6", "mine"]
    assert whole["components"][2]["purl"] == "pkg:deb/debian/libc6@2.36-9%2Bdeb12u10?arch=amd64"
    model = whole["components"][3]
    assert model["licenses"] == [{"license": {"name": "CC0"}}]
    assert model["components"][0]["hashes"][0]["content"] == sha256(manifest.encode()).hexdigest()
