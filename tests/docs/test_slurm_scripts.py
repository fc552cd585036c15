"""The job scripts of `docs/slurm`, with a Slurm that writes down how it is called."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WRITES_DOWN = '#!/bin/bash\necho "${0##*/} $*" >> calls\n'
SRUN = """#!/usr/bin/env python3
'''Runs a step, which the job's end finds running: SIGTERM ends it with 143, after its checkpoint.'''
import os, pathlib, signal, subprocess, sys

def end(*_):
    pathlib.Path("checkpoint").touch()
    sys.exit(143)

with open("calls", "a") as calls:
    print("srun", *sys.argv[1:], file=calls)
if not os.environ.get("TIME_ENDS"):
    sys.exit(subprocess.run(sys.argv[1:]).returncode)
signal.signal(signal.SIGTERM, end)
pathlib.Path("step").write_text(str(os.getpid()))
os.kill(os.getppid(), signal.SIGUSR1)
signal.pause()
"""
SCANCEL = WRITES_DOWN + "kill -TERM $(cat step)\n"
SCONTROL = WRITES_DOWN + "echo node1\n"
PYTHON = """#!/bin/bash
# cross-validate of two folds
fold=0
while [ $# -gt 0 ]; do
    case "$1" in
        --fold) fold=$2 ;;
        --dry-run) printf 'fold 0: not begun\\n  python\\nfold 1: not begun\\n  python\\n' ;;
        --wrong) exit 2 ;;
    esac
    shift
done
[ "$fold" -lt 2 ] || exit 2
"""
TRAINED = "srun .venv/bin/python -m training cross-validate mine --data data --output runs --workers 8"


@pytest.fixture
def job(tmp_path, monkeypatch):
    """Run a script as job 70, the second of array 69; its exit code, what it says, and calls of Slurm."""
    programs = {"srun": SRUN, "scancel": SCANCEL, "scontrol": SCONTROL}
    files = {f"slurm/{name}": text for name, text in programs.items()}
    files |= {".venv/bin/python": PYTHON, ".venv/bin/torchrun": "#!/bin/bash\n"}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'slurm'}:/usr/bin:/bin")
    for name in ("LEANSEG_TABLE", "TIME_ENDS"):
        monkeypatch.delenv(name, raising=False)
    stated = {
        "JOB_ID": "70",
        "ARRAY_JOB_ID": "69",
        "ARRAY_TASK_ID": "1",
        "NNODES": "2",
        "JOB_NODELIST": "node[1-2]",
    }
    for name, value in stated.items():
        monkeypatch.setenv(f"SLURM_{name}", value)

    def run(script, *options):
        words = ["bash", ROOT / "docs/slurm" / script, "mine", "data", "runs", *options]
        found = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        calls = (tmp_path / "calls").read_text(encoding="utf-8").splitlines()
        return found.returncode, found.stdout + found.stderr, calls

    return run


@pytest.mark.parametrize(
    ("script", "number"), [("cross-validate.sbatch", "69_1"), ("train.sbatch", "70")], ids=["folds", "train"]
)
def test_at_the_time_limit_a_job_ends_with_a_checkpoint_and_queues_again(
    job, script, number, tmp_path, monkeypatch
):
    """A job of an array is named by its place in it: one of them bears the number of the whole array."""
    monkeypatch.setenv("TIME_ENDS", "yes")
    code, _, calls = job(script)
    assert (code, (tmp_path / "checkpoint").exists()) == (143, True)
    assert calls[-2:] == [f"scancel --signal=TERM {number}", f"scontrol requeue {number}"]
    text = (ROOT / "docs/slurm" / script).read_text(encoding="utf-8")
    assert {"#SBATCH --signal=B:USR1@300", "#SBATCH --requeue"} <= set(text.splitlines())


def test_options_of_a_call_go_on_to_the_command(job):
    code, _, calls = job("cross-validate.sbatch", "--set", "label_set=data", "--folds", "2")
    assert (code, calls) == (0, [f"{TRAINED} --set label_set=data --folds 2 --fold 1"])
    code, _, calls = job("train.sbatch", "--set", "label_set=data", "--seed", "3")
    assert (code, calls[-1].endswith(" --resume auto --workers 8 --set label_set=data --seed 3")) == (0, True)


def test_the_job_of_the_table_names_no_fold(job, monkeypatch):
    monkeypatch.setenv("LEANSEG_TABLE", "yes")
    assert job("cross-validate.sbatch", "--seed", "3")[::2] == (0, [f"{TRAINED} --seed 3"])


def test_a_job_for_a_fold_that_there_is_not_does_nothing(job, monkeypatch):
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "4")
    code, said, _ = job("cross-validate.sbatch")
    assert (code, said) == (0, "The split has 2 folds: there is no fold 4, and nothing to do.\n")


def test_a_wrong_call_fails_the_job(job):
    assert job("cross-validate.sbatch", "--wrong")[:2] == (2, "")
    assert job("cross-validate.sbatch", "--wrong")[2][-1] == f"{TRAINED} --wrong --fold 1"
