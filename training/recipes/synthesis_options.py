"""Cases that are made while the network trains."""

from dataclasses import dataclass

from model.checks import check_between


@dataclass(frozen=True, kw_only=True)
class Synthesis:
    """Synthetic CTs that are made while the network trains, from the run's seed, beside those of the data.

    At any time patches come from `pool` of them; the oldest is replaced by a new one again and again, so that
    none is seen for long. Processes of their own make them (`--case-makers`), and the folder of label maps to
    paint over is given with the run (`--anatomy`). A resumed run makes the ones of its step again. Every
    process of a run that several share has them all in memory, some 10 MiB each on a grid of 2.5 mm, beside
    what `--cache-mb` allows; whoever makes cases has all label maps in memory.
    """

    share: float = 1.0
    """Share of the patches that are cut from them, above 0 and up to 1; the others come from the data."""
    pool: int = 32
    """How many of them patches come from at a time. A run begins when these are made."""
    patches_per_case: int = 8
    """Patches cut from them after which the oldest is replaced."""
    elsewhere_share: float = 0.1
    """Share of them that show other parts of the body, without any organ, 0 to 1."""
    anatomy_share: float = 0.9
    """Share of the others that are painted over label maps, 0 to 1; what is left is drawn altogether."""

    def __post_init__(self) -> None:
        check_between("share", self.share, 0.001, 1)
        check_between("pool", self.pool, 1, 10_000)
        check_between("patches_per_case", self.patches_per_case, 1, 1_000_000)
        check_between("anatomy_share", self.anatomy_share, 0, 1)
        check_between("elsewhere_share", self.elsewhere_share, 0, 1)
