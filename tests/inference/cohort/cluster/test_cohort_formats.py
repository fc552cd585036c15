"""What a cohort writes beside label maps: DICOM objects and tables of organs, as `predict.py` does."""

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

import predict
from inference.cohort.cluster.driver.cohort_run import CohortRun
from inference.cohort.cluster.driver.seats import room_on, setup_for, this_machine
from inference.cohort.cluster.worker.warm_worker import WorkerSetup
from inference.cohort.further_results import SUFFIXES
from inference.errors import UsageError
from tests.inference.bundles import make_bundle
from tests.inference.cohort.cluster.conftest import bright_ml
from tests.inference.cohort.cluster.fake_tools import DOUBT
from tests.inference.cohort.cluster.in_process import InProcess
from tests.places import CROPS

BOTH = ("dicom-seg", "rtstruct")
OBJECTS = ["p1/series.rtstruct.dcm", "p1/series.seg.dcm"]


@pytest.fixture
def series(bench):
    """The bench with a DICOM series as its input, and tools that write objects of it."""
    bench.workers = 1
    bench.tools = replace(bench.tools, formats=BOTH)
    shutil.copytree(CROPS / "ct_slab_dicom" / "series", bench.source / "p1" / "series")
    return bench


def objects(bench):
    return sorted(path.relative_to(bench.output).as_posix() for path in bench.output.rglob("*.dcm"))


def empty(series):
    """Let the series show nothing."""
    for path in (series.source / "p1" / "series").iterdir():
        one = pydicom.dcmread(path)
        one.decompress()
        one.PixelData = bytes(len(one.PixelData))
        one.save_as(path)


def test_a_series_has_its_objects_beside_its_label_map(series):
    code, _, err = series.run(format=BOTH)
    assert code == 0
    assert all("made up" in line for line in err), "of an anonymized series"
    assert objects(series) == OBJECTS
    assert series.written == ["p1/series.nii.gz"]
    seg = pydicom.dcmread(series.output / "p1/series.seg.dcm")
    assert [segment.SegmentLabel for segment in seg.SegmentSequence] == ["liver"]
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(series.output / "p1/series.nii.gz")))
    assert np.count_nonzero(seg.pixel_array) == np.count_nonzero(labels) > 0


def test_a_label_map_without_objects_is_recorded_with_its_volumes(series):
    """The case has failed, for the object that cannot have its name."""
    series.tools = replace(series.tools, doubts=(DOUBT,))
    (series.output / OBJECTS[1] / "inside").mkdir(parents=True)
    code, _, err = series.run(format=BOTH)
    assert (code, series.written) == (1, ["p1/series.nii.gz"])
    record = series.record("p1/series")
    assert (record["status"], record["doubts"]) == ("failed", [DOUBT])
    assert record["volumes_ml"]["liver"] > 0
    assert any(f"look at the result: {DOUBT}" in line for line in err)


def test_what_is_no_series_fails_before_it_is_segmented(series):
    series.put("ct")
    code, _, err = series.run(format=BOTH)
    assert code == 1
    assert series.statuses == {"ct": "failed", "p1/series": "segmented"}
    (line,) = (line for line in err if line.startswith("error: "))
    assert "ct.nii.gz: is no DICOM series, to whose slices --format dicom-seg would refer" in line


def test_a_case_is_done_when_all_that_is_asked_for_is_there(series):
    series.tools = replace(series.tools, formats=())
    series.run()
    series.tools = replace(series.tools, formats=BOTH)
    assert series.run(format=BOTH, resume=True)[1][-1].startswith("1 case: 1 segmented")
    assert series.run(format=BOTH, resume=True)[1][-1].startswith("1 case: 1 done before")
    (series.output / OBJECTS[0]).unlink()
    assert series.run(format=("dicom-seg",), resume=True)[1][-1].startswith("1 case: 1 done before")
    assert series.run(format=BOTH, resume=True)[1][-1].startswith("1 case: 1 segmented")
    assert objects(series) == OBJECTS
    (series.output / "p1/series.nii.gz").unlink()
    assert series.run(format=BOTH, resume=True)[1][-1].startswith("1 case: 1 segmented")


