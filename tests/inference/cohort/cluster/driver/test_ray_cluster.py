"""A cohort on a Ray cluster of two nodes of this machine: what is lost, killed and refused."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

import predict
from inference.cohort.cluster.driver import ray_cluster
from inference.cohort.cluster.driver.ray_cluster import ENVIRONMENT, RayCluster, connect
from inference.cohort.cluster.driver.seats import setup_for
from inference.cohort.cluster.worker.warm_worker import WorkerSetup
from inference.errors import DeviceError, UsageError
from tests.inference.cohort.cluster.fake_tools import FakeTools
from tests.places import CROPS, ROOT

os.environ.update(ENVIRONMENT | {"RAY_AUTH_MODE": "disabled"})  # Whoever runs the tests may have a token.
ray = pytest.importorskip("ray", reason="ray is not installed: pip install -r requirements/cohort.txt")
cluster_utils = pytest.importorskip("ray.cluster_utils")

pytestmark = [
    pytest.mark.slow,
    # Ray leaves sockets and processes to the end of the process.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
NODE = {"num_cpus": 1, "memory": 2 << 30, "object_store_memory": 80 << 20, "include_dashboard": False}
ROOM = {"cpus_per_worker": 1, "host_memory_mb": 1500}


def add_node(cluster):
    """Ray gives a node 30 s to start, which no setting changes and a busy machine may not have."""
    for last in (False, False, True):
        try:
            return cluster.add_node(**NODE)
        except Exception as error:
            if last or "timed out during startup" not in str(error):
                raise
    return None


@contextmanager
def nodes(count):
    cluster = cluster_utils.Cluster()
    try:
        for _ in range(count):
            add_node(cluster)
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


@pytest.fixture(scope="module")
def two_nodes():
    with nodes(2) as cluster:
        yield cluster


@pytest.fixture
def on(bench, two_nodes):
    """Runs the bench on the cluster; a function of the engine may meddle with it first."""

    def run(meddle=lambda engine: None, cluster=two_nodes, **changes):
        def opens(call, console):
            connect(cluster.address)
            engine = RayCluster(call, lambda room: WorkerSetup(tools=bench.tools, output=call.output))
            meddle(engine)
            return engine

        return bench.run(opens, **(ROOM | changes))

    return run


def when_both_work(engine, act):
    """Do something once, when both workers have reported a case."""
    hear, reported = engine.wait, set()

    def wait(timeout_s):
        events = hear(timeout_s)
        if len(reported) < 2:
            reported.update(event.worker for event in events if hasattr(event, "report"))
            if len(reported) == 2:
                act()
        return events

    engine.wait = wait


def pid_of(record):
    return int(record["worker"].partition("/")[2])


def test_both_nodes_take_part_and_memory_admits_one_worker_each(bench, on):
    bench.tools = FakeTools(seconds=0.1)
    bench.put(*(f"p{i}/ct" for i in range(20)))
    code, _, err = on()
    assert (code, err) == (0, [])
    assert set(bench.statuses.values()) == {"segmented"}
    assert len({pid_of(bench.record(case)) for case in bench.statuses}) == 2


def test_a_poisonous_case_is_set_aside(bench, on):
    bench.put(*"abcdef", poison="p")
    code, _, err = on()
    assert code == 1
    assert bench.statuses == dict.fromkeys("abcdef", "segmented") | {"p": "failed"}
    assert "killed its worker 2 times" in bench.rows["p"]["reason"]
    assert sum(line.endswith(": died") for line in err) == 2


def test_a_worker_that_is_killed_loses_nothing(bench, on):
    bench.tools = FakeTools(seconds=0.3)
    names = [f"c{i:02}" for i in range(60)]
    bench.put(*names)

    def kill():
        first = next(name for name in names if (bench.output / f"{name}.outcome.json").exists())
        os.kill(pid_of(bench.record(first)), signal.SIGKILL)

    code, _, err = on(lambda engine: when_both_work(engine, kill))
    assert code == 0
    assert bench.statuses == dict.fromkeys(names, "segmented")
    assert sum(line.endswith(": died") for line in err) == 1
    assert len({pid_of(bench.record(name)) for name in names}) == 3


def test_nodes_that_join_and_go_take_part_and_lose_nothing(bench, on):
    bench.tools = FakeTools(seconds=0.5)
    names = [f"c{i:02}" for i in range(40)]
    bench.put(*names)
    with nodes(2) as cluster:
        (lost,) = cluster.worker_nodes

        def meddle(engine):
            when_both_work(engine, lambda: (cluster.remove_node(lost), add_node(cluster)))

        code, _, err = on(meddle, cluster)
    assert code == 0
    assert len({pid_of(bench.record(name)) for name in names}) == 3
    assert bench.statuses == dict.fromkeys(names, "segmented")
    assert [line.rpartition(": ")[2] for line in err] == ["went with its machine"]


DRIVER = """
import sys
from inference.cohort.cluster.driver.ray_cluster import RayCluster, connect
from inference.cohort.cluster.driver.cohort_call import CohortCall
from inference.cohort.cluster.worker.warm_worker import WorkerSetup
from inference.cohort.progress import Console
from inference.commands.cohort import segment_cohort
from pathlib import Path
from tests.inference.cohort.cluster.fake_tools import FakeTools

