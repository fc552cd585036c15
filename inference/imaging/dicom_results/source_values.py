"""What results repeat of a series, rewritten or left empty where no program takes it as it is.

Scanners, archives and what anonymizes write such values (`StudyDate` 00000000, `PatientSex` m), for which
highdicom refuses to make an object.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType

from highdicom import SpecificCharacterSetValues
from pydicom import Dataset
from pydicom.config import RAISE
from pydicom.datadict import dictionary_VM
from pydicom.dataelem import DataElement
from pydicom.multival import MultiValue
from pydicom.valuerep import DA, TM, PersonName, validate_value

from inference.imaging.dicom_results.repeated_elements import OFTEN_LACKING, OPTIONAL

UTF8 = "ISO_IR 192"
REPEATED = (*OFTEN_LACKING, *OPTIONAL)
IDENTIFIERS = (
    *("PatientID", "AccessionNumber", "StudyID", "StudyInstanceUID", "SeriesInstanceUID"),
    *("FrameOfReferenceUID", "SOPInstanceUID"),
)
"""What archives find an object by, so that it is repeated whatever it is."""
LETTERED = {"LO", "LT", "PN", "SH", "ST", "UC", "UT"}
"""Types of elements whose letters are those of a character set."""
TEXT_TYPES = {*LETTERED, "AS", "CS", "DA", "DS", "IS", "TM", "UI"}
"""Types of elements that hold text, of which pydicom knows what it may be."""
OFFSET = re.compile(r"-(0\d|1[0-2])[0-5]\d|\+(0\d|1[0-4])[0-5]\d")
"""How far a zone's time is from UTC: hours and minutes (PS3.3 C.12.1)."""
SEXES = {"M": "M", "MALE": "M", "F": "F", "FEMALE": "F", "O": "O", "OTHER": "O"}


@dataclass(frozen=True, kw_only=True)
class Mended:
    """Names of elements that results do not repeat as they are, or should not say so, each once."""

    rewritten: dict[str, None] = field(default_factory=dict)
    emptied: dict[str, None] = field(default_factory=dict)
    dropped: dict[str, None] = field(default_factory=dict)
    odd: dict[str, None] = field(default_factory=dict)
    """Repeated all the same."""

    @property
    def told(self) -> list[str]:
        """For the user; without the values, which may name the patient."""
        told = []
        if self.rewritten:
            told.append(f"its slices' {', '.join(self.rewritten)}: rewritten as programs take it")
        if self.emptied:
            told.append(f"its slices' {', '.join(self.emptied)}: left empty, as no program takes it")
        if self.dropped:
            told.append(f"its slices' {', '.join(self.dropped)}: left out, as no program takes it")
        if self.odd:
            told.append(
                f"its slices' {', '.join(self.odd)}: not as the standard has it, and repeated as it is; an "
                "archive may refuse the objects"
            )
        return told


def mend_values(header: Dataset, mended: Mended, in_utf8: bool = False) -> None:
    """Put right what a header says of patient and study, or empty it; what was done is added to `mended`.

    Args:
        header: of a slice.
        mended: is added to.
        in_utf8: write its texts in UTF-8, whatever letters they have.
    """
    _mend_letters(header, mended, in_utf8)
    for name, mend in MENDS.items():
        value = header.get(name)
        if value is None or value == "":
            continue
        if isinstance(value, MultiValue):
            # One name or the other is the patient's; of two dates or sexes neither is known to be right.
            right = mend(value[0]) if mend is _as_name else ""
        else:
            right = mend(value)
        if right != value:
            setattr(header, name, right)
            (mended.rewritten if right else mended.emptied)[name] = None
    for name in OPTIONAL:
        # Of a text that is too long there is more to be had than of none.
        if name in header and header[name].VR not in LETTERED and not _is_sound(header[name]):
            del header[name]
            mended.dropped[name] = None
    for name in IDENTIFIERS:
        if name in header and not _is_sound(header[name]):
            mended.odd[name] = None


def _is_sound(element: DataElement) -> bool:
    """Whether an element holds as many values as it may, each of them as its type has them."""
    if element.VR not in TEXT_TYPES:
        return True
    values = list(element.value) if isinstance(element.value, MultiValue) else [element.value]
    if len(values) > 1 and dictionary_VM(element.tag) == "1":
        return False
    return all(_is(partial(validate_value, element.VR, validation_mode=RAISE), str(each)) for each in values)


def _mend_letters(header: Dataset, mended: Mended, in_utf8: bool) -> None:
    """Write texts in UTF-8 where highdicom does not know their character set, or not together with others."""
    stated = header.get("SpecificCharacterSet")
    if "SpecificCharacterSet" in header and not stated:
        del header.SpecificCharacterSet  # Empty it says no more, and highdicom takes it for one it lacks.
    sets = list(stated) if isinstance(stated, MultiValue) else [stated] if stated else []
    known = {each.value for each in SpecificCharacterSetValues}
    is_known = not sets or (len(sets) == 1 and sets[0] in known)
    if is_known and (not in_utf8 or sets == [UTF8]):
        return
    texts = [element for name in REPEATED if name in header for element in _texts(header[name])]
    # pydicom has read them, as far as it knows the character set.
    held = [
        [str(each) for each in element.value] if isinstance(element.value, MultiValue) else str(element.value)
        for element in texts
    ]
    header.SpecificCharacterSet = UTF8
    for element, text in zip(texts, held, strict=True):
        element.value = text
    if not is_known:
        mended.rewritten["SpecificCharacterSet"] = None


def _texts(element: DataElement) -> list[DataElement]:
    """An element, or those within it, whose letters are those of a character set."""
    if element.VR == "SQ":
        return [text for item in element.value for each in item for text in _texts(each)]
    return [element] if element.VR in LETTERED and element.value else []


def _as_date(value: object) -> str:
    return str(value) if _is(DA, str(value)) else ""


def _as_time(value: object) -> str:
    text = str(value).replace(":", "")  # As before DICOM 3.0.
    return text if _is(TM, text) else ""


def _as_offset(value: object) -> str:
    return str(value) if OFFSET.fullmatch(str(value)) else ""


def _is(kind: Callable[[str], object], text: str) -> bool:
    try:
        kind(text)
    except (ValueError, OverflowError):
        return False
    return True


def _as_sex(value: object) -> str:
    return SEXES.get(str(value).strip().upper(), "")


def _as_name(value: object) -> object:
    return value if isinstance(value, PersonName) else str(value)


MENDS: Mapping[str, Callable[[object], object]] = MappingProxyType(
    {
        "PatientName": _as_name,
        "ReferringPhysicianName": _as_name,
        "PatientBirthDate": _as_date,
        "PatientSex": _as_sex,
        "StudyDate": _as_date,
        "StudyTime": _as_time,
        "TimezoneOffsetFromUTC": _as_offset,
    }
)
"""Element to what it should say, by what it says; empty where that cannot be known."""
