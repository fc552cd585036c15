"""What is planned for DICOM objects, that making them stays within it, and what becomes of their case."""

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from inference.cohort.cases import Case
from inference.cohort.further_results import SUFFIXES, FurtherResults, further_results
from inference.cohort.one_case import prepare_case, written_case
from inference.errors import InputError, OutputError, ResultNameError
from inference.geometry import Geometry
from inference.imaging.dicom_results.maker import Maker, Told
from inference.imaging.dicom_results.objects_written import ObjectsWritten
from inference.imaging.formats.dicom import open_series
from inference.imaging.reading import open_image, read_volume
from inference.planning.writing_cost import WritingCost
from inference.postprocessing.runs import find_runs
from inference.trust.organ_figures import measure_organs
from model.labels import LabelSet
from model.units import MIB
from tests.inference import images
from tests.inference.images import write_nifti
from tests.inference.imaging.dicom_results.series_files import write_series
from tests.inference.predictors import plan_with_room, segmented
from tests.places import ROOT

MAKER = Maker(program="p", version="1", bundle="b", bundle_version="1", manifest_sha256="0" * 64)
SCRIPT = """
import json, re, sys
from pathlib import Path
import numpy as np
from inference.imaging.dicom_results.dicom_file_writing import write_objects
from inference.imaging.formats.dicom import open_series
from inference.runtime.process_memory import peak_mb
from tests.inference.cohort.test_further_results import MAKER, structures
from tests.inference.imaging.dicom_results.series_files import write_series

folder, kind, slices, side, count = Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:])
label_set = structures(count)
across = int(np.ceil(np.sqrt(count)))
wide = side // across
labels = np.zeros((slices, side, side), np.uint8)
for number in range(count):
    y, x = (wide * at for at in divmod(number, across))
    labels[:, y + 1 : y + wide - 1, x + 1 : x + wide - 1] = number + 1
grown = []
for name, size in (("small", (2, 16, 16)), ("large", labels.shape)):
    series = open_series(write_series(folder / name, size))
    held = np.ascontiguousarray(labels[tuple(map(slice, size))])
    Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    before = float(re.search(r"VmRSS:\\s+(\\d+)", status)[1]) / 1024
    write_objects({kind: folder / f"{name}.dcm"}, series, held, label_set, MAKER)
    grown.append(peak_mb() - before)
print(json.dumps(grown[-1]))
"""


def structures(count):
    return LabelSet(name="own", ids={f"thing {number}": number for number in range(1, count + 1)})


def further(kinds, count) -> FurtherResults:
    return further_results(kinds, structures(count), MAKER, None, 1)


def test_a_cost_counts_voxels_and_frames():
    """Of 4 slices of 2×8 pixels, and 3 structures: 64 voxels, 12 frames of 16 pixels."""
    cost = WritingCost(voxel_bytes=2, structures=3, frame_bytes=100, frame_pixel_bytes=0.5)
    assert cost.mb((4, 2, 8)) * MIB == pytest.approx(64 * 2 + 12 * 100 + 12 * 16 * 0.5)
    assert WritingCost().mb((4, 2, 8)) == 0


def test_a_segmentation_takes_more_than_a_structure_set_and_both_are_made_in_turn():
    size = (300, 512, 512)
    seg, rtstruct, both = (
        further(kinds, 13).cost.mb(size)
        for kinds in (("dicom-seg",), ("rtstruct",), ("rtstruct", "dicom-seg"))
    )
    assert rtstruct < seg == both
    assert further(("dicom-seg",), 104).cost.structures == 104
    # 75 MiB of voxels; 3900 frames of 10 KiB and of 512×512×3/8 bytes.
    assert seg == pytest.approx(75 + 3900 * (10 / 1024 + 3 / 32))


def test_a_cost_within_a_limit_counts_a_part_of_the_frames():
    """2 structures in each of 50 slices take 100 MiB; a half, a quarter or an eighth of that may be made."""
    cost, size = WritingCost(structures=2, frame_bytes=1 << 20), (50, 8, 8)
    assert [cost.within(size, mb).mb(size) for mb in (100, 99, 50, 49, 20, 1)] == [
        100,
        50,
        50,
        25,
        12.5,
        12.5,
    ]
    assert cost.mb_of(size, 7) == 7


