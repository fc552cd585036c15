"""Documents to dataclasses: every fault named at once, unions told apart by kind or by JSON type."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import pytest

from model.schema import SchemaError, dump, kind_of, parse, union_members


@dataclass(frozen=True, kw_only=True)
class Linear:
    kind: Literal["linear"] = "linear"


@dataclass(frozen=True, kw_only=True)
class Area:
    kind: Literal["area"] = "area"
    factor: float
    least: int = 1

    def __post_init__(self) -> None:
        if self.factor <= 0:
            raise ValueError(f"factor: must be above 0, is {self.factor}")


@dataclass(frozen=True, kw_only=True)
class Part:
    name: str
    size: int = 1


@dataclass(frozen=True, kw_only=True)
class Whole:
    resampling: Linear | Area = field(default_factory=Linear)
    maybe: Linear | Area | None = None
    axes: Literal["all", "none"] | tuple[Literal["z", "y", "x"], ...] = "all"
    rate: float | Area = 0.5
    part: Part | None = None
    parts: tuple[Part, ...] = ()
    sizes: tuple[int, int] = (1, 1)
    table: Mapping[str, int | None] = field(default_factory=dict)
    on: bool = False


def faults(**document) -> list[str]:
    with pytest.raises(SchemaError) as caught:
        parse(Whole, document)
    assert str(caught.value) == "; ".join(caught.value.faults)
    return list(caught.value.faults)


# Tagged unions
# ----------------------------------------------------------------------------------------------------


def test_a_class_is_chosen_by_its_kind():
    assert parse(Whole, {"resampling": {"kind": "linear"}}).resampling == Linear()
    assert parse(Whole, {"resampling": {"kind": "area", "factor": 2}}).resampling == Area(factor=2.0)
    assert parse(Whole, {}).resampling == Linear()


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({}, "resampling.kind: missing; known are linear, area"),
        ({"factor": 2}, "resampling.kind: missing; known are linear, area"),
        ({"kind": "cubic"}, "resampling.kind: must be one of linear, area, is 'cubic'"),
        ({"kind": None}, "resampling.kind: must be one of linear, area, is None"),
        ("area", "resampling: must be a mapping with a kind, one of linear, area; is str 'area'"),
        (None, "resampling: must be a mapping with a kind, one of linear, area; is null"),
        ([], "resampling: must be a mapping with a kind, one of linear, area; is list []"),
        ({"kind": "area"}, "resampling.factor: missing"),
        ({"kind": "area", "factor": 0}, "resampling.factor: must be above 0, is 0.0"),
        ({"kind": "linear", "factor": 2}, "resampling.factor: unknown field; known are kind"),
        ({"kind": "area", "factor": "2"}, "resampling.factor: must be float, is str '2'"),
    ],
)
def test_a_faulty_union_is_one_fault_with_its_place(given, fault):
    assert faults(resampling=given) == [fault]


def test_a_union_may_be_none_where_it_says_so():
    assert parse(Whole, {"maybe": None}).maybe is None
    assert parse(Whole, {"maybe": {"kind": "linear"}}).maybe == Linear()
    assert faults(maybe={"kind": "no"}) == ["maybe.kind: must be one of linear, area, is 'no'"]


def test_a_kind_that_cannot_be_hashed_is_unknown():
    (fault,) = faults(resampling={"kind": ["area"]})
    assert fault.startswith("resampling.kind: must be one of linear, area")


def test_kinds_and_members_of_unions():
    assert (kind_of(Linear), kind_of(Area), kind_of(Part)) == ("linear", "area", None)
    assert union_members(Linear | Area) == (Linear, Area)
    assert union_members(Part) == (Part,)


# Unions of other types
# ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axes", ["all", "none", ("x",), ("z", "y", "x"), ()])
def test_a_word_or_a_list_of_words(axes):
    assert parse(Whole, {"axes": list(axes) if isinstance(axes, tuple) else axes}).axes == axes


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ("some", "axes: must be one of all, none, is 'some'"),
        (["w"], "axes[0]: must be one of z, y, x, is 'w'"),
        (["x", "all", "q"], "axes[1]: must be one of z, y, x, is 'all'"),
        (3, "axes: must be one of all, none, is 3"),
    ],
)
def test_a_fault_of_a_union_is_that_of_the_fitting_type(given, fault):
    assert faults(axes=given)[0] == fault


def test_a_number_or_a_mapping():
    assert parse(Whole, {"rate": 1}).rate == 1.0
    assert parse(Whole, {"rate": {"factor": 3}}).rate == Area(factor=3.0)
    assert faults(rate={"factor": -1}) == ["rate.factor: must be above 0, is -1.0"]
    assert faults(rate="fast") == ["rate: must be float, is str 'fast'"]


def test_values_of_a_mapping_may_be_null():
    assert parse(Whole, {"table": {"a": 1, "b": None}}).table == {"a": 1, "b": None}
    assert faults(table={"a": "1"}) == ["table.a: must be int, is str '1'"]


# All faults at once
# ----------------------------------------------------------------------------------------------------


def test_every_fault_of_a_document_is_named_at_once():
    found = faults(
        surprise=1,
        resampling={"kind": "area", "factor": "x", "least": 1.5, "more": 0},
        part={"size": True},
        parts=[{"name": 1}, {"name": "a"}, 7, {"name": "b", "siz": 2}],
        sizes=[1],
        table={"a": 1, "b": 2.5},
        on="yes",
    )
    assert found == [
        "surprise: unknown field; known are resampling, maybe, axes, rate, part, parts, sizes, table, on",
        "resampling.more: unknown field; known are kind, factor, least",
        "resampling.factor: must be float, is str 'x'",
        "resampling.least: must be int, is float 1.5",
        "part.name: missing",
        "part.size: must be int, is bool True",
        "parts[0].name: must be str, is int 1",
        "parts[2]: must be a mapping, is int 7",
        "parts[3].siz: unknown field; known are name, size",
        "sizes: must be a list of 2, has 1",
        "table.b: must be int, is float 2.5",
        "on: must be bool, is str 'yes'",
    ]


def test_a_document_that_is_no_mapping():
    for document in ([], "a", None, 3):
        with pytest.raises(SchemaError, match="document: must be a mapping"):
            parse(Whole, document)


def test_where_a_document_lies_is_said():
    with pytest.raises(SchemaError) as caught:
        parse(Part, {"size": 1}, "recipe.part")
    assert str(caught.value) == "recipe.part.name: missing"


# And back
# ----------------------------------------------------------------------------------------------------


def test_round_trip():
    whole = Whole(
        resampling=Area(factor=2.0),
        axes=("z", "x"),
        part=Part(name="a"),
        parts=(Part(name="b", size=3),),
        table={"a": 1},
        on=True,
    )
    document = dump(whole)
    assert document == {
        "resampling": {"kind": "area", "factor": 2.0, "least": 1},
        "axes": ["z", "x"],
        "rate": 0.5,
        "part": {"name": "a", "size": 1},
        "parts": [{"name": "b", "size": 3}],
        "sizes": [1, 1],
        "table": {"a": 1},
        "on": True,
    }
    assert parse(Whole, document) == whole


def test_null_in_a_mapping_is_kept_on_the_way_back():
    assert dump(Whole(table={"a": None}))["table"] == {"a": None}


def test_a_document_of_faults_is_not_read_to_its_end():
    """Each of its hundred thousand items is faulty; a few are named, and the message stays short."""
    with pytest.raises(SchemaError) as refused:
        parse(Whole, {"parts": [{"unknown" * 1000: 1}] * 100_000})
    message = str(refused.value)
    assert message.startswith("parts[0].unknown")
    assert len(message) < 20_000
