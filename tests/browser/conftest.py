"""The browser of all tests of pages."""

import pytest

from tests.browser.chromium import Browser


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("browser"))
    yield browser
    browser.close()


@pytest.fixture
def browser(started):
    """The one browser; a test fails if its pages wrote an error to the console or asked the network."""
    started.errors.clear()
    yield started
    assert started.errors == []
