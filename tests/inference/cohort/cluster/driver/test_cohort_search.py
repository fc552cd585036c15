"""Which cases a folder, a table and a URL hold, and what is refused."""

import fsspec
import pytest

from inference.cohort.cases import find_cases
from inference.cohort.cluster.driver.cohort_search import find_tasks
from inference.errors import UsageError
from tests.inference.dicom_files import DIRECTORY, segmentation, start
from tests.inference.images import write_nifti, write_series


def found(source, channels=1, warn=pytest.fail):
    return {task.case: task for task in find_tasks(str(source), channels, warn)}


def test_a_folder_is_searched_as_deep_as_it_goes(tmp_path):
    for name in ("a.nii.gz", "p1/s1/ct_0000.nii.gz", "p1/s2/b.mha", "p2/.hidden/c.nii", "p2/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"12345")
    write_series(tmp_path / "p3" / "study" / "series", [(0, 0, 0), (0, 0, 3)])
    tasks = found(tmp_path)
    assert list(tasks) == ["a", "p1/s1/ct", "p1/s2/b", "p3/study/series"]
    assert tasks["p1/s1/ct"].images == (f"{tmp_path}/p1/s1/ct_0000.nii.gz",)
    assert tasks["p3/study/series"].images == (f"{tmp_path}/p3/study/series",)
    assert tasks["a"].size_bytes == 5
    assert tasks["p3/study/series"].size_bytes > 100


def test_a_link_back_up_is_not_followed(tmp_path):
    (tmp_path / "p").mkdir()
    write_nifti(tmp_path / "p" / "a.nii.gz")
    (tmp_path / "p" / "up").symlink_to(tmp_path)
    (tmp_path / "linked").symlink_to(tmp_path / "p")
    assert list(found(tmp_path)) == ["linked/a", "p/a"]


def test_what_lies_beside_folders_of_slices_and_is_no_image_is_no_case(tmp_path):
    """A disc's directory and a segmentation; where slices lie there too, that folder is a case."""
    write_series(tmp_path / "p" / "IMAGES", [(0, 0, 0), (0, 0, 3)])
    (tmp_path / "p" / "DICOMDIR").write_bytes(start(sop_class=DIRECTORY))
    (tmp_path / "p" / "a.seg.dcm").write_bytes(segmentation())
    assert list(found(tmp_path)) == ["p/IMAGES"]
    write_series(tmp_path / "p", [(0, 0, 0), (0, 0, 3)])
    assert list(found(tmp_path)) == ["p", "p/IMAGES"]


def test_channels_are_found_beside_each_other(tmp_path):
    for name in ("p/x_0000.nii.gz", "p/x_0001.nii.gz", "p/y_0000.nii.gz"):
        (tmp_path / "p").mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"1")
    tasks = found(tmp_path, 2)
    assert [image.rpartition("/")[2] for image in tasks["p/x"].images] == ["x_0000.nii.gz", "x_0001.nii.gz"]
    assert "lacks y_0001" in tasks["p/y"].problem


def test_two_cases_of_one_name_have_a_problem(tmp_path):
    (tmp_path / "a.nii").write_bytes(b"1")
    (tmp_path / "a.mha").write_bytes(b"1")
    assert all("rename one of them" in task.problem for task in find_tasks(str(tmp_path), 1, pytest.fail))


def table(tmp_path, text):
    path = tmp_path / "cases.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_names_cases_and_images(tmp_path):
    (tmp_path / "x.nii.gz").write_bytes(b"123")
    tasks = found(
        table(tmp_path, "case,image,note\np1/ct,x.nii.gz,n\np2,/elsewhere/y.mha,\np3,s3://b/z.nii,\n")
    )
    assert {case: task.images for case, task in tasks.items()} == {
        "p1/ct": (f"{tmp_path}/x.nii.gz",),
        "p2": ("/elsewhere/y.mha",),
        "p3": ("s3://b/z.nii",),
    }
    assert tasks["p1/ct"].size_bytes == 3


