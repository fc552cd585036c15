"""Label sets of the abdominal challenges, their left/right pairs, and the tables to network channels.

A *label set* says which integer a voxel of a label map holds for which structure. A *network channel* is what
one output of a network stands for: a label, or a left/right pair merged into one (`kidney`), which
`inference.postprocessing.laterality` splits again by anatomy. Arrays that turn one numbering into another are
look-up tables: `table[label_map]`.

Sources: FLARE21-24 and AMOS22 challenge rules.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from model.arrays import U8
from model.checks import check_printable

BACKGROUND = "background"
LESION_WORDS = frozenset(
    {"tumor", "tumour", "lesion", "cyst", "cancer", "mass", "metastasis"}
    | {"tumors", "tumours", "lesions", "cysts", "cancers", "masses", "metastases"}
)
"""Words of a name by which a structure is probably no organ."""
Table = U8
"""What each of the 256 values of a label map becomes; `table[label_map]`."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two structures mirrored across the body's middle, and the name of both together."""

    merged: str
    """Name of both together, as a network's channel may have it."""
    right: str
    """Name of the structure on the patient's right."""
    left: str
    """Name of the structure on the patient's left."""


KIDNEYS = Pair(merged="kidney", right="right kidney", left="left kidney")
ADRENALS = Pair(merged="adrenal gland", right="right adrenal gland", left="left adrenal gland")


@dataclass(frozen=True, kw_only=True)
class LabelSet:
    """Structures of one challenge and the ids they have in its label maps.

    Args:
        name: short name, as on the command line. It does not count where label sets are compared: a set of
            one's own may be called as its folder, and is the same when that is renamed.
        ids: structure name to id, 1 to 255; background is always 0 and not listed.
        pairs: the left/right pairs among the structures.
        lesions: the structures that are no organs: tumors and the like, which may be anywhere or nowhere.

    Raises:
        ValueError: an id outside 1 to 255, an id used twice, a pair or lesion that is not in `ids`, or a name
            that holds other than printable characters: names go to terminals, tables and DICOM files.
    """

    name: str = field(compare=False)
    ids: Mapping[str, int]
    pairs: tuple[Pair, ...] = ()
    lesions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", MappingProxyType(dict(self.ids)))
        if BACKGROUND in self.ids:
            raise ValueError(f"label set {self.name}: background is 0 by definition and is not listed")
        self._check_names()
        for structure, label_id in self.ids.items():
            if not 1 <= label_id <= 255:
                raise ValueError(f"label set {self.name}: id of {structure} is {label_id}, must be 1 to 255")
        if len(set(self.ids.values())) != len(self.ids):
            raise ValueError(f"label set {self.name}: two structures share an id")
        for pair in self.pairs:
            for side in (pair.right, pair.left):
                if side not in self.ids:
                    raise ValueError(f"label set {self.name}: {side} of pair {pair.merged} is not in the set")
        for lesion in self.lesions:
            if lesion not in self.ids:
                raise ValueError(f"label set {self.name}: lesion {lesion} is not in the set")

    def _check_names(self) -> None:
        for name in (self.name, *self.ids, *(pair.merged for pair in self.pairs)):
            check_printable("label set: name", name)

    def __reduce__(self) -> tuple[object, ...]:
        """Let label sets travel between processes, which a `MappingProxyType` cannot."""
        return _rebuilt, (self.name, dict(self.ids), self.pairs, self.lesions)

    @property
    def names(self) -> tuple[str, ...]:
        """Structure names in the order of their ids."""
        return tuple(sorted(self.ids, key=lambda name: self.ids[name]))

    @property
    def names_by_id(self) -> dict[int, str]:
        """Id to structure name, without the background."""
        return {label_id: name for name, label_id in self.ids.items()}

    @property
    def organs(self) -> tuple[str, ...]:
        """Structure names in the order of their ids, without the lesions."""
        return tuple(name for name in self.names if name not in self.lesions)

    @property
    def perhaps_lesions(self) -> tuple[str, ...]:
        """Organs whose names have a word for a lesion, as `liver_tumor`, in the order of their ids."""
        return tuple(name for name in self.organs if LESION_WORDS.intersection(words_of(name)))

    def foreign(self, held: Iterable[int]) -> list[int]:
        """Which of the ids that a label map holds are neither background nor in the set, rising."""
        return sorted(set(held) - {0, *self.ids.values()})

    def name_of(self, label_id: int) -> str:
        """Name of the structure with this id; `background` for 0.

        Raises:
            ValueError: no structure has this id.
        """
        if label_id == 0:
            return BACKGROUND
        names = self.names_by_id
        if label_id not in names:
            raise ValueError(f"label set {self.name} has no id {label_id}")
        return names[label_id]

    def pair_named(self, merged: str) -> Pair | None:
        """The pair with this merged name, or None."""
        return next((pair for pair in self.pairs if pair.merged == merged), None)


