"""Probes one by one, with programs, GPUs and pipes that are made up."""

import math
import os
import signal
import subprocess
import sys
from types import ModuleType, SimpleNamespace

import psutil
import pytest

from eval.measuring.probes import (
    Cgroup,
    GpuProbe,
    HostProbe,
    NoGpuError,
    ProcessTree,
    ProgramProbe,
    machine_oom_kills,
)
from eval.measuring.sampler import STOP, SamplerOptions, sample, why_no_gpu
from eval.measuring.trace import (
    CPU,
    EXACT_CPU,
    GPU,
    GPU_USE,
    KERNEL_PEAK_MB,
    OOM_KILLS,
    OWN_CPU,
    OWN_CPU_S,
    OWN_GPU,
    OWN_RAM,
    QUANTITIES,
    RAM,
    parse_samples,
)
from tests.eval import fake_nvml

FAKE = "tests.eval.fake_nvml"
MIB = 1024 * 1024


class Program:
    """Holds 100 MB and has had the processor for as long as one says."""

    def __init__(self, *cpu_s: float, pids: tuple[int, ...] = ()) -> None:
        self._cpu_s = list(cpu_s)
        self._pids = pids

    def memory_mb(self) -> float:
        return 100.0

    def cpu_s(self) -> float:
        return self._cpu_s.pop(0)

    def holds(self, pid: int) -> bool:
        return pid in self._pids


@pytest.mark.parametrize(
    ("cpu_s", "times_s", "percent"),
    [
        ((1.0, 1.5), (10.0, 10.5), 100.0),
        ((1.0, 3.0), (10.0, 10.5), 400.0),  # four processors
        ((1.0, 1.0), (10.0, 10.5), 0.0),
        ((1.0, 0.5), (10.0, 10.5), 0.0),  # a process that ended took its time along
    ],
)
def test_processor_time_is_in_percent_of_one_processor(cpu_s, times_s, percent):
    probe = ProgramProbe(Program(*cpu_s))
    assert probe.take(times_s[0]) == {OWN_RAM: 100.0}
    assert probe.take(times_s[1]) == {OWN_RAM: 100.0, OWN_CPU: pytest.approx(percent)}


def test_two_samples_at_one_moment_have_no_time_between_them():
    probe = ProgramProbe(Program(1.0, 2.0))
    probe.take(10.0)
    assert probe.take(10.0) == {OWN_RAM: 100.0}


@pytest.mark.parametrize("error", [OSError, ValueError, KeyError, psutil.NoSuchProcess(1)])
def test_a_program_that_ends_while_it_is_looked_at_is_a_lost_sample(error, monkeypatch):
    program = Program(1.0, 1.5, 2.0)
    probe = ProgramProbe(program)
    probe.take(10.0)

    def fail() -> float:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(program, "cpu_s", fail)
        assert probe.take(10.5) == {}
    # The next one counts from the last that was whole: 0.5 s of processor in 1 s.
    assert probe.take(11.0)[OWN_CPU] == pytest.approx(50.0)


def test_the_host_is_busy_with_what_it_was_not_idle():
    times = iter([(10.0, 5.0, 100.0), (10.6, 5.1, 100.2), (10.6, 5.1, 101.2), (10.6, 5.1, 101.2)])
    probe = HostProbe.__new__(HostProbe)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            psutil,
            "cpu_times",
            lambda: SimpleNamespace(**dict(zip(("user", "system", "idle"), next(times), strict=True))),
        )
        patched.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(used=3 * MIB))
        probe.__init__()
        # 0.6 + 0.1 s busy and 0.2 s idle; the organisers add 0.1 s to the whole.
        exact = pytest.approx(100 * 0.7 / 0.9)
        assert probe.take() == {CPU: pytest.approx(100 - 100 * 0.2 / 1.0), RAM: 3.0, EXACT_CPU: exact}
        assert probe.take() == {CPU: pytest.approx(100 - 100 * 1.0 / 1.1), RAM: 3.0, EXACT_CPU: 0.0}
        # No time has passed: no figure, where the organisers see 0.1 s of work.
        assert probe.take() == {CPU: 100.0, RAM: 3.0}


