"""What organisers will do with a submission, tried before it is sent in: each step a tick or a fault."""

import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from eval.eval_errors import JudgingError
from eval.measuring.container_log import WINDOWS_LINES
from eval.measuring.container_process import ContainerOptions
from eval.measuring.container_run import ContainerCase, check_removed, output_name, run_case
from eval.measuring.docker_client import docker, run_and_remove
from eval.measuring.efficiency import CaseEfficiency, Status
from eval.measuring.run_rules import RunRules
from eval.measuring.submission_archive import image_ids, is_whole, load, plain_name
from eval.measuring.trace import GPU, KERNEL_PEAK_MB, OWN_RAM
from eval.measuring.trial_scans import TRIALS, write_trial
from model.case_names import printable
from model.units import MIB

PROCESSOR = "amd64"
"""Architecture of the organisers' machines, in docker's words; images built on an Apple or ARM machine have
another one, unless told otherwise."""
CR_FOUND = 13
FIND_CR = f"""case "$(cat predict.sh)" in *"$(printf '\\r')"*) exit {CR_FOUND} ;; esac"""
"""For the shell of an image: ends with `CR_FOUND` where predict.sh was written with Windows line endings."""


class Verdict(StrEnum):
    """How a step went; the value is its mark in the list."""

    GOOD = "✓"
    COSTLY = "!"
    """It works, but costs places in the ranking."""
    BAD = "✗"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the list."""

    verdict: Verdict
    text: str

    def __str__(self) -> str:
        return f"{self.verdict} {printable(self.text)}"


def _good(text: str) -> Finding:
    return Finding(verdict=Verdict.GOOD, text=text)


def _bad(text: str) -> Finding:
    return Finding(verdict=Verdict.BAD, text=text)


def check_archive(archive: Path) -> tuple[list[Finding], str | None]:
    """Load an archive: what was found, and the image's name; None if there is none to go on with.

    Raises:
        JudgingError: there is no such file, or docker does not work.
    """
    if not archive.is_file():
        raise JudgingError(f"{archive}: no such file; give what docker save has written")
    size_mb = archive.stat().st_size / MIB
    found = [_good(f"archive of {size_mb:.0f} MB")]
    if not archive.name.endswith((".tar.gz", ".tar")):
        found.append(_bad(f"{archive.name} must end in .tar.gz"))
    names, why = load(archive)
    if not names:
        return [*found, _bad(_why_not_loaded(archive, why))], None
    expected = archive.name.partition(".")[0].lower()
    if len(names) > 1 and (count := len(image_ids(names))) > 1:
        listed = ", ".join(map(plain_name, names))
        return [*found, _bad(f"the archive holds {count} images, must hold one: {listed}")], None
    # Of several tags of the one image, organisers use that of the archive's name.
    loaded = next((name for name in names if plain_name(name) == f"{expected}:latest"), names[0])
    name = plain_name(loaded)
    team, _, tag = name.rpartition(":")
    if not team or tag != "latest":
        found.append(
            _bad(f"the image is called {name}, must be TEAM:latest; tag it, then save it by that name")
        )
    if team and team != expected:
        found.append(
            _bad(f"the archive is {archive.name}, the image {team}; organisers derive one from the other")
        )
    else:
        others = ", ".join(plain_name(other) for other in names if other != loaded)
        found.append(_good(f"loads as {name}" + (f", also called {others}" if others else "")))
    return found, loaded


def _why_not_loaded(archive: Path, said: str) -> str:
    """Why docker does not load an archive.

    Only now is it read to its end, which takes minutes for a large one; docker's own words seldom say that
    part of it is missing.

    Args:
        archive: what docker was given.
        said: its complaint.
    """
    try:
        whole = is_whole(archive)
    except OSError as error:
        raise JudgingError(f"{archive}: cannot be read ({error.strerror})") from error
    return f"docker load fails: {said}" if whole else f"{archive.name} is cut short or damaged; send it again"


def check_architecture(image: str) -> list[Finding]:
    """A fault if the image is for other processors than the organisers'; nothing if docker does not say."""
    told = docker("image", "inspect", "--format", "{{.Architecture}}", image)
    found = told.stdout.strip()
    if told.returncode != 0 or found in ("", PROCESSOR):
        return []
    remedy = f"docker build --platform linux/{PROCESSOR}"
    return [_bad(f"the image is for {found}, organisers have {PROCESSOR}: {remedy}")]


def check_entry(image: str) -> list[Finding]:
    """Whether predict.sh lies in the working directory, for Linux, and both shells are there to read it."""
    found = []
    for what, words in (
        ("predict.sh in the working directory is read by plain sh", ["/bin/sh", "-c", "sh -n predict.sh"]),
        ("/bin/bash is there, which starts it", ["/bin/bash", "-c", "true"]),
    ):
        run = run_and_remove("--network", "none", "--entrypoint", words[0], image, *words[1:])
        said = (run.stderr.strip().splitlines() or [""])[-1]
        found.append(_good(what) if run.returncode == 0 else _bad(f"not so: {what} ({said[:200]})"))
    # Not all shells stumble over them where they only read: most commands just get another name.
    words = ["--entrypoint", "/bin/sh", image, "-c", FIND_CR]
    if run_and_remove("--network", "none", *words).returncode == CR_FOUND:
        found.append(_bad(WINDOWS_LINES))
    return found


def check_cases(options: ContainerOptions, rules: RunRules, images: Sequence[Path] = ()) -> Iterator[Finding]:
    """Run a new container on each kind of CT, and on images of one's own; yields as they are done.

    Raises:
        JudgingError: docker does not work, or does not remove a container.
    """
    with tempfile.TemporaryDirectory(prefix="leanseg-check-") as name:
        folder = Path(name)
        cases = []
        for key, scan in TRIALS.items():
            cases.append((scan.why, folder / f"{key}_0000.nii.gz"))
            write_trial(scan, cases[-1][1])
        for what, image in [*cases, *((image.name, image) for image in images)]:
            case = ContainerCase(image=image, output=folder / output_name(image), log=folder / "log")
            result = run_case(case, options)
            check_removed(result)
            if result.status is Status.OK:
                yield _within(what, result, rules)
                continue
            officially = run_case(case, replace(options, official=True))
            check_removed(officially)
            if officially.status is Status.OK:
                yield _bad(f"{what}: works only with a network or a writable file system: {result.remark}")
            else:
                yield _bad(f"{what}: {result.status}: {result.remark}")


def _within(what: str, result: CaseEfficiency, rules: RunRules) -> Finding:
    """A case that ended well, against what costs nothing in the challenge's ranking."""
    trace = result.trace
    ram_mb = trace.counters.get(KERNEL_PEAK_MB, trace.peak(OWN_RAM))
    ram = "RAM not measured" if math.isnan(ram_mb) else f"RAM {ram_mb:.0f} MB of {rules.memory}"
    text = f"{what}: {trace.duration_s:.1f} s, {ram}"
    over = []
    if rules.lenient_s and trace.duration_s > rules.lenient_s:
        over.append(f"above the {rules.lenient_s:g} s that cost nothing")
    if trace.has(GPU):
        text += f", GPU {trace.peak(GPU):.0f} MB"
        if trace.peak(GPU) > rules.lenient_mb:
            over.append(f"above the {rules.lenient_mb:g} MB of GPU memory that cost nothing")
    text += ", labels on the image's grid"
    if over:
        return Finding(verdict=Verdict.COSTLY, text=f"{text}; {', '.join(over)}")
    return _good(text)
