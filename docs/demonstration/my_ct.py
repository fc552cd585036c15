"""What `make demo CT=path` does: label a CT, or a folder of them, and show the result.

    python docs/demonstration/my_ct.py CT

Label maps, volumes, the run's report, a page and, of one CT alone, a picture are left in build/mine. Exit
codes are those of `predict.py`: 0 all segmented and shown, 1 some not, 2 nothing could be run, 130 ended by
Ctrl-C. An earlier result is kept until there is something to take its place: a label map that is finished,
though the run was ended before the others.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

MINE = Path("build/mine")
EARLIER = MINE.with_suffix(".earlier")
"""Where the results of the call before wait while new ones are made, under the paths that are printed."""
LABEL_MAP = "as a label map or a picture does"
"""What `predict.py` says of an image that may be one (`inference/trust/input_doubts.py`)."""
SOME_FAILED, WRONG_CALL = 1, 2


def program(*words: str, quiet: bool = True) -> int:
    """Run a program of this repository; its exit code, 128 and its number where a signal killed it.

    Ctrl-C is left to the program, which hears of it too and tidies up: it is waited for.
    """
    with subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL if quiet else None) as process:
        while True:
            with suppress(KeyboardInterrupt):
                code = process.wait()
                return code if code >= 0 else 128 - code


def refuse(ct: str, why: str) -> int:
    """Say why a CT is not taken; the exit code."""
    sys.stderr.write(f"error: {ct}: {why}\n")
    return WRONG_CALL


def finished() -> list[Path]:
    """The label maps that are there, each of which is whole."""
    return sorted(MINE.glob("[!.]*.nii.gz"))


def segment(ct: str) -> tuple[int, list[Path]]:
    """Label what is given: the exit code of `predict.py`, and the label maps that were finished.

    Where there are none, however the call ended, the earlier results are put back.
    """
    if EARLIER.exists():  # A call was killed before it had results.
        shutil.rmtree(MINE, ignore_errors=True)
    elif MINE.exists():
        MINE.rename(EARLIER)
    MINE.mkdir(parents=True)
    try:
        files = (f"--statistics={MINE / 'volumes.csv'}", f"--report={MINE / 'run.json'}")
        code = program("predict.py", f"--input={ct}", f"--output={MINE}", *files, quiet=False)
    finally:
        made = finished()
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
    labels = finished()
    picture = "none, which is for one CT alone: give its file"
    cases = json.loads((MINE / "run.json").read_text(encoding="utf-8"))["cases"]
    scans = [case for case in cases if case["status"] == "segmented" and not is_label_map(case)]
    scans = scans or [case for case in cases if case["status"] == "segmented"]
    if len(scans) == 1:
        picture = str(MINE / "picture.png")
        drawn = MINE / scans[0]["output"]
        words = (f"--labels={drawn}", f"--image={scans[0]['input']}", f"--run={MINE / 'run.json'}")
        code = max(code, program("-m", "eval", "picture", *words, f"--output={picture}"))
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
    if made and code in (0, SOME_FAILED):
        return max(code, show(ct))
    if made:
        sys.stderr.write(f"kept, as far as it came: labels: {' '.join(map(str, made))}\n")
    return code


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
