"""A whole benchmark of contestants that are scripts: what runs, what is kept, what the tables then say.

The scripts stand where `predict.py`, the plain pipeline and the timing of a network stand in the repository.
They copy the image, so that all label maps agree, and report round figures.
"""

import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from eval.benchmark.contestants import BARE, EVEN, OURS, PLAIN, Network
from eval.benchmark.extras import window_seconds
from eval.benchmark.network_time import main as network_time
from eval.benchmark.pipelines import Benchmark, write_results
from eval.benchmark.scans import Scan
from eval.eval_errors import JudgingError
from tests.eval.command_line import files_in
from tests.eval.made import write

COMMON = """
import json, shutil, sys
from pathlib import Path

def after(option):
    return Path(sys.argv[sys.argv.index(option) + 1])

def tell(cases):
    plan = {"backend": "onnxruntime", "precisions": {"a.onnx": "fp32"}}
    case = {"seconds": {"read": 0.01, "networks": 0.02, "write": 0.01}, "windows_run": 4, "plan": plan}
    report = {"cases": [case] * cases, "versions": {"scripts": "1.0"}}
    after("--report").write_text(json.dumps(report))

if "--help" in sys.argv:
    sys.exit()
"""
PREDICT = """
given, output = after("--input"), after("--output")
files = sorted(given.iterdir()) if given.is_dir() else [given]
output.mkdir(parents=True, exist_ok=True)
for file in files:
    shutil.copyfile(file, output / (file.name.removesuffix("_0000.nii.gz") + ".nii.gz"))
tell(len(files))
"""
PLAIN_PIPELINE = """
if "hard" in after("--image").name:
    sys.exit("error: too hard")
shutil.copyfile(after("--image"), after("--output"))
tell(1)
"""
NETWORK_TIME = """
if "broken" in after("--onnx").name:
    sys.exit("error: no network")
print(json.dumps({"seconds": 0.001 if "--threads 2" in " ".join(sys.argv) else 0.002}))
"""


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """A repository that holds nothing but the scripts; `read_bundle` finds one member in any bundle."""
    root = tmp_path / "repository"
    scripts = {
        "predict.py": PREDICT,
        "eval/benchmark/plain.py": PLAIN_PIPELINE,
        "eval/benchmark/network_time.py": NETWORK_TIME,
    }
    (root / "eval" / "benchmark").mkdir(parents=True)
    for folder in ("eval", "eval/benchmark"):
        (root / folder / "__init__.py").touch()
    for name, text in scripts.items():
        (root / name).write_text(COMMON + text)
    for module in ("pipelines", "extras", "contestants"):
        monkeypatch.setattr(f"eval.benchmark.{module}.ROOT", root)
    for module in ("pipelines", "extras"):
        monkeypatch.setattr(f"eval.benchmark.{module}.read_bundle", facts)
    monkeypatch.setattr("eval.measuring.sampler.BASELINE_S", 0.0)
    return root


def facts(bundle: Path) -> SimpleNamespace:
    return SimpleNamespace(members=[SimpleNamespace(path=bundle / "a.onnx")], right_of={})


def small(folder: Path, bare: bool = False) -> Network:
    bundle = folder / "bundle"
    bundle.mkdir(exist_ok=True)
    (bundle / "manifest.json").write_text("{}")
    return Network(name="small", bundle=bundle, bare=bundle if bare else None, weights=folder / "weights")


def benchmark(folder: Path, said: list[str], *, case: str = "ct", bare: bool = False, **more) -> Benchmark:
    path = folder / f"{case}_0000.nii.gz"
    if not path.exists():
        labels = np.zeros((4, 5, 6), np.uint8)
        labels[1:3, 1:3, 1:3], labels[3] = 1, 2
        write(path, labels)
    (folder / "out" / "networks").mkdir(parents=True, exist_ok=True)
    fields = {"contestants": [OURS, PLAIN, EVEN], "repeats": 1, "threads": 0, "timeout_s": 60.0}
    return Benchmark(
        output=folder / "out",
        scans=[Scan(name=case, path=path)],
        networks=[small(folder, bare)],
        say=said.append,
        **{**fields, **more},
    )


