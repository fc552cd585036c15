"""A document with one of its values replaced: what a damaged file, or one of another program, may hold."""

import copy
from math import inf

from model.bundle import ModelBundle
from model.manifest.document import Manifest
from model.schema import dump, parse

WRONG = (None, [], {}, "x", inf, -1, 10**400)
"""What each value is replaced by in turn. The last one is a whole number that no float holds."""


def places_in(document, path=()):
    """Keys to every value of a document, those within lists and mappings included."""
    parts = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in parts:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places_in(value, (*path, key))


def mutations_of(document):
    """What was replaced, in words, and the document with it.

    >>> [words for words, _ in mutations_of({"a": [1]})][:2]
    ['a = None', 'a = []']
    """
    for path in places_in(document):
        for wrong in WRONG:
            changed = copy.deepcopy(document)
            place = changed
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = wrong
            yield f"{'.'.join(map(str, path))} = {str(wrong)[:20]}", changed


def end_before_export(importer, monkeypatch):
    """Have imports end where networks would be exported, once the manifest was made; read checkpoints once.

    Args:
        importer: module with `read_checkpoint`, `pack_bundle` and `logger`.
        monkeypatch: pytest's.
    """
    read, checkpoints = importer.read_checkpoint, {}

    def read_once(place):
        if place not in checkpoints:
            checkpoints[place] = read(place)
        return checkpoints[place]

    def pack(folder, networks, localization, describe, *, overwrite):
        stated = tuple(network.stated for network in networks)
        manifest = describe(stated, None, {member.file: "0" * 64 for member in stated})
        assert parse(Manifest, dump(manifest)) == manifest
        return ModelBundle(folder=folder, manifest=manifest)

    monkeypatch.setattr(importer, "read_checkpoint", read_once)
    monkeypatch.setattr(importer, "pack_bundle", pack)
    monkeypatch.setattr(importer.logger, "disabled", True)
