"""The house rules of who may import whom, read from the source with `ast`, so that a broken rule fails without running it."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.places import ROOT

OURS = {"model", "inference", "training", "eval", "predict"}
STDLIB = set(sys.stdlib_module_names)
INFERENCE_PACKAGES = {"numpy", "SimpleITK", "cc3d", "onnxruntime", "openvino"}
HEAVY = {"onnxruntime", "openvino"}
LEAN_MODEL = {"model.labels", "model.bundle", "model.manifest", "model.schema"}

# Where a module lies: its first matching prefix gives what of ours, and which third-party packages (None:
# any), it may import.
RULES: tuple[tuple[str, set[str], set[str] | None], ...] = (
    ("predict", {"inference", "model.bundle"}, set()),
    *((name, LEAN_MODEL, {"numpy"}) for name in sorted(LEAN_MODEL)),
    ("model", {"model"}, None),
    ("inference", {"inference", *LEAN_MODEL}, INFERENCE_PACKAGES),
    ("training", {"training", "model", "inference", "eval.scoring.metrics"}, None),
    ("eval", {"eval", "model.labels"}, None),
)
# Imports of ours that happen inside functions: the subcommands of the two command lines load only what they
# need.
LAZY_ALLOWED = {"training.__main__", "eval.__main__"}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def within(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(prefix + ".")


def sources() -> list[Path]:
    found = [ROOT / "predict.py"]
    for package in sorted(OURS - {"predict"}):
        found += sorted((ROOT / package).rglob("*.py"))
    return [path for path in found if path.exists()]


def imports_of(tree: ast.AST) -> Iterator[tuple[ast.stmt, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            # `from model import labels` may name a module; `from model.labels import X` names one before the
            # X.
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                is_module = (ROOT / Path(*full.split("."))).with_suffix(".py").exists() or (
                    ROOT / Path(*full.split("."))
                ).is_dir()
                yield node, full if is_module else str(node.module)


def broken_rules(module: str, tree: ast.AST) -> list[str]:
    ours, packages = next((ours, packages) for prefix, ours, packages in RULES if within(module, prefix))
    broken = []
    for node, imported in imports_of(tree):
        top = imported.split(".")[0]
        if top in OURS:
            allowed = any(within(imported, prefix) for prefix in ours)
        else:
            allowed = top in STDLIB or packages is None or top in packages
        if not allowed:
            broken.append(f"{module}:{node.lineno} imports {imported}")
    return broken


@pytest.mark.parametrize("path", sources(), ids=module_name)
def test_imports_follow_the_table(path):
    assert broken_rules(module_name(path), ast.parse(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("inference.sliding_window.placement", "import torch"),
        ("inference.sliding_window.placement", "from training.recipes.recipe import Recipe"),
        ("inference.sliding_window.placement", "from eval.scoring.metrics import dice"),
        ("inference.sliding_window.placement", "from model.networks import spec"),
        ("inference.sliding_window.placement", "from model import export"),
        ("inference.sliding_window.placement", "import scipy.ndimage"),
        ("model.labels", "import SimpleITK"),
        ("model.bundle", "import torch"),
        ("predict", "import numpy"),
        ("predict", "from model.labels import FLARE22"),
        ("eval.scoring.metrics", "from inference.imaging.volume import read_volume"),
        ("eval.scoring.metrics", "from model.bundle import load_bundle"),
        ("training.trainer", "from eval.report import render"),
    ],
)
def test_a_broken_rule_is_found(module, line):
    assert broken_rules(module, ast.parse(line)) == [
        f"{module}:1 imports {next(imports_of(ast.parse(line)))[1]}"
    ]


@pytest.mark.parametrize("path", sources(), ids=module_name)
def test_only_heavy_runtimes_and_subcommands_are_imported_inside_functions(path):
    module = module_name(path)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    late = set()
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            late |= {imported for _, imported in imports_of(function)}
    allowed = HEAVY | ({"inference"} if module == "predict" else set())
    late = {name for name in late if name.split(".")[0] not in allowed}
    assert module in LAZY_ALLOWED or not late


@pytest.mark.parametrize("path", [p for p in sources() if p.name == "__init__.py"], ids=module_name)
def test_packages_are_empty(path):
    assert path.read_text(encoding="utf-8") == ""


def import_microseconds() -> dict[str, int]:
    """What `-X importtime` counts while `predict.py --help` starts: microseconds of each module itself."""
    run = subprocess.run(
        [sys.executable, "-X", "importtime", str(ROOT / "predict.py"), "--help"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    rows = [
        line.removeprefix("import time:").split("|")
        for line in run.stderr.splitlines()
        if line.startswith("import time:")
    ]
    return {row[2].strip(): int(row[0]) for row in rows if row[0].strip().isdigit()}


def test_predict_help_starts_light():
    assert not {"torch", "openvino", "onnxruntime", "scipy", "numpy", "SimpleITK"} & set(
        import_microseconds()
    )


def test_predict_help_starts_fast():
    """0.3 s, the best of five: importtime counts wall time, also while other programs hold the processor."""
    assert min(sum(import_microseconds().values()) for _ in range(5)) < 300_000
