"""Who may import whom, folder by folder, read from the source with `ast`.

model says what a model is, inference runs it, training makes it, eval judges it from outside, and leanseg is
the installed command. A module that needs more than its rule allows stands in the wrong folder, or the rule
changes here, with a reason.
"""

import ast
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.places import PACKAGES, ROOT, SOURCES, module_name

OURS = {*PACKAGES, "predict"}
STDLIB = set(sys.stdlib_module_names)

HEAVY = {"onnxruntime", "openvino", "ray"}
"""Runtimes that take long to import: only where a session or a cluster is made, inside a function."""
LATE = {
    "predict": {"inference"},
    "training.runs.run": {"training"},
    "model.commands.work.verify_work": {"model"},
}
"""Packages of ours that a module imports inside functions: its help, or all ways but one, need no torch,
or nothing of it that takes as long."""

LEAN_MODEL = {
    "model.arrays",
    "model.bundle",
    "model.case_names",
    "model.anatomic_codes",
    "model.checks",
    "model.colours",
    "model.label_files",
    "model.labels",
    "model.manifest",
    "model.model_errors",
    "model.onnx_graph",
    "model.onnx_header",
    "model.onnx_shapes",
    "model.organ_counts",
    "model.schema",
    "model.units",
}
"""What a model is, in numpy and the standard library."""


class Rule(NamedTuple):
    """What the modules of a folder may import beside the standard library."""

    ours: set[str]
    """Modules of this project, and what lies in them."""
    packages: frozenset[str] | set[str] = frozenset()
    """Third-party packages."""


