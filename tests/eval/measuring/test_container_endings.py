"""More ways for a container to end, with a `docker` on PATH that is a script and tells of ends as engines do.

Its container does what the name of the case says and leaves a note, `state`, that `inspect` reads.
"""

import json
import os
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest

from eval.eval_errors import JudgingError
from eval.measuring import container_process, container_run, docker_client
from eval.measuring.container_process import ContainerOptions, command
from eval.measuring.container_run import ContainerCase, run_case
from eval.measuring.docker_client import check_image, docker, hides_exit_codes
from eval.measuring.efficiency import Status
from eval.measuring.output_check import judge_output
from eval.measuring.series import drop_disk_cache
from model.labels import AMOS22, FLARE22, FLARE23
from tests.eval.command_line import assert_refused, call, columns_of, files_in, rows_of
from tests.eval.made import write
from tests.eval.measuring.kernel import Kernel

LABELS = np.full((3, 4, 5), 2, np.uint8)
DOCKER = """#!/bin/sh
here=@HERE@
echo "$*" >> "$here/calls"
note() { echo "$1 ${2:-exited}" > "$here/state"; }
case "$1 $2" in
    "image inspect") exit 0 ;;
    "info "*) exit 0 ;;
    "container inspect") case "$4" in *ExitCode*) cat "$here/state" 2>/dev/null ;; esac; exit ;;
    "events "*) cat "$here/events" 2>/dev/null; exit 0 ;;
    "container run")
        for word; do case "$word" in *:/workspace/outputs/*) mounted=${word%%/outputs/*} ;; esac; done
        cd "$mounted" || exit 125
        rm -f "$here/state" "$here/events"
        for file in inputs/*; do name=${file##*/}; out=outputs/${name%_0000.nii.gz}.nii.gz; done
        case "$name" in
            good*) cp "$file" "$out"; note "0 false" ;;
            quiet*) note "4 false"; exit 4 ;;
            oom*) cp "$file" "$out"; note "137 true"; exit 137 ;;
            refused*) note "0 false" created; echo "Error: no user ghost" >&2; exit 125 ;;
            unstarted*) note "0 false" created; echo "Error: no such shell" >&2; exit 127 ;;
            untold*) note "0 false" created; exit 0 ;;
            unmade*) echo "Error: no such device" >&2; exit 125 ;;
            hides*) cp "$file" "$out"; note "9 false"; exit 0 ;;
            removed*) echo "start" > "$here/events"; echo "die 3" >> "$here/events"; exit 0 ;;
            linked*) ln -s /etc/hostname "$out"; note "0 false" ;;
            moved*) cp "@OTHER@" "$out"; note "0 false" ;;
            text*) echo "no label map" > "$out"; note "0 false" ;;
            wrongly*) cp "$file" outputs/other.nii.gz; note "0 false" ;;
            hangs*) exec sleep 100000 ;;
            both*) echo "first"; echo "Error: no memory of it" >&2; echo "bye"; note "1 false"; exit 1 ;;
        esac ;;
    "rm "*) exit 0 ;;
    *) exit 1 ;;
esac
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with the docker above first on PATH, and samplers that do not wait for a baseline."""
    other = write(tmp_path / "other.nii.gz", LABELS, origin_xyz_mm=(0.0, 0.0, 0.0))
    script = tmp_path / "bin" / "docker"
    script.parent.mkdir()
    script.write_text(DOCKER.replace("@HERE@", str(tmp_path)).replace("@OTHER@", str(other)))
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("eval.measuring.sampler.BASELINE_S", 0.0)
    return tmp_path


def options(**more) -> ContainerOptions:
    return ContainerOptions(**{"image": "team:latest", "memory": "8g", "labels": FLARE23, **more})


