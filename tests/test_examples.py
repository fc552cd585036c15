"""The `>>>` examples in docstrings give what they say."""

import doctest
import importlib

import pytest

from tests.places import SOURCES, module_name


def with_examples():
    for path in SOURCES:
        lines = path.read_text(encoding="utf-8").splitlines()
        if any(">>> " in line and "+SKIP" not in line for line in lines):
            yield module_name(path)


@pytest.mark.parametrize("name", list(with_examples()))
def test_examples_run(name):
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert (failed, tried > 0) == (0, True)
