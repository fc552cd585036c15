"""The benchmark of training loops: who runs, how they are called, and in which order.

Everything is kept in the output folder, and what exists and is still valid is not done again:

| folder or file | content |
|---|---|
| `data/` | phantoms |
| `work/` | recipes, and what each loop makes of the phantoms |
| `runs/` | a record and samples of memory of each run |
| `training.md` | the tables |
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

from eval.benchmark.cold_runs import Json, Task, do
from eval.benchmark.contestants import ROOT
from eval.benchmark.scans import TRAINING_PACKAGES
from eval.benchmark.training_loops.leanseg_recipes import Recipe, like_auto3dseg, like_nnunet
from eval.benchmark.training_loops.loop_clock import LoopCall, call_words
from eval.benchmark.training_loops.loop_results import LoopEntry, loop_entry
from eval.benchmark.training_loops.loop_setting import SPACING_MM, LoopSetting, write_setting
from eval.eval_errors import JudgingError

NNUNET, AUTO3DSEG, OURS = "nnunet", "auto3dseg", "leanseg"
RECIPES: Mapping[str, Callable[[LoopSetting], Recipe]] = MappingProxyType(
    {NNUNET: like_nnunet, AUTO3DSEG: like_auto3dseg}
)
"""Peer to LeanSeg's recipe of the same work."""
OWN_PRECISION: Mapping[str, str] = MappingProxyType({"cpu": "fp32", "cuda": "fp16"})
"""What both peers compute in when nobody says anything, by device."""
CASES, SEED = 4, 1
Say = Callable[[str], None]


@dataclass(frozen=True)
class Loop:
    """One loop in one precision."""

    system: str
    """`leanseg`, or the peer."""
    precision: str
    """auto is what LeanSeg chooses."""


def loops_of(peer: str, device: str) -> list[Loop]:
    """LeanSeg and a peer, each in its own precision and in fp32; the peer also in that of LeanSeg."""
    of_peer = dict.fromkeys((OWN_PRECISION[device], "fp32", *(["bf16"] if device == "cpu" else [])))
    return [Loop(OURS, "auto"), Loop(OURS, "fp32"), *(Loop(peer, precision) for precision in of_peer)]


@dataclass(frozen=True, kw_only=True)
class Contest:
    """The measurements to make, and the folder in which they are kept."""

    output: Path
    setting: LoopSetting
    pythons: Mapping[str, str]
    """Peer to the interpreter that has it, for the peers that run."""
    rounds: int
    timeout_s: float
    say: Say

    def prepare(self) -> None:
        """Make phantoms and what LeanSeg trains on.

        Raises:
            JudgingError: a program failed.
        """
        work = self.output / "work"
        work.mkdir(parents=True, exist_ok=True)
        if not (self._data / "dataset.json").is_file():
            self._make_phantoms()
        write_setting(work / "setting.json", self.setting)
        for peer in self.pythons:
            recipe = work / f"{OURS}-{peer}.yaml"
            recipe.write_text(json.dumps(RECIPES[peer](self.setting), indent=1) + "\n", encoding="utf-8")
            words = ["training", "prepare", str(self._data), "--recipe", str(recipe), "--output"]
            _run_ours([*words, str(self._store(peer))])

    def run_all(self) -> bool:
        """Make the runs that are missing, all loops in turn, round after round; whether all ended well."""
        well = True
        for number in range(self.rounds):
            for peer in self.pythons:
                for loop in loops_of(peer, self.setting.device):
                    well &= self._run(peer, loop, number)
        return well

    def entries(self) -> list[LoopEntry]:
        """What was measured of the loops whose runs ended well, in the order in which they run."""
        found = []
        for peer in self.pythons:
            for loop in loops_of(peer, self.setting.device):
                records = [self._task(peer, loop, number).record() for number in range(self.rounds)]
                well = [record for record in records if record and _ended_well(record)]
                if well:
                    found.append(loop_entry(peer, loop.system, well, self.setting.steps))
        return found

    @property
    def _data(self) -> Path:
        return self.output / "data"

    def _store(self, peer: str) -> Path:
        return self.output / "work" / f"{OURS}-{peer}-store"

    def _make_phantoms(self) -> None:
        made = self.output / "phantoms"
        words = ["training", "phantom", "--cases", str(CASES), "--seed", str(SEED), "-o", str(made)]
        words += ["--coverage", "abdomen", "--spacing-zyx-mm", *[str(SPACING_MM)] * 3]
        _run_ours(words)
        made.rename(self._data)

    def _run(self, peer: str, loop: Loop, number: int) -> bool:
        task = self._task(peer, loop, number)
        if task.record() is None and loop.system == OURS:
            shutil.rmtree(task.report.parent, ignore_errors=True)
        record = do(task, self.timeout_s)
        well = _ended_well(record)
        outcome = f"{record['wall_s']:.0f} s" if well else record["stopped"] or f"see {task.name}.log"
        self.say(f"round {number + 1}, {task.name}: {outcome}")
        return well

    def _task(self, peer: str, loop: Loop, number: int) -> Task:
        name = f"{peer}-{loop.system}-{loop.precision}-{number}"
        work = self.output / "work"
        if loop.system == OURS:
            run = work / name
            report, command = run / "times.json", self._our_command(peer, loop, run)
        else:
            report = work / f"{name}.json"
            call = LoopCall(
                setting=self.setting,
                precision=loop.precision,
                data=self._data,
                work=work / peer,
                report=report,
            )
            module = f"eval.benchmark.training_loops.{peer}_loop"
            command = [self.pythons[peer], "-m", module, *call_words(call, work / "setting.json")]
        return Task(
            folder=self.output / "runs",
            name=name,
            about={"setting": asdict(self.setting), "run": name},
            command=command,
            report=report,
            cwd=ROOT,
        )

    def _our_command(self, peer: str, loop: Loop, run: Path) -> list[str]:
        setting = self.setting
        recipe = self.output / "work" / f"{OURS}-{peer}.yaml"
        words = ["-m", "training", "train", str(recipe), "--data", str(self._store(peer))]
        words += ["--output", str(run), "--steps", str(setting.all_steps), "--validation", "0", "--times"]
        words += ["--precision", loop.precision, "--device", setting.device]
        words += ["--threads", str(setting.threads), "--workers", str(setting.workers)]
        return [sys.executable, *words]


def check_nnunet(python: Path) -> None:
    """Refuse an interpreter that does not have nnU-Net v2.

    Raises:
        JudgingError: it cannot be started, or has no nnU-Net.
    """
    remedy = "python3 -m venv DIR && DIR/bin/pip install nnunetv2, then --nnunet-python DIR/bin/python"
    try:
        found = subprocess.run([python, "-c", "import nnunetv2"], capture_output=True, check=False)
    except OSError as error:
        raise JudgingError(f"{python}: cannot be started ({error.strerror}); {remedy}") from error
    if found.returncode:
        raise JudgingError(f"{python}: has no nnU-Net v2; {remedy}")


def _ended_well(record: Json) -> bool:
    return record["exit_code"] == 0 and bool(record["report"])


def _run_ours(words: Sequence[str]) -> None:
    done = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise JudgingError(f"python -m {words[0]} {words[1]} failed ({last}); {TRAINING_PACKAGES}")
