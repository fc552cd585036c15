"""How a call's pieces are put together: who plans, who may leave the GPU, what is said of each outcome."""

import io
from dataclasses import replace
from pathlib import Path

import pytest

from inference import command
from inference.call import Call
from inference.cohort import opening
from inference.cohort.cases import Case
from inference.cohort.further_results import further_results
from inference.cohort.one_case import open_case
from inference.cohort.outcome import Outcome, exit_code, seen_in_windows, summary
from inference.cohort.progress import Console
from inference.errors import BudgetError
from inference.geometry import Geometry
from inference.imaging.dicom_results.maker import Maker
from inference.limits import MemoryAtHand
from inference.timing import Timings
from tests.inference.bundles import CT, make_bundle, member
from tests.inference.images import write_nifti, write_series

GRID = Geometry(size_zyx=(20, 40, 48), spacing_zyx_mm=(3.0, 2.0, 2.0))
MAKER = Maker(program="p", version="1", bundle="b", bundle_version="1", manifest_sha256="0" * 64)
CASE = Case(path=Path("in/a_0000.nii.gz"), output_name="a.nii.gz")


@pytest.fixture
def on_a_gpu(monkeypatch):
    monkeypatch.setattr(
        opening, "select_backend", lambda device: "onnxruntime" if device == "cpu" else "cuda"
    )


def admit(tmp_path, **options):
    """Admit a small case to a bundle whose network takes 600 MiB of a GPU."""
    bundle = make_bundle(tmp_path / "b", [member(memory_mb={"cuda-fp32": 600, "onnxruntime-fp32": 60})])
    call = Call(input=tmp_path, output=tmp_path, bundle=bundle.folder, **options)
    path = write_nifti(tmp_path / "a_0000.nii.gz")
    opened = open_case(Case(path=path, output_name="a.nii.gz"))
    return opening.admit_within(call, opening.planner_for(call, bundle))(opened)


def test_a_case_is_planned_within_the_calls_budgets(on_a_gpu, tmp_path):
    plan = admit(tmp_path, host_memory_mb=3000, gpu_memory_mb=1200)
    assert (plan.backend, plan.budget.host_mb, plan.budget.gpu_mb) == ("cuda", 3000, 1200)
    assert plan.host["networks"]["image (int16)"] == 7 * 6 * 5 * 2 / 2**20


def test_a_gpu_that_was_the_programs_choice_may_be_left(on_a_gpu, tmp_path):
    """No plan, so that the predictor makes one, on the CPU if need be."""
    assert admit(tmp_path, gpu_memory_mb=700) is None


def test_the_predictor_leaves_further_results_what_they_take(tmp_path):
    """It plans each case anew, once its organs are found."""
    bundle = make_bundle(tmp_path / "b")
    call = Call(input=tmp_path, output=tmp_path, bundle=bundle.folder, device="cpu", threads=1)
    further = further_results(("dicom-seg",), bundle.manifest.output.as_label_set(), MAKER, None, 1)
    planner = opening.planner_for(call, bundle, further)
    admitted = planner.plan(GRID, reading_mb=7.0)
    own = opening.predictor_for(call, planner, one_case=True).planner.plan(GRID, reading_mb=7.0)
    assert "writing" in admitted.host
    assert admitted.host["reading"]["pieces of the file"] == 7.0
    assert own.host == admitted.host


def test_free_memory_is_measured_once(tmp_path, monkeypatch):
    """Between two looks another program may take some: cases would be planned within other budgets."""
    free = iter([MemoryAtHand(mb=3000, why="free")])
    monkeypatch.setattr("inference.planning.plan.memory_at_hand", lambda most_mb: next(free))
    made = []
    monkeypatch.setattr(opening, "Predictor", lambda bundle, **options: made.append(options["budget"]))
    call = Call(input=tmp_path, output=tmp_path, bundle=tmp_path, device="cpu")
    planner = opening.planner_for(call, make_bundle(tmp_path / "b"))
    opening.predictor_for(call, planner, one_case=True)
    assert made == [planner.budget]
    assert planner.budget.host_mb == 3000


