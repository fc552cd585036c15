"""What results repeat of a series, rewritten or left empty where no program takes it as it is.

Scanners, archives and what anonymizes write such values (`StudyDate` 00000000, `PatientSex` m), for which
highdicom refuses to make an object.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from highdicom import SpecificCharacterSetValues
from pydicom import Dataset
from pydicom.multival import MultiValue
from pydicom.valuerep import DA, TM, PersonName

UTF8 = "ISO_IR 192"
TEXTS = (
    *("PatientName", "PatientID", "AccessionNumber", "StudyID", "ReferringPhysicianName"),
    *("StudyDescription", "IssuerOfPatientID"),
)
"""Elements that a result repeats whose letters are those of a character set."""
SEXES = {"M": "M", "MALE": "M", "F": "F", "FEMALE": "F", "O": "O", "OTHER": "O"}


@dataclass(frozen=True, kw_only=True)
class Mended:
    """Names of elements that results do not repeat as they are, each once."""

    rewritten: dict[str, None] = field(default_factory=dict)
    emptied: dict[str, None] = field(default_factory=dict)

    @property
    def told(self) -> list[str]:
        """For the user; without the values, which may name the patient."""
        told = []
        if self.rewritten:
            told.append(f"its slices' {', '.join(self.rewritten)}: rewritten as programs take it")
        if self.emptied:
            told.append(f"its slices' {', '.join(self.emptied)}: left empty, as no program takes it")
        return told


def mend_values(header: Dataset, mended: Mended) -> None:
    """Put right what a header says of patient and study, or empty it; what was done is added to `mended`."""
    _mend_letters(header, mended)
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


def _mend_letters(header: Dataset, mended: Mended) -> None:
    """Write texts in UTF-8 where highdicom does not know their character set, or not together with others."""
    stated = header.get("SpecificCharacterSet")
    if not stated:
        return
    sets = list(stated) if isinstance(stated, MultiValue) else [stated]
    known = {each.value for each in SpecificCharacterSetValues}
    if len(sets) == 1 and sets[0] in known:
        return
    # pydicom has read them, as far as it knows the character set.
    held = {name: header[name].value for name in TEXTS if name in header}
    texts = {
        name: [str(each) for each in value] if isinstance(value, MultiValue) else str(value or "")
        for name, value in held.items()
    }
    header.SpecificCharacterSet = UTF8
    for name, text in texts.items():
        setattr(header, name, text)
    mended.rewritten["SpecificCharacterSet"] = None


def _as_date(value: object) -> str:
    return str(value) if _is(DA, str(value)) else ""


def _as_time(value: object) -> str:
    text = str(value).replace(":", "")  # As before DICOM 3.0.
    return text if _is(TM, text) else ""


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
    }
)
"""Element to what it should say, by what it says; empty where that cannot be known."""
