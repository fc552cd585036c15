"""What MONAI does with an image, step by step, in plain values: transforms, network, windows, transforms.

Both a manifest is made of it and, to compare with, MONAI's own classes (`eval.verification.monai_program`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from model.importers.foreign_fields import is_number
from model.importers.monai.config_values import ConfigValues, Plain
from model.model_errors import RefusedModelError

TARGET, DISABLED = "_target_", "_disabled_"
REMARKS = ("_desc_", "_requires_")
WITHOUT_EFFECT = (
    *("device", "sw_device", "progress", "sw_batch_size", "cache_roi_weight_map", "cpu_thresh"),
    *("buffer_steps", "buffer_dim", "reader", "allow_missing_keys", "transform", "meta_keys"),
    *("orig_meta_keys", "meta_key_postfix", "to_tensor", "data_type", "track_meta", "image_only"),
    *("start_coord_key", "end_coord_key", "ensure_channel_first", "ensure_typed", "wrap_sequence"),
)
"""Arguments that say where and on what something is computed, or how the result is kept; not what it is."""
TRANSFORMS = (
    *("LoadImage", "EnsureChannelFirst", "EnsureType", "CastToType", "Orientation", "CropForeground"),
    *("Spacing", "ScaleIntensity", "ScaleIntensityRange", "NormalizeIntensity", "Activations", "AsDiscrete"),
    *("Invert", "SaveImage", "KeepLargestConnectedComponent"),
)
"""What is known here."""
SUFFIXES = ("Dict", "D", "d")
"""How MONAI ends the names of transforms that work on dictionaries."""
PREDICTED = "pred"
"""The key at which MONAI's evaluator puts what the network gives."""
ABOUT_KEYS = ("keys", "source_key", "orig_keys", "dtype")
"""Arguments that `on_one_image` checks, after which they say nothing more."""
TYPE = re.compile(r"\$?\s*(?:(?:torch|np|numpy)\.)?([a-z]+[0-9]*)")
"""A type of numbers as configurations write it: `$torch.float32`, `float32`, `$np.uint8`."""
FLOATS = ("float32", "float64", "float", "double")
"""Types that keep voxels as the engine does, in float32 at least."""
SEE = "see docs/bring-your-own-model.md"
"""Where it stands what is known."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One transform or inferer."""

    name: str
    """MONAI's class without the `d` of dictionaries, e.g. `Spacing`."""
    arguments: Mapping[str, Plain]
    """Those that have an effect."""
    where: str
    """Its place, for messages."""
    key: str | None = None
    """What it works on, e.g. `image`; None where it does not say."""
    source: str | None = None
    """What it looks at to find what to do (`source_key`, `orig_keys`); None where it does not say."""
    dtype: str | None = None
    """The type of the voxels that it gives; None where it does not say."""

    def refuse(self, why: str) -> RefusedModelError:
        """The refusal that names this step."""
        return RefusedModelError(f"{self.where}: {self.name} {why}")

    def number(self, name: str) -> float:
        """The number that an argument must be.

        Raises:
            RefusedModelError: it is none, or not finite.
        """
        return self._number(name, self.arguments.get(name))

    def three(self, name: str, otherwise: Plain = None) -> tuple[float, float, float]:
        """An argument that is a number, or a list that MONAI fills up with its last one.

        Args:
            name: of the argument.
            otherwise: its value where it is not stated.

        Raises:
            RefusedModelError: something of it is no number.
        """
        value = self.arguments.get(name, otherwise)
        given = value if isinstance(value, list) and value else [value]
        numbers = [self._number(name, each) for each in given]
        first, second, third = (*numbers, *[numbers[-1]] * 3)[:3]
        return first, second, third

    def _number(self, name: str, value: Plain) -> float:
        if not is_number(value):
            raise self.refuse(f"has {name} {str(value)[:60]}, which is no number")
        return float(value)

    def check_known(self, **known: tuple[Plain, ...]) -> None:
        """Refuse arguments that are not listed, or whose value is not; an empty tuple stands for any value.

        Raises:
            RefusedModelError: naming the argument.
        """
        for name, value in self.arguments.items():
            if name not in known:
                raise self.refuse(f"has {name}, which is unknown")
            # True equals 1, but is no number of voxels.
            if known[name] and not any(value == each and type(value) is type(each) for each in known[name]):
                raise self.refuse(f"has {name} {value}, which cannot be expressed; known is {known[name][0]}")


@dataclass(frozen=True, kw_only=True)
class Chain:
    """From an image to labels."""

    before: tuple[Step, ...]
    """Transforms of the image."""
    network: Mapping[str, Plain]
    """`_target_` and arguments."""
    inferer: Step
    after: tuple[Step, ...]
    """Transforms of what the network gives."""
    where: str
    """The file that says so, for messages."""

    def on_one_image(self) -> "Chain":
        """The same, where each step works on the image that is loaded, or on what the network gives.

        Raises:
            RefusedModelError: a step works on, or looks at, something else, or rounds the voxels.
        """
        image = next((step.key for step in self.before if step.key is not None), None)
        for steps, key in ((self.before, image), (self.after, PREDICTED)):
            for step in steps:
                if step.key not in (None, key):
                    raise step.refuse(f"works on {step.key}, not on {key}, which cannot be expressed")
                if step.source not in (None, image):
                    raise step.refuse(f"looks at {step.source}, not at {image}, which cannot be expressed")
        names = [step.name for step in self.after]
        # Labels are whole numbers already.
        scores = self.after[: names.index("AsDiscrete")] if "AsDiscrete" in names else self.after
        for step in (*self.before, *scores):
            if step.dtype not in (None, *FLOATS):
                raise step.refuse(
                    f"has dtype {step.dtype}, which rounds; set dtype to float32 if it need not"
                )
        return self

    def as_json(self) -> dict[str, Any]:
        """The same as a configuration of MONAI's classes, without expressions."""
        return {
            "network": dict(self.network),
            "preprocessing": [_as_config(step, "image") for step in self.before],
            "inferer": {TARGET: self.inferer.name, **self.inferer.arguments},
            "postprocessing": [_as_config(step, "pred") for step in self.after],
        }


