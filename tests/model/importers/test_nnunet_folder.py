"""Which of the trained models below a folder is meant; where that is open, those that fit are named."""

import zipfile

import pytest

from model.importers.nnunet_folder import find_model, trained_beside
from model.model_errors import RefusedModelError

ROOT = (
    "Dataset1_a/nnUNetTrainer__nnUNetPlans__3d_fullres",
    "Dataset1_a/nnUNetTrainer__nnUNetPlans__3d_lowres",
    "Dataset1_a/nnUNetTrainer__nnUNetPlans__3d_cascade_fullres",
    "Dataset2_b/nnUNetTrainer__nnUNetPlans__3d_fullres",
    "Dataset3_c/nnUNetTrainer__nnUNetPlans__2d",
)


@pytest.fixture
def results(tmp_path):
    """`nnUNet_results` with three data sets, whose models are of fold 0."""
    for name in ROOT:
        model = tmp_path / "results" / name
        (model / "fold_0").mkdir(parents=True)
        for file in ("plans.json", "dataset.json", "fold_0/checkpoint_final.pth"):
            (model / file).touch()
    return tmp_path / "results"


@pytest.fixture
def packed(results, tmp_path):
    """The same in a zip."""
    with zipfile.ZipFile(tmp_path / "results.zip", "w") as file:
        for path in sorted(results.rglob("*")):
            file.write(path, path.relative_to(results))
    return tmp_path / "results.zip"


def complaint(given, configuration=None):
    with pytest.raises(RefusedModelError) as refused:
        find_model(given, configuration)
    return str(refused.value).removeprefix(f"{given}: ")


@pytest.mark.parametrize("kind", ["results", "packed"])
def test_those_that_fit_are_named_by_their_paths(kind, request):
    given = request.getfixturevalue(kind)
    assert (
        complaint(given) == f"holds 2 models of 3d_fullres; name one of their folders: {ROOT[0]}, {ROOT[3]}"
    )
    assert find_model(given, "2d").name == "nnUNetTrainer__nnUNetPlans__2d"


def test_where_none_fits_all_but_cascades_are_named(results):
    where = f"{ROOT[0]}), 3d_lowres ({ROOT[1]}), 3d_fullres ({ROOT[3]}), 2d ({ROOT[4]})"
    assert complaint(results, "3d_full") == (
        f"holds no model of 3d_full; choose with --configuration among 3d_fullres ({where}"
    )


def test_what_a_cascade_may_be_replaced_by(results):
    assert trained_beside(results / ROOT[2]) == ["3d_fullres", "3d_lowres"]
    assert trained_beside(results / ROOT[4]) == []


@pytest.mark.parametrize(
    ("inside", "what"), [("fold_0", "a fold"), ("fold_0/checkpoint_final.pth", "a file of a fold")]
)
def test_a_fold_is_no_model(inside, what, results, monkeypatch):
    model = results / ROOT[0]
    with zipfile.ZipFile(model / "fold_0" / "checkpoint_final.pth", "w") as checkpoint:
        checkpoint.writestr("data.pkl", "as torch writes it")
    assert complaint(model / inside) == f"is {what} of a trained model; give the model's folder, {model}"
