"""Programs beside each other: how many at a time, on which GPUs, and what ends them."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from leanseg.ending import until_ended
from training.child_programs import Job, Programs, run_jobs, torchrun_words

SAY_GPUS = "import os; print(os.environ.get('CUDA_VISIBLE_DEVICES', 'any'))"


def job(folder, name, code):
    return Job(name=name, words=("-c", code), log=folder / f"{name}.log")


def test_each_of_two_programs_has_gpus_of_its_own(tmp_path):
    """Either waits until the other is there, so that they do run at the same time."""
    wait = (
        "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch()\n"
        "while not pathlib.Path(sys.argv[2]).exists(): time.sleep(0.01)\n"
    )
    jobs = [
        Job(
            name=name,
            words=("-c", wait + SAY_GPUS, str(tmp_path / name), str(tmp_path / other)),
            log=tmp_path / f"{name}.log",
        )
        for name, other in (("a", "b"), ("b", "a"))
    ]
    assert run_jobs(jobs, [(0, 1), (2, 3)]) == {"a": 0, "b": 0}
    assert (tmp_path / "a.log").read_text(encoding="utf-8") == "0,1\n"
    assert (tmp_path / "b.log").read_text(encoding="utf-8") == "2,3\n"


def test_three_programs_on_two_gpus_share_them(tmp_path):
    assert run_jobs([job(tmp_path, name, SAY_GPUS) for name in "abc"], [(4,), (7,)]).keys() == set("abc")
    assert {(tmp_path / f"{name}.log").read_text(encoding="utf-8") for name in "abc"} == {"4\n", "7\n"}


def test_one_program_at_a_time_is_heard_and_may_use_any_gpu(tmp_path, capfd, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert run_jobs([job(tmp_path, "a", SAY_GPUS)], [None]) == {"a": 0}
    assert capfd.readouterr().out == "any\n"
    assert not (tmp_path / "a.log").exists()


def test_a_program_has_a_session_of_its_own(tmp_path):
    """So that what a terminal sends reaches it through this program, and once."""
    code = "import os; print(os.getsid(0) == os.getpid(), 'CUDA_VISIBLE_DEVICES' in os.environ)"
    with Programs() as programs:
        assert programs.start(("-c", code), (0,), log=tmp_path / "log").wait() == 0
    assert (tmp_path / "log").read_text(encoding="utf-8") == "True True\n"


def test_if_one_fails_the_others_go_on(tmp_path):
    jobs = [job(tmp_path, "a", "raise SystemExit(3)"), job(tmp_path, "b", "pass")]
    assert run_jobs(jobs, [None]) == {"a": 3, "b": 0}


def test_no_program_is_no_work():
    assert run_jobs([], [None]) == {}


ENDS_ITS_PARENT = """
import os, pathlib, signal, sys
def told(number, frame):
    pathlib.Path(sys.argv[1]).write_text(signal.Signals(number).name)
    sys.exit(130)
for number in (signal.SIGINT, signal.SIGTERM):
    if signal.getsignal(number) != signal.SIG_IGN:
        signal.signal(number, told)
os.kill(os.getppid(), getattr(signal, sys.argv[2]))
while True:
    signal.pause()
"""


@pytest.fixture
def on_ctrl_c():
    """Sets what Ctrl-C does here, which is nothing where a script started the tests in the background."""
    before = signal.getsignal(signal.SIGINT)
    yield lambda handler: signal.signal(signal.SIGINT, handler)
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("handler", "name", "code", "told"),
    [
        (signal.default_int_handler, "SIGINT", 130, "SIGINT"),
        (signal.default_int_handler, "SIGTERM", 143, "SIGINT"),
        (signal.SIG_IGN, "SIGTERM", 143, "SIGTERM"),
    ],
)
def test_what_ends_this_program_ends_those_that_it_started(tmp_path, on_ctrl_c, handler, name, code, told):
    on_ctrl_c(handler)
    words = ("-c", ENDS_ITS_PARENT, str(tmp_path / "told"), name)
    jobs = [Job(name="a", words=words, log=tmp_path / "a.log")]
    assert until_ended(lambda: max(run_jobs(jobs, [None]).values())) == code
    assert (tmp_path / "told").read_text(encoding="utf-8") == told


def test_a_signal_that_comes_while_a_program_starts_ends_it_too(tmp_path, on_ctrl_c, monkeypatch):
    """Ctrl-C when it runs already, and nobody has been handed it."""
    started = []

    class Interrupting(subprocess.Popen):
        def __init__(self, *words, **options):
            super().__init__(*words, **options)
            started.append(self)
            os.kill(os.getpid(), signal.SIGINT)

    on_ctrl_c(signal.default_int_handler)
    monkeypatch.setattr("training.child_programs.subprocess.Popen", Interrupting)
    jobs = [job(tmp_path, "a", "import signal; signal.pause()")]
    try:
        assert until_ended(lambda: max(run_jobs(jobs, [None]).values())) == 130
        assert [process.returncode is None for process in started] == [False]
    finally:
        started[0].kill()


def test_programs_find_this_project_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = "import training; from pathlib import Path; Path('where').write_text(training.__file__)"
    assert run_jobs([job(tmp_path, "a", code)], [None]) == {"a": 0}
    assert Path("where").read_text(encoding="utf-8").endswith("training/__init__.py")


def test_a_package_of_the_users_is_not_taken_for_this_project(tmp_path, monkeypatch):
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "__init__.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    words = ("-m", "training", "train", "--help")
    assert run_jobs([Job(name="a", words=words, log=tmp_path / "a.log")], [None]) == {"a": 0}


def test_several_gpus_are_used_through_torchrun():
    words = ("-m", "training", "train", "demo")
    assert torchrun_words(words, 1) == words
    assert torchrun_words(words, 4) == (
        *("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "4"),
        *words,
    )
