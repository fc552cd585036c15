"""The places of a page that commands fill."""

import pytest

from eval.benchmark.page_markers import between_markers, fill_page, markers
from eval.eval_errors import JudgingError
from tests.places import ROOT

BEGIN, END = markers("gpu-check")
PAGE = f"# Page\n\n{BEGIN}\n\nNot measured.\n\n{END}\n\nMore.\n"


def test_the_section_comes_between_the_markers_and_may_be_replaced(tmp_path):
    path = tmp_path / "page.md"
    path.write_text(PAGE, encoding="utf-8")
    fill_page(path, "First.\n", "gpu-check")
    once = path.read_text(encoding="utf-8")
    assert once == f"# Page\n\n{BEGIN}\n\nFirst.\n\n{END}\n\nMore.\n"
    assert between_markers(once, "Second.", "gpu-check") == once.replace("First", "Second")


@pytest.mark.parametrize("page", ["", BEGIN, f"{END} {BEGIN}", f"{PAGE}{BEGIN}", f"{PAGE}{END}"])
def test_a_page_without_a_place_for_it_is_refused(page):
    with pytest.raises(JudgingError, match="once each, in this order"):
        between_markers(page, "Section.", "gpu-check")


def test_the_place_of_another_command_is_none():
    with pytest.raises(JudgingError, match="gpu-benchmark: begin"):
        between_markers(PAGE, "Section.", "gpu-benchmark")


@pytest.mark.parametrize("target", ["gpu-benchmark", "gpu-check"])
def test_the_page_of_measurements_has_the_places(target):
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert "Section." in between_markers(page, "Section.", target)
