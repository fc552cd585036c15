"""What pydicom and highdicom say of headers by themselves, which is kept from the user and from logs.

It repeats values that may name the patient (`The string "DOE JANE" is unlikely …`). What there is to know of
a series' headers, `source_values` and `source_series` say without them.
"""

import logging
import warnings

LIBRARIES = ("pydicom", "highdicom")
FROM_HERE = rf"({'|'.join(LIBRARIES)}|inference\.imaging\.dicom_results)\b"
"""Modules that a warning is said to come from: theirs, or those here that call them."""


def quieten_libraries() -> None:
    """Let the libraries say nothing from now on, whichever threads run.

    The filter stays: one that was taken back at the end of a block might, as other threads go on meanwhile,
    take theirs along. Once more changes nothing, unless somebody has set other filters since.
    """
    warnings.filterwarnings("ignore", module=FROM_HERE)
    for library in LIBRARIES:
        logging.getLogger(library).setLevel(logging.CRITICAL)
