"""Whether a bundle was imported from a trained model of nnU-Net, and which ids that model writes itself."""

from pathlib import Path

from model.importers.nnunet_folder import DATASET
from model.importers.nnunet_manifest import output_of
from model.importers.nnunet_plans import read_plans
from model.importers.nnunet_recipe import NnunetRecipe
from model.importers.own_ids import OTHERWISE, Source
from model.model_errors import RefusedModelError


def nnunet_source(model: Path, configuration: str | None, recipe: NnunetRecipe | None) -> Source:
    """What a trained model says of its labels.

    Args:
        model: its folder.
        configuration: of it; None for the one that the folder's name ends in.
        recipe: what the bundle says that it was imported from; None where it does not say.

    Raises:
        RefusedModelError: it is of another trainer, of other plans or of another configuration.
    """
    trainer, _, rest = model.name.partition("__")
    plans = read_plans(model, configuration or model.name.rpartition("__")[2])
    if recipe is not None:
        stated = (recipe.trainer, recipe.plans, recipe.configuration)
        found = (trainer if rest else recipe.trainer, plans.planned_by, plans.name)
        if found != stated:
            raise RefusedModelError(
                f"{model}: is of {', '.join(found)}, the bundle of {', '.join(stated)}; {OTHERWISE}"
            )
    return Source(where=str(model), data=plans.dataset, output=output_of(plans, str(model / DATASET)))