@pytest.mark.parametrize(
    ("spent_s", "organisers", "exact"),
    [
        # Two processors for 0.1 s, as a sampler finds them.
        ({"idle": 0.2}, 100 / 3, 0.0),
        ({"user": 0.1, "idle": 0.1}, 200 / 3, 50.0),
        ({"user": 0.1, "system": 0.1}, 100.0, 100.0),
        # Kinds that the organisers' program does not know.
        ({"nice": 0.1, "idle": 0.1}, 50.0, 50.0),
        ({"nice": 0.05, "softirq": 0.05, "iowait": 0.1}, 100.0, 50.0),
        ({"iowait": -0.01, "user": 0.1, "idle": 0.1}, 200 / 3, 50.0),
    ],
)
def test_the_exact_share_has_no_work_that_nobody_did(monkeypatch, spent_s, organisers, exact):
    kinds = ("user", "nice", "system", "idle", "iowait", "softirq")
    answers = iter([dict.fromkeys(kinds, 1.0), {kind: 1.0 + spent_s.get(kind, 0.0) for kind in kinds}])
    monkeypatch.setattr(psutil, "cpu_times", lambda: SimpleNamespace(**next(answers)))
    taken = HostProbe().take()
    assert (taken[CPU], taken[EXACT_CPU]) == (pytest.approx(organisers), pytest.approx(exact))


def gpu_module(**functions) -> ModuleType:
    """NVML of our own; what is not given is the fake's, but without its failures."""
    module = ModuleType("made_up_nvml")
    module.__dict__.update(
        {name: value for name, value in vars(fake_nvml).items() if name.startswith("nvml")}
    )
    module.NVMLError = fake_nvml.NVMLError
    module.nvmlDeviceGetMemoryInfo = lambda _: SimpleNamespace(total=8 * MIB, free=3 * MIB)
    for name, function in functions.items():
        setattr(module, name, function)
    return module


def failing(*_):
    raise fake_nvml.NVMLError("GPU is lost")


def taken(monkeypatch, program=None, **functions):
    monkeypatch.setitem(sys.modules, "made_up_nvml", gpu_module(**functions))
    # The fake lists the processes of this machine, one of which may have ended by the time it is looked for.
    monkeypatch.setattr(psutil, "pid_exists", lambda _: True)
    return GpuProbe("0", "made_up_nvml").take(program)


def test_a_gpu_without_a_program_has_nothing_of_its_own(monkeypatch):
    assert taken(monkeypatch) == {GPU: 5.0, GPU_USE: 42.0}


@pytest.mark.parametrize(
    ("processes", "own"),
    [
        ([], 0.0),
        ([(1, 10)], 10.0),
        ([(1, 10), (2, 20), (3, 40)], 30.0),  # 3 is somebody else's
        ([(1, 10), (2, None)], None),  # drivers do not always tell
        ([(1, 10), (3, None)], 10.0),
    ],
)
def test_the_programs_share_of_a_gpu(monkeypatch, processes, own):
    found = taken(
        monkeypatch,
        Program(pids=(1, 2)),
        nvmlDeviceGetComputeRunningProcesses=lambda _: [
            SimpleNamespace(pid=pid, usedGpuMemory=None if mb is None else mb * MIB) for pid, mb in processes
        ],
    )
    assert found.get(OWN_GPU) == own


@pytest.mark.parametrize(
    ("function", "lost"),
    [
        ("nvmlDeviceGetMemoryInfo", GPU),
        ("nvmlDeviceGetUtilizationRates", GPU_USE),
        ("nvmlDeviceGetComputeRunningProcesses", OWN_GPU),
    ],
)
def test_a_query_that_fails_loses_its_own_figure_only(monkeypatch, function, lost):
    found = taken(monkeypatch, Program(), **{function: failing})
    assert set(found) == {GPU, GPU_USE, OWN_GPU} - {lost}


@pytest.mark.parametrize("gpu", ["7", "GPU-other", ""])
def test_a_gpu_that_is_not_there_is_one_line(gpu):
    with pytest.raises(NoGpuError) as refused:
        GpuProbe(gpu, FAKE)
    assert str(refused.value) == why_no_gpu(gpu, FAKE)
    assert "\n" not in str(refused.value)


def test_a_process_without_children_is_itself():
    tree = ProcessTree(os.getpid())
    assert tree.memory_mb() > 10
    assert tree.cpu_s() > 0
    assert tree.holds(os.getpid())
    assert not tree.holds(1)