class Slices:
    """A series or an image as far as labels are turned from one to the other."""

    geometry = Geometry(size_zyx=(2, 2, 2), spacing_zyx_mm=(1.0, 1.0, 1.0))
    series = None
    warnings = ("2 DICOM series in one folder",)


def test_what_was_made_of_a_template_is_told_and_stands_in_the_objects(tmp_path):
    makers = []

    def write(*given):
        makers.append(given[-1])
        return ObjectsWritten(warnings=("odd",))

    results = replace(further(("dicom-seg",), 2), write_objects=write, template=Slices())
    labels = np.ones((2, 2, 2), np.uint8)
    written = results.write(Slices(), labels, tmp_path / "a.nii.gz", told=Told(warnings=("slow",)))
    assert written.warnings == ("--template: 2 DICOM series in one folder", "odd")
    assert makers[0].told.warnings == ("slow", "--template: 2 DICOM series in one folder")


def test_objects_that_would_take_more_than_they_are_left_are_not_made(tmp_path):
    """One structure in two slices and another in one are three frames of 10 KiB and of 2×2×3/8 bytes.

    To them come 8 voxels of a byte. With every structure in every slice there would be four frames.
    """
    labels = np.array([[[1, 0], [0, 2]], [[1, 1], [0, 0]]], np.uint8)
    made = []
    results = replace(
        further(("dicom-seg",), 2),
        write_objects=lambda *given: made.append(given) or ObjectsWritten(),
        template=Slices(),
    )
    three, four = (results.cost.mb_of((2, 2, 2), frames) for frames in (3, 4))
    assert three * MIB == 8 + 3 * (10 * 1024 + 1.5)
    for allowed_mb in (three, four, None):
        results.write(Slices(), labels, tmp_path / "a.nii.gz", allowed_mb)
    assert len(made) == 3
    with pytest.raises(InputError) as refused:
        results.write(Slices(), labels, tmp_path / "a.nii.gz", three - 0.001)
    assert str(refused.value) == (
        "as dicom-seg it would take 1 MiB of memory, with a structure in a slice 3 times, and 0 are left to "
        "it; raise --host-memory-mb, or leave out --format"
    )
    assert len(made) == 3


@pytest.mark.parametrize("kind", ["dicom-seg", "rtstruct"])
def test_objects_take_what_is_planned(tmp_path, kind):
    """In a process of its own; 8 MiB are what a Python process may grow by in passing."""
    size, count = (30, 128, 128), 60
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("needs a peak of memory that can be reset, as Linux has it")
    arguments = [str(tmp_path), kind, str(size[0]), str(size[1]), str(count)]
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, *arguments], cwd=ROOT, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    grown_mb, planned_mb = json.loads(ran.stdout), further((kind,), count).cost.mb(size)
    assert grown_mb < planned_mb + 8
    assert grown_mb > planned_mb / 4


# Label map and objects of a case
# ----------------------------------------------------------------------------------------------------


@dataclass
class Fails:
    """Stands for what writes objects."""

    error: Exception

    def write(self, *_):
        raise self.error


@pytest.fixture
def write(tmp_path):
    """Writes the label map of a small image, which is all liver and doubtful, to `a.nii.gz`."""
    case = Case(path=write_nifti(tmp_path / "in.nii.gz"), output_name="a.nii.gz")
    labels = np.ones((7, 6, 5), np.uint8)
    organs = measure_organs(find_runs(labels, 1), open_image(case.path).geometry, structures(1))
    result = segmented(labels, organs=organs, doubts=("no spleen",), warnings=("slow",))

    def written(further=None):
        prepared = prepare_case(case, lambda opened: plan_with_room())
        return written_case(prepared, result, tmp_path / "a.nii.gz", further)

    return written


def test_a_label_map_without_objects_has_its_figures_all_the_same(write, tmp_path):
    whole = write()
    (tmp_path / "a.nii.gz").unlink()
    lacking = write(Fails(InputError("no rtstruct can refer to it")))
    assert read_volume(tmp_path / "a.nii.gz").array.all()
    assert [organ.name for organ in lacking.organs] == ["thing 1"]
    assert lacking.account["windows_run"] == 0
    assert lacking.error.endswith("no rtstruct can refer to it; its label map was written: a.nii.gz")
    said = {"status": "segmented", "error": None, "has_label_map": False, "timings": whole.timings}
    assert replace(lacking, **said) == whole


