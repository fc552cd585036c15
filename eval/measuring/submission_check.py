"""What organisers will do with a submission, tried before it is sent in: each step a tick or a fault."""

import math
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from eval.eval_errors import JudgingError
from eval.measuring.container_process import ContainerOptions
from eval.measuring.container_run import ContainerCase, check_removed, output_name, run_case
from eval.measuring.docker_client import docker, run_and_remove
from eval.measuring.efficiency import CaseEfficiency, Status
from eval.measuring.run_rules import RunRules
from eval.measuring.trace import GPU, KERNEL_PEAK_MB, OWN_RAM
from eval.measuring.trial_scans import TRIALS, write_trial
from model.case_names import printable

LOAD_S = 1800.0
"""Longest wait for docker to load an archive."""
LOADED = re.compile(r"^Loaded image(?: ID)?:\s*(\S+)", re.MULTILINE)
MIB = 1024 * 1024
PROCESSOR = "amd64"
"""Architecture of the organisers' machines, in docker's words; images built on an Apple or ARM machine have
another one, unless told otherwise."""


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
    loaded = docker("load", "-i", str(archive), patience_s=LOAD_S)
    names = LOADED.findall(loaded.stdout)
    if loaded.returncode != 0 or not names:
        said = (loaded.stderr or loaded.stdout).strip().splitlines()[-1:] or ["nothing was said"]
        return [*found, _bad(f"docker load fails: {said[0]}")], None
    if len(names) > 1:
        return [*found, _bad(f"the archive holds {len(names)} images, must hold one")], None
    # Podman names a registry where the user named none.
    name = names[0].removeprefix("localhost/").removeprefix("docker.io/library/")
    team, _, tag = name.rpartition(":")
    if not team or tag != "latest":
        found.append(
            _bad(f"the image is called {name}, must be TEAM:latest; tag it, then save it by that name")
        )
    expected = archive.name.partition(".")[0].lower()
    if team and team != expected:
        found.append(
            _bad(f"the archive is {archive.name}, the image {team}; organisers derive one from the other")
        )
    else:
        found.append(_good(f"loads as {name}"))
    return found, names[0]


def check_architecture(image: str) -> list[Finding]:
    """A fault if the image is for other processors than the organisers'; nothing if docker does not say."""
    told = docker("image", "inspect", "--format", "{{.Architecture}}", image)
    found = told.stdout.strip()
    if told.returncode != 0 or found in ("", PROCESSOR):
        return []
    remedy = f"docker build --platform linux/{PROCESSOR}"
    return [_bad(f"the image is for {found}, organisers have {PROCESSOR}: {remedy}")]


def check_entry(image: str) -> list[Finding]:
    """Whether predict.sh lies in the working directory, and both shells that organisers use are there."""
    found = []
    for what, words in (
        ("predict.sh in the working directory is read by plain sh", ["/bin/sh", "-c", "sh -n predict.sh"]),
        ("/bin/bash is there, which starts it", ["/bin/bash", "-c", "true"]),
    ):
        run = run_and_remove("--network", "none", "--entrypoint", words[0], image, *words[1:])
        said = (run.stderr.strip().splitlines() or [""])[-1]
        found.append(_good(what) if run.returncode == 0 else _bad(f"not so: {what} ({said[:200]})"))
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