RULES: Mapping[str, Rule] = {
    # All programs are ended from outside in one way, which they share through leanseg alone.
    "predict": Rule({"inference", "model.bundle", "leanseg.ending"}),
    "leanseg": Rule({"leanseg"}),
    "leanseg.api": Rule(
        {
            *("leanseg.programs", "inference.predictor", "inference.imaging", "inference.errors"),
            *("inference.call", "inference.geometry", "inference.planning.plan"),
            *("model.bundle", "model.model_errors"),
        },
    ),
    "model": Rule(LEAN_MODEL, {"numpy"}),
    # What a full disk is, is one matter for all programs.
    "model.bundle": Rule({"leanseg.full_disk", *LEAN_MODEL}),
    "model.networks": Rule({"model.networks", *LEAN_MODEL}, {"torch", "monai"}),
    "model.onnx_export": Rule(
        {"model.onnx_export", "model.networks", *LEAN_MODEL},
        {"torch", "onnx", "onnxruntime", "numpy", "scipy", "google"},
    ),
    "model.changing": Rule({"model.changing", *LEAN_MODEL}, set()),
    "model.importers": Rule(
        {"model.importers", "model.networks", "model.onnx_export", *LEAN_MODEL},
        {"torch", "numpy", "onnx", "onnxruntime", "google", "yaml"},
    ),
    "model.commands": Rule({"model.commands", "model.importers", "model.changing", *LEAN_MODEL}, set()),
    # Judging a bundle is the business of eval; the command hands it the bundle's folder and its labels.
    "model.commands.work.verify_work": Rule(
        {
            *("model.commands", "model.importers", "model.changing", *LEAN_MODEL),
            *("eval.verification", "eval.benchmark.cold_runs", "eval.eval_errors"),
        },
        set(),
    ),
    # Measuring is what export does, whose programs it starts.
    "model.commands.measure": Rule({"model.commands", "model.onnx_export.memory", *LEAN_MODEL}, set()),
    "model.__main__": Rule({"model.model_errors", "leanseg.command_line", "leanseg.ending"}, set()),
    # DICOM results and the report of a run say which release made them.
    "inference.cohort.opening": Rule({"inference", "leanseg.version", *LEAN_MODEL}),
    "inference.cohort.run_report": Rule({"inference", "leanseg.version", *LEAN_MODEL}),
    "inference": Rule(
        {"inference", "leanseg.ending", "leanseg.atomic_files", *LEAN_MODEL},
        {"numpy", "cc3d", "onnxruntime", "openvino"},
    ),
    # Storage behind URLs, and a cluster: optional packages, which a folder on one machine does without.
    "inference.cohort.cluster": Rule(
        {"inference", "leanseg.ending", "leanseg.worker_start", "leanseg.atomic_files", *LEAN_MODEL},
        {"numpy", "fsspec", "ray"},
    ),
    # Where its processes are started no signal may end it.
    "inference.cohort.watchdog": Rule(
        {"inference", "leanseg.ending", "leanseg.worker_start", "leanseg.atomic_files", *LEAN_MODEL}
    ),
    "inference.__main__": Rule(
        {"inference.errors", "model.model_errors", "leanseg.command_line", "leanseg.ending"}, set()
    ),
    # Optional, and slow to import: loaded where DICOM results are asked for.
    "inference.imaging.dicom_results": Rule(
        {
            *("inference.imaging", "inference.errors", "inference.geometry"),
            *("model.anatomic_codes", "model.arrays", "model.case_names", "model.colours", "model.labels"),
        },
        {"numpy", "pydicom", "highdicom", "contourpy"},
    ),
    # Faster than zlib, and of the same interface.
    "inference.imaging.formats.packed_streams": Rule({"inference.errors"}, {"isal"}),
    # Slow to import, and needed for compressed DICOM alone.
    "inference.imaging.formats.unpack_process": Rule(
        {"inference.errors", "inference.imaging.formats.unpack"}, {"numpy", "SimpleITK"}
    ),
    "training": Rule(
        {
            "training",
            "model",
            "eval.scoring.metrics",
            # Whether a difference could be chance is one rule for judges and trainers.
            *("eval.comparing.paired_tests", "eval.scoring.structure_scores"),
            "inference.imaging",
            "inference.preprocessing",
            "inference.geometry",
            "inference.errors",
            # How much a process holds is measured in one way; what a full disk is, is told in one, in one
            # an interruption waits for the end of a step, and in one files are whole or not there.
            *("inference.runtime.process_memory", "leanseg.full_disk", "leanseg.ending"),
            "leanseg.atomic_files",
        },
        {
            *("torch", "monai", "numpy", "scipy", "SimpleITK", "safetensors", "yaml", "tqdm"),
            *("matplotlib", "blosc2"),
        },
    ),
    # Where its processes are started no signal may end it.
    "training.endable_workers": Rule({"training.training_errors", "leanseg.worker_start"}),
    "training.commands": Rule(
        {
            *("training", "model", "inference.runtime", "inference.errors"),
            *("leanseg.ending", "leanseg.full_disk", "leanseg.atomic_files"),
        },
        {"torch", "tqdm"},
    ),
    "training.__main__": Rule(
        {"training.training_errors", "model.model_errors", "leanseg.command_line", "leanseg.ending"}
    ),
    "eval": Rule(
        {
            *("eval", "model.labels", "model.label_files", "model.arrays", "model.case_names"),
            *("model.units", "model.model_errors"),
            # A ranking of one's own is a document, as manifests and recipes are.
            *("model.schema", "model.checks"),
            # What a structure looks like, in pictures and in DICOM alike.
            "model.colours",
            # How many organs a result has, and names in a sentence, on a terminal and on a page.
            "model.organ_counts",
            # What made a table stands beside it.
            "leanseg.version",
        },
        {"numpy", "scipy", "SimpleITK", "matplotlib", "psutil", "yaml"},
    ),
    "eval.benchmark": Rule(
        {"eval", "model.labels", "model.label_files", "model.arrays", "model.case_names", "model.units"},
        {
            *("numpy", "SimpleITK", "matplotlib", "psutil"),
            *("torch", "monai", "onnx", "onnxruntime", "openvino", "safetensors", "nnunetv2"),
        },
    ),
    "eval.verification": Rule(
        {"eval", "model.labels", "model.label_files", "model.arrays", "model.case_names"},
        {"numpy", "SimpleITK"},
    ),
    "eval.verification.nnunet_program": Rule(set(), {"torch", "nnunetv2"}),
    "eval.verification.monai_program": Rule(set(), {"torch", "monai", "nibabel", "numpy"}),
    # Its process leaves Ctrl-C to the program that started it, as workers of a cohort do.
    "eval.measuring.sampler": Rule({"eval.measuring", "leanseg.worker_start"}, {"psutil"}),
    # Where its processes are started no signal may end it.
    "eval.pool": Rule({"eval.eval_errors", "leanseg.worker_start"}, {"SimpleITK"}),
    "eval.__main__": Rule({"eval.eval_errors", "leanseg.command_line", "leanseg.ending"}, set()),
}
"""Module or folder to its rule; the longest name that a module lies in counts."""

TOOLS = {
    *("inference.errors", "inference.geometry", "inference.limits", "inference.threads", "inference.timing"),
    "inference.option_values",
}
"""What every stage of inference may use, and itself uses no stage."""

