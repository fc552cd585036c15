"""The report in a real browser, opened from a file, as its readers do."""

import json
import sys

import numpy as np
import pytest

from eval.__main__ import main
from eval.report.viewer import viewer_script
from eval.scoring.challenges import CHALLENGES, Rules
from eval.scoring.columns import score_columns
from eval.scoring.structure_scores import Metric
from tests.eval.made import disturbed, organs, write

pytestmark = pytest.mark.slow

COLUMNS = score_columns(CHALLENGES["flare22"], (Metric.DSC, Metric.NSD), Rules.STRICT)
NAMES = "[...document.querySelectorAll('#table tbody .link')].map((link) => link.textContent)"
OPENED_MS = "performance.getEntriesByType('navigation')[0].domComplete"
READY = "document.getElementById('case').dataset.ready"


def table(path, cases: int):
    generator = np.random.default_rng(5)
    rows = [
        f"case{i:03d}.nii.gz," + ",".join(f"{value:.4f}" for value in generator.uniform(0.3, 1, 26))
        for i in range(cases)
    ]
    rows[0] = "case000.nii.gz," + ",".join(["0.0"] * 26)
    errors = ["missing: there is <b>no</b> prediction"] + [""] * (cases - 1)
    lines = [f"{row},{error}" for row, error in zip(rows, errors, strict=True)]
    path.write_text("\n".join(["Name," + ",".join(COLUMNS) + ",Error", *lines]) + "\n")
    return path