def test_cases_and_the_template_are_of_the_modality_that_the_bundle_expects(tmp_path):
    """A CT of two slices and a PET of three in one folder, and a bundle for PET."""
    bundle = make_bundle(tmp_path / "b", inputs=(replace(CT, modality="PET"),))
    folder = tmp_path / "in"
    for modality, count in (("CT", 2), ("PT", 3)):
        slices = [(0.0, 0.0, 3.0 * i) for i in range(count)]
        write_series(folder, slices, uid=f"1.2.3.{count}", number=count, modality=modality)
    call = Call(
        input=folder,
        output=tmp_path / "out",
        bundle=bundle.folder,
        format=("dicom-seg",),
        template=folder,
    )
    (case,) = command._cases(call, bundle, Console(io.StringIO(), io.StringIO()))
    assert case.modalities == ("PT",)
    assert open_case(case).geometry.size_zyx[0] == 3
    assert opening.further_for(call, bundle, 1).template.geometry.size_zyx[0] == 3


def test_the_series_that_is_named_is_the_input_s_or_with_a_template_the_template_s(tmp_path):
    """Three slices in one series, two in the other."""
    bundle = make_bundle(tmp_path / "b")
    folder = tmp_path / "in"
    for count in (2, 3):
        slices = [(0.0, 0.0, 3.0 * i) for i in range(count)]
        write_series(folder, slices, uid=f"1.2.3.{count}", number=count)
    call = Call(input=folder, output=tmp_path / "out", bundle=bundle.folder, series="1.2.3.2")
    (case,) = command._cases(call, bundle, Console(io.StringIO(), io.StringIO()))
    assert open_case(case).geometry.size_zyx[0] == 2
    image = write_nifti(tmp_path / "a_0000.nii.gz")
    with_template = replace(call, input=image, format=("dicom-seg",), template=folder)
    (case,) = command._cases(with_template, bundle, Console(io.StringIO(), io.StringIO()))
    assert case.series is None
    assert opening.further_for(with_template, bundle, 1).template.geometry.size_zyx[0] == 2


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_a_device_that_was_asked_for_is_kept_to(on_a_gpu, tmp_path, device):
    with pytest.raises(BudgetError, match="the memory budget cannot be kept"):
        admit(tmp_path, device=device, gpu_memory_mb=700, host_memory_mb=100)


def test_a_plan_tells_of_the_cpu_where_the_predictor_would_leave_the_gpu(on_a_gpu, tmp_path):
    bundle = make_bundle(tmp_path / "b", [member(memory_mb={"cuda-fp32": 600, "onnxruntime-fp32": 60})])
    call = Call(input=tmp_path, output=tmp_path, bundle=bundle.folder, gpu_memory_mb=700)
    path = write_nifti(tmp_path / "a_0000.nii.gz")
    opened = open_case(Case(path=path, output_name="a.nii.gz"))
    plan = opening.admit_somewhere(call, opening.planner_for(call, bundle))(opened)
    assert plan.backend == "onnxruntime"
    assert (plan.budget.gpu_mb, plan.gpu) == (700, {})
    asked = replace(call, device="cuda")
    with pytest.raises(BudgetError, match="the memory budget cannot be kept"):
        opening.admit_somewhere(asked, opening.planner_for(asked, bundle))(opened)


# What is said
# ----------------------------------------------------------------------------------------------------


def said(outcome, *, debug=False):
    console = Console(io.StringIO(), io.StringIO())
    command._tell(outcome, console, organs=("liver", "spleen"), debug=debug)
    return console._out.getvalue(), console._err.getvalue()


def test_a_case_that_was_segmented():
    timings = Timings(seconds={"read": 0.25, "runs": 4.0})
    outcome = Outcome(case=CASE, status="segmented", timings=timings, warnings=("odd", "slow"))
    assert said(outcome) == (
        "a_0000.nii.gz -> a.nii.gz: 0 of 2 organs (no liver, no spleen); 4.2 s (read 0.2 s, runs 4.0 s)\n",
        "warning: a_0000.nii.gz: odd\nwarning: a_0000.nii.gz: slow\n",
    )