STAGES: Mapping[str, set[str]] = {
    "inference.imaging.formats": set(),
    "inference.imaging": {"inference.imaging.formats"},
    "inference.imaging.dicom_results": {"inference.imaging", "inference.imaging.formats"},
    "inference.preprocessing": {"inference.imaging"},
    "inference.restoration": set(),
    "inference.runtime": set(),
    "inference.sliding_window": {
        "inference.preprocessing",
        "inference.restoration",
        "inference.runtime",
    },
    "inference.postprocessing": set(),
    "inference.trust": {"inference.imaging", "inference.postprocessing"},
    "inference.planning": {
        "inference.imaging",
        "inference.postprocessing",
        "inference.preprocessing",
        "inference.restoration",
        "inference.runtime",
        "inference.sliding_window",
    },
    "inference.attempt": {"inference.planning", "inference.sliding_window"},
    "inference.segmentation": {
        "inference.attempt",
        "inference.imaging",
        "inference.preprocessing",
        "inference.restoration",
        "inference.runtime",
        "inference.sliding_window",
        "inference.planning",
        "inference.postprocessing",
    },
    "inference.case_view": {
        "inference.imaging",
        "inference.preprocessing",
        "inference.postprocessing",
    },
    "inference.label_map": {"inference.case_view", "inference.postprocessing"},
    "inference.segmented": {"inference.sliding_window", "inference.planning", "inference.trust"},
    "inference.case_steps": {
        "inference.attempt",
        "inference.imaging",
        "inference.preprocessing",
        "inference.runtime",
        "inference.sliding_window",
        "inference.planning",
        "inference.trust",
        "inference.segmentation",
        "inference.case_view",
        "inference.label_map",
        "inference.segmented",
    },
    "inference.predictor": {
        "inference.attempt",
        "inference.imaging",
        "inference.runtime",
        "inference.planning",
        "inference.segmented",
        "inference.case_steps",
    },
    "inference.cohort": {
        "inference.call",
        "inference.imaging",
        "inference.imaging.dicom_results",
        "inference.imaging.formats",
        "inference.planning",
        "inference.runtime",
        "inference.trust",
        "inference.segmented",
        "inference.predictor",
    },
    "inference.cohort.cluster": {"inference.imaging", "inference.imaging.formats"},
    "inference.cohort.cluster.worker": {
        "inference.call",
        "inference.imaging",
        "inference.planning",
        "inference.segmented",
        "inference.cohort",
        "inference.cohort.cluster",
    },
    "inference.cohort.cluster.driver": {
        "inference.call",
        "inference.imaging",
        "inference.imaging.formats",
        "inference.planning",
        "inference.runtime",
        "inference.cohort",
        "inference.cohort.cluster",
        "inference.cohort.cluster.worker",
    },
    "inference.commands": {
        "inference.call",
        "inference.imaging",
        "inference.cohort",
        "inference.cohort.cluster",
        "inference.cohort.cluster.driver",
        "inference.cohort.cluster.worker",
    },
    "inference.__main__": set(),
    "inference.command": {
        "inference.call",
        "inference.imaging",
        "inference.planning",
        "inference.runtime",
        "inference.predictor",
        "inference.cohort",
    },
    "inference.grand_challenge": {
        "inference.call",
        "inference.command",
        "inference.imaging",
    },
}
"""Inside inference: a stage to the stages below it that it may import, beside the tools. Each line names only
what stands above it."""

REPEATED = {
    "__init__": "Python asks for it",
    "__main__": "Python asks for it",
    "intensity": "the manifest states it, preprocessing does it",
    "resampling": "the manifest states it, preprocessing does it",
}
"""File names that stand more than once in the tree, and why. Files of the folders `commands` are called what
the user types."""


