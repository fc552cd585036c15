"""What every step of a plan has to do with: what it takes and gives, where that lies, what it runs on."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Protocol

What = Literal["data", "images", "anatomy", "run", "runs", "bundle"]
"""What a step takes or gives: a data set, images without labels, label maps without images, a training run,
several, a bundle."""
REFERENCE = re.compile(r"\$\{(.*)\}")


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What steps run on; it changes how long they take and not what they make, up to rounding."""

    device: str = "auto"
    threads: int | None = None
    """CPU threads of networks; None: as each command has it."""
    workers: int | None = None
    """Threads that prepare patches; None: as each command has it."""
    cache: Path | None = None
    """Folder in which training keeps resampled cases; None: nowhere."""
    cache_mb: float | None = None
    """Memory in which it does, MiB; None: as each command has it."""
    case_makers: int | None = None
    """Processes that make synthetic cases, in steps of their own or beside a training; None: as each command
    has it."""
    gpus: tuple[int, ...] = ()
    """GPUs to use; none: the choice is left to each command."""
    gpus_per_run: int = 1
    """GPUs that train one network together."""

    @property
    def engine_words(self) -> list[str]:
        """Options of commands that run the engine."""
        return ["--device", self.device, *option_words("--threads", self.threads)]

    @property
    def labelling_words(self) -> list[str]:
        """Options of commands that let the engine label many cases."""
        return [*self.engine_words, *(["--gpus", self.gpu_list] if self.gpus else [])]

    @property
    def gpu_list(self) -> str:
        """The GPUs as commands take them."""
        return ",".join(map(str, self.gpus))

    @property
    def training_words(self) -> list[str]:
        """Options of commands that train."""
        return [
            *self.engine_words,
            *option_words("--workers", self.workers),
            *option_words("--cache", self.cache),
            *option_words("--cache-mb", self.cache_mb),
            *option_words("--case-makers", self.case_makers),
        ]


class Places(Protocol):
    """Where the things are that a step names."""

    @property
    def machine(self) -> Machine:
        """What the step runs on."""
        ...

    def of(self, text: str, what: What) -> list[Path]:
        """The paths of what a field names: one, or several for `runs`, which are checkpoints."""
        ...

    def recipe(self, name: str) -> str:
        """A recipe as `train` finds it: a name, or the path of a file."""
        ...


@dataclass(frozen=True, kw_only=True)
class AnyStep:
    """What all steps have."""

    after: tuple[str, ...] = ()
    """Steps that must be done before, though nothing is taken from them."""

    TRAINS_ONE: ClassVar[bool] = False
    """Whether the step trains one network, so that its processes are one for each GPU of a run."""

    @property
    def validates(self) -> bool:
        """Whether its runs will have a best checkpoint."""
        return True

    def runs_in(self, folder: Path) -> list[Path]:
        """The folders of its runs in that of its results."""
        return [folder]


def option_words(option: str, value: object) -> list[str]:
    """An option with its value; nothing where the value is None."""
    return [] if value is None else [option, str(value)]


def data_words(data: Sequence[str], places: Places) -> list[str]:
    """`--data` for each data set."""
    return [word for text in data for word in ("--data", str(places.of(text, "data")[0]))]


def override_words(overrides: Sequence[str]) -> list[str]:
    """`--set` for each override."""
    return [word for override in overrides for word in ("--set", override)]


def reference_of(text: str) -> str | None:
    """The name in `${name}`; None for a path."""
    found = REFERENCE.fullmatch(text)
    return None if found is None else found.group(1)