def test_what_is_doubtful_is_said_first():
    outcome = Outcome(case=CASE, status="segmented", doubts=("no spleen",))
    assert said(outcome)[0].startswith(
        "a_0000.nii.gz -> a.nii.gz: DOUBTFUL, see the warning; 0 of 2 organs ("
    )


@pytest.mark.parametrize(
    ("outcome", "changes", "said"),
    [
        ({"status": "segmented"}, {}, "; labels in out"),
        ({"status": "skipped"}, {"report": Path("run.json")}, "; labels in out; report run.json"),
        ({"status": "failed"}, {}, ""),
        ({"status": "failed", "has_label_map": True}, {}, "; labels in out"),
        (
            {"status": "segmented"},
            {"statistics": Path("volumes")},
            "; labels in out; organs in volumes.csv and volumes.json",
        ),
    ],
    ids=str,
)
def test_the_last_line_says_where_results_lie(outcome, changes, said):
    call = Call(input=Path("in"), output=Path("out"), bundle=Path("bundle"), **changes)
    assert command._written(call, [Outcome(case=CASE, **outcome)]) == said


def test_a_case_that_was_skipped():
    outcome = Outcome(case=CASE, status="skipped")
    assert said(outcome) == ("a_0000.nii.gz: skipped, a.nii.gz is there\n", "")


def test_a_case_that_failed_and_its_traceback():
    outcome = Outcome(case=CASE, status="failed", error="in/a_0000.nii.gz: is empty", trace="Traceback: …")
    advised = "error: in/a_0000.nii.gz: is empty; run it with --debug\n"
    assert said(outcome) == ("", advised)
    assert said(replace(outcome, trace="")) == ("", "error: in/a_0000.nii.gz: is empty\n")
    assert said(outcome, debug=True) == ("", "Traceback: …\nerror: in/a_0000.nii.gz: is empty\n")


def test_what_ends_the_run_is_left_to_who_ends_it():
    outcome = Outcome(case=CASE, status="failed", error="no GPU", ends_run=True, warnings=("odd",))
    assert said(outcome) == ("", "warning: a_0000.nii.gz: odd\n")


def test_every_case_has_an_outcome_in_the_order_of_the_cases():
    cases = [Case(path=Path(name), output_name=f"{name}.nii.gz") for name in "abc"]
    told = [Outcome(case=cases[2], status="failed"), Outcome(case=cases[0], status="segmented")]
    every = command._all(cases, told)
    assert [outcome.case for outcome in every] == cases
    assert [outcome.status for outcome in every] == ["segmented", "not run", "failed"]
    assert summary(every, 0.04) == "3 cases: 1 segmented, 1 failed; 0.0 s"
    assert (exit_code(every), exit_code(every[:2])) == (1, 0)


def test_cases_cut_into_windows_are_told_of_once_with_what_is_enough_for_all():
    wanted = [None, (620, 0), (700, 0)]
    said = "cut into windows for want of memory; from --host-memory-mb"
    assert seen_in_windows(wanted[:1]) is None
    assert (seen_in_windows(wanted[:2]) or "").startswith(f"1 case was {said} 620 on ")
    assert (seen_in_windows(wanted) or "").startswith(f"2 cases were {said} 700 on ")
    assert "from --host-memory-mb 620 --gpu-memory-mb 900 on" in (seen_in_windows([(620, 900)]) or "")


def test_the_last_line_counts_doubtful_results():
    """Of those segmented; a failed case whose label map was written has a line of its own."""
    doubt = ("no spleen, though what lies beside is whole",)
    outcomes = [
        Outcome(case=CASE, status="segmented"),
        Outcome(case=CASE, status="segmented", doubts=doubt),
        Outcome(case=CASE, status="failed", has_label_map=True, doubts=doubt),
        Outcome(case=CASE, status="skipped"),
    ]
    assert summary(outcomes, 2.0) == "4 cases: 2 segmented (1 doubtful), 1 failed, 1 skipped; 2.0 s"
