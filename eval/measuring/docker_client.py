"""What docker is asked beside running a case: its images, what it hides, containers that were left behind."""

import re
import subprocess
import uuid

from eval.eval_errors import JudgingError
from eval.measuring.container_log import complaint

PREFIX = "leanseg-eval"
"""What names of containers begin with, by which those that were left behind are known."""
PATIENCE_S = 60.0
"""Longest wait for an answer of docker itself."""
TRIAL_CODE = 7
"""Exit code by which it is tried whether the engine returns exit codes."""
NOT_STARTED = ("created", "initialized")
"""States of a container of which no process has run."""
NO_GPU = re.compile(
    "could not select device driver|unresolvable CDI device|unknown device|no such device"
    "|nvidia-container-cli: (initialization|device) error",
    re.IGNORECASE,
)
"""What engines say where they cannot give containers the GPU that was asked for, whatever the image."""


def docker(*arguments: str, patience_s: float | None = None) -> subprocess.CompletedProcess[str]:
    """Run a docker command that should return at once, or within `patience_s`.

    Raises:
        JudgingError: there is no docker command, or it does not return in time.
    """
    longest_s = PATIENCE_S if patience_s is None else patience_s
    try:
        return subprocess.run(
            ["docker", *arguments],
            capture_output=True,
            encoding="utf-8",
            errors="replace",  # A container may say anything.
            check=False,
            timeout=longest_s,
        )
    except FileNotFoundError as error:
        raise JudgingError("there is no docker command; install Docker or Podman's docker") from error
    except subprocess.TimeoutExpired as error:
        raise JudgingError(
            f"docker {arguments[0]} has not answered for {longest_s:.0f} s; is the Docker daemon running?"
        ) from error


def new_name(prefix: str = PREFIX) -> str:
    """A name for a container that no other one has."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def run_and_remove(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`docker container run` of what ends at once; the container is removed, also if it never started.

    Without `--rm` among the arguments, the exit code is the container's with every engine.

    Raises:
        JudgingError: there is no docker command, or it does not return in time.
    """
    name = new_name()
    try:
        return docker("container", "run", "--name", name, *arguments)
    finally:
        docker("rm", "--force", name)


def check_image(image: str) -> str:
    """The digest of an image that docker has; others are refused, before any work is done.

    Raises:
        JudgingError: docker does not work or has no such image.
    """
    found = docker("image", "inspect", "--format", "{{.Id}}", image)
    if found.returncode == 0:
        return found.stdout.strip()
    working = docker("info")
    if working.returncode != 0:
        raise JudgingError(f"docker does not work: {complaint(working.stderr)}")
    raise JudgingError(f"{image}: docker has no such image; load it with docker load -i, or build it")


def check_gpu(image: str, gpu: str) -> None:
    """Find out, where a container did not start, that docker cannot give one this GPU: no image is to blame.

    Docker itself must say so, of a container of which no process has run: what a submission says is no proof.

    Raises:
        JudgingError: docker cannot, or does not work.
    """
    name = new_name()
    words = ["--network", "none", f"--gpus=device={gpu}", "--entrypoint", "/bin/sh", image, "-c", ":"]
    try:
        tried = docker("container", "run", "--name", name, *words)
        state = docker("container", "inspect", "--format", "{{.State.Status}}", name).stdout.strip()
    finally:
        docker("rm", "--force", name)
    if state in ("", *NOT_STARTED) and NO_GPU.search(tried.stderr):
        raise JudgingError(
            f"--gpu {gpu}: docker cannot give it to containers: {complaint(tried.stderr)}; choose one that "
            "nvidia-smi -L lists, and see to it that docker has NVIDIA's container toolkit"
        )


def hides_exit_codes(image: str) -> bool:
    """Whether docker returns 0 for a container that ends with another code and removes itself (`--rm`).

    Podman behind the docker command does so. Then only the engine's events tell how a container ended.
    """
    return run_and_remove("--rm", image, "/bin/sh", "-c", f"exit {TRIAL_CODE}").returncode == 0


def remove_containers(prefix: str) -> list[str]:
    """Remove the containers whose names begin so; returns the names.

    Raises:
        JudgingError: docker does not remove one.
    """
    listed = docker("container", "ls", "--all", "--filter", f"name={prefix}-", "--format", "{{.Names}}")
    names = [name for name in listed.stdout.split() if name.startswith(f"{prefix}-")]
    for name in names:
        removed = docker("rm", "--force", name)
        if removed.returncode != 0:
            raise JudgingError(
                f"{name}: an earlier run has left this container behind, and docker does not remove it "
                f"({complaint(removed.stderr)}); restart docker, docker rm --force {name}, then run again"
            )
    return names
