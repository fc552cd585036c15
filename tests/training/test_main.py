"""The command line: what it calls, and how it refuses."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.places import ROOT
from tests.training.tiny import DOCUMENT, tiny_recipe
from training.__main__ import LARGE_PAGES, WAITING, main
from training.commands.work import train_work
from training.runs.checkpoints import load_checkpoint
from training.runs.run_files import BEST, LAST

LARGE_PAGES_OF_LINUX = Path("/sys/kernel/mm/transparent_hugepage")


def chosen(file):
    """What the kernel does, of the words of one of its files: `never`, of `always madvise [never]`."""
    return file.read_text(encoding="utf-8").partition("[")[2].partition("]")[0] if file.is_file() else ""


def large_on_demand(folder):
    """Whether memory comes in large pages where a program asks for them, and at once.

    `never` and `defer` of `defrag` give them where some happen to be free.
    """
    at_once = chosen(folder / "defrag") in ("always", "madvise", "defer+madvise")
    return chosen(folder / "enabled") == "madvise" and at_once


@pytest.fixture
def recipe_file(tmp_path):
    import yaml

    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(DOCUMENT))
    return path


def train_words(recipe_file, cubes, output, *more):
    words = [
        "train",
        str(recipe_file),
        "--data",
        str(cubes),
        "--output",
        str(output),
        "--device",
        "cpu",
        "--precision",
        "fp32",
    ]
    return [*words, *map(str, more)]


def test_train_writes_checkpoints_and_resume_finds_them(recipe_file, cubes, tmp_path):
    output = tmp_path / "run"
    assert (
        main(
            train_words(
                recipe_file,
                cubes,
                output,
                "--seed",
                5,
                "--steps",
                4,
                "--validation",
                cubes,
                "--set",
                "name=other",
            )
        )
        == 0
    )
    _, info = load_checkpoint(output / LAST)
    assert (info.seed, info.step, info.recipe.stopping.steps, info.recipe.name) == (5, 4, 4, "other")
    assert info.cases == ("case0", "case1")
    assert info.data == "cubes"
    assert (output / BEST).exists()
    assert (
        main(
            train_words(
                recipe_file,
                cubes,
                output,
                "--seed",
                5,
                "--steps",
                4,
                "--set",
                "name=other",
                "--validation",
                0,
                "--resume",
            )
        )
        == 0
    )


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--set", "stopping.steps=-1"], 2, "stopping.steps: must be"),
        (["--set", "nothing"], 2, "--set nothing: must read field=value"),
        (["--steps", "0"], 2, "stopping.steps: must be"),
        (["--seed", "-1"], 2, "--seed: must be 0 or more"),
        (["--workers", "0"], 2, "--workers"),
        (["--validation", "1.5"], 2, "--validation: must be a folder, or a share"),
        (["--validation", "nowhere"], 2, "nowhere: no data set here"),
        (["--data", "nowhere"], 2, "nowhere: no data set here"),
        (["--resume"], 2, "no such checkpoint"),
        (["--init", "none.safetensors"], 2, "none.safetensors: no such checkpoint; give a checkpoint"),
        (["--init", "."], 2, ".: is a folder; give a checkpoint"),
        (["--resume", "--init", "none.safetensors"], 2, "leave out --init"),
    ],
)
def test_bad_input_gives_one_line_and_an_exit_code(recipe_file, cubes, tmp_path, capsys, more, code, message):
    assert main(train_words(recipe_file, cubes, tmp_path / "run", *more)) == code
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1


def test_an_unknown_recipe_is_answered_with_the_nearest(cubes, tmp_path, capsys):
    assert main(train_words("demmo", cubes, tmp_path / "run")) == 2
    assert "did you mean demo?" in capsys.readouterr().err


def test_a_run_is_not_overwritten(recipe_file, cubes, tmp_path, capsys):
    (tmp_path / LAST).touch()
    assert main(train_words(recipe_file, cubes, tmp_path)) == 1
    assert "already holds a run; go on with --resume" in capsys.readouterr().err


def test_an_interruption_is_no_traceback(recipe_file, cubes, tmp_path, capsys, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(train_work, "train", interrupt)
    assert main(train_words(recipe_file, cubes, tmp_path / "run")) == 130
    assert capsys.readouterr().err.endswith(
        "error: interrupted; no checkpoint was written yet: start again\n"
    )


@pytest.mark.parametrize(
    "words",
    [[], ["trian"], ["train"], ["train", "demo", "--precision", "fp64", "--data", "a", "--output", "b"]],
)
def test_a_wrong_call_exits_with_2(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_the_cases_are_split_the_same_whatever_the_seed(recipe_file, cubes, tmp_path):
    held = set()
    for seed in (1, 2, 3):
        main(
            train_words(
                recipe_file, cubes, tmp_path / str(seed), "--seed", seed, "--steps", 1, "--validation", 0.5
            )
        )
        held.add(load_checkpoint(tmp_path / str(seed) / LAST)[1].cases)
    assert len(held) == 1


def test_a_host_without_torch_is_told_so():
    call = [sys.executable, "-S", "-m", "training", "train", "default", "--data", "x", "--output", "y"]
    ran = subprocess.run(call, capture_output=True, encoding="utf-8", check=False, cwd=ROOT)
    assert (ran.returncode, ran.stdout, len(ran.stderr.splitlines())) == (1, "", 1)
    assert "torch is not installed" in ran.stderr
    assert "make training" in ran.stderr


def test_only_the_command_asked_for_is_imported():
    source = (
        "import sys, training.__main__ as m\ntry: m.main(['--help'])\nexcept SystemExit: pass\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "export" in done.stdout


def test_the_tiny_recipe_is_the_file(recipe_file):
    from training.recipes.loading import load_recipe

    assert load_recipe(str(recipe_file)) == tiny_recipe()


def test_memory_that_does_not_suffice_is_one_line(monkeypatch, capsys):
    def no_memory(arguments):
        raise MemoryError("Unable to allocate 256 GiB")

    monkeypatch.setattr("training.commands.check.run", no_memory)
    assert main(["check", "nowhere"]) == 1
    assert capsys.readouterr().err == (
        "error: this machine's memory is too small (Unable to allocate 256 GiB)\n"
    )


@pytest.mark.parametrize(
    ("enabled", "defrag", "asked"),
    [
        ("always [madvise] never", "always defer defer+madvise [madvise] never", True),
        ("always [madvise] never", "always defer [defer+madvise] madvise never", True),
        ("always [madvise] never", "always [defer] defer+madvise madvise never", False),
        ("always [madvise] never", "always defer defer+madvise madvise [never]", False),
        ("[always] madvise never", "[always] defer defer+madvise madvise never", False),
        (None, None, False),
    ],
)
def test_where_the_kernel_gives_large_pages_on_demand(tmp_path, enabled, defrag, asked):
    for name, text in (("enabled", enabled), ("defrag", defrag)):
        if text is not None:
            (tmp_path / name).write_text(text + "\n")
    assert large_on_demand(tmp_path) == asked


@pytest.mark.skipif(
    not large_on_demand(LARGE_PAGES_OF_LINUX), reason="the kernel gives large pages to all, to none, or late"
)
@pytest.mark.parametrize(("before", "large"), [(None, True), ("0", False)])
def test_torch_takes_memory_in_large_pages_unless_told_otherwise(before, large):
    """80 MB that a command takes, most of them in pages of 2 MiB, or none."""
    code = """