def within(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(prefix + ".")


def where(module: str) -> Path:
    return ROOT / Path(*module.split("."))


def is_module(name: str) -> bool:
    return where(name).with_suffix(".py").is_file() or where(name).is_dir()


TREES = {module_name(path): ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES}


def imports_of(tree: ast.AST) -> Iterator[tuple[ast.stmt, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            for alias in node.names:
                # `from model import labels` names a module, `from model.labels import X` one before the X.
                full = f"{node.module}.{alias.name}"
                yield node, full if is_module(full) else str(node.module)


def rule_of(module: str) -> Rule:
    return RULES[max((prefix for prefix in RULES if within(module, prefix)), key=len)]


def folder_of(module: str) -> str:
    """The folder that a module lies in; a module at the root of its package stands for itself."""
    if where(module).is_dir():
        return module
    folder = module.rpartition(".")[0]
    return module if folder in ("", *PACKAGES) else folder


def broken_rules(module: str, tree: ast.AST) -> list[str]:
    rule = rule_of(module)
    stage = folder_of(module)
    broken = []
    for node, imported in imports_of(tree):
        top = imported.split(".")[0]
        if top in OURS:
            allowed = any(within(imported, prefix) for prefix in rule.ours)
            if allowed and top == "inference" and stage in STAGES:
                allowed = folder_of(imported) in STAGES[stage] | TOOLS | {stage}
        else:
            allowed = top in STDLIB or top in rule.packages
        if not allowed:
            broken.append(f"{module}:{node.lineno} imports {imported}")
    return broken


@pytest.mark.parametrize("module", TREES)
def test_imports_follow_the_table(module):
    assert broken_rules(module, TREES[module]) == []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("inference.sliding_window.placement", "import torch"),
        ("inference.sliding_window.placement", "from training.recipes.recipe import Recipe"),
        ("inference.sliding_window.placement", "from eval.scoring.metrics import dice"),
        ("inference.sliding_window.placement", "from model.networks import spec"),
        ("inference.sliding_window.placement", "import scipy.ndimage"),
        ("inference.sliding_window.placement", "from inference.predictor import Predictor"),
        ("inference.sliding_window.placement", "from inference.planning.planner import Budget"),
        ("inference.imaging.formats.nifti", "from inference.imaging import volume"),
        ("inference.runtime.session", "from inference.planning.planner import Budget"),
        ("inference.postprocessing.sides", "from inference.cohort.cases import Case"),
        ("inference.predictor", "from inference.cohort.folder import Outcome"),
        ("inference.cohort.folder", "import fsspec"),
        ("inference.cohort.folder", "from inference.cohort.cluster.fates import Task"),
        ("inference.cohort.cluster.fates", "from inference.cohort.cluster.worker.scratch import Scratch"),
        ("inference.cohort.cluster.worker.scratch", "from inference.cohort.cluster.driver import seats"),
        ("inference.command", "from leanseg.command_line import dispatch"),
        ("model.labels", "import SimpleITK"),
        ("model.bundle", "import torch"),
        ("model.bundle", "from model.networks import spec"),
        ("model.manifest.document", "from model.onnx_export.graph import export_onnx"),
        ("model.networks.build", "import SimpleITK"),
        ("model.onnx_export.graph", "from inference.runtime.session import Backend"),
        ("predict", "import numpy"),
        ("predict", "from model.labels import FLARE22"),
        ("eval.scoring.metrics", "from inference.imaging.volume import read_volume"),
        ("eval.scoring.metrics", "from model.bundle import load_bundle"),
        ("eval.scoring.metrics", "import torch"),
        ("eval.commands.score", "from leanseg.command_line import Command"),
        ("training.runs.loop", "from eval.report import page"),
        ("training.runs.loop", "from inference.runtime.session import Backend"),
        ("training.commands.work.export_work", "from inference.predictor import Predictor"),
        ("training.__main__", "import torch"),
        ("leanseg.command_line", "from eval.eval_errors import JudgingError"),
        ("leanseg.command_line", "import numpy"),
        ("leanseg.api", "from training.recipes.recipe import load_recipe"),
    ],
)
def test_a_broken_rule_is_found(module, line):
    assert is_module(module)
    ((_, imported),) = imports_of(ast.parse(line))
    assert broken_rules(module, ast.parse(line)) == [f"{module}:1 imports {imported}"]


def test_the_rules_name_only_what_exists():
    named = {name for prefix, rule in RULES.items() for name in (prefix, *rule.ours)}
    named |= {name for stage, below in STAGES.items() for name in (stage, *below)} | TOOLS | LEAN_MODEL
    assert [name for name in sorted(named) if not is_module(name)] == []


def test_the_rules_name_only_packages_that_are_used():
    unused = {}
    for prefix, rule in RULES.items():
        used = {
            imported.split(".")[0]
            for module, tree in TREES.items()
            if within(module, prefix)
            for _, imported in imports_of(tree)
        }
        if rule.packages - used:
            unused[prefix] = rule.packages - used
    assert unused == {}


def test_every_part_of_inference_has_its_place():
    parts = {folder_of(module) for module in TREES if module.startswith("inference.")}
    assert parts - STAGES.keys() - TOOLS - {"inference.call"} == set()


def test_stages_stand_below_one_another():
    above: set[str] = {"inference.call"}
    for stage, below in STAGES.items():
        assert below <= above, stage
        above.add(stage)


def folder_imports() -> dict[str, set[str]]:
    """Folder to the other folders that it imports; modules at the root of a package count as folders."""
    graph: dict[str, set[str]] = {}
    for module, tree in TREES.items():
        targets = graph.setdefault(folder_of(module), set())
        targets |= {folder_of(name) for _, name in imports_of(tree) if name.split(".")[0] in OURS}
    return {folder: targets - {folder} for folder, targets in graph.items()}


def circles(graph: Mapping[str, set[str]]) -> set[tuple[str, ...]]:
    """The groups of nodes that reach each other."""
    reached: dict[str, set[str]] = {}
    for start in graph:
        reached[start], pending = set(), [start]
        while pending:
            new = graph.get(pending.pop(), set()) - reached[start]
            reached[start] |= new
            pending += new
    groups = (
        tuple(sorted(b for b in ends if a in reached.get(b, ()))) for a, ends in reached.items() if a in ends
    )
    return set(groups)


def test_no_two_folders_import_each_other():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}}) == {("b", "c")}
    assert circles(folder_imports()) == set()