@pytest.mark.parametrize(
    ("name", "status", "exit_code", "remark"),
    [
        ("good", Status.OK, 0, ""),
        ("quiet", Status.FAILED, 4, "exit code 4: nothing was said"),
        ("oom", Status.OUT_OF_MEMORY, 137, "8g of memory"),
        ("hides", Status.FAILED, 9, "exit code 9"),  # the client said 0, the engine knows better
        ("refused", Status.FAILED, 125, "docker could not start it: Error: no user ghost"),
        ("unmade", Status.FAILED, 125, "docker could not start it: Error: no such device"),
        # Podman states exit code 0 of a container of which no process has run, and with --rm returns it.
        ("unstarted", Status.FAILED, 127, "docker could not start it: Error: no such shell"),
        ("untold", Status.FAILED, None, "docker could not start it: nothing was said"),
        ("removed", Status.FAILED, 3, "exit code 3"),  # only the engine's events tell
        ("linked", Status.NO_OUTPUT, 0, "outputs/linked.nii.gz"),
        ("moved", Status.INVALID_OUTPUT, 0, "mm apart"),
        ("text", Status.INVALID_OUTPUT, 0, "outputs/text.nii.gz: cannot be read"),
        ("wrongly", Status.NO_OUTPUT, 0, "outputs/wrongly.nii.gz"),
        ("both", Status.FAILED, 1, "Error: no memory of it"),
    ],
)
def test_how_a_case_ended(folder, name, status, exit_code, remark):
    image = write(folder / f"{name}_0000.nii.gz", LABELS)
    case = ContainerCase(image=image, output=folder / f"{name}.nii.gz", log=folder / f"{name}.log")
    result = run_case(case, options())
    assert (result.name, result.status, result.exit_code) == (f"{name}.nii.gz", status, exit_code)
    assert remark in result.remark
    assert case.output.exists() is (status is Status.OK)
    assert result.trace.duration_s > 0
    assert not [path for path in files_in(folder) if path.startswith(".")]


@pytest.mark.parametrize(
    ("name", "status", "remark"),
    [
        ("good", Status.OK, "1 of its processes was killed for memory"),
        ("wrongly", Status.OUT_OF_MEMORY, "was killed for memory; there is no outputs/wrongly.nii.gz"),
        ("quiet", Status.OUT_OF_MEMORY, "was killed for memory; exit code 4"),
    ],
)
def test_a_worker_killed_for_memory_is_told_though_its_parent_ends_well(
    folder, monkeypatch, name, status, remark
):
    monkeypatch.setattr(container_run, "Sampler", Kernel)
    monkeypatch.setattr(Kernel, "kills", 1.0)
    image = write(folder / f"{name}_0000.nii.gz", LABELS)
    case = ContainerCase(image=image, output=folder / f"{name}.nii.gz", log=folder / "log")
    result = run_case(case, options())
    assert result.status is status
    assert remark in result.remark


@pytest.mark.parametrize(("engine", "hidden"), [("exit 0", True), ("exit 7", False), ("exit 126", False)])
def test_an_engine_that_hides_exit_codes_is_found_out(tmp_path, monkeypatch, engine, hidden):
    (tmp_path / "docker").write_text(f"#!/bin/sh\n{engine}\n")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert hides_exit_codes("team") is hidden


@pytest.mark.parametrize(
    ("hidden", "exit_code", "said"), [(True, None, "exit code is not known"), (False, 0, "")]
)
def test_an_exit_code_that_nobody_tells_is_not_taken_for_0(folder, hidden, exit_code, said):
    (folder / "bin" / "docker").write_text(
        (folder / "bin" / "docker")
        .read_text(encoding="utf-8")
        .replace('good*) cp "$file" "$out"; note "0 false"', 'good*) cp "$file" "$out"')
    )
    image = write(folder / "good_0000.nii.gz", LABELS)
    case = ContainerCase(image=image, output=folder / "good.nii.gz", log=folder / "log")
    result = run_case(case, options(hides_exit_codes=hidden))
    assert (result.status, result.exit_code) == (Status.OK, exit_code)
    assert said in result.remark


def deaf_to(word: str, times: int, monkeypatch) -> list[str]:
    """Have docker not answer the first calls of one command; returns all calls, as they come."""
    calls: list[str] = []

    def deaf(*arguments, patience_s=None):
        calls.append(" ".join(arguments))
        if word in calls[-1] and sum(word in line for line in calls) <= times:
            raise JudgingError(f"docker {arguments[0]} has not answered for 60 s")
        return docker(*arguments, patience_s=patience_s)

    monkeypatch.setattr(container_process, "docker", deaf)
    monkeypatch.setattr(container_process, "STOPPED_S", 0.1)
    return calls