def report(folder, cases: int, curves: int):
    """A report with all its sections, and as many curves.

    Images are taken from the folders pred, truth and images.
    """
    times = [f"case{i:03d}.nii.gz,{10 + i},{1000 + 200 * i}" for i in range(cases)]
    (folder / "times.csv").write_text("\n".join(["Name,Time,MaxGPU_Mem", *times]) + "\n")
    (folder / "times_cases").mkdir()
    trace = ["Time_s,GPU_MB,OwnGPU_MB,GPU_percent,CPU_percent,RAM_MB,OwnCPU_percent,OwnRAM_MB"]
    trace += [f"{i / 10},{10 * i},,,,2000,," for i in range(500)] + ["50.0,,,,,,,"]
    for i in range(curves):
        (folder / "times_cases" / f"case{i:03d}.trace.csv").write_text("\n".join(trace) + "\n")
    header = "Place,Submission,Score,Rank_DSC,Cases,Missing,Place_median,Place_low,Place_high,First_share"
    (folder / "ranking.csv").write_text(
        f"{header}\n1,ours,1.2,1.2,12,0,1,1,2,0.9\n2,theirs,1.8,1.8,12,0,2,1,2,0.1\n"
    )
    table(folder / "scores.csv", cases)
    table(folder / "other.csv", cases)
    tables = {
        "--scores": "scores.csv",
        "--compare": "other.csv",
        "--efficiency": "times.csv",
        "--ranking": "ranking.csv",
    }
    folders = {f"--{name}": name for name in ("images", "pred", "truth") if (folder / name).is_dir()}
    options = [part for option, name in (tables | folders).items() for part in (option, str(folder / name))]
    assert main(["report", *options, "--output", str(folder / "report"), "--jobs", "1"]) == 0
    return folder / "report" / "index.html"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Twelve cases, two of them with images, one with a curve."""
    folder = tmp_path_factory.mktemp("cohort")
    generator = np.random.default_rng(3)
    for name in ("case001", "case002"):
        truth = organs(generator, 13)
        write(folder / "truth" / f"{name}.nii.gz", truth)
        write(folder / "pred" / f"{name}.nii.gz", disturbed(generator, truth))
        write(folder / "images" / f"{name}_0000.nii.gz", (truth * 15).astype(np.int16))
    return report(folder, 12, 1)


def test_it_renders_every_section(page, browser):
    browser.open(page)
    assert browser.do("document.querySelectorAll('#headline .fact').length") >= 4
    assert browser.do("document.querySelectorAll('#boxes .box').length") == 13
    assert browser.do("document.querySelectorAll('#boxes circle').length") == 12 * 13
    assert browser.do("document.querySelectorAll('#comparison .dot').length") == 2 * 14
    assert browser.do("document.querySelectorAll('#efficiency .curve').length") == 2
    assert browser.do("document.querySelectorAll('#efficiency .bar.over').length") == 12 - 6
    assert browser.do("document.querySelectorAll('#ranking tbody tr').length") == 2
    assert browser.do("document.querySelector('#ranking thead').textContent").endswith("Missing")
    assert "<b>no</b>" in browser.do("document.querySelector('#table .error').textContent")


CAPTIONS = "[...document.querySelectorAll('#efficiency .pair text.tick')].map((text) => text.textContent)"


def test_one_case_is_a_dot_that_no_box_hides(page, browser, tmp_path):
    """Nor is it called highest; bad news stands out, and good news beside it does not."""
    browser.open(report(tmp_path, 1, 0))
    assert browser.do("document.querySelectorAll('#boxes .box').length") == 0
    assert browser.do("document.querySelectorAll('#boxes circle').length") == 13
    assert {"1 case", "- - tolerance 2048 MB"} <= set(browser.do(CAPTIONS))
    assert browser.do("document.querySelector('#headline .worse').textContent") == "1 in error"
    browser.open(page)
    assert "12 cases, highest first" in browser.do(CAPTIONS)


def test_without_scores_it_shows_volumes_and_doubts(page, browser, tmp_path):
    pred = page.parents[1] / "pred"
    doubted = {"output": "case002.nii.gz", "warnings": [], "doubts": ["no <b>liver</b>"]}
    (tmp_path / "run.json").write_text(json.dumps({"cases": [doubted]}))
    words = ("--pred", pred, "--run", tmp_path / "run.json", "--output", tmp_path / "report", "--jobs", 1)
    assert main(["report", *map(str, words)]) == 0
    browser.open(tmp_path / "report" / "index.html", "#case=case002")
    browser.wait(f"{READY} === 'case002'")
    assert "<b>liver</b>" in browser.do("document.querySelector('#case .error').textContent")
    liver_ml = browser.do("document.querySelector('#case .organs tbody td').textContent")
    assert liver_ml == browser.do("document.querySelector('#table tbody td').textContent")
    assert float(liver_ml.removeprefix("≥ ")) > 0
    assert browser.do(NAMES) == ["case002", "case001"], "the doubted one comes first"
    assert "LK left kidney" in browser.do("document.getElementById('scale').textContent")
    for part in ("organs", "worst-cases"):
        assert browser.do(f"getComputedStyle(document.getElementById('{part}')).display") == "none"


@pytest.fixture(scope="module")
def only_case(tmp_path_factory):
    """A page of one case: a liver, a voxel of spleen, a stomach that is cut off, a doubt of two lines.

    The stomach has 5×2×10 voxels of 12 mm³.
    """
    folder = tmp_path_factory.mktemp("only")
    labels = np.zeros((20, 40, 40), np.uint8)
    labels[4:16, 5:30, 5:30] = 1
    labels[10, 35, 35] = 3
    labels[0:5, 35:37, 10:20] = 11
    labels[0, 38, 38] = 7
    write(folder / "mine" / "ct.nii.gz", labels, (3.0, 2.0, 2.0))
    crumb = {"organ": "spleen", "touches_edge": False, "crumb": True}
    trace = {"organ": "right adrenal gland", "touches_edge": True, "crumb": True}
    doubted = {
        "output": "ct.nii.gz",
        "warnings": [],
        "doubts": ["a long doubt " * 12],
        "organs": [crumb, trace],
    }
    run = {"bundle": {"name": "my bundle"}, "cases": [doubted]}
    (folder / "run.json").write_text(json.dumps(run))
    words = ("--pred", folder / "mine", "--run", folder / "run.json", "--output", folder / "report")
    assert main(["report", *map(str, words), "--jobs", "1"]) == 0
    return folder / "report" / "index.html"


@pytest.mark.parametrize("width", [1400, 800])
def test_a_page_of_one_case_opens_it(only_case, browser, width):
    browser.size(width)
    try:
        browser.open(only_case)
        browser.wait(f"{READY} === 'ct'")
        assert (
            browser.do("document.querySelector('#case .doubts').getBoundingClientRect().width") > 0.9 * width
        )
        figures = "[...document.querySelectorAll('#case .organs tbody td')].map((cell) => cell.textContent)"
        assert browser.do(figures)[:4] == ["90.0", "none", "< 0.1", "none"]
        assert browser.do(figures)[10] == "≥ 1.2"
        assert browser.do("document.querySelector('#case aside .legend').textContent").startswith(
            "≥: reaches"
        )
        assert browser.do("document.querySelector('#case .tag').textContent") == "crumbs"
        assert browser.do("document.querySelectorAll('#case .steps button').length") == 1, "no neighbours"
        beyond = (
            "(([table, aside]) => table.getBoundingClientRect().right - aside.getBoundingClientRect().right)"
        )
        parts = "['#case .organs', '#case aside'].map((each) => document.querySelector(each))"
        assert browser.do(f"{beyond}({parts})") <= 0
    finally:
        browser.size(1440)


def test_below_an_only_case_its_structures_are_listed(only_case, browser):
    browser.open(only_case)
    browser.wait(f"{READY} === 'ct'")
    browser.key("Escape")
    browser.wait("!document.getElementById('case').open")
    assert browser.do("document.getElementById('title').textContent") == "ct"
    kicker = "LeanSeg report · 13 abdominal organs and tumor (FLARE23) · 1 case"
    assert browser.do("document.getElementById('kicker').textContent") == kicker
    said = "Labels by my bundle. Not for clinical use."
    assert browser.do("document.getElementById('foot').textContent").endswith(said)
    assert said in browser.do("document.querySelector('#case header').textContent")
    assert browser.do("document.querySelectorAll('#table tbody tr').length") == 14
    count = browser.do("document.getElementById('count').textContent")
    assert count.startswith(
        "2 of 13 organs (mere crumbs of spleen; traces of right adrenal gland at the scan's"
    )
    assert count.endswith("edge; cut off: stomach)")
    assert browser.do("document.querySelector('#table tbody tr:nth-child(11) td').textContent") == "≥ 1.2"
    assert browser.do("document.getElementById('headline').hidden")
    browser.do("document.querySelector('#cases .filters button').click()")
    assert browser.do("document.getElementById('case').open")


def test_slices_have_the_numbers_of_the_scan(browser, tmp_path):
    """Of 80 slices of 1 mm, every two averaged; the truth's liver lies in 40 to 49, counted from 0.

    12 mm around it are 28 to 61, so that slice 30 of the scan, counted from 1, is the first.
    """
    truth = np.zeros((80, 40, 40), np.uint8)
    truth[40:50, 5:30, 5:30] = 1
    write(tmp_path / "truth" / "case000.nii.gz", truth, (1.0, 2.0, 2.0))
    browser.open(report(tmp_path, 1, 0), "#case=case000")
    browser.wait(f"{READY} === 'case000'")
    at = "[...document.querySelectorAll('#case .axial .at')].map((each) => each.textContent)"
    browser.do("LeanSeg.go(LeanSeg.PLANES[0], 0)")
    assert browser.do(at) == ["30/80"]
    browser.do("LeanSeg.go(LeanSeg.PLANES[0], 99)")
    assert browser.do(at) == ["62/80"]
    assert browser.do("document.querySelector('#case .legend').textContent").startswith(
        "slices 29 to 62 of 80 shown, around the labels"
    )


def test_the_table_sorts_and_filters(page, browser):
    browser.open(page)
    rows = "[...document.querySelectorAll('#table tbody tr:not(.said)')]"
    means = f"{rows}.map((row) => Number(row.cells[1].textContent))"
    assert browser.do(NAMES)[0] == "case000"
    assert browser.do(means) == sorted(browser.do(means))
    browser.do("document.querySelectorAll('#table thead button')[1].click()")
    assert browser.do(means) == sorted(browser.do(means), reverse=True)
    assert (
        browser.do("document.querySelectorAll('#table thead th')[1].getAttribute('aria-sort')")
        == "descending"
    )
    browser.do("document.querySelectorAll('#table thead button')[0].click()")
    assert browser.do(NAMES) == [f"case{i:03d}" for i in range(12)]
    browser.do(
        "const s = document.getElementById('search'); s.value = 'CASE01'; s.dispatchEvent(new Event('input'))"
    )
    assert browser.do(NAMES) == ["case010", "case011"]
    browser.do(
        "s.value = ''; const k = document.getElementById('state'); k.value = 'error'; k.dispatchEvent(new "
        "Event('input'))"
    )
    assert browser.do(NAMES) == ["case000"]
    assert browser.do("document.getElementById('count').textContent") == "1 of 12 cases"


def pixels(browser, plane: int) -> str:
    """The picture of a plane, to see whether it changes."""
    return browser.do(f"LeanSeg.now.canvases[{plane}].toDataURL()")


def test_a_case_opens_and_scrolls(page, browser):
    browser.open(page)
    browser.do(
        "[...document.querySelectorAll('#table .link')].find((link) => link.textContent === "
        "'case001').click()"
    )
    browser.wait(f"{READY} === 'case001'")
    before = pixels(browser, 0)
    index = browser.do("LeanSeg.now.index[2]")
    browser.do("LeanSeg.now.canvases[0].focus()")
    browser.key("ArrowDown")
    assert browser.do("LeanSeg.now.index[2]") == index - 1
    scrolled = pixels(browser, 0)
    assert scrolled != before
    for name in ("errors", "truth", "prediction"):
        browser.do(f"document.querySelector('[data-look={name}]').click()")
        assert pixels(browser, 0) != scrolled
        scrolled = pixels(browser, 0)
    # Bare CT: grey everywhere but for the letters at the edges, which are grey too but for a tint.
    tint = (
        "(() => { const c = LeanSeg.now.canvases[0];"
        "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let most = 0;"
        "for (let i = 0; i < d.length; i += 4) most = Math.max(most, Math.abs(d[i] - d[i + 2]));"
        "return most; })()"
    )
    assert browser.do(tint) < 20
    browser.key("Escape")
    browser.wait("!document.getElementById('case').open")


def test_a_case_has_an_address_and_keys_lead_to_its_neighbours(page, browser):
    browser.open(page, "#case=case001")
    browser.wait(f"{READY} === 'case001'")
    shown = browser.do("LeanSeg.shown.map((item) => item.stem)")
    after = shown[(shown.index("case001") + 1) % len(shown)]
    browser.key("n")
    browser.wait(f"document.getElementById('case-title').textContent === '{after}'")
    assert browser.do("location.hash") == f"#case={after}"
    browser.key("p")
    browser.wait(f"{READY} === 'case001'")
    assert browser.do("location.hash") == "#case=case001"
    browser.key("Escape")
    # A dialog tells of its closing a moment after it is closed.
    browser.wait("!document.getElementById('case').open && location.hash === ''")


def test_the_worst_cases_of_each_organ_lead_to_them(page, browser):
    browser.open(page)
    assert browser.do("document.querySelectorAll('#worst tbody tr').length") == 13
    first = "document.querySelector('#worst .link')"
    name = browser.do(f"{first}.textContent")
    assert name != "case000"  # in error, and 0 in every organ
    browser.do(f"{first}.click()")
    assert browser.do("document.getElementById('case-title').textContent") == name


def test_cases_in_error_are_named_above_the_worst_ones(page, browser):
    browser.open(page)
    assert browser.do("document.getElementById('in-error').textContent").strip() == "1 case in error: case000"
    browser.do("document.querySelector('#in-error .link').click()")
    assert browser.do("document.getElementById('case-title').textContent") == "case000"


def test_where_the_figures_come_from_is_told(page, browser):
    browser.open(page)
    links = browser.do("[...document.querySelectorAll('#sources a')].map((a) => a.getAttribute('href'))")
    assert links == [
        "tables/scores.csv",
        "tables/efficiency.csv",
        "tables/ranking.csv",
        "tables/compared-scores.csv",
    ]
    assert all((page.parent / link).is_file() for link in links)


CUT = (
    "[...document.querySelectorAll('main svg, main table')].filter((each) =>"
    " each.getBoundingClientRect().right > document.documentElement.clientWidth + 1)"
    ".map((each) => each.id || each.getAttribute('aria-label'))"
)


def test_paper_cuts_nothing_off(page, browser):
    browser.size(718)  # A4 between its margins, at 96 dots an inch
    browser.call("Emulation.setEmulatedMedia", media="print")
    try:
        browser.open(page)
        assert browser.do(CUT) == []
    finally:
        browser.call("Emulation.setEmulatedMedia", media="")
        browser.size(1440)


def test_on_a_phone_figures_fit_and_what_scrolls_has_a_shadow(page, browser):
    browser.size(390)
    try:
        browser.open(page)
        scrolling = "[...document.querySelectorAll('#boxes svg, .scroll table')]"
        wide = "document.documentElement.clientWidth"
        assert browser.do(
            f"[...document.querySelectorAll('main .figure:not(#boxes) svg')].every((svg) => "
            f"svg.getBoundingClientRect().right <= {wide})"
        )
        assert browser.do(
            f"{scrolling}.every((each) =>"
            " getComputedStyle(each.closest('.scroll, #boxes')).backgroundImage !== 'none')"
        )
        assert browser.do("getComputedStyle(document.querySelector('.top')).position") == "static"
        assert browser.do("document.documentElement.scrollWidth") <= 390
    finally:
        browser.size(1440)


def test_a_case_without_images_says_so(page, browser):
    browser.open(page)
    browser.do("LeanSeg.openCase(LeanSeg.data.cases[5])")
    assert "No images" in browser.do("document.getElementById('views').textContent")


def test_the_3d_view_shows_organs_and_follows(page, browser):
    if viewer_script() is None:
        pytest.skip("the 3D viewer was not fetched (make viewer)")
    browser.open(page)
    browser.do("LeanSeg.openCase(LeanSeg.data.cases[1])")
    browser.wait(f"{READY} === 'case001'")
    browser.do("document.getElementById('open-solid').click()")
    browser.wait("document.getElementById('solid')?.dataset.ready === 'yes'")
    figures = "[...document.querySelectorAll('#views > figure')]"
    planes = browser.do(f"{figures}.map((one) => [one.clientWidth, one.clientHeight])")
    assert len(planes) == 4
    assert np.ptp(planes, axis=0).max() <= 1
    below = "document.querySelector('#views > .legend').getBoundingClientRect().top"
    assert browser.do(below) >= browser.do("document.getElementById('solid').getBoundingClientRect().bottom")
    inked = (
        "(() => { const { gl } = LeanSeg.solid.nv; LeanSeg.solid.nv.drawScene();"
        "const [w, h] = [gl.drawingBufferWidth, gl.drawingBufferHeight];"
        "const p = new Uint8Array(4 * w * h); gl.readPixels(0, 0, w, h, gl.RGBA, gl.UNSIGNED_BYTE, p);"
        "let n = 0; for (let i = 0; i < p.length; i += 4) n += Math.max(p[i], p[i + 1], p[i + 2]) > 60; "
        "return n / (w * h); })()"
    )
    assert browser.do(inked) > 0.05
    browser.do("LeanSeg.go(LeanSeg.PLANES[0], 4)")
    # Voxel 4 of 20 along the head axis.
    assert browser.do("LeanSeg.solid.nv.scene.crosshairPos[2]") == pytest.approx(4.5 / 20)
    browser.do("document.querySelectorAll('.organs input').forEach((box) => box.click())")
    assert browser.do(inked) < 0.05


def test_200_cases_open_at_once_and_their_images_when_looked_at(tmp_path, browser):
    truth = organs(np.random.default_rng(3), 13)
    for folder, labels in (("pred", truth), ("images", (truth * 15).astype(np.int16))):
        for i in range(140, 160):
            write(tmp_path / folder / f"case{i:03d}.nii.gz", labels)
    page = report(tmp_path, 200, 200)
    browser.asked.clear()
    browser.open(page)
    assert browser.do("document.querySelectorAll('#table tbody tr:not(.said)').length") == 200
    # The figure of docs/benchmarks.md; -s shows it.
    sys.stdout.write(f"200 cases open in {browser.do(OPENED_MS):.0f} ms\n")
    assert [url for url in browser.asked if url.endswith(".js")] == []
    browser.do("LeanSeg.openCase(LeanSeg.data.cases[150])")
    browser.wait(f"{READY} === 'case150'")
    assert [url.rsplit("/", 2)[1:] for url in browser.asked if url.endswith(".js")] == [["cases", "0011.js"]]
