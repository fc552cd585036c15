"""The release; packaging and `leanseg --version` read it here."""

VERSION = "0.1.0"