from contextlib import suppress
from training.__main__ import main
with suppress(SystemExit):
    main(["--help"])
import torch
taken = torch.ones(20_000_000)
print(open("/proc/self/smaps_rollup").read())
"""
    environment = {name: value for name, value in os.environ.items() if name != LARGE_PAGES}
    environment |= {} if before is None else {LARGE_PAGES: before}
    words = [sys.executable, "-c", code]
    ran = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    (line,) = [line for line in ran.stdout.splitlines() if line.startswith("AnonHugePages")]
    assert (int(line.split()[1]) > 40 * 1024) == large


@pytest.mark.parametrize(("before", "at_once"), [(None, True), ("ACTIVE", False)])
def test_threads_give_up_their_core_while_they_wait_unless_told_otherwise(before, at_once):
    """How often OpenMP says that a thread asks before it sleeps; 300000 times if nobody said anything."""
    code = """
from contextlib import suppress
from training.__main__ import main
with suppress(SystemExit):
    main(["--help"])
import torch
"""
    environment = {name: value for name, value in os.environ.items() if name != WAITING}
    environment |= {"OMP_DISPLAY_ENV": "VERBOSE"} | ({} if before is None else {WAITING: before})
    words = [sys.executable, "-c", code]
    ran = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert "GOMP_SPINCOUNT" in ran.stderr
    assert ("GOMP_SPINCOUNT = '0'" in ran.stderr) == at_once