def _as_config(step: Step, key: str) -> dict[str, Any]:
    own = {
        "Invert": {"transform": "@preprocessing", "orig_keys": "image"},
        "CropForeground": {"source_key": "image"},
    }
    return {TARGET: f"{step.name}d", "keys": key, **step.arguments, **own.get(step.name, {})}


def steps_at(config: ConfigValues, path: str, passed_over: tuple[str, ...] = ()) -> tuple[Step, ...]:
    """The transforms of a `Compose`, nested ones in their place; disabled ones are left out.

    Args:
        config: the configuration.
        path: of the `Compose`, or of a list of transforms.
        passed_over: names of transforms that are left out unseen.

    Raises:
        RefusedModelError: it is missing, or cannot be read without running it, or works on several keys.
    """
    value = config.followed(config.raw(path), path)
    if not isinstance(value, list):
        name = _name_of(value, config, path)
        if name != "Compose":
            return () if name in passed_over else (step_of(config, value, path),)
        lazy = config.resolved(value.get("lazy"), f"{path}#lazy")
        if lazy not in (None, False):
            raise RefusedModelError(f"{config.where}: {path} is lazy, which cannot be expressed")
        return _listed(config, value.get("transforms", []), f"{path}#transforms", passed_over)
    return _listed(config, value, path, passed_over)


def _listed(
    config: ConfigValues,
    value: Any,  # noqa: ANN401 - see `ConfigValues.raw`
    path: str,
    passed_over: tuple[str, ...],
) -> tuple[Step, ...]:
    items = config.followed(value, path)
    if not isinstance(items, list):
        raise RefusedModelError(f"{config.where}: {path} must be a list of transforms")
    found: list[Step] = []
    for index in range(len(items)):
        place = f"{path}#{index}"
        item = config.followed(items[index], place)
        name = _name_of(item, config, place)
        if name == "Compose":
            found += _listed(config, item.get("transforms", []), f"{place}#transforms", passed_over)
        elif name not in passed_over and not config.resolved(item.get(DISABLED, False), place):
            found.append(step_of(config, item, place))
    return tuple(found)


def step_of(config: ConfigValues, value: Any, path: str) -> Step:  # noqa: ANN401 - see `ConfigValues.raw`
    """One class with its arguments.

    Raises:
        RefusedModelError: it is none, or an argument is an expression.
    """
    name = _name_of(value, config, path)
    arguments = {
        key: config.resolved(part, f"{path}#{key}")
        for key, part in value.items()
        if key not in (TARGET, DISABLED, *REMARKS, *WITHOUT_EFFECT, *ABOUT_KEYS)
    }
    source = "orig_keys" if name == "Invert" else "source_key"
    return Step(
        name=name,
        arguments=arguments,
        where=f"{config.where}: {path}",
        key=_key(config, value, path, "keys"),
        source=_key(config, value, path, source),
        dtype=_type_of(config, value.get("dtype"), f"{path}#dtype"),
    )


def _key(config: ConfigValues, value: Mapping[str, Any], path: str, name: str) -> str | None:
    """The one key that an argument names; None where it names none."""
    found = config.resolved(value.get(name), f"{path}#{name}")
    if isinstance(found, list) and len(found) > 1:
        raise RefusedModelError(f"{config.where}: {path} works on several keys, which cannot be expressed")
    key = found[0] if isinstance(found, list) and found else found
    if key is not None and not isinstance(key, str):
        raise RefusedModelError(f"{config.where}: {path} has {name} {str(found)[:60]}, which is no key")
    return key


def _type_of(config: ConfigValues, value: Any, path: str) -> str | None:  # noqa: ANN401 - see `ConfigValues.raw`
    """The type of numbers that a text names, without running it; None where there is none."""
    if isinstance(value, str) and value[:1] == "@" and value[1:] in config:
        value = config.raw(value[1:])
    value = value[0] if isinstance(value, list) and len(value) == 1 else value
    named = TYPE.fullmatch(value) if isinstance(value, str) else None
    if named is not None:
        return named.group(1)
    found = config.resolved(value, path)
    return None if found is None else str(found)[:60]


def _name_of(value: Any, config: ConfigValues, path: str) -> str:  # noqa: ANN401 - see `ConfigValues.raw`
    target = value.get(TARGET) if isinstance(value, Mapping) else None
    if not isinstance(target, str) or target[:1] in "$@%":
        raise RefusedModelError(f"{config.where}: {path} names no class of MONAI with {TARGET}")
    module, _, name = target.rpartition(".")
    if module and not module.startswith("monai."):
        raise RefusedModelError(f"{config.where}: {path} is {target}, which is the bundle's own code")
    return next((plain for suffix in SUFFIXES if (plain := name.removesuffix(suffix)) in TRANSFORMS), name)
