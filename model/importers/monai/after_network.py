"""MONAI's transforms of a network's output in the words of a manifest."""

from collections.abc import Sequence
from dataclasses import dataclass

from model.importers.monai.transform_chain import SEE, Chain, Step
from model.labels import BACKGROUND
from model.manifest.clean_up import CleanUpStep, LargestComponent
from model.manifest.fusion import MeanFusion
from model.manifest.output import Activation, Output, Sigmoid, Softmax
from model.model_errors import RefusedModelError

TYPES = ("EnsureType", "CastToType")
"""Transforms that change how the same numbers are kept."""


@dataclass(frozen=True, kw_only=True)
class After:
    """What the transforms of the network's output say."""

    fusion: MeanFusion
    activation: Activation
    largest: tuple[int, ...] | None
    """Channels whose largest component is kept; empty: each structure's; None: no such step."""


def after_of(chain: Chain, *, resampled: bool) -> After:
    """What becomes of the network's output.

    Args:
        chain: what MONAI does.
        resampled: whether it must be brought back to the image's grid.

    Raises:
        RefusedModelError: a transform, an argument of one, or their order cannot be expressed.
    """
    known = ("Activations", "Invert", "AsDiscrete", "KeepLargestConnectedComponent", *TYPES)
    steps = [step for step in chain.after if step.name not in TYPES]
    for step in steps:
        if step.name not in known:
            raise step.refuse(f"cannot be expressed; known are {', '.join(known)}; {SEE}")
    names = [step.name for step in steps]
    of_name = dict(zip(names, steps, strict=True))
    if len(of_name) != len(names):
        raise RefusedModelError(f"{chain.where}: postprocessing has a transform twice: {', '.join(names)}")
    discrete = of_name.get("AsDiscrete")
    if discrete is None:
        raise RefusedModelError(f"{chain.where}: postprocessing has no AsDiscrete, so it gives no labels")
    _check_inverted(chain, names, of_name, resampled=resampled)
    activation = _activation(of_name.get("Activations"), discrete)
    first = "Activations" in names and (
        "Invert" not in names or names.index("Activations") < names.index("Invert")
    )
    if "Activations" in names and names.index("Activations") > names.index("AsDiscrete"):
        raise of_name["Activations"].refuse("after AsDiscrete cannot be expressed")
    largest = of_name.get("KeepLargestConnectedComponent")
    if largest is not None and largest is not steps[-1]:
        raise largest.refuse("before Invert or AsDiscrete cannot be expressed")
    return After(
        fusion=MeanFusion(
            of="probabilities" if first else "logits", over_windows="logits" if first else None
        ),
        activation=activation,
        largest=None if largest is None else _applied(largest),
    )


def _check_inverted(chain: Chain, names: Sequence[str], of_name: dict[str, Step], *, resampled: bool) -> None:
    inverted = of_name.get("Invert")
    if inverted is None:
        if chain_turns(chain) or resampled:
            raise RefusedModelError(
                f"{chain.where}: postprocessing has no Invert, so labels would not lie on the image's grid"
            )
        return
    inverted.check_known(nearest_interp=(False, True, [False], [True]), post_func=(None,))
    nearest = inverted.arguments.get("nearest_interp", True) in (True, [True])
    if resampled and names.index("Invert") > names.index("AsDiscrete"):
        raise inverted.refuse(
            "after AsDiscrete resamples labels, which cannot be expressed; put it before AsDiscrete and set "
            f"nearest_interp to false to import the model with scores resampled instead; {SEE}"
        )
    if resampled and nearest:
        raise inverted.refuse(
            "with nearest_interp, which is true unless it is set, cannot be expressed; set nearest_interp to "
            f"false to import the model with scores resampled linearly instead; {SEE}"
        )


def chain_turns(chain: Chain) -> bool:
    """Whether transforms of the image move its voxels."""
    return any(step.name in ("Orientation", "CropForeground", "Spacing") for step in chain.before)


def _activation(step: Step | None, discrete: Step) -> Activation:
    arguments = {} if step is None else step.arguments
    if step is not None:
        step.check_known(softmax=(False, True), sigmoid=(False, True), other=(None,))
    discrete.check_known(argmax=(False, True), threshold=(), to_onehot=(None,), rounding=(None,))
    threshold = discrete.arguments.get("threshold")
    if discrete.arguments.get("argmax") and threshold is None and not arguments.get("sigmoid"):
        return Softmax()
    if arguments.get("sigmoid") and threshold == 0.5 and not discrete.arguments.get("argmax"):
        return Sigmoid()
    raise discrete.refuse("is known with argmax, or with threshold 0.5 after sigmoid")


def _applied(step: Step) -> tuple[int, ...]:
    step.check_known(
        applied_labels=(),
        is_onehot=(None, False),
        independent=(True,),
        connectivity=(None, 3),
        num_components=(1,),
    )
    labels = step.arguments.get("applied_labels")
    if labels is None:
        return ()
    named = labels if isinstance(labels, list) else [labels]
    if not all(isinstance(label, int) for label in named):
        raise step.refuse(f"has applied_labels {labels}; must be numbers of labels")
    return tuple(named)


def output_of(names: Sequence[str], label_set: str, activation: Activation, where: str) -> Output:
    """What the channels mean; ids are the channels' numbers, as MONAI writes them.

    Args:
        names: of the channels; under softmax the first is the background, whatever it is called.
        label_set: its name.
        activation: how they become classes.
        where: the model, for messages.

    Raises:
        RefusedModelError: two channels have one name, or there are too many.
    """
    structures = list(names[1:] if isinstance(activation, Softmax) else names)
    try:
        return Output(
            label_set=label_set,
            labels={name: number for number, name in enumerate(structures, start=1)},
            channels=tuple([BACKGROUND, *structures] if isinstance(activation, Softmax) else structures),
            activation=activation,
        )
    except ValueError as error:
        raise RefusedModelError(f"{where}: {error}") from error


def clean_up_of(after: After, output: Output, where: str) -> tuple[CleanUpStep, ...]:
    """The steps that keep the largest component of each structure that MONAI names.

    Raises:
        RefusedModelError: a label has no structure, or MONAI cleans several channels before they are merged.
    """
    if after.largest is None:
        return ()
    # One channel that is on or off is a label map of 0 and 1 to MONAI, and its number is the label.
    if isinstance(output.activation, Sigmoid) and len(output.channels) > 1:
        raise RefusedModelError(
            f"{where}: KeepLargestConnectedComponent after sigmoid cleans each channel by itself, before "
            "they become one label map, which cannot be expressed; take it out of postprocessing to import "
            "the model without it"
        )
    names = {number: name for name, number in output.labels.items()}
    unknown = [label for label in after.largest if label not in names]
    if unknown:
        raise RefusedModelError(
            f"{where}: KeepLargestConnectedComponent names label {unknown[0]}, which is not there"
        )
    return (LargestComponent(structures=tuple(names[label] for label in after.largest or names)),)
