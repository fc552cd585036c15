"""Organs that count as found, and those that do not, in words."""

from model.organ_counts import RUN_ON, organs_in_words

NAMES = tuple("abcdefgh")


def test_all_there():
    assert organs_in_words(NAMES, set(NAMES)) == "8 of 8 organs"


def test_a_part_is_no_crumb_and_neither_counts():
    assert organs_in_words(NAMES, set(NAMES), crumbs={"a", "b"}, parts={"b"}) == (
        "6 of 8 organs (mere crumbs of a; traces of b at the scan's edge)"
    )


def test_many_that_are_missing_are_counted_and_many_crumbs_named_in_part():
    assert organs_in_words(NAMES, {"a"}) == "1 of 8 organs"
    assert organs_in_words(NAMES, set(NAMES), crumbs=set("abcde")) == (
        "3 of 8 organs (mere crumbs of a, b, c and 2 more)"
    )


def test_crumbs_of_what_is_not_there_are_not_told():
    assert organs_in_words(("a", "b"), {"a"}, crumbs={"b"}) == "1 of 2 organs (no b)"


def test_what_the_scan_cuts_off_is_named_but_for_what_nearly_every_scan_cuts_off():
    everything = (*NAMES, *RUN_ON)
    assert organs_in_words(everything, set(everything), parts={"b"}, cut={"a", "b", *RUN_ON}) == (
        "10 of 11 organs (traces of b at the scan's edge; cut off: a)"
    )
    assert organs_in_words(NAMES, set(NAMES), cut=set("abcdef")) == (
        "8 of 8 organs (cut off: a, b, c and 3 more)"
    )
