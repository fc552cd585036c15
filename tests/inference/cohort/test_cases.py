"""What is to be segmented, under which name, and whether it can be."""

import os

import pytest

from inference.cohort.cases import (
    check_folders,
    find_cases,
    output_name,
    passed_over,
    prepare_output,
    shared_warnings,
    unread_in,
)
from inference.cohort.cluster.driver.cohort_search import find_tasks
from inference.errors import OutputError, UsageError
from tests.inference.dicom_files import DIRECTORY, segmentation, start
from tests.inference.images import write_nifti, write_series

running_as_root = os.getuid() == 0


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


def put(folder, *names):
    for name in names:
        (folder / name).write_bytes(b"x")


def shown(cases):
    return [([path.name for path in case.paths], case.output_name, case.problem) for case in cases]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("CASE_0000.nii.gz", "CASE.nii.gz"),
        ("CASE.nii.gz", "CASE.nii.gz"),
        ("scan.mha", "scan.nii.gz"),
        ("scan.NRRD", "scan.nii.gz"),
        ("a.b_0000.nii", "a.b.nii.gz"),
        ("FLARE_0001_0000.nii.gz", "FLARE_0001.nii.gz"),
        ("CASE_0001.nii.gz", "CASE_0001.nii.gz"),
        ("MR 12 München", "MR 12 München.nii.gz"),
        ("image.dcm", "image.nii.gz"),
        ("v1.2", "v1.2.nii.gz"),
        ("_0000.nii.gz", "_0000.nii.gz"),
    ],
)
def test_output_names(name, expected):
    assert output_name(name) == expected


def test_cases_in_a_folder(source):
    put(source, "b_0000.nii.gz", "a.mha", "notes.txt", ".hidden.nii.gz", "._b_0000.nii.gz")
    (source / "c dicom" / "series 1").mkdir(parents=True)
    (source / "c dicom" / "series 1" / "IM0001").write_bytes(bytes(128) + b"DICM")
    (source / "empty").mkdir()
    assert [(case.path.name, case.output_name) for case in find_cases(source)] == [
        ("a.mha", "a.nii.gz"), ("b_0000.nii.gz", "b.nii.gz"), ("c dicom", "c dicom.nii.gz"),
    ]  # fmt: skip


def test_a_folder_of_slices_is_one_case(source):
    put(source, "1.dcm", "2.dcm")
    assert [(case.path, case.output_name) for case in find_cases(source)] == [(source, "in.nii.gz")]


def test_a_discs_directory_makes_no_series_of_the_folder(source):
    """Its folders are cases as they would be without it; so are they beside a segmentation."""
    for name in ("a", "b"):
        write_series(source / name, [(0.0, 0.0, 3.0 * i) for i in range(2)])
    (source / "DICOMDIR").write_bytes(start(sop_class=DIRECTORY))
    (source / "a.seg.dcm").write_bytes(segmentation())
    assert shown(find_cases(source)) == [(["a"], "a.nii.gz", None), (["b"], "b.nii.gz", None)]


def test_two_inputs_with_one_output_name_both_have_a_problem(source):
    put(source, "a_0000.nii.gz", "a.nii.gz", "b.nii.gz")
    a, a_0000, b = find_cases(source)
    for case in (a, a_0000):
        assert case.problem.startswith(
            f"{case.path}: its result would be named a.nii.gz like that of another"
        )
    assert b.problem is None


@pytest.mark.parametrize("name", ["", "nowhere"])
@pytest.mark.parametrize("channels", [1, 2])
def test_nothing_to_do_is_a_wrong_call(source, name, channels):
    with pytest.raises(UsageError, match=r"holds no image|no such file"):
        find_cases(source / name, channels)


# Several channels
# ----------------------------------------------------------------------------------------------------


def test_images_one_folder_too_deep_are_pointed_to(source):
    for name in ("b", "a", ".hidden"):
        (source / name).mkdir()
        put(source / name, "x.nii.gz")
    with pytest.raises(UsageError, match=rf"holds no image, but its folders do; .*: {source}/a; or all"):
        find_cases(source)


