"""Containers with a docker that is a script; `test_container_engine.py` has them with a real one."""

import csv
import json
import os

import numpy as np
import pytest

from eval.__main__ import main
from eval.commands.container import progress
from eval.measuring import output_check
from eval.measuring.container_process import ContainerOptions, command
from eval.measuring.container_run import output_name
from eval.measuring.efficiency import CaseEfficiency, Status
from eval.measuring.output_check import judge_output
from eval.measuring.trace import KERNEL_PEAK_MB, OWN_RAM, Trace
from model.labels import FLARE23
from tests.eval.made import write, write_claim

OPTIONS = ContainerOptions(image="team:latest", memory="8G", labels=FLARE23)
# Takes what follows the mounts for granted: no container, the same folders. `inspect` tells only of
# `state`, so no exit code from there.
DOCKER = """#!/bin/sh
case "$1 $2" in
    "image inspect") [ "$5" = team ] && [ ! -e "@HERE@/down" ]; exit ;;
    "info "*) if [ -e "@HERE@/down" ]; then echo "no daemon" >&2; exit 1; fi ;;
    "rm "*) exit 0 ;;
    "container inspect") [ -e "@HERE@/state" ] && cat "@HERE@/state"; exit ;;
    "container run")
        echo >> "@HERE@/starts"
        case "$*" in *--gpus=device=99*) cat "@HERE@/engine-said" >&2; exit 125 ;; esac
        for word; do case "$word" in *:/workspace/outputs/*) here=${word%%/outputs/*} ;; esac; done
        cd "$here" || exit 125
        case "$(ls inputs)" in
            fails*) echo "error: out of ideas" >&2; echo "1 case: 1 failed"; exit 3 ;;
            windows*) printf 'predict.sh: 2: python\\r: not found\\n' >&2; exit 127 ;;
            broken*) touch "@HERE@/down"; exit 125 ;;
            ghost*) echo "docker: no user ghost" >&2; exit 125 ;;
            tires*)
                echo run >> "@HERE@/runs"
                [ "$(grep -c run "@HERE@/runs")" -lt 2 ] || { echo "error: tired" >&2; exit 3; }
                cp inputs/tires_0000.nii.gz outputs/tires.nii.gz ;;
            hungry*) exit 137 ;;
            hangs*) exec sleep 100000 ;;
            silent*) exit 0 ;;
            nosy*) touch inputs/cache; exit 0 ;;
            *) for file in inputs/*; do
                    name=${file##*/}; cp "$file" "outputs/${name%_0000.nii.gz}.nii.gz"
                done ;;
        esac ;;
    *) exit 1 ;;
esac
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "docker").write_text(DOCKER.replace("@HERE@", str(tmp_path)))
    (tmp_path / "bin" / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def run(folder, *cases: str, image: str = "team", more: tuple[str, ...] = ()) -> int:
    for case in cases:
        write(
            folder / "images" / f"{case}_0000.nii.gz",
            np.full((3, 4, 5), 99 if case == "odd" else 2, np.uint8),
        )
    paths = [
        "--input",
        str(folder / "images"),
        "--output",
        str(folder / "pred"),
        "--results",
        str(folder / "efficiency.csv"),
    ]
    return main(["container", image, *paths, *more])


def test_the_organisers_command_is_theirs_to_the_letter(tmp_path):
    official = ContainerOptions(image="team:latest", memory="28G", gpu="1", official=True, labels=FLARE23)
    assert " ".join(command(official, "team", tmp_path)) == (
        "docker container run --shm-size=28gb -m 28G --gpus=device=1 --name team --rm "
        f"-v {tmp_path}/inputs/:/workspace/inputs/ -v {tmp_path}/outputs/:/workspace/outputs/ team:latest "
        "/bin/bash -c sh predict.sh"
    )


def test_our_command_is_locked_down(tmp_path):
    words = " ".join(command(OPTIONS, "name", tmp_path))
    assert "--network none --read-only --tmpfs /tmp" in words
    assert f"{tmp_path}/inputs/:/workspace/inputs/:ro" in words
    assert "--gpus" not in words
    assert "--rm" not in words


@pytest.mark.parametrize("name", ["a_0000.nii.gz", "a.nii.gz", "a_0000.nii"])
def test_the_label_map_has_the_name_of_the_case(tmp_path, name):
    assert output_name(tmp_path / name) == "a.nii.gz"


def test_every_ending_is_told(folder, capsys):
    assert run(folder, "good", "fails", "hungry", "silent", "nosy", "odd") == 1
    with (folder / "efficiency.csv").open(newline="") as stream:
        rows = {row["Name"].removesuffix(".nii.gz"): row for row in csv.DictReader(stream)}
    assert {name: row["Status"] for name, row in rows.items()} == {
        "good": "ok", "fails": "failed", "hungry": "out of memory", "silent": "no output", "nosy": "failed",
        "odd": "invalid output",
    }  # fmt: skip
    assert list(rows["good"])[:8] == [
        "Name", "Time", "MaxGPU_Mem", "AUC_GPU_Time", "MaxCPU_Utilization", "AUC_CPU_Time", "MaxRAM",
        "AUC_RAM_Time",
    ]  # fmt: skip
    assert (rows["fails"]["ExitCode"], rows["fails"]["Remark"]) == ("3", "exit code 3: error: out of ideas")
    assert "inputs/" in rows["nosy"]["Remark"]
    assert "label 99" in rows["odd"]["Remark"]
    assert {row["MaxGPU_Mem"] for row in rows.values()} == {""}
    assert [path.name for path in (folder / "pred").iterdir()] == ["good.nii.gz"]
    assert (folder / "efficiency_cases" / "fails.log").read_text(
        encoding="utf-8"
    ) == "error: out of ideas\n1 case: 1 failed\n"
    assert (folder / "efficiency_cases" / "good.trace.csv").is_file()
    out, err = capsys.readouterr()
    assert "1 of 6 cases ended well" in out
    assert "GPU columns stay empty" in err
    assert run(folder) == 2
    assert "exists already" in capsys.readouterr().err


def test_a_case_that_hangs_is_stopped_and_costs_an_hour(folder):
    assert run(folder, "hangs", more=("--limit", "1")) == 1
    with (folder / "efficiency.csv").open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert (row["Status"], row["Time"], row["ExitCode"]) == ("timeout", "3600.0", "")
    assert float(row["Wall_s"]) >= 1


@pytest.mark.parametrize(
    ("case", "image", "said"),
    [
        ("good", "other", "no such image"),
        ("broken", "team", "docker does not work: no daemon"),
    ],
)
def test_a_fault_of_the_set_up_is_no_fault_of_the_submission(folder, capsys, case, image, said):
    assert run(folder, case, image=image) == 2
    assert said in capsys.readouterr().err


def test_an_image_that_docker_does_not_start_fails_its_case_and_the_series_goes_on(folder, capsys):
    assert run(folder, "ghost", "good") == 1
    with (folder / "efficiency.csv").open(newline="") as stream:
        rows = [(row["Name"], row["Status"], row["Remark"]) for row in csv.DictReader(stream)]
    assert rows == [
        ("ghost.nii.gz", "failed", "docker could not start it: docker: no user ghost"),
        ("good.nii.gz", "ok", ""),
    ]
    assert run(folder, more=("--resume",)) == 1
    assert "2 cases were run before" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("said", "state"),
    [
        (
            "docker: Error response from daemon: "
            'could not select device driver "" with capabilities: [[gpu]].',
            "created",
        ),
        (
            "docker: Error response from daemon: OCI runtime create failed: error running prestart hook #0: "
            "exit status 1, stdout: , stderr: Auto-detected mode as 'legacy'\n"
            "nvidia-container-cli: device error: 99: unknown device: unknown",
            "created",
        ),
        ("Error: setting up CDI devices: unresolvable CDI devices nvidia.com/gpu=99", ""),
    ],
)
def test_a_gpu_that_docker_cannot_give_ends_the_series_at_once(folder, capsys, said, state):
    """It would fail every case, and no submission is to blame: no case is recorded."""
    (folder / "engine-said").write_text(f"{said}\n", encoding="utf-8")
    (folder / "state").write_text(state, encoding="utf-8")
    assert run(folder, "a", "b", more=("--gpu", "99")) == 2
    err = capsys.readouterr().err
    assert "--gpu 99: docker cannot give it to containers: " in err
    assert said.splitlines()[-1] in err
    assert not (folder / "efficiency.csv").exists()


@pytest.mark.parametrize(
    ("said", "state"), [("unknown device", "exited"), ("docker: no such user: ghost", "created")]
)
def test_another_reason_not_to_start_is_of_the_case_with_a_gpu_too(folder, said, state):
    """What a container that has run says of devices is no proof: a submission could end the series by it."""
    (folder / "engine-said").write_text(f"{said}\n", encoding="utf-8")
    (folder / "state").write_text(state, encoding="utf-8")
    assert run(folder, "a", "b", more=("--gpu", "99")) == 1
    with (folder / "efficiency.csv").open(newline="") as stream:
        assert [row["Remark"] for row in csv.DictReader(stream)] == [f"docker could not start it: {said}"] * 2


def test_windows_line_endings_are_named_with_their_remedy(folder, capsys):
    assert run(folder, "windows") == 1
    assert (
        "failed: exit code 127: predict.sh: 2: python: not found; predict.sh has Windows line endings"
        in capsys.readouterr().err
    )


def test_each_case_is_run_as_often_as_asked_for(folder, capsys):
    assert run(folder, "good", more=("--repeats", "3")) == 0
    assert (folder / "starts").read_text(encoding="utf-8") == "\n" * 3
    with (folder / "efficiency.csv").open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert float(row["Time_Lowest_s"]) <= float(row["Time"]) <= float(row["Time_Highest_s"])
    assert f"{row['Time_Lowest_s']} to {row['Time_Highest_s']} s in 3 runs" in capsys.readouterr().err
    assert (folder / "pred" / "good.nii.gz").is_file()


def test_a_case_that_ends_well_only_at_first_has_failed(folder, capsys):
    """Its second run fails, after which there is no third one, and the first one's label map is gone."""
    assert run(folder, "tires", "good", more=("--repeats", "3")) == 1
    assert (folder / "starts").read_text(encoding="utf-8") == "\n" * (3 + 2)
    assert "tires.nii.gz: failed: run 2: exit code 3: error: tired" in capsys.readouterr().err
    assert [path.name for path in (folder / "pred").iterdir()] == ["good.nii.gz"]