address, source, output, bundle = sys.argv[1:]
def opens(call, console):
    connect(address)
    return RayCluster(call, lambda room: WorkerSetup(tools=FakeTools(seconds=0.2), output=call.output))
call = CohortCall(input=source, output=output, bundle=Path(bundle), cpus_per_worker=1, host_memory_mb=1500)
sys.exit(segment_cohort(call, Console(), opens))
"""


def test_a_driver_that_is_killed_loses_nothing(bench, on, two_nodes):
    names = [f"c{i:02}" for i in range(20)]
    bench.put(*names)
    words = [two_nodes.address, str(bench.source), str(bench.output), str(bench.bundle)]
    with subprocess.Popen([sys.executable, "-c", DRIVER, *words], cwd=ROOT) as driver:
        while driver.poll() is None and len(list(bench.output.glob("*.outcome.json"))) < 4:
            time.sleep(0.05)  # Nobody but the files tells how far another process is.
        driver.kill()
    done = {path.name.partition(".")[0]: path.read_bytes() for path in bench.output.glob("*.outcome.json")}
    assert 4 <= len(done) < 20
    code, _, _ = on(resume=True)
    assert code == 0
    assert bench.statuses == dict.fromkeys(names, "segmented")
    kept = {name: (bench.output / f"{name}.outcome.json").read_bytes() for name in done}
    assert kept == done, "nothing is done twice"


def test_an_output_that_no_worker_can_write_ends_the_run(bench, on, tmp_path):
    bench.put("a")
    bench.tools = FakeTools(refuses="cannot be written from here")
    with pytest.raises(UsageError, match="cannot be written from here"):
        on()


def test_no_room_is_said_before_anything_is_run(bench, on):
    bench.put("a")
    with pytest.raises(DeviceError, match="no machine has room for a worker, for want of memory"):
        on(host_memory_mb=4000)


def test_a_cluster_of_another_version_is_refused(monkeypatch):
    def refuse(**options):
        raise RuntimeError(
            "Version mismatch: The cluster was started with:\n    Ray: 2.9.0\n    Python: 3.9.1"
        )

    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(UsageError) as error:
        connect("auto")
    assert "The cluster was started with: Ray: 2.9.0" in str(error.value)
    assert "install the cluster's versions here" in str(error.value)


@pytest.mark.parametrize(("address", "mode"), [("127.0.0.1:6379", "token"), ("auto", None)])
def test_a_head_hears_the_token_that_this_user_has(address, mode, monkeypatch, tmp_path):
    """Ray itself looks for it where it finds the cluster, and not where an address is given."""
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("secret")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RAY_AUTH_MODE")
    monkeypatch.setattr(ray_cluster, "check_address", lambda address: None)
    modes = []
    monkeypatch.setattr(ray, "init", lambda **options: modes.append(os.environ.get("RAY_AUTH_MODE")))
    connect(address)
    assert modes == [mode]


def test_what_ends_the_program_is_not_rays_to_say(monkeypatch):
    """Ray sets a handler of SIGTERM that ends the driver with a code of its own."""

    def takes_over(**options):
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))

    def is_ended(**options):
        takes_over()
        signal.raise_signal(signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(ray, "init", takes_over)
    connect("local")
    assert signal.getsignal(signal.SIGTERM) == before
    monkeypatch.setattr(ray, "init", is_ended)
    with pytest.raises(SystemExit) as end:
        connect("local")
    assert (end.value.code, signal.getsignal(signal.SIGTERM)) == (143, before)


def test_labels_are_those_of_predict(bench, two_nodes, tmp_path):
    shutil.copytree(CROPS / "ct_slab_dicom" / "series", bench.source / "p1" / "series")
    shutil.copy(CROPS / "ct_sarcoma" / "STS_002" / "ct_0000.nii.gz", bench.source / "ct_0000.nii.gz")

    def opens(call, console):
        connect(two_nodes.address)
        return RayCluster(call, lambda room: setup_for(call, room))

    code, _, err = bench.run(opens, **ROOM)
    assert (code, [line for line in err if not line.startswith("warning: ")]) == (0, [])
    for source in (bench.source, bench.source / "p1"):
        predict.main(["--input", str(source), "--output", str(tmp_path / "alone"), "--threads", "1"])
    for case, alone in {"ct": "ct", "p1/series": "series"}.items():
        labels = (bench.output / f"{case}.nii.gz").read_bytes()
        assert labels == (tmp_path / "alone" / f"{alone}.nii.gz").read_bytes()