@pytest.mark.parametrize(
    ("listed", "exists", "used_mb", "reason"),
    [
        ([(901, 10)], False, 5, "another PID namespace"),
        ([(901, 10)], True, 5, ""),  # somebody else's
        ([(1, None)], True, 5, "does not tell"),
        ([], True, 5, ""),
        ([], True, 5 + 65, "lists no process"),
        ([], True, 5 + 64, ""),
    ],
)
def test_a_share_that_cannot_be_known_is_no_zero_and_has_its_reason(
    monkeypatch, listed, exists, used_mb, reason
):
    used = iter([5, used_mb, used_mb])
    module = gpu_module(
        nvmlDeviceGetMemoryInfo=lambda _: SimpleNamespace(total=100 * MIB, free=(100 - next(used)) * MIB),
        nvmlDeviceGetComputeRunningProcesses=lambda _: [
            SimpleNamespace(pid=pid, usedGpuMemory=None if mb is None else mb * MIB) for pid, mb in listed
        ],
    )
    monkeypatch.setitem(sys.modules, "made_up_nvml", module)
    monkeypatch.setattr(psutil, "pid_exists", lambda _: exists)
    probe = GpuProbe("0", "made_up_nvml")
    probe.take(None)
    found = probe.take(Program(pids=(1,)))
    assert reason in probe.why_not_own
    assert found.get(OWN_GPU) == (None if reason else 0.0)