def test_channels_of_a_case_are_grouped(source):
    put(
        source,
        "b_0001.nii.gz",
        "b_0000.nii.gz",
        "a_0000.mha",
        "a_0001.nrrd",
        "FLARE_7_0000.nii",
        "FLARE_7_0001.nii",
    )
    assert shown(find_cases(source, 2)) == [
        (["FLARE_7_0000.nii", "FLARE_7_0001.nii"], "FLARE_7.nii.gz", None),
        (["a_0000.mha", "a_0001.nrrd"], "a.nii.gz", None),
        (["b_0000.nii.gz", "b_0001.nii.gz"], "b.nii.gz", None),
    ]


def test_dicom_folders_may_be_channels(source):
    for name in ("a_0000", "a_0001"):
        (source / name).mkdir()
        (source / name / "IM0001").write_bytes(bytes(128) + b"DICM")
    assert shown(find_cases(source, 2)) == [(["a_0000", "a_0001"], "a.nii.gz", None)]


@pytest.mark.parametrize(
    ("names", "first", "lacking"),
    [
        (("a_0000.nii.gz",), "a_0000.nii.gz", "a_0001"),
        (("a_0001.nii.gz",), "a_0001.nii.gz", "a_0000"),
        (("a.nii.gz",), "a.nii.gz", "a_0000, a_0001"),
    ],
)
def test_a_channel_that_is_missing_is_named(source, names, first, lacking):
    put(source, *names, "b_0000.nii.gz", "b_0001.nii.gz")
    a, b = find_cases(source, 2)
    assert a.problem == f"{source / first}: its case lacks {lacking}; this bundle takes 2 channels"
    assert b.problem is None


def test_a_channel_that_is_there_twice_is_named(source):
    """Which of them is meant cannot be known."""
    put(source, "a_0000.nii.gz", "a_0000.mha", "a_0001.nii.gz", "b_0000.nii.gz", "b_0001.nii.gz")
    a, b = find_cases(source, 2)
    assert a.problem == (
        f"{source / 'a_0000.mha'}: is there a second time, as a_0000.nii.gz; keep one of them"
    )
    assert b.problem is None


def test_a_file_that_is_given_by_name_is_the_one_that_is_meant(source):
    put(source, "a_0000.nii.gz", "a_0000.mha", "a_0001.nii.gz", "a_0001.txt")
    (source / "a_0001").mkdir()
    for name in ("a_0000.nii.gz", "a_0000.mha"):
        assert shown(find_cases(source / name, 2)) == [([name, "a_0001.nii.gz"], "a.nii.gz", None)]


def test_further_channels_are_left_out(source):
    put(source, "a_0000.nii.gz", "a_0001.nii.gz", "a_0002.nii.gz")
    assert shown(find_cases(source, 2)) == [(["a_0000.nii.gz", "a_0001.nii.gz"], "a.nii.gz", None)]


def test_one_case_by_its_first_channel(source):
    put(source, "a_0000.nii.gz", "a_0001.nii.gz", "b_0000.nii.gz", "b_0001.nii.gz")
    assert shown(find_cases(source / "a_0000.nii.gz", 2)) == [
        (["a_0000.nii.gz", "a_0001.nii.gz"], "a.nii.gz", None)
    ]


def test_one_channel_each_where_the_bundle_takes_one(source):
    """What looks like a second channel is a case of its own, as it always was."""
    put(source, "a_0000.nii.gz", "a_0001.nii.gz")
    assert [case.output_name for case in find_cases(source)] == ["a.nii.gz", "a_0001.nii.gz"]


# Folders
# ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "output"), [("a", "a"), ("a/b", "a"), ("a/b/c.nii.gz", "a"), ("a/b/c.nii.gz", "a/b")]
)
def test_input_inside_output_is_a_wrong_call(tmp_path, source, output):
    with pytest.raises(UsageError, match="lies in the output folder"):
        check_folders(tmp_path / source, tmp_path / output)


def test_output_beside_or_below_the_input_is_fine(tmp_path):
    check_folders(tmp_path / "inputs", tmp_path / "outputs")
    check_folders(tmp_path, tmp_path / "outputs")
    check_folders(tmp_path / "case.nii.gz", tmp_path / "outputs")


