import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from eval.measuring.probes import Cgroup, GpuProbe, NoGpuError, ProcessTree
from eval.measuring.sampler import Sampler, SamplerOptions, why_no_gpu
from eval.measuring.trace import CPU, GPU, GPU_USE, OWN_CPU, OWN_GPU, OWN_RAM, RAM
from tests.struck_workers import OF_TERMINALS, strike_at_start

FAKE = "tests.eval.fake_nvml"
# Busy until its input ends, so that there is processor time to see between any two samples.
HUNGRY = """import select, sys
held = bytearray(80_000_000)
print("full", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]: pass"""


def hungry(code: str = HUNGRY) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def wait_for_samples(sampler: Sampler, number: int) -> None:
    """Until the sampler has taken so many more."""

    def lines() -> int:
        return sampler._path.read_bytes().count(b"\n")

    enough = lines() + number
    while lines() < enough:
        assert sampler._process.is_alive()
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("gpu", "problem"), [("0", None), ("GPU-fake", None), ("1", "Invalid Argument"), ("GPU-x", "Not Found")]
)
def test_a_gpu_is_found_by_index_or_uuid(gpu, problem):
    said = why_no_gpu(gpu, FAKE)
    assert said is None if problem is None else problem in said


def test_a_missing_package_names_the_make_target():
    said = why_no_gpu("0", "tests.eval.no_such_module")
    assert said == "GPU 0 cannot be watched: nvidia-ml-py is not installed (make .venv sets it up)"


def test_a_machine_without_nvml_says_so():
    said = why_no_gpu("0", "tests.eval.no_nvml")
    assert "driver" in said


def test_a_gpu_that_cannot_be_opened_raises_one_line():
    with pytest.raises(NoGpuError, match=r"^GPU 3 cannot be watched: Invalid Argument$"):
        GpuProbe("3", FAKE)


def test_a_program_is_sampled_with_host_and_gpu_apart():
    with Sampler(SamplerOptions(gpu="0", nvml_module=FAKE)) as sampler:
        start_s = time.monotonic()
        with hungry() as program:
            sampler.watch(program.pid)
            assert program.stdout.readline() == b"full\n"
            wait_for_samples(sampler, 30)
        assert program.returncode == 0
        end_s = time.monotonic()
    trace = sampler.trace(start_s, end_s)
    assert trace.times_s[0] < 0 < trace.samples
    assert trace.stopped_after_s is None
    assert set(np.unique(trace.values[GPU][~np.isnan(trace.values[GPU])])) == {1024.0}
    assert trace.lost(GPU) > 0, "every fifth query fails"
    assert trace.peak(OWN_GPU) == 256
    assert math.isnan(trace.baseline(OWN_GPU))
    assert trace.peak(GPU_USE) == 42
    assert trace.peak(OWN_RAM) > 70
    assert trace.peak(RAM) > trace.peak(OWN_RAM)
    assert 0 < trace.peak(CPU) <= 100
    assert trace.peak(OWN_CPU) > 0


def test_a_sampler_that_dies_leaves_what_it_saw():
    with Sampler(SamplerOptions()) as sampler:
        start_s = time.monotonic()
        wait_for_samples(sampler, 3)
        os.kill(sampler.pid, signal.SIGKILL)
        sampler.watch(os.getpid())
    lasted_s = time.monotonic() - start_s
    trace = sampler.trace(start_s, start_s + lasted_s + 60)
    assert 0 < trace.stopped_after_s < lasted_s
    assert not trace.has(GPU)


def test_a_process_tree_counts_its_children():
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HUNGRY!r}])"
    with hungry(script) as program:
        tree = ProcessTree(program.pid)
        assert program.stdout.readline() == b"full\n"
        assert tree.memory_mb() > 80
        assert tree.holds(program.pid)
        assert not tree.holds(os.getpid())
    assert tree.memory_mb() == 0


def cgroup(root: Path, version: int) -> Cgroup:
    files = {
        1: {
            "memory/pod/memory.usage_in_bytes": "52428800",
            "memory/pod/memory.stat": "cache 1\ntotal_inactive_file 10485760",
            "cpuacct/pod/cpuacct.usage": "2500000000",
        },
        2: {
            "pod/memory.current": "52428800",
            "pod/memory.stat": "inactive_file 10485760",
            "pod/cpu.stat": "usage_usec 2500000",
        },
    }[version]
    lines = {1: "4:memory:/pod\n2:cpu,cpuacct:/pod\n0::/pod\n", 2: "0::/pod\n"}[version]
    for name, text in files.items():
        (root / "cgroup" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "cgroup" / name).write_text(text)
    for pid, text in ((7, lines), (8, lines), (9, "0::/other\n")):
        (root / "proc" / str(pid)).mkdir(parents=True)
        (root / "proc" / str(pid) / "cgroup").write_text(text)
    return Cgroup(7, root / "cgroup", root / "proc")


@pytest.mark.parametrize("version", [1, 2])
def test_a_container_is_read_from_its_control_group(tmp_path, version):
    group = cgroup(tmp_path, version)
    assert group.memory_mb() == 40
    assert group.cpu_s() == 2.5
    assert [group.holds(pid) for pid in (7, 8, 9, 10)] == [True, True, False, False]


@pytest.mark.parametrize("number", OF_TERMINALS)
def test_ctrl_c_while_it_starts_does_not_end_it(monkeypatch, number):
    """The program that started it hears it too, and decides when sampling ends."""
    strike_at_start(monkeypatch, number)
    with Sampler(SamplerOptions(interval_s=0.01)) as sampler:
        wait_for_samples(sampler, 1)
