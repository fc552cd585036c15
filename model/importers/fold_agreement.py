"""Whether a fold of nnU-Net was trained by the plans and for the labels that its model's folder states.

`nnUNetv2_predict` reads both from the folder alone. A checkpoint that was copied from another model, whose
labels stand in another order, would be averaged with the others channel by channel.
"""

from collections.abc import Mapping
from typing import Any

from model.importers.foreign_fields import Place
from model.importers.nnunet_folder import DATASET, PLANS
from model.importers.nnunet_plans import Documents, Plans, plans_of
from model.model_errors import RefusedModelError

COMPARED: Mapping[str, tuple[str, str]] = {
    "labels": ("labels", DATASET),
    "regions_class_order": ("regions_class_order", DATASET),
    "channels": ("channels or normalization", f"{DATASET} and {PLANS}"),
    "spacing": ("spacing", PLANS),
    "transpose": ("transpose_forward", PLANS),
    "data": ("resampling of images", PLANS),
    "network": ("network", PLANS),
}
"""Fields of `Plans` that decide what a network's input is and what its channels mean: what each is called in
messages, and the file that states it. The patch is not among them: networks take others."""


def documents_of(arguments: Mapping[str, Any], place: Place) -> Documents | None:
    """What a checkpoint says it was trained by; None where it does not say.

    Args:
        arguments: its `init_args`.
        place: the checkpoint, for messages.
    """
    plans, dataset = arguments.get("plans"), arguments.get("dataset_json")
    if not isinstance(plans, Mapping) or not isinstance(dataset, Mapping):
        return None
    where = f"{place}: init_args"
    return Documents(
        plans=plans, plans_place=f"{where}.plans", dataset=dataset, dataset_place=f"{where}.dataset_json"
    )


def check_trained_alike(trained_by: Documents, plans: Plans, model: Place) -> None:
    """Refuse a fold that was trained for something else than what its model's folder states.

    Args:
        trained_by: what its checkpoint says.
        plans: what the folder says of the same configuration.
        model: the folder, for messages.

    Raises:
        RefusedModelError: it was, or its own plans cannot be read.
    """
    own = plans_of(trained_by, plans.name)
    for name, (what, file) in COMPARED.items():
        if getattr(own, name) != getattr(plans, name):
            place = trained_by.plans_place if file == PLANS else trained_by.dataset_place
            raise RefusedModelError(
                f"{place}: says something else of {what} than {file} in {model}, so that the fold is of "
                "another model; choose others with --folds, or give the files that it was trained by"
            )