def test_a_case_that_fails_after_an_earlier_run_had_its_label_map_says_so(series):
    """Its outcome is the later one, with the figures of the label map, which is kept."""
    series.put("ct")
    series.tools = replace(series.tools, formats=())
    series.run()
    before = (series.output / "ct.nii.gz").read_bytes()
    figures = {name: series.rows["ct"][name] for name in ("liver_ml", "spleen_ml", "size_zyx")}
    assert figures == {"liver_ml": f"{bright_ml():.2f}", "spleen_ml": "0.00", "size_zyx": "7×6×5"}
    series.tools = replace(series.tools, formats=BOTH)
    code, _, err = series.run(format=BOTH, resume=True)
    assert (code, series.statuses) == (1, {"ct": "failed", "p1/series": "segmented"})
    assert (series.output / "ct.nii.gz").read_bytes() == before
    (line,) = (line for line in err if line.startswith("error: "))
    assert line.endswith("; ct.nii.gz of an earlier run is still there")
    assert line == f"error: {series.record('ct')['reason']}"
    assert figures.items() <= series.rows["ct"].items()
    series.tools = replace(series.tools, formats=())
    assert series.run(resume=True, retry_failed=True)[1][-1].startswith("2 cases: 1 skipped, 1 done before")
    assert figures.items() <= series.rows["ct"].items()
    assert series.rows["ct"]["reason"] == "its label map was there"


