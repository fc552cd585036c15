import yaml

from leanseg.version import VERSION
from tests.places import ROOT


def test_the_citation_has_the_version_and_licence_of_the_release():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["version"], citation["license"]) == (VERSION, "Apache-2.0")
