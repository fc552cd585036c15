"""How a bundle says which model of nnU-Net it was imported from, in one line of its provenance."""

import re
from dataclasses import dataclass

LINE = re.compile(r"nnU-Net v2, (.+?), (.+?), (.+?), folds (.+)")


@dataclass(frozen=True, kw_only=True)
class NnunetRecipe:
    """`provenance.recipe` of an imported model."""

    trainer: str
    """E.g. `nnUNetTrainer`."""
    plans: str
    """E.g. `nnUNetPlans`."""
    configuration: str
    """E.g. `3d_fullres`."""
    folds: str
    """Their names, e.g. `0 1 2`."""

    @property
    def line(self) -> str:
        """The recipe as a manifest holds it.

        >>> NnunetRecipe(trainer="nnUNetTrainer", plans="nnUNetPlans", configuration="2d", folds="0 1").line
        'nnU-Net v2, nnUNetTrainer, nnUNetPlans, 2d, folds 0 1'
        """
        return f"nnU-Net v2, {self.trainer}, {self.plans}, {self.configuration}, folds {self.folds}"


def read_recipe(line: str) -> NnunetRecipe | None:
    """What `NnunetRecipe.line` said; None for the recipe of another model.

    >>> read_recipe("nnU-Net v2, nnUNetTrainer, nnUNetPlans, 2d, folds 0 1").configuration
    '2d'
    """
    found = LINE.fullmatch(line)
    if found is None:
        return None
    trainer, plans, configuration, folds = found.groups()
    return NnunetRecipe(trainer=trainer, plans=plans, configuration=configuration, folds=folds)