def test_children_that_live_shorter_than_a_sample_are_counted():
    """Eight children that each work for a moment, between two looks at their parent."""
    child = "subprocess.run([sys.executable, '-c', 'sum(range(3000000))'])"
    work = f"import subprocess, sys\nfor _ in range(8): {child}"
    program = subprocess.Popen(
        [sys.executable, "-c", f"{work}\nprint('done', flush=True); sys.stdin.readline()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    tree = ProcessTree(program.pid)
    assert program.stdout.readline().strip() == b"done"
    tree.memory_mb()
    spent_s = tree.cpu_s()
    own = psutil.Process(program.pid).cpu_times()
    program.communicate(b"\n")
    assert spent_s > 2 * (own.user + own.system)
    assert tree.counters() == {OWN_CPU_S: spent_s}
    # What the children had is kept when the process itself is gone.
    tree.memory_mb()
    assert tree.cpu_s() == spent_s


def process(pid: int, parent: int, cpu_s: float, children: list[SimpleNamespace]) -> SimpleNamespace:
    return SimpleNamespace(
        pid=pid,
        ppid=lambda: parent,
        children=lambda recursive: children,
        memory_info=lambda: SimpleNamespace(rss=MIB),
        cpu_times=lambda: SimpleNamespace(user=cpu_s, system=0.0, children_user=0.0, children_system=0.0),
    )


def test_a_child_that_has_ended_counts_until_its_parent_takes_notice(monkeypatch):
    """1 s of the parent's own and 3 s of a child's, which are in nobody's account when it has ended."""
    children = [process(2, 1, 3.0, [])]
    monkeypatch.setattr(psutil, "Process", lambda pid: process(pid, 0, 1.0, children))
    tree = ProcessTree(1)
    assert (tree.memory_mb(), tree.cpu_s()) == (2.0, 4.0)
    children.clear()
    assert (tree.memory_mb(), tree.cpu_s()) == (1.0, 4.0)


@pytest.mark.parametrize("version", [1, 2])
def test_what_the_kernel_has_counted_for_a_container(tmp_path, version):
    (tmp_path / "proc" / "7").mkdir(parents=True)
    if version == 2:
        group = tmp_path / "cgroup" / "pod"
        files = {"memory.current": "1", "memory.stat": "inactive_file 0", "cpu.stat": "usage_usec 250000",
                 "memory.peak": str(3 * MIB), "memory.events": "low 0\noom 2\noom_kill 1\n"}  # fmt: skip
        line = "0::/pod\n"
        group.mkdir(parents=True)
        for name, text in files.items():
            (group / name).write_text(text)
    else:
        memory, cpu = (tmp_path / "cgroup" / kind / "pod" for kind in ("memory", "cpuacct"))
        memory.mkdir(parents=True)
        cpu.mkdir(parents=True)
        (memory / "memory.usage_in_bytes").write_text("1")
        (memory / "memory.stat").write_text("total_inactive_file 0\n")
        (memory / "memory.max_usage_in_bytes").write_text(str(3 * MIB))
        (memory / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
        (cpu / "cpuacct.usage").write_text("250000000")
        line = "4:memory:/pod\n5:cpuacct:/pod\n"
    (tmp_path / "proc" / "7" / "cgroup").write_text(line)
    found = Cgroup(7, tmp_path / "cgroup", tmp_path / "proc")
    assert found.counters() == {OWN_CPU_S: 0.25, KERNEL_PEAK_MB: 3.0, OOM_KILLS: 1.0}


@pytest.mark.parametrize(
    ("vmstat", "kills"),
    [("nr_free_pages 5\noom_kill 23\nswap_ra 1\n", 23), ("nr_free_pages 5\n", None), (None, None)],
)
def test_what_the_kernel_has_counted_for_the_whole_machine(tmp_path, vmstat, kills):
    if vmstat is not None:
        (tmp_path / "vmstat").write_text(vmstat)
    assert machine_oom_kills(tmp_path) == kills


def test_a_process_that_is_gone_is_no_control_group(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        Cgroup(7, tmp_path / "cgroup", tmp_path / "proc")


@pytest.mark.parametrize(
    ("current", "inactive", "expected_mb"), [(50 * MIB, 10 * MIB, 40), (5 * MIB, 9 * MIB, 0), (0, 0, 0)]
)
def test_the_file_cache_of_a_container_is_not_its_memory(tmp_path, current, inactive, expected_mb):
    group = tmp_path / "cgroup" / "pod"
    for folder in (group, tmp_path / "proc" / "7"):
        folder.mkdir(parents=True)
    (tmp_path / "proc" / "7" / "cgroup").write_text("0::/pod\n")
    (group / "memory.current").write_text(str(current))
    (group / "memory.stat").write_text(f"anon 1\ninactive_file {inactive}\n")
    (group / "cpu.stat").write_text("usage_usec 250000\nuser_usec 1\n")
    found = Cgroup(7, tmp_path / "cgroup", tmp_path / "proc")
    assert (found.memory_mb(), found.cpu_s()) == (expected_mb, 0.25)


class Pipe:
    """Hands the sampler one message after the other, None for silence; then the other end is closed."""

    def __init__(self, *said: int | None) -> None:
        self._said = list(said)
        self.sent: list[int] = []

    def send(self, pid: int) -> None:
        self.sent.append(pid)

    def poll(self, _: float) -> bool:
        if not self._said:
            return True
        if self._said[0] is None:
            self._said.pop(0)
            return False
        return True

    def recv(self) -> int:
        if not self._said:
            raise EOFError
        return self._said.pop(0)


@pytest.fixture
def interrupts():
    """The sampler ignores Control-C, which its parent handles; afterwards this process must not."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


def sampled(tmp_path, *said, **options):
    pipe = Pipe(*said)
    sample(SamplerOptions(interval_s=0.0, **options), tmp_path / "samples.csv", pipe)
    assert pipe.sent == [os.getpid()]
    return parse_samples((tmp_path / "samples.csv").read_text(encoding="utf-8"), 0.0, math.inf)


@pytest.mark.usefixtures("interrupts")
@pytest.mark.parametrize(
    ("said", "samples"), [((STOP,), 1), ((), 1), ((None, STOP), 2), ((None, None, None), 4)]
)
def test_a_sampler_runs_until_it_hears_stop_or_its_parent_is_gone(tmp_path, said, samples):
    found = sampled(tmp_path, *said)
    assert found.times_s.size == samples
    assert (found.times_s[1:] >= found.times_s[:-1]).all()
    # The clock of the processors may not have ticked yet.
    assert [name for name in QUANTITIES if found.has(name) and name != EXACT_CPU] == [CPU, RAM]


@pytest.mark.usefixtures("interrupts")
@pytest.mark.parametrize("container", [False, True])
def test_a_sampler_watches_the_process_that_it_hears_of(tmp_path, container):
    # This process is in its own control group, so that it is no container: it is watched as a process.
    found = sampled(
        tmp_path, None, os.getpid(), None, None, STOP, gpu="0", nvml_module=FAKE, container=container
    )
    ram = found.values[OWN_RAM]
    assert [math.isnan(value) for value in ram] == [True, True, False, False, False]
    assert ram[2] > 10
    assert math.isnan(found.values[OWN_CPU][2])
    assert found.peak(GPU) == 1024.0


@pytest.mark.usefixtures("interrupts")
def test_a_sampler_outlives_a_wrong_gpu_and_a_process_that_is_gone(tmp_path):
    found = sampled(tmp_path, 2**22 + 1, None, STOP, gpu="9", nvml_module=FAKE)
    assert found.times_s.size == 3
    assert not found.has(GPU)
    assert not found.has(OWN_RAM)
    assert found.has(RAM)
