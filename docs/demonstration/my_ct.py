"""What `make demo CT=path` does: label a CT, or a folder of them, and show the result.

    python docs/demonstration/my_ct.py CT

Label maps, volumes, the run's report, a page and, of one CT alone, a picture are left in build/mine. Exit
codes are those of `predict.py`: 0 all segmented and shown, 1 some not, 2 nothing could be run. An earlier
result is kept until there is something to take its place.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

MINE = Path("build/mine")
EARLIER = MINE.with_suffix(".earlier")
"""Where the results of the call before wait while new ones are made, under the paths that are printed."""
LABEL_MAP = "as a label map or a picture does"
"""What `predict.py` says of an image that may be one (`inference/trust/input_doubts.py`)."""
SOME_FAILED, WRONG_CALL = 1, 2


def program(*words: str, quiet: bool = True) -> int:
    """Run a program of this repository; its exit code."""
    return subprocess.run(
        [sys.executable, *words], stdout=subprocess.DEVNULL if quiet else None, check=False
    ).returncode


def refuse(ct: str, why: str) -> int:
    """Say why a CT is not taken; the exit code."""
    sys.stderr.write(f"error: {ct}: {why}\n")
    return WRONG_CALL


def segment(ct: str) -> tuple[int, bool]:
    """Label what is given: the exit code of `predict.py`, and whether there are results to show.

    Where there are none, or the call is interrupted, the earlier results are put back.
    """
    if EARLIER.exists():  # A call was killed before it had results.
        shutil.rmtree(MINE, ignore_errors=True)
    elif MINE.exists():
        MINE.rename(EARLIER)
    MINE.mkdir(parents=True)
    made = False
    try:
        files = (f"--statistics={MINE / 'volumes.csv'}", f"--report={MINE / 'run.json'}")
        code = program("predict.py", f"--input={ct}", f"--output={MINE}", *files, quiet=False)
        made = code in (0, SOME_FAILED) and any(MINE.glob("*.nii.gz"))
    finally:
        if made:
            shutil.rmtree(EARLIER, ignore_errors=True)
        else:
            shutil.rmtree(MINE)
            if EARLIER.exists():
                EARLIER.rename(MINE)
    return code, made


def is_label_map(case: Mapping[str, Any]) -> bool:
    """Whether a case of the run's report was warned of as one that looks like a label map."""
    return any(LABEL_MAP in warning for warning in case["warnings"])


def show(ct: str) -> int:
    """Make the page of what was labelled, and the picture where that is one CT; the highest exit code.

    A label map that lay beside the CT was labelled too, as an image that the run's report has a warning for.
    """
    page = (f"--pred={MINE}", f"--run={MINE / 'run.json'}", f"--images={ct}", f"--title={Path(ct).name}")
    code = program("-m", "eval", "report", *page, f"--output={MINE / 'report'}")
    labels = sorted(MINE.glob("*.nii.gz"))
    picture = "none, which is for one CT alone: give its file"
    cases = json.loads((MINE / "run.json").read_text(encoding="utf-8"))["cases"]
    scans = [case for case in cases if case["status"] == "segmented" and not is_label_map(case)]
    scans = scans or [case for case in cases if case["status"] == "segmented"]
    if len(scans) == 1:
        picture = str(MINE / "picture.png")
        drawn = MINE / scans[0]["output"]
        words = (f"--labels={drawn}", f"--image={scans[0]['input']}", f"--output={picture}")
        code = max(code, program("-m", "eval", "picture", *words))
    sys.stdout.write(
        f"open in a browser: {MINE / 'report' / 'index.html'}\n"
        f"picture: {picture}   labels: {' '.join(map(str, labels))}   volumes: {MINE / 'volumes.csv'}\n"
    )
    return code


def main(argv: Sequence[str]) -> int:
    """Do what was asked; the exit code."""
    (ct,) = argv
    path = Path(ct)
    if not path.exists():
        return refuse(ct, "no such file or folder")
    if any(path.resolve().is_relative_to(folder.resolve()) for folder in (MINE, EARLIER)):
        return refuse(ct, f"lies in {MINE}, which every such call makes anew; move it to another folder")
    code, made = segment(ct)
    return max(code, show(ct)) if made else code


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