@pytest.mark.usefixtures("root")
def test_from_runs_to_a_page_and_once_more(tmp_path, monkeypatch):
    said: list[str] = []
    made = benchmark(tmp_path, said)
    assert made.run_all() is True
    runs = [f"small-ct-{who}-0.json" for who in (OURS, PLAIN, EVEN)]
    assert sorted(path.name for path in (tmp_path / "out" / "runs").glob("*.json")) == sorted(runs)
    assert [line.split(":")[0] for line in said] == [
        f"small, ct, {who}, run 1" for who in (OURS, PLAIN, EVEN)
    ]
    extras = made.run_extras(3)
    assert said[-1].startswith("folder of 3: ")
    assert extras["startup"]["help_wall_s"] > 0
    assert extras["startup"]["help_import_s"] > 0
    assert (extras["folders"][0]["cases"], extras["folders"][0]["scan"]) == (3, "ct")
    made.compare_labels()
    ours, plain, even = sorted(made.entries(), key=lambda entry: [OURS, PLAIN, EVEN].index(entry.contestant))
    # All copied the image, which holds two labels.
    assert {other: (a.dice, a.labels) for other, a in ours.agreement.items()} == {
        PLAIN: (1.0, 2),
        EVEN: (1.0, 2),
    }
    assert list(even.agreement) == [PLAIN]
    assert dict(plain.agreement) == {}
    assert ours.floor_s == pytest.approx(4 * 0.002 + 0.02)
    assert ours.seconds["start"] == pytest.approx(ours.wall_s - 0.04)
    text = write_results(made, extras)
    rows = [line.split("|")[3].strip() for line in text.splitlines() if line.startswith("| small | ct |")]
    # Side by side, above the floor, stages; evenly spread windows are there to compare labels with only.
    assert rows == [OURS, PLAIN, OURS, OURS, PLAIN]
    assert "1.0000 (2 labels)" in text
    assert "scripts 1.0" in text
    before = files_in(tmp_path / "out" / "runs")
    monkeypatch.setattr("subprocess.Popen", None)
    again = benchmark(tmp_path, said)
    assert again.run_all() is True
    assert again.run_extras(3) == extras
    again.compare_labels()
    assert files_in(tmp_path / "out" / "runs") == before
    assert [entry.wall_s for entry in again.entries()] == [entry.wall_s for entry in made.entries()]


@pytest.mark.usefixtures("root")
def test_a_contestant_that_fails_is_named_and_has_no_ratios(tmp_path):
    said: list[str] = []
    made = benchmark(tmp_path, said, case="hard", contestants=[OURS, PLAIN])
    assert made.run_all() is False
    assert said[1] == "small, hard, plain-fp32, run 1: exit code 1"
    log = tmp_path / "out" / "runs" / "small-hard-plain-fp32-0.log"
    assert log.read_text(encoding="utf-8") == "error: too hard\n"
    made.compare_labels()
    text = write_results(made, {})
    assert "| small | hard | plain-fp32 | 1 | exit code 1 |" in text
    assert "labels)" not in text


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("bare", [False, True])
def test_the_bare_bundle_runs_where_there_is_one(tmp_path, bare):
    said: list[str] = []
    assert benchmark(tmp_path, said, bare=bare, contestants=[BARE]).run_all() is True
    assert len(said) == bare


@pytest.mark.usefixtures("root")
def test_a_folder_holds_one_scan_under_many_names(tmp_path):
    made = benchmark(tmp_path, [], contestants=[OURS])
    made.run_all()
    made.run_extras(3)
    folder = tmp_path / "out" / "folders" / "small-ct-3"
    assert files_in(folder) == [f"case0{number}_0000.nii.gz" for number in range(3)]
    target = tmp_path / "out" / "labels" / "small-ct-folder"
    assert files_in(target) == [f"case0{number}.nii.gz" for number in range(3)]


def ran(**precisions: str) -> dict:
    plan = {"backend": "onnxruntime", "precisions": {f"{name}.onnx": p for name, p in precisions.items()}}
    return {"report": {"cases": [{"plan": plan}]}}


@pytest.mark.usefixtures("root")
def test_a_network_is_timed_once_for_each_way_to_run_it(tmp_path, monkeypatch):
    network = small(tmp_path)
    assert window_seconds(ran(a="fp32"), network, tmp_path, threads=0) == 0.002
    assert window_seconds(ran(a="fp32"), network, tmp_path, threads=2) == 0.001
    with monkeypatch.context() as nothing_runs:
        nothing_runs.setattr("subprocess.run", None)
        assert window_seconds(ran(a="fp32"), network, tmp_path, threads=2) == 0.001
    # Another precision is another time, and only the last one is kept.
    assert window_seconds(ran(a="bf16"), network, tmp_path, threads=2) == 0.001
    kept = json.loads((tmp_path / "window-small.json").read_text(encoding="utf-8"))
    assert (kept["about"]["precisions"], kept["about"]["threads"]) == ({"a.onnx": "bf16"}, 2)


@pytest.mark.usefixtures("root")
def test_a_network_that_cannot_be_timed_is_one_line(tmp_path, monkeypatch):
    broken = SimpleNamespace(members=[SimpleNamespace(path=tmp_path / "broken.onnx")], right_of={})
    monkeypatch.setattr("eval.benchmark.extras.read_bundle", lambda _: broken)
    with pytest.raises(JudgingError, match=r"broken\.onnx: cannot be timed alone \(error: no network\)"):
        window_seconds(ran(broken="fp32"), small(tmp_path), tmp_path, threads=0)
    assert not (tmp_path / "window-small.json").exists()


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("threads", ["0", "1"])
def test_a_real_network_takes_some_time(tmp_path, capsys, backend, threads):
    onnx = pytest.importorskip("onnx", reason="onnx is not installed: it makes the network")
    pytest.importorskip(backend, reason=f"{backend} is not installed")
    shape = [1, 1, 4, 8, 8]
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name in ("x", "y")]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "relu", ends[:1], ends[1:])
    opset = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / "relu.onnx")
    words = ["--onnx", str(tmp_path / "relu.onnx"), "--backend", backend, "--threads", threads, "--runs", "2"]
    assert network_time(words) == 0
    seconds = json.loads(capsys.readouterr().out)["seconds"]
    assert math.isfinite(seconds)
    assert seconds > 0