def test_an_outcome_stands_until_there_is_another(series, monkeypatch):
    """A run that is to do a case once more is ended before it has."""
    series.put("ct")
    series.tools = replace(series.tools, formats=())
    series.run()
    first = series.record("ct")

    def ended(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(CohortRun, "run", ended)
    with pytest.raises(KeyboardInterrupt):
        series.run(format=BOTH, resume=True)
    assert series.record("ct") == first


def test_a_label_map_without_outcome_counts_only_with_its_objects(series):
    series.run(format=BOTH)
    (series.output / "p1/series.outcome.json").unlink()
    (series.output / OBJECTS[1]).unlink()
    assert series.run(format=BOTH, resume=True)[1][-1].startswith("1 case: 1 segmented")
    (series.output / "p1/series.outcome.json").unlink()
    assert series.run(format=BOTH, resume=True)[1][-1].startswith("1 case: 1 skipped")


def test_nothing_found_has_no_objects_and_is_done_all_the_same(series):
    empty(series)
    code, _, err = series.run(format=BOTH)
    assert (code, objects(series)) == (0, [])
    (line,) = err
    assert "no structure was found: there is nothing to write as dicom-seg and rtstruct" in line
    assert series.run(format=BOTH, resume=True)[1][-1].startswith("1 case: 1 done before")


def test_objects_may_lie_behind_urls(series, memory):
    memory.put(str(series.source), "/cohort/in", recursive=True)
    urls = {"input": "memory://cohort/in", "output": "memory://cohort/out"}
    assert series.run(format=BOTH, **urls)[0] == 0
    found = [path.removeprefix("/cohort/out/") for path in memory.find("/cohort/out/p1")]
    assert sorted(found) == sorted([*OBJECTS, "p1/series.nii.gz", "p1/series.outcome.json"])
    assert series.run(format=BOTH, resume=True, **urls)[1][-1].startswith("1 case: 1 done before")


def test_objects_of_an_earlier_run_go_where_none_are_asked_for(series):
    series.run(format=BOTH)
    (series.output / "p1/series.outcome.json").unlink()
    (series.output / "p1/series.nii.gz").unlink()
    series.tools = replace(series.tools, formats=())
    assert series.run(resume=True)[0] == 0
    assert (series.written, objects(series)) == (["p1/series.nii.gz"], [])
    (warning,) = series.record("p1/series")["warnings"]
    assert warning == "removed series.seg.dcm and series.rtstruct.dcm: of an earlier segmentation"


@pytest.mark.parametrize("formats", [(), BOTH])
def test_objects_behind_urls_go_where_the_new_label_map_has_none(series, memory, formats):
    empty(series)
    series.tools = replace(series.tools, formats=formats)
    memory.put(str(series.source), "/cohort/in", recursive=True)
    for name in OBJECTS:
        memory.pipe_file(f"/cohort/out/{name}", b"of an earlier run")
    urls = {"input": "memory://cohort/in", "output": "memory://cohort/out"}
    code, _, err = series.run(format=formats, **urls)
    assert code == 0
    found = [path.removeprefix("/cohort/out/") for path in memory.find("/cohort/out/p1")]
    assert sorted(found) == ["p1/series.nii.gz", "p1/series.outcome.json"]
    assert any("removed series.seg.dcm and series.rtstruct.dcm: of an earlier" in line for line in err)


def test_packages_that_are_missing_are_named_before_anything_runs(series, monkeypatch):
    def refuse(name):
        raise ModuleNotFoundError(name=name.rpartition(".")[2])

    monkeypatch.setattr("inference.cohort.further_results.importlib.import_module", refuse)
    with pytest.raises(UsageError, match="--format rtstruct needs the package"):
        series.run(lambda call, console: pytest.fail("an engine was opened"), format=("rtstruct",))


def test_organs_of_all_cases_are_a_table(bench, tmp_path):
    bench.tools = replace(bench.tools, figures_unit="hu")
    bench.put("p/a", "p/b")
    (bench.source / "bad.nii.gz").write_bytes(b"no image")
    bench.run(statistics=tmp_path / "organs.csv")
    with (tmp_path / "organs.csv").open(encoding="utf-8", newline="") as file:
        rows = [*csv.DictReader(file)]
    assert [(row["case"], row["organ"]) for row in rows] == [("p/a", "liver"), ("p/b", "liver")]
    assert float(rows[0]["volume_ml"]) == pytest.approx(bench.record("p/a")["volumes_ml"]["liver"], abs=0.001)
    cases = json.loads((tmp_path / "organs.json").read_text(encoding="utf-8"))["cases"]
    assert [(case["case"], case["status"]) for case in cases] == [
        ("bad", "failed"),
        ("p/a", "segmented"),
        ("p/b", "segmented"),
    ]


def test_cases_that_have_no_figures_are_counted(bench, tmp_path):
    bench.put("a")
    bench.run()
    bench.tools = replace(bench.tools, figures_unit="hu")
    bench.put("b")
    _, _, err = bench.run(resume=True, statistics=tmp_path / "organs.csv")
    assert err == [f"warning: {tmp_path}/organs.csv: lacks 1 case segmented without --statistics"]


def test_results_are_those_of_predict(bench, tmp_path):
    """Label map, frames, outlines and figures; identifiers are drawn anew in each run."""
    shutil.copytree(CROPS / "ct_slab_dicom" / "series", bench.source / "series")
    bundle = make_bundle(tmp_path / "bundle").folder

    def opens(call, console):
        setup: WorkerSetup = setup_for(call, room_on(this_machine(), replace(call, cpus_per_worker=1)))
        return InProcess([setup])

    code, _, _ = bench.run(opens, bundle=bundle, format=BOTH, statistics=tmp_path / "cohort.csv")
    words = [
        "--bundle",
        str(bundle),
        "--input",
        str(bench.source),
        "--output",
        str(tmp_path / "alone"),
        "--threads",
        "1",
    ]
    words += [word for kind in BOTH for word in ("--format", kind)]
    assert predict.main([*words, "--statistics", str(tmp_path / "alone.csv")]) == code == 0
    names = [f"series{ending}" for ending in (".nii.gz", *SUFFIXES.values())]
    labels, seg, outlines = ((bench.output / name, tmp_path / "alone" / name) for name in names)
    assert labels[0].read_bytes() == labels[1].read_bytes()
    assert (tmp_path / "cohort.csv").read_bytes() == (tmp_path / "alone.csv").read_bytes()
    frames, others = (pydicom.dcmread(path).pixel_array for path in seg)
    assert frames.any()
    assert np.array_equal(frames, others)
    contours, others = (pydicom.dcmread(path).ROIContourSequence for path in outlines)
    assert [roi.ContourSequence for roi in contours] == [roi.ContourSequence for roi in others]