@pytest.mark.parametrize(("times", "left"), [(1, False), (2, True)])
def test_a_container_that_docker_does_not_remove_is_told_beside_the_result(folder, monkeypatch, times, left):
    calls, clients = deaf_to("rm --force", times, monkeypatch), []

    class Client(subprocess.Popen):
        def __init__(self, words, *more, **options):
            super().__init__(words, *more, **options)
            if "--name" in words:
                clients.append(self)

    monkeypatch.setattr("eval.measuring.container_process.subprocess.Popen", Client)
    image = write(folder / "hangs_0000.nii.gz", LABELS)
    case = ContainerCase(image=image, output=folder / "hangs.nii.gz", log=folder / "log")
    result = run_case(case, options(limit_s=0.2))
    assert (result.status, result.exit_code) == (Status.TIMEOUT, None)
    assert result.remark == "stopped after 0.2 s; docker rm has not answered for 60 s"
    removals = [line for line in calls if line.startswith("rm")]
    assert len(removals) == 2
    assert result.left_container == (removals[0].split()[-1] if left else "")
    assert [client.returncode for client in clients] == [-signal.SIGKILL]


@pytest.mark.parametrize(
    ("answer", "left", "remark"),
    [
        ("echo true", True, ""),
        ("echo false", False, ""),
        ("echo 'Error: No such container: x' >&2; exit 1", False, ""),
        ("echo 'Cannot connect to the daemon' >&2; exit 1", True, "inspect: Cannot connect to the daemon"),
    ],
)
def test_a_container_that_docker_fails_to_remove_is_left_unless_it_has_ended(folder, answer, left, remark):
    script = folder / "bin" / "docker"
    told = 'case "$4" in *Running*) ' + answer + " ;; *ExitCode*)"
    text = (
        script.read_text(encoding="utf-8")
        .replace('case "$4" in *ExitCode*)', told)
        .replace('"rm "*) exit 0', '"rm "*) exit 1')
    )
    script.write_text(text)
    image = write(folder / "good_0000.nii.gz", LABELS)
    result = run_case(
        ContainerCase(image=image, output=folder / "good.nii.gz", log=folder / "log"), options()
    )
    assert result.status is Status.OK
    assert bool(result.left_container) is left
    assert remark in result.remark


def test_an_end_that_docker_does_not_tell_of_keeps_the_container_from_staying(folder, monkeypatch):
    calls = deaf_to("ExitCode", 1, monkeypatch)
    image = write(folder / "quiet_0000.nii.gz", LABELS)
    case = ContainerCase(image=image, output=folder / "quiet.nii.gz", log=folder / "log")
    result = run_case(case, options())
    assert (result.status, result.exit_code, result.left_container) == (Status.FAILED, 4, "")
    assert "docker container has not answered" in result.remark
    assert any(line.startswith("rm --force") for line in calls)


def test_an_interrupt_before_the_watch_begins_leaves_no_container(folder, monkeypatch):
    class Interrupted(threading.Thread):
        def start(self):
            raise KeyboardInterrupt

    monkeypatch.setattr("eval.measuring.container_process.threading.Thread", Interrupted)
    monkeypatch.setattr(container_process, "STOPPED_S", 0.1)
    image = write(folder / "hangs_0000.nii.gz", LABELS)
    case = ContainerCase(image=image, output=folder / "hangs.nii.gz", log=folder / "log")
    with pytest.raises(KeyboardInterrupt):
        run_case(case, options())
    assert "rm --force leanseg-eval-" in (folder / "calls").read_text(encoding="utf-8")


def test_the_container_is_asked_for_by_one_name_and_removed_in_the_end(folder):
    image = write(folder / "good_0000.nii.gz", LABELS)
    run_case(ContainerCase(image=image, output=folder / "good.nii.gz", log=folder / "log"), options())
    calls = (folder / "calls").read_text(encoding="utf-8").splitlines()
    started = next(line for line in calls if line.startswith("container run")).split()
    name = started[started.index("--name") + 1]
    assert f"rm --force {name}" in calls
    assert all(name in line for line in calls if line.startswith(("container", "rm")))


@pytest.mark.parametrize(
    ("more", "there", "absent"),
    [
        ({}, ["--network none", "--read-only", "--cap-drop ALL", "-m 8g"], ["--gpus", "--rm", "--shm-size"]),
        ({"gpu": "0"}, ["--gpus=device=0", "--network none"], ["--shm-size"]),
        ({"official": True}, ["--rm", "-m 8g"], ["--network", "--read-only", "--shm-size", ":ro"]),
        ({"official": True, "gpu": "GPU-1"}, ["--gpus=device=GPU-1", "--shm-size=28gb"], ["--network"]),
        ({"memory": "512m"}, ["-m 512m"], ["--cpus", "--memory-swap"]),
        ({"cpus": "2", "memory_swap": "8g"}, ["-m 8g --memory-swap 8g --cpus 2"], []),
    ],
)
def test_what_the_command_asks_of_docker(tmp_path, more, there, absent):
    line = " ".join(command(options(**more), "name", tmp_path))
    assert line.startswith("docker container run ")
    assert line.endswith(" team:latest /bin/bash -c sh predict.sh")
    assert all(part in line for part in there)
    assert not [part for part in absent if part in line]