def test_a_series_goes_on_with_as_many_runs_a_case(folder, capsys):
    assert run(folder, "a", more=("--repeats", "2")) == 0
    assert run(folder, "b", more=("--resume",)) == 2
    assert "was made with repeats 2, not 1" in capsys.readouterr().err
    assert run(folder, "b", more=("--resume", "--repeats", "2")) == 0
    assert (folder / "starts").read_text(encoding="utf-8") == "\n" * (2 + 2)


def test_a_table_of_an_older_version_is_of_one_run_each(folder, capsys):
    assert run(folder, "a") == 0
    origin = json.loads((folder / "efficiency_run.json").read_text(encoding="utf-8"))
    del origin["repeats"]
    (folder / "efficiency_run.json").write_text(json.dumps(origin), encoding="utf-8")
    assert run(folder, more=("--resume", "--repeats", "2")) == 2
    assert "was made with repeats 1, not 2" in capsys.readouterr().err
    assert run(folder, more=("--resume",)) == 0


@pytest.mark.parametrize(
    ("counters", "own_ram"), [({KERNEL_PEAK_MB: 408.7}, "own RAM 408.7 MB"), ({}, "own RAM 30.0 MB")]
)
def test_the_progress_line_has_the_kernels_peak_where_there_is_one(counters, own_ram):
    """Samples of 10 and 30 MiB miss what was held between them."""
    trace = Trace(
        times_s=np.array([0.1, 0.2]),
        values={OWN_RAM: np.array([10.0, 30.0])},
        duration_s=0.25,
        counters=counters,
    )
    result = CaseEfficiency(name="a.nii.gz", status=Status.OK, exit_code=0, remark="", trace=trace)
    assert progress(result) == f"a.nii.gz: ok (0.25 s, {own_ram})"