@pytest.mark.parametrize(
    ("error", "reason", "is_traced"),
    [
        (MemoryError(), "in.nii.gz: does not fit into this machine's memory; crop the image first", False),
        (KeyError("Rows"), "KeyError: 'Rows'; this is a fault of the program", True),
        (InputError("is odd"), "in.nii.gz: is odd", False),
        (ResultNameError("a.seg.dcm: too long"), "a.seg.dcm: too long", False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_label_map_is_written_whatever_no_object_can_be_made_for(write, tmp_path, error, reason, is_traced):
    outcome = write(Fails(error))
    assert (outcome.status, outcome.has_label_map) == ("failed", True)
    assert outcome.error.endswith(f"{reason}; its label map was written: a.nii.gz")
    assert ("Traceback" in outcome.trace) == is_traced
    assert read_volume(tmp_path / "a.nii.gz").array.all()


def test_objects_are_told_what_is_doubted(write):
    given = []

    class Takes:
        def write(self, *all_of_it):
            given.append(all_of_it[-1])
            return ObjectsWritten()

    write(Takes())
    assert given == [Told(doubts=("no spleen",), warnings=("slow",))]


@pytest.mark.parametrize("error", [OutputError("the disk is full"), KeyboardInterrupt()])
def test_what_ends_the_run_ends_it_before_the_label_map(write, tmp_path, error):
    with pytest.raises(type(error)):
        write(Fails(error))
    assert not (tmp_path / "a.nii.gz").exists()


def test_objects_that_memory_does_not_suffice_for_are_told_of_with_their_remedy(tmp_path):
    def too_large(*_):
        raise MemoryError

    slices = write_series(tmp_path / "s", (2, 4, 4))
    lacking = replace(further(("dicom-seg", "rtstruct"), 1), write_objects=too_large)
    with pytest.raises(InputError, match="memory as dicom-seg or rtstruct; leave out --format"):
        lacking.write(open_image(slices), np.ones((2, 4, 4), np.uint8), tmp_path / "a.nii.gz")


@pytest.mark.parametrize("error", [MemoryError(), OutputError("the disk is full"), KeyboardInterrupt()])
def test_objects_go_where_their_label_map_cannot_be_written(write, tmp_path, monkeypatch, error):
    """Both kinds were there; one was written anew, and the other is not of this segmentation."""
    for kind in SUFFIXES.values():
        (tmp_path / f"a{kind}").write_bytes(b"of an earlier run")

    def fail(*_):
        raise error

    class Segmentation:
        def write(self, *_):
            (tmp_path / "a.seg.dcm").write_bytes(b"new")
            return ObjectsWritten(kinds=("dicom-seg",))

    monkeypatch.setattr("inference.cohort.one_case.write_labels", fail)
    if isinstance(error, MemoryError):
        outcome = write(Segmentation())
        assert (outcome.status, outcome.has_label_map) == ("failed", False)
        assert outcome.warnings == ("slow", "removed a.rtstruct.dcm: of an earlier segmentation")
    else:
        with pytest.raises(type(error)):
            write(Segmentation())
    assert [path.name for path in tmp_path.iterdir()] == ["in.nii.gz"]


def test_a_template_with_a_tilted_gantry_takes_what_simpleitk_makes_of_it(tmp_path):
    """Slices 3 mm apart that are shifted by 4 mm each: as SimpleITK reads them 5 mm apart."""
    folder = images.write_series(tmp_path / "series", [(0.0, 4.0 * i, 3.0 * i) for i in range(3)])
    series = open_series(folder)
    assert series.geometry.spacing_zyx_mm == (3.0, 2.0, 2.0)
    results = replace(further(("dicom-seg",), 2), template=series)
    for apart_mm, fits in ((5.0, True), (3.0, True), (4.0, False)):
        image = Slices()
        image.geometry = replace(series.geometry, spacing_zyx_mm=(apart_mm, 2.0, 2.0))
        case = Case(path=tmp_path / "a.nii.gz", output_name="a.nii.gz")
        if fits:
            results.check(case, image)
        else:
            with pytest.raises(InputError, match="does not lie on the grid of the series"):
                results.check(case, image)