def test_an_output_folder_is_made(tmp_path):
    prepare_output(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_an_output_folder_that_is_a_file(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="out: cannot be written"):
        prepare_output(tmp_path / "out")


@pytest.mark.skipif(running_as_root, reason="root may write everywhere")
def test_an_output_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        prepare_output(tmp_path)


def test_an_image_beside_a_dicom_series_is_not_taken_in_silence(source):
    """It may be the label map of that series."""
    write_series(source / "series", [(0.0, 0.0, 3.0 * i) for i in range(2)])
    write_nifti(source / "labels.nii.gz")
    labels, series = find_cases(source)
    assert (labels.path.name, series.path.name) == ("labels.nii.gz", "series")
    assert labels.warnings == (
        "lies beside a DICOM series, and is segmented as an image of its own; "
        f"give {source / 'series'} with --input if only that is meant",
    )
    assert series.warnings == ()
    (source / "series").rename(source.parent / "elsewhere")
    assert find_cases(source)[0].warnings == ()


def test_what_several_images_are_warned_of_is_known_to_be_the_same(source):
    write_series(source / "series", [(0.0, 0.0, 3.0 * i) for i in range(2)])
    write_nifti(source / "a.nii.gz")
    assert shared_warnings(find_cases(source)) == {}
    write_nifti(source / "b.nii.gz")
    ((warning, cases),) = shared_warnings(find_cases(source)).items()
    assert warning.startswith("lies beside a DICOM series")
    assert [case.path.name for case in cases] == ["a.nii.gz", "b.nii.gz"]


def test_images_in_folders_beside_the_cases_are_told_of(source):
    put(source, "a.mha")
    for folder in ("imagesTr", "imagesTs", "results", "notes", "series"):
        (source / folder).mkdir()
    put(source / "imagesTr", "b.mha")
    put(source / "imagesTs", "c.mha")
    put(source / "results", "a.nii.gz")
    put(source / "notes", "notes.txt")
    put(source / "series", "1.dcm")
    cases = find_cases(source)
    assert [case.path.name for case in cases] == ["a.mha", "series"]
    assert passed_over(source, cases, source / "results") == (
        f"{source}: images in its folders are left out (imagesTr and imagesTs); "
        f"give one with --input: {source / 'imagesTr'}; or all, however deep: "
        f"python -m inference cohort --input {source}"
    )


@pytest.mark.parametrize("name", ["1.dcm", "IM000001", "b.nii.gz"])
def test_images_deep_below_the_cases_are_told_of(source, name):
    """As archives export them, whose files often have no ending; a cohort takes them all."""
    write_series(source / "plain", [(0.0, 0.0, 3.0 * i) for i in range(2)])
    write_series(source / "PAT2" / "STUDY" / "SER1", [(0.0, 0.0, 3.0 * i) for i in range(2)])
    first, *others = sorted((source / "PAT2" / "STUDY" / "SER1").iterdir())
    for other in others:
        other.unlink()
    if name == "b.nii.gz":
        first.unlink()
        write_nifti(first.with_name(name))
    else:
        first.rename(first.with_name(name))
    cases = find_cases(source)
    assert [case.path.name for case in cases] == ["plain"]
    assert "its folders are left out (PAT2/STUDY/SER1)" in passed_over(source, cases, source / "results")
    assert len(find_tasks(str(source), 1, pytest.fail)) == 2
    assert passed_over(source, cases, source / "PAT2") == ""


def test_images_deeper_than_a_case_reaches_are_told_of(source):
    """A folder's series may lie one level down, where a stray picture then hides what lies deeper."""
    (source / "PAT" / "STUDY" / "SER1").mkdir(parents=True)
    put(source / "PAT" / "STUDY", "scout.dcm")
    put(source / "PAT" / "STUDY" / "SER1", "1.dcm")
    cases = find_cases(source)
    assert [case.path.name for case in cases] == ["PAT"]
    assert "are left out (PAT/STUDY/SER1)" in passed_over(source, cases, source / "results")


def test_a_folder_whose_images_lie_deep_is_refused_with_the_way_there(source):
    (source / "1" / "2" / "3" / "4").mkdir(parents=True)
    put(source / "1" / "2" / "3" / "4", "1.dcm")
    with pytest.raises(UsageError, match=f"its folders do; give one with --input: {source}/1/2/3/4; or all"):
        find_cases(source)


def test_no_more_is_looked_at_than_is_quick(source, monkeypatch):
    """Of three entries: the folders far and near, and what lies in the nearer one."""
    put(source, "a.mha")
    for folder in ("far/deep", "near"):
        (source / folder).mkdir(parents=True)
        put(source / folder, "b.mha")
    cases = find_cases(source)
    assert "(far/deep and near)" in passed_over(source, cases, source / "results")
    monkeypatch.setattr("inference.cohort.image_folders.MOST_ENTRIES", 2)
    assert "(near)" in passed_over(source, cases, source / "results")
    monkeypatch.undo()
    monkeypatch.setattr("inference.cohort.image_folders.DEEPEST", 1)
    assert "(near)" in passed_over(source, cases, source / "results")


def test_a_large_case_does_not_hide_what_lies_beside_it(source, monkeypatch):
    monkeypatch.setattr("inference.cohort.image_folders.MOST_ENTRIES", 5)
    (source / "large").mkdir()
    put(source / "large", *(f"{number}.dcm" for number in range(9)))
    (source / "small" / "1" / "2").mkdir(parents=True)
    put(source / "small" / "1" / "2", "b.mha")
    assert "(small/1/2)" in passed_over(source, find_cases(source), source / "results")


@pytest.mark.parametrize("results", ["results", "results/today", "a/results"])
def test_results_in_the_source_are_no_cases(source, results):
    """DICOM objects of an earlier run, in the source, or one level down, in a case's folder even."""
    output = source / results
    output.mkdir(parents=True)
    (output / "a.seg.dcm").write_bytes(segmentation())
    put(output, "a.nii.gz")
    with pytest.raises(UsageError, match="holds no image; put in"):
        find_cases(source, output=output)
    write_series(source / "a" / "series", [(0.0, 0.0, 3.0 * i) for i in range(2)])
    assert shown(find_cases(source, output=output)) == [(["a"], "a.nii.gz", None)]
    (source / "link").symlink_to(source)
    assert shown(find_cases(source, output=source / "link" / results)) == [(["a"], "a.nii.gz", None)]


def test_a_link_to_itself_is_a_case_like_any_other(source):
    """It is refused when it is read, and keeps nobody from the others."""
    put(source, "a.mha")
    (source / "link.mha").symlink_to("link.mha")
    assert passed_over(source, find_cases(source), source / "results") == ""


def test_a_folder_that_cannot_be_looked_into_keeps_nobody_from_the_cases(source, monkeypatch):
    put(source, "a.mha")
    (source / "closed").mkdir()
    (source / "open").mkdir()
    put(source / "open", "b.mha")
    cases = find_cases(source)

    def closed(folder):
        if folder.name == "closed":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    scandir = os.scandir
    monkeypatch.setattr("inference.cohort.image_folders.os.scandir", closed)
    assert "are left out (open)" in passed_over(source, cases, source / "results")


@pytest.mark.parametrize("names", [["a.mha"], ["1.dcm"]])
def test_a_file_or_a_series_leaves_nothing_out(source, names):
    """A series includes the folders in its folder."""
    put(source, *names)
    (source / "more").mkdir()
    put(source / "more", "2.dcm" if names == ["1.dcm"] else "b.txt")
    cases = find_cases(source)
    assert passed_over(source, cases, source / "results") == ""
    assert passed_over(source / names[0], cases, source / "results") == ""


def test_further_channels_are_not_left_out(source):
    for channel in ("p1_0000", "p1_0001"):
        write_series(source / channel, [(0.0, 0.0, 3.0 * i) for i in range(2)])
    cases = find_cases(source, channels=2)
    assert [len(case.paths) for case in cases] == [2]
    assert passed_over(source, cases, source / "results") == ""


def test_files_of_no_known_format_are_told_of(source):
    """`scan.raw` holds the voxels of `scan.mhd`, and the directory of a disc is DICOM."""
    put(source, "ct.nii.gz", "ktif_0000.tif", "scan.mhd", "scan.raw", "notes.txt", "a.json", ".hidden.tif")
    (source / "DICOMDIR").write_bytes(start(sop_class=DIRECTORY))
    (source / "more").mkdir()
    cases = find_cases(source)
    assert unread_in(source, cases) == f"{source}: 1 file of no known format left out: ktif_0000.tif"
    put(source, *(f"{number}.png" for number in range(4)))
    assert unread_in(source, cases).endswith(
        "5 files of no known format left out: 0.png, 1.png, 2.png and 2 more"
    )
    assert unread_in(source / "ct.nii.gz", cases) == ""


def test_all_files_beside_slices_are_the_series(source):
    put(source, "1.dcm", "viewer.exe")
    assert unread_in(source, find_cases(source)) == ""