def words_of(name: str) -> list[str]:
    """The words of a structure's name, whoever writes it: `kidney_left`, `Kidney-Left`.

    >>> words_of("Kidney_left")
    ['kidney', 'left']
    """
    return name.casefold().replace("_", " ").replace("-", " ").split()


def _rebuilt(
    name: str, ids: Mapping[str, int], pairs: tuple[Pair, ...], lesions: tuple[str, ...]
) -> LabelSet:
    return LabelSet(name=name, ids=ids, pairs=pairs, lesions=lesions)


def _flare(name: str, *lesions: str) -> LabelSet:
    organs = (
        "liver", "right kidney", "spleen", "pancreas", "aorta", "inferior vena cava", "right adrenal gland",
        "left adrenal gland", "gallbladder", "esophagus", "stomach", "duodenum", "left kidney",
    )  # fmt: skip
    return LabelSet(
        name=name,
        ids={organ: i for i, organ in enumerate((*organs, *lesions), start=1)},
        pairs=(KIDNEYS, ADRENALS),
        lesions=lesions,
    )


FLARE21 = LabelSet(name="flare21", ids={"liver": 1, "kidney": 2, "spleen": 3, "pancreas": 4})
FLARE22 = _flare("flare22")
FLARE23 = _flare("flare23", "tumor")
FLARE24_LESION = LabelSet(name="flare24-lesion", ids={"tumor": 1}, lesions=("tumor",))
AMOS22 = LabelSet(
    name="amos22",
    ids={
        name: i
        for i, name in enumerate(
            (
                "spleen", "right kidney", "left kidney", "gallbladder", "esophagus", "liver", "stomach",
                "aorta", "inferior vena cava",
                "pancreas", "right adrenal gland", "left adrenal gland", "duodenum", "bladder",
                "prostate/uterus",
            ),
            start=1,
        )
    },
    pairs=(KIDNEYS, ADRENALS),
)  # fmt: skip

LABEL_SETS: Mapping[str, LabelSet] = MappingProxyType(
    {s.name: s for s in (FLARE21, FLARE22, FLARE23, FLARE24_LESION, AMOS22)}
)


def merged_channels(labels: LabelSet) -> tuple[str, ...]:
    """Network channels of a label set when each left/right pair is one channel, background first.

    A pair takes the place of its side with the lower id: FLARE23 gives 13 channels, `background, liver,
    kidney, spleen, ..., tumor` (FLARE23 low-resource ensemble).
    """
    merged_of = {side: pair.merged for pair in labels.pairs for side in (pair.right, pair.left)}
    names = [merged_of.get(name, name) for name in labels.names]
    return (BACKGROUND, *dict.fromkeys(names))


def channel_table(labels: LabelSet, channels: Sequence[str]) -> Table:
    """Table from label id to the index of the network channel that stands for it; shape (256,).

    Ids that no channel stands for become 0, as does everything outside the set. Works with merged and
    unmerged
    channels: `channel_table(FLARE23, merged_channels(FLARE23))[13] == 2`, since the left kidney is in
        `kidney`.

    Raises:
        ValueError: a channel is neither background, a structure of the set nor one of its pairs.
    """
    table: Table = np.zeros(256, np.uint8)
    for index, channel in enumerate(channels):
        if channel == BACKGROUND:
            continue
        for label_id in channel_ids(labels, channel):
            table[label_id] = index
    return table


def look_up(table: Table, labels: U8) -> U8:
    """`table[labels]` for a table of 256, slice by slice.

    numpy would make an index array of eight bytes a voxel. Most slices of a whole scan hold background alone,
    which costs a third of translating it.
    """
    answer = np.zeros(labels.shape, np.uint8)
    answers = table.tobytes()
    for plane, source in zip(answer, labels, strict=True):
        if table[0] == 0 and not source.any():
            continue
        plane[...] = np.frombuffer(source.tobytes().translate(answers), np.uint8).reshape(source.shape)
    return answer


def channel_ids(labels: LabelSet, channel: str) -> tuple[int, ...]:
    """Label ids that a network channel stands for: one, or right and left of a pair, in this order.

    Raises:
        ValueError: the set has neither a structure nor a pair of this name.
    """
    if channel in labels.ids:
        return (labels.ids[channel],)
    pair = labels.pair_named(channel)
    if pair is None:
        raise ValueError(f"{channel} is neither a structure nor a left/right pair of label set {labels.name}")
    return (labels.ids[pair.right], labels.ids[pair.left])