@pytest.mark.parametrize(
    ("labels", "label", "status"),
    [
        (FLARE23, 14, Status.OK),
        (FLARE22, 14, Status.INVALID_OUTPUT),
        (AMOS22, 15, Status.OK),
        (AMOS22, 16, Status.INVALID_OUTPUT),
        (FLARE22, 0, Status.OK),
    ],
)
def test_a_label_map_holds_only_labels_of_its_set(tmp_path, labels, label, status):
    image = write(tmp_path / "a_0000.nii.gz", LABELS)
    written = write(tmp_path / "a.nii.gz", np.full((3, 4, 5), label, np.uint8))
    found, remark = judge_output(written, image, labels)
    assert found is status
    assert (str(label) in remark) is (status is not Status.OK)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("#!/bin/sh\n[ $1 = info ] || exit 1\n", "no such image"),
        ("#!/bin/sh\necho 'Cannot connect to the daemon' >&2\nexit 1\n", "Cannot connect to the daemon"),
    ],
)
def test_an_image_that_cannot_be_run(tmp_path, monkeypatch, script, said):
    (tmp_path / "docker").write_text(script)
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(JudgingError, match=said):
        check_image("team")


def test_a_docker_that_is_not_there_or_does_not_answer(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(JudgingError, match="no docker command"):
        docker("info")
    (tmp_path / "docker").write_text(f"#!/bin/sh\nexec {shutil.which('sleep', path='/bin:/usr/bin')} 30\n")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setattr(docker_client, "PATIENCE_S", 0.1)
    with pytest.raises(JudgingError, match="docker info has not answered"):
        docker("info")


def test_docker_may_say_what_is_no_utf8(tmp_path, monkeypatch):
    (tmp_path / "docker").write_text("#!/bin/sh\nprintf 'a\\377b'\n")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert docker("info").stdout == "a\ufffdb"


def container(folder, *more) -> tuple[object, ...]:
    paths = ("--input", folder / "images", "--output", folder / "pred", "--results", folder / "e.csv")
    return ("container", "team", *paths, *more)


def test_a_run_over_three_cases(folder, capsys):
    for name in ("good1", "quiet", "good2"):
        write(folder / "images" / f"{name}_0000.nii.gz", LABELS)
    (folder / "images" / "notes.txt").write_text("none of ours")
    assert call(*container(folder, "--gpu", "0", "--memory", "4g")) == 1
    rows = rows_of(folder / "e.csv")
    assert [(row["Name"], row["Status"]) for row in rows] == [
        ("good1.nii.gz", "ok"),
        ("good2.nii.gz", "ok"),
        ("quiet.nii.gz", "failed"),
    ]
    assert columns_of(folder / "e.csv")[0] == "Name"
    assert files_in(folder / "pred") == ["good1.nii.gz", "good2.nii.gz"]
    assert len(files_in(folder / "e_cases")) == 6
    out, err = capsys.readouterr()
    assert "2 of 3 cases" in out
    assert [line[:5] for line in err.splitlines() if line.startswith("[")] == ["[1/3]", "[2/3]", "[3/3]"]
    assert "--gpus=device=0" in (folder / "calls").read_text(encoding="utf-8")
    assert "-m 4g" in (folder / "calls").read_text(encoding="utf-8")
    # With --force a case that fails now leaves no label map of the time before.
    for name in ("good1", "good2"):
        (folder / "images" / f"{name}_0000.nii.gz").unlink()
    write(folder / "pred" / "quiet.nii.gz", LABELS)
    assert call(*container(folder, "--force")) == 1
    assert "quiet.nii.gz" not in files_in(folder / "pred")


def test_an_interrupted_run_goes_on(folder, capsys):
    for name in ("good1", "quiet", "good2"):
        write(folder / "images" / f"{name}_0000.nii.gz", LABELS)
    assert call(*container(folder)) == 1
    (folder / "pred" / "good2.nii.gz").unlink()
    lines = (folder / "e.csv").read_text(encoding="utf-8").splitlines()
    (folder / "e.csv").write_text("\n".join(line for line in lines if not line.startswith("good1")) + "\n")
    (folder / "calls").unlink()
    capsys.readouterr()
    assert call(*container(folder, "--resume")) == 1
    err = capsys.readouterr().err
    assert "1 cases were run before" in err
    assert [line.split(":")[0] for line in err.splitlines() if line.startswith("[")] == [
        "[1/2] good1.nii.gz",
        "[2/2] good2.nii.gz",
    ]
    assert [row["Name"] for row in rows_of(folder / "e.csv")] == [
        "good1.nii.gz",
        "good2.nii.gz",
        "quiet.nii.gz",
    ]
    assert files_in(folder / "pred") == ["good1.nii.gz", "good2.nii.gz"]
    # Another run is no continuation.
    assert_refused(capsys, container(folder, "--resume", "--memory", "4g"), "made with memory 8g, not 4g")
    assert_refused(
        capsys, container(folder, "--resume", "--max-gpu", "stable"), "made with max_gpu highest, not stable"
    )
    shutil.copytree(folder / "images", folder / "others")
    elsewhere = ("--resume", "--input", folder / "others")
    assert_refused(capsys, container(folder, *elsewhere), "made with input images, not others")
    (folder / "e_run.json").unlink()
    assert_refused(capsys, container(folder, "--resume"), "nothing beside it says how it was made")


def test_an_interrupted_run_takes_over_nothing_of_the_one_that_it_replaces(folder, capsys, monkeypatch):
    """The first run labels both cases; the second, with other memory, is interrupted in its first case."""
    for name in ("good1", "good2"):
        write(folder / "images" / f"{name}_0000.nii.gz", LABELS)
    assert call(*container(folder)) == 0
    (folder / "pred" / "mine.nii.gz").write_text("of no case")

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("eval.measuring.series.run_case", interrupted)
        assert call(*container(folder, "--force", "--memory", "4g")) == 130
    assert not (folder / "e.csv").exists()
    assert files_in(folder / "pred") == ["mine.nii.gz"]
    assert files_in(folder / "e_cases") == []
    assert json.loads((folder / "e_run.json").read_text(encoding="utf-8"))["memory"] == "4g"
    capsys.readouterr()
    assert call(*container(folder, "--resume", "--memory", "4g")) == 0
    assert "[2/2] good2.nii.gz" in capsys.readouterr().err, "both are run, none was run before"


def test_a_run_interrupted_while_it_clears_up_leaves_no_old_row(folder, monkeypatch):
    """The old run's provenance still stands, so that --resume may go on with its settings, from the start."""
    write(folder / "images" / "good_0000.nii.gz", LABELS)
    assert call(*container(folder)) == 0
    unlink, removed = Path.unlink, []

    def interrupted(path, missing_ok=False):
        unlink(path, missing_ok=missing_ok)
        removed.append(path.name)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", interrupted)
        assert call(*container(folder, "--force", "--memory", "4g")) == 130
    assert removed == ["e.csv"], "the table goes before the label maps that it speaks of"
    assert json.loads((folder / "e_run.json").read_text(encoding="utf-8"))["memory"] == "8g"


def test_a_series_stops_at_a_container_that_stays(folder, capsys, monkeypatch):
    for name in ("hangs", "then_good"):
        write(folder / "images" / f"{name}_0000.nii.gz", LABELS)
    with monkeypatch.context() as patch:
        deaf_to("rm --force", 2, patch)
        said = ("hangs.nii.gz: its container leanseg-eval-", "may still be running", "--resume")
        assert_refused(capsys, container(folder, "--limit", "0.2"), *said)
    (row,) = rows_of(folder / "e.csv")
    assert (row["Name"], row["Status"], row["Time"]) == ("hangs.nii.gz", "timeout", "3600.0")
    assert "docker rm has not answered" in row["Remark"]


def test_a_run_of_an_older_version_goes_on_and_what_it_left_unsaid_is_told(folder, capsys):
    write(folder / "images" / "good_0000.nii.gz", LABELS)
    assert call(*container(folder)) == 0
    run = json.loads((folder / "e_run.json").read_text(encoding="utf-8"))
    older = {name: value for name, value in run.items() if name not in ("max_gpu", "input", "ct_sha256")}
    (folder / "e_run.json").write_text(json.dumps(older))
    capsys.readouterr()
    assert call(*container(folder, "--resume", "--max-gpu", "stable")) == 0
    assert "e_run.json: does not say max_gpu and input and ct_sha256; taken as now" in capsys.readouterr().err
    again = json.loads((folder / "e_run.json").read_text(encoding="utf-8"))
    assert (again["max_gpu"], again["input"]) == ("stable", "images")
    assert again["ct_sha256"] == run["ct_sha256"]


def test_several_images_take_turns(folder, capsys):
    for i in range(6):
        write(folder / "images" / f"good{i}_0000.nii.gz", LABELS)
    paths = ("--input", folder / "images", "--output", folder / "{image}" / "labels")
    words = ("container", "one:latest", "org/two", *paths, "--results", folder / "{image}" / "e.csv")
    assert call(*words) == 0
    for name in ("one", "two"):
        assert [row["Status"] for row in rows_of(folder / name / "e.csv")] == ["ok"] * 6
        assert len(files_in(folder / name / "labels")) == 6
        run = json.loads((folder / name / "e_run.json").read_text(encoding="utf-8"))
        assert run["image"] == {"one": "one:latest", "two": "org/two"}[name]
        assert run["machine"]["processors"] >= 1
    err = capsys.readouterr().err
    order = [line.split()[1] for line in err.splitlines() if line.startswith("[")]
    assert sorted(order) == ["one"] * 6 + ["two"] * 6
    assert order != sorted(order)
    assert_refused(capsys, (*words[:-1], folder / "e.csv", "--force"), "--results is one place for 2 images")
    assert_refused(capsys, ("container", "one:1", "one:2", *words[3:]), "two images are called one")


def test_a_challenge_says_how_containers_are_run(folder):
    write(folder / "images" / "good_0000.nii.gz", np.full((3, 4, 5), 14, np.uint8))
    assert call(*container(folder, "--challenge", "flare24-laptop", "--cpus", "1.5")) == 1
    assert "-m 8g --cpus 1.5 " in (folder / "calls").read_text(encoding="utf-8")
    (row,) = rows_of(folder / "e.csv")
    assert "holds label 14" in row["Remark"]
    more = ("--challenge", "flare23", "--memory", "9g", "--memory-swap", "-1", "--force")
    assert call(*container(folder, *more)) == 0
    assert "-m 9g --memory-swap -1 " in (folder / "calls").read_text(encoding="utf-8")


def test_the_disk_cache_is_emptied_where_that_is_allowed(tmp_path):
    (tmp_path / "drop").touch()
    assert drop_disk_cache(tmp_path / "drop") == ""
    assert (tmp_path / "drop").read_text(encoding="utf-8") == "3"
    assert "cannot be emptied here" in drop_disk_cache(tmp_path / "none" / "drop")


@pytest.mark.parametrize(
    ("images", "more", "said"),
    [
        ((), (), "no .nii.gz"),
        (("a.nii.gz", "a_0000.nii.gz"), (), "a.nii.gz; keep one"),
        (("a.nii", "a.nii.gz"), (), "keep one"),
        (("a.nii.gz",), ("--limit", "-1"), "--limit"),
        (("a.nii.gz",), ("--limit", "soon"), "--limit"),
        (("a.nii.gz",), ("--memory", "8 GB"), "--memory"),
        (("a.nii.gz",), ("--memory", "8.5g"), "--memory"),
        (("a.nii.gz",), ("--labels", "flare99"), "flare99"),
        (("a.nii.gz",), ("--cpus", "many"), "--cpus is many"),
        (("a.nii.gz",), ("--cpus", "0"), "--cpus is 0"),
        (("a.nii.gz",), ("--memory-swap", "lots"), "--memory-swap is lots"),
        (("a.nii.gz",), ("--results", "none/e.csv"), "none: no such folder"),
        (("a.nii.gz",), ("--output", "none/pred"), "none: no such folder"),
        (("a\n.nii.gz",), (), "has a name that cannot be printed; rename it"),
        (("a_0000.nii.gz",), ("--output", "images"), "input folder"),
        (("a_0000.nii.gz",), ("--results", "notes.txt"), "exists already"),
    ],
)
def test_wrong_calls_start_no_container(folder, monkeypatch, capsys, images, more, said):
    monkeypatch.chdir(folder)
    (folder / "notes.txt").write_text("mine")
    (folder / "images").mkdir()
    for name in images:
        write(folder / "images" / name, LABELS)
    before = files_in(folder)
    assert_refused(capsys, container(folder, *more), said)
    assert files_in(folder) == before