def test_file_names_stand_once():
    counted = Counter(path.stem for path in SOURCES if path.parent.name != "commands")
    repeated = {name for name, times in counted.items() if times > 1}
    assert repeated == set(REPEATED)


@pytest.mark.parametrize("module", TREES)
def test_only_heavy_runtimes_are_imported_inside_functions(module):
    late = {
        imported
        for function in ast.walk(TREES[module])
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for _, imported in imports_of(function)
    }
    allowed = HEAVY | LATE.get(module, set())
    assert {name for name in late if name.split(".")[0] not in allowed} == set()


@pytest.mark.parametrize("path", [p for p in SOURCES if p.name == "__init__.py"], ids=module_name)
def test_packages_are_empty(path):
    assert path.read_text(encoding="utf-8") == ""


WITHOUT_TORCH = (
    *("model.networks.spec", "training.recipes.recipe", "training.__main__", "training.commands.run"),
    *(f"model.commands.{name}" for name in ("import_model", "verify", "measure", "show", "tune")),
    *(f"training.commands.{name}" for name in ("prepare", "check", "fingerprint", "phantom", "pseudo_label")),
    "training.commands.benchmark",
    "training.commands.lesions",
    *(f"training.commands.{name}" for name in ("train", "export", "ensemble", "cross_validate", "untrained")),
    "training.data.fresh_cases",
)


def test_help_of_a_command_on_models_waits_for_no_package_but_numpy():
    names = [f"model.commands.{path.stem}" for path in (ROOT / "model/commands").glob("[a-z]*.py")]
    assert "model.commands.verify" in names
    code = f"import importlib, sys; [importlib.import_module(name) for name in {names}]; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    slow = {"torch", "monai", "onnx", "onnxruntime", "scipy", "matplotlib", "SimpleITK"}
    assert slow & set(run.stdout.split()) == set()


def test_what_describes_a_network_or_makes_cases_needs_no_torch():
    """It takes seconds, and in each process that makes or prepares cases hundreds of MiB."""
    code = f"""
import importlib, sys
for module in {WITHOUT_TORCH}:
    importlib.import_module(module)
    loaded = {{"torch", "monai", "onnx"}} & sys.modules.keys()
    if loaded:
        sys.exit(f"{{module}} loads {{loaded}}")
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


PROGRAMS = ("predict", *(f"{package}.__main__" for package in ("inference", "training", "eval", "model")))


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_start_without_packages(program):
    """So `--help` is instant, and nothing that takes long to load is begun before Ctrl-C is listened to."""
    code = f"import sys; known = set(sys.modules); import {program}; print(*set(sys.modules) - known)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {name.split(".")[0] for name in run.stdout.split()} <= STDLIB | OURS


def help_cpu_s() -> float:
    """Seconds of processor time that `predict.py --help` takes."""
    program = subprocess.Popen(
        [sys.executable, str(ROOT / "predict.py"), "--help"], stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(program.pid, 0)
    program.returncode = os.waitstatus_to_exitcode(status)
    assert program.returncode == 0
    return used.ru_utime + used.ru_stime


def test_predict_help_starts_fast():
    """The best of five: the processor's caches are shared with other programs."""
    assert min(help_cpu_s() for _ in range(5)) < 0.3
