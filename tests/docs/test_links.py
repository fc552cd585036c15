"""Documents point at what exists, and fit the width."""

import re

import pytest

from tests.places import ROOT

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
UNWRAPPED = ("docs/judging.md",)
"""Shows the output of programs between its lines."""
WIDTH = 110


def name_of(path):
    return str(path.relative_to(ROOT))


def text_of(path):
    return path.read_text(encoding="utf-8")


def anchors(path):
    """The names by which GitHub links to the headings of a document."""
    headings = re.findall(r"^#+ (.+)$", text_of(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(path):
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text_of(path)):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = path.parent / file if file else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_the_index_lists_every_page():
    index = ROOT / "docs" / "README.md"
    pages = {path.name for path in index.parent.glob("*.md") if path != index}
    assert pages - set(re.findall(r"\]\(([\w-]+\.md)\)", text_of(index))) == set()


def test_contributing_names_only_what_exists():
    words = re.findall(r"`([\w./]+/[\w./]*)`", text_of(ROOT / "CONTRIBUTING.md"))
    assert [word for word in words if not word.startswith("..") and not (ROOT / word).exists()] == []


@pytest.mark.parametrize("path", [p for p in DOCUMENTS if name_of(p) not in UNWRAPPED], ids=name_of)
def test_lines_fit(path):
    """Tables, code blocks and pictures apart."""
    text = re.sub(r"^```.*?^```", "", text_of(path), flags=re.MULTILINE | re.DOTALL)
    long = [line for line in text.splitlines() if len(line) > WIDTH and not line.startswith(("|", "!["))]
    assert long == []
