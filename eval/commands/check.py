"""Try a submission as organisers will, before it is sent in.

Loads the archive that `docker save` has written, looks at its name, its architecture and its entry point, and
runs a new container, without a network and with a read-only file system, on one made CT of each kind: a thin
slab, a whole body, and a header whose axes are not at right angles; and on CTs of your own (--images). Label
maps must lie on the image's grid and hold no label outside the challenge's set.

Prints a list:
  ✓  it is as it should be
  !  it works, but takes more than what costs nothing in the ranking
  ✗  organisers would stumble over it

exit codes: 0 no ✗; 1 some; 2 wrong input, or docker does not work
"""

import argparse
import sys
from pathlib import Path

from eval.eval_errors import JudgingError
from eval.measuring.container_process import ContainerOptions
from eval.measuring.run_rules import RUN_RULES
from eval.measuring.submission_check import (
    Verdict,
    check_architecture,
    check_archive,
    check_cases,
    check_entry,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument(
        "archive", type=Path, metavar="SUBMISSION.tar.gz", help="what docker save has written"
    )
    parser.add_argument(
        "--challenge",
        choices=list(RUN_RULES),
        metavar="NAME",
        default="flare23",
        help=f"labels, memory limit and tolerances of {', '.join(RUN_RULES)} (default: %(default)s)",
    )
    parser.add_argument("--gpu", metavar="N", help="GPU that containers get: index or UUID (default: none)")
    parser.add_argument(
        "--limit", type=float, metavar="S", help="seconds after which a case is stopped (default: 3600)"
    )
    parser.add_argument(
        "--images",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="CTs of your own to run too, CASE_0000.nii.gz",
    )


def run(arguments: argparse.Namespace) -> int:
    """Check, print the list."""
    rules = RUN_RULES[arguments.challenge]
    limit_s = rules.limit_s if arguments.limit is None else arguments.limit
    if limit_s <= 0:
        raise JudgingError(f"--limit is {limit_s:g}, must be more than 0 s")
    for image in arguments.images:
        if not image.is_file():
            raise JudgingError(f"{image}: no such file")
    findings, image = check_archive(arguments.archive)
    for finding in findings:
        sys.stdout.write(f"{finding}\n")
    if image is None:
        return 1
    findings += (ready := [*check_architecture(image), *check_entry(image)])
    for finding in ready:
        sys.stdout.write(f"{finding}\n")
    options = ContainerOptions(
        image=image, memory=rules.memory, gpu=arguments.gpu, limit_s=limit_s, labels=rules.labels
    )
    for finding in check_cases(options, rules, arguments.images):
        findings.append(finding)
        sys.stdout.write(f"{finding}\n")
        sys.stdout.flush()
    bad = sum(finding.verdict is Verdict.BAD for finding in findings)
    sys.stdout.write("nothing to mend\n" if not bad else f"{bad} to mend\n")
    return 1 if bad else 0
