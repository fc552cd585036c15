"""Limits of machines that are drawn as files."""

import os

import pytest

from inference.limits import memory_at_hand, processors, processors_within_quota
from inference.threads import Threads
from model.units import MIB

OWN_MB = 100


@pytest.fixture
def machine(tmp_path):
    """Draws files under a root; the process holds 100 MiB."""

    def draw(**files):
        drawn = {"proc/self/status": f"RssAnon:\t{OWN_MB * 1024} kB\n", "proc/self/cgroup": "0::/\n"} | files
        for name, text in drawn.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="ascii")
        return tmp_path

    return draw


def test_without_limits_it_is_the_most(machine):
    found = memory_at_hand(8192, machine())
    assert (found.mb, found.why) == (8192, "the most unless asked for")


def test_what_is_free_and_what_the_process_has_already(machine):
    root = machine(**{"proc/meminfo": f"MemTotal: 1 kB\nMemAvailable: {6000 * 1024} kB\n"})
    found = memory_at_hand(8192, root)
    assert (found.mb, found.why) == (6000 + OWN_MB, "what this machine has free")


def test_a_container_of_version_2(machine):
    """Others in it hold 300 - 100 MiB, of which 50 are pages of files."""
    group = {
        "sys/fs/cgroup/memory.max": f"{2048 * MIB}\n",
        "sys/fs/cgroup/memory.current": f"{300 * MIB}\n",
        "sys/fs/cgroup/memory.stat": f"anon 1\ninactive_file {50 * MIB}\n",
    }
    found = memory_at_hand(8192, machine(**group))
    assert (found.mb, found.why) == (2048 - 150, "the container's limit of 2048")
    assert memory_at_hand(1000, machine(**group)).mb == 1000


@pytest.mark.parametrize(
    ("most", "high"), [("max", 1024 * MIB), (1024 * MIB, "max"), (2048 * MIB, 1024 * MIB)]
)
def test_the_lower_limit_of_version_2(machine, most, high):
    root = machine(**{"sys/fs/cgroup/memory.max": f"{most}\n", "sys/fs/cgroup/memory.high": f"{high}\n"})
    found = memory_at_hand(8192, root)
    assert (found.mb, found.why) == (1024, "the container's limit of 1024")


def test_no_limit_of_version_2(machine):
    assert memory_at_hand(8192, machine(**{"sys/fs/cgroup/memory.max": "max\n"})).mb == 8192


@pytest.mark.parametrize("inside", [True, False])
def test_a_container_of_version_1(machine, inside):
    """Within it the group's folder is the mount itself, though the process's file still names its path."""
    folder = "sys/fs/cgroup/memory/" + ("" if inside else "docker/abc/")
    root = machine(
        **{
            "proc/self/cgroup": "4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n0::/\n",
            folder + "memory.limit_in_bytes": f"{700 * MIB}\n",
            folder + "memory.usage_in_bytes": f"{OWN_MB * MIB}\n",
            folder + "memory.stat": "total_inactive_file 0\n",
        }
    )
    assert memory_at_hand(8192, root).mb == 700


def test_no_limit_of_version_1(machine):
    files = {
        "proc/self/cgroup": "4:memory:/\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
    }
    assert memory_at_hand(8192, machine(**files)).mb == 8192


def test_the_group_above_may_limit_more(machine):
    root = machine(
        **{
            "proc/self/cgroup": "0::/slice/run\n",
            "sys/fs/cgroup/slice/run/memory.max": f"{4000 * MIB}\n",
            "sys/fs/cgroup/slice/memory.max": f"{900 * MIB}\n",
        }
    )
    assert memory_at_hand(8192, root).mb == 900


@pytest.mark.parametrize(
    ("files", "count"),
    [
        ({}, 64),
        ({"sys/fs/cgroup/cpu.max": "max 100000\n"}, 64),
        ({"sys/fs/cgroup/cpu.max": "100000 100000\n"}, 1),
        ({"sys/fs/cgroup/cpu.max": "250000 100000\n"}, 3),
        (
            {
                "proc/self/cgroup": "1:cpu,cpuacct:/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "200000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            2,
        ),
        (
            {
                "proc/self/cgroup": "1:cpu:/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            64,
        ),
    ],
)
def test_processors_within_a_quota(machine, monkeypatch, files, count):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(64))
    assert processors() == 64
    assert processors_within_quota(machine(**files)) == count


def test_libraries_are_told_of_a_quota_alone(monkeypatch):
    monkeypatch.setattr("inference.threads.processors", lambda: 8)
    for allowed, told in ((8, 0), (3, 3)):
        monkeypatch.setattr("inference.threads.processors_within_quota", lambda allowed=allowed: allowed)
        assert (Threads().count, Threads().of_libraries) == (allowed, told)
    assert Threads(5).of_libraries == 5


def test_this_machine():
    assert memory_at_hand(1 << 40).mb > 200
    assert 1 <= processors_within_quota() <= processors()
