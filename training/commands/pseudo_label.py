"""Let a bundle label what nobody has labelled, as data to train on.

See `pseudo-label missing --help`, `pseudo-label unlabelled --help` and `pseudo-label rounds --help`.

exit codes: 0 done; 1 data or bundle are not usable, or a case could not be labelled; 2 wrong call
"""

from training.commands import pseudo_label_missing, pseudo_label_rounds, pseudo_label_unlabelled

PARTS = {
    "missing": pseudo_label_missing,
    "unlabelled": pseudo_label_unlabelled,
    "rounds": pseudo_label_rounds,
}