@pytest.mark.parametrize(
    ("option", "value"), [("--memory", "lots"), ("--memory", "0g"), ("--limit", "0"), ("--repeats", "0")]
)
def test_limits_that_are_none(folder, capsys, option, value):
    assert run(folder, "good", more=(option, value)) == 2
    assert f"{option} is {value}, must be" in capsys.readouterr().err


def test_a_folder_without_images_is_one_line(folder, capsys):
    assert run(folder) == 2
    assert "images: no such folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("shape", "status"),
    [((3, 4, 5), Status.OK), ((3, 4, 6), Status.INVALID_OUTPUT), (None, Status.NO_OUTPUT)],
)
def test_what_counts_as_a_label_map(tmp_path, shape, status):
    image = write(tmp_path / "a_0000.nii.gz", np.zeros((3, 4, 5), np.int16))
    if shape:
        write(tmp_path / "a.nii.gz", np.ones(shape, np.uint8))
    assert judge_output(tmp_path / "a.nii.gz", image, FLARE23)[0] is status


def test_no_voxel_of_a_label_map_of_another_size_is_read(tmp_path, monkeypatch):
    """4096³ voxels, of which none is there, would be 64 GiB."""
    image = write(tmp_path / "a_0000.nii.gz", np.zeros((3, 4, 5), np.int16))
    written = write_claim(tmp_path / "a.nii.gz", (4096, 4096, 4096), held=0)
    monkeypatch.delattr(output_check, "read_labels")
    assert judge_output(written, image, FLARE23) == (
        Status.INVALID_OUTPUT,
        "the label map is not on the image's grid: sizes differ, 4096×4096×4096 and 5×4×3 voxels",
    )


def test_a_label_map_of_an_image_that_nobody_can_read_is_no_good(tmp_path):
    image = tmp_path / "a_0000.nii.gz"
    image.write_text("no image")
    write(tmp_path / "a.nii.gz", np.ones((3, 4, 5), np.uint8))
    status, remark = judge_output(tmp_path / "a.nii.gz", image, FLARE23)
    assert status is Status.INVALID_OUTPUT
    assert "a_0000.nii.gz: cannot be read" in remark
