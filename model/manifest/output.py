"""What a network's channels mean, and which label map is written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from model.checks import check
from model.labels import BACKGROUND, LabelSet, Pair, channel_ids

MOST_STRUCTURES = 254
"""Channels without background: label maps and channel indices are uint8."""


@dataclass(frozen=True, kw_only=True)
class Softmax:
    """One channel for each class, background first; the largest wins, the first of equals."""

    kind: Literal["softmax"] = "softmax"


@dataclass(frozen=True, kw_only=True)
class Sigmoid:
    """Channels that are on or off by themselves (above probability 0.5).

    Where several are on, one has priority.
    """

    kind: Literal["sigmoid"] = "sigmoid"
    priority: tuple[int, ...] | None = None
    """Channels in rising priority, each once; the last one that is on wins. Missing: in the order of the
    channels, so that regions may be listed from the outermost to the innermost (nnU-Net
    `regions_class_order`)."""


Activation = Softmax | Sigmoid
"""How channels become classes."""


@dataclass(frozen=True, kw_only=True)
class Output:
    """What the networks' channels mean and which label map is written."""

    label_set: str = field(compare=False)
    """Name of the label set; any name will do, since `labels` says what is in it."""
    labels: Mapping[str, int]
    """Structure name to id in the written label map, 1 to 255."""
    channels: tuple[str, ...]
    """Name of each output channel; `background` first under softmax, absent under sigmoid. A name is that of
    a structure in `labels`, the merged name of a pair, or any other that `written_as` translates."""
    activation: Activation = field(default_factory=Softmax)
    """How channels become classes."""
    pairs: tuple[Pair, ...] = ()
    """Left/right pairs among `labels`. A pair whose merged name is a channel is split by anatomy."""
    lesions: tuple[str, ...] = ()
    """Structures of `labels` that are no organs."""
    written_as: Mapping[str, str | None] | None = None
    """Channel name to the structure, or merged pair, that it is written as; null: dropped after the winner is
    taken. Channels that are not named are written as what they are called."""

    def __post_init__(self) -> None:
        labels = self.as_label_set()
        check(len(set(self.channels)) == len(self.channels), "channels: a name stands twice")
        softmax = isinstance(self.activation, Softmax)
        if softmax:
            check(self.channels[:1] == (BACKGROUND,), "channels: must begin with background under softmax")
        structures = self.channels[1:] if softmax else self.channels
        check(bool(structures), "channels: no structure")
        check(
            len(structures) <= MOST_STRUCTURES,
            f"channels: at most {MOST_STRUCTURES} structures, are {len(structures)}",
        )
        check(BACKGROUND not in structures, "channels: background may only be the first, under softmax")
        for channel in self.written_as or {}:
            check(channel in structures, f"written_as.{channel}: not among channels")
        for index, channel in enumerate(self.channels):
            written = self.structure_of(channel)
            if channel in structures and written is not None:
                try:
                    channel_ids(labels, written)
                except ValueError as error:
                    raise ValueError(f"channels[{index}]: {error}") from error
        if isinstance(self.activation, Sigmoid) and self.activation.priority is not None:
            complete = sorted(self.activation.priority) == list(range(len(self.channels)))
            check(complete, f"activation.priority: must name each of the {len(self.channels)} channels once")

    @property
    def structures(self) -> tuple[str, ...]:
        """The channels without background: decision n of the engine stands for the n-th of them, from 1."""
        return self.channels[1:] if isinstance(self.activation, Softmax) else self.channels

    @property
    def channels_in_words(self) -> str:
        """How the channels are read, for a person, such as `softmax: background, liver`."""
        return f"{self.activation.kind}: {', '.join(self.channels)}"

    @property
    def priority_in_words(self) -> str:
        """Which channel is written where several are on, for a person, such as `core over tumor`.

        Empty where only one can be on.
        """
        if isinstance(self.activation, Softmax) or len(self.channels) < 2:
            return ""
        rising = self.activation.priority or range(len(self.channels))
        return " over ".join(self.channels[number] for number in reversed(rising))

    def structure_of(self, channel: str) -> str | None:
        """The structure, or merged pair, that a channel is written as; None where it is dropped."""
        return (self.written_as or {}).get(channel, channel)

    @property
    def written_in_words(self) -> str:
        """What the channels are written as, for a person, such as `liver, aorta as spleen`."""
        named = {channel: self.structure_of(channel) for channel in self.structures}
        return ", ".join(
            channel if channel == name else f"{channel} as {name}" for channel, name in named.items() if name
        )

    @property
    def dropped(self) -> tuple[str, ...]:
        """The channels that are written as nothing."""
        return tuple(channel for channel in self.structures if self.structure_of(channel) is None)

    @property
    def written(self) -> tuple[str, ...]:
        """The structures of `labels` that the channels can give, sides of pairs each by itself, by their ids.

        A label set may have more.
        """
        labels = self.as_label_set()
        names = filter(None, map(self.structure_of, self.structures))
        given = {label for name in names for label in channel_ids(labels, name)}
        return tuple(name for name in labels.names if labels.ids[name] in given)

    def as_label_set(self) -> LabelSet:
        """The label set that the written label map follows.

        Raises:
            ValueError: ids, pairs or lesions do not fit together.
        """
        try:
            return LabelSet(name=self.label_set, ids=self.labels, pairs=self.pairs, lesions=self.lesions)
        except ValueError as error:
            raise ValueError(f"labels: {error}") from error