def test_a_table_may_name_the_series_of_a_folder(tmp_path):
    """No channel, wherever the column stands; empty cells name none."""
    text = "case,image,series,second\np1,a, 1.2.3 ,b\np2,c,,d\n"
    named = {task.case: task.series for task in found(table(tmp_path, text), 2).values()}
    assert named == {"p1": "1.2.3", "p2": None}
    second = [task.images[1].rpartition("/")[2] for task in found(table(tmp_path, text), 2).values()]
    assert second == ["b", "d"]


@pytest.mark.parametrize(
    ("text", "channels", "refusal"),
    [
        ("name,file\na,b\n", 1, "has no column case and none image (it has: name, file)"),
        ("case,file\na,b\n", 1, "has no column image"),
        ("", 1, "has no column case and none image (it has: none)"),
        ("case,image\n", 1, "holds no image"),
        ("case,image\n../a,b.nii\n", 1, "line 2: '../a' cannot be a case's name"),
        ("case,image\n,b.nii\n", 1, "line 2: '' cannot be a case's name"),
        ("case,image\na,b.nii\n", 2, "names 1 of 2 channels"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(tmp_path, text, channels, refusal):
    with pytest.raises(UsageError) as error:
        find_tasks(str(table(tmp_path, text)), channels, pytest.fail)
    assert refusal in str(error.value)
    assert "cases.csv" in str(error.value)


@pytest.mark.parametrize("location", ["{}/none", "{}/none.csv", "{}/file.txt", "nope://bucket/x"])
def test_what_is_not_there_is_refused(tmp_path, location):
    (tmp_path / "file.txt").write_text("x", encoding="utf-8")
    with pytest.raises(UsageError, match=r"none|file\.txt|nope"):
        find_tasks(location.format(tmp_path), 1, pytest.fail)


def test_a_folder_behind_a_url(tmp_path):
    memory = fsspec.filesystem("memory")
    try:
        memory.pipe({"/search/p/a_0000.nii.gz": b"123", "/search/p/s/1": b"\0" * 128 + b"DICM"})
        tasks = found("memory://search")
        assert {case: task.images for case, task in tasks.items()} == {
            "p/a": ("memory:///search/p/a_0000.nii.gz",),
            "p/s": ("memory:///search/p/s",),
        }
    finally:
        memory.rm("/search", recursive=True)


@pytest.mark.parametrize("name", ["AUTORUN{}.EXE", "{}.txt", "page{}"])
def test_a_series_is_found_beside_files_that_come_before_it(tmp_path, name):
    """As `predict.py` finds it; viewers and notes lie beside slices on discs. Behind a URL too."""
    write_series(tmp_path / "in" / "p1", [(0, 0, 0), (0, 0, 3)])
    for number, path in enumerate(sorted((tmp_path / "in" / "p1").iterdir())):
        path.rename(path.with_name(f"slice {number}"))
    for number in range(9):
        (tmp_path / "in" / "p1" / name.format(number)).write_bytes(b"x")
    memory = fsspec.filesystem("memory")
    try:
        memory.put(str(tmp_path / "in"), "/search", recursive=True)
        assert list(found("memory://search")) == ["p1"]
    finally:
        memory.rm("/search", recursive=True)
    assert list(found(tmp_path / "in")) == ["p1"]
    assert [case.path.name for case in find_cases(tmp_path / "in")] == ["p1"]


def test_files_of_no_known_format_are_told_of(tmp_path):
    """But for a series, notes, voxels of a header beside them, and what is DICOM without an image."""
    names = (
        "a.mhd",
        "a.raw",
        "a.json",
        "p1/b_0000.tif",
        "p1/.c.tif",
        "p1/README",
        "p2/scan.img",
        "p2/s/d.nii",
    )
    for name in (*names, "p3/1.dcm", "p3/viewer.exe"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "p2" / "DICOMDIR").write_bytes(start(sop_class=DIRECTORY))
    said = []
    assert list(found(tmp_path, warn=said.append)) == ["a", "p2/s/d", "p3"]
    left_out = "p1/b_0000.tif and p2/scan.img"
    assert said == [f"{tmp_path}: 2 files of no known format left out: {left_out}"]
