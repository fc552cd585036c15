"""A bundle that is loaded once, and segments case after case; tried again where memory runs out.

The steps of one case are those of `inference.case_steps`.
"""

from contextlib import suppress
from typing import Literal, Self

from inference.attempt import Attempt, Progress
from inference.case_steps import CaseSteps
from inference.errors import BudgetError, DeviceError, DeviceMemoryError
from inference.imaging.channels import check_channels
from inference.imaging.in_memory import as_read
from inference.imaging.volume import Volume
from inference.planning.plan import Budget, InferencePlan
from inference.planning.planner import Planner
from inference.planning.writing_cost import WritingCost
from inference.runtime.backends import Backend, Device, load_library, select_backend
from inference.runtime.cuda_devices import gpu_index
from inference.runtime.session_pool import Sessions
from inference.segmented import Segmented
from inference.threads import Threads, Turns
from inference.timing import Timings
from model.bundle import ModelBundle
from model.checks import check

ON_THE_CPU = "on the CPU, which is slower, since an earlier case had to leave the GPU ({})"


class Predictor:
    """A bundle whose networks are loaded once for any number of cases, one at a time.

    Several threads may share one: their calls wait for each other, since networks and their buffers are used
    by one case at a time. Images of cases that wait are no part of the memory budget. As a context manager it
    gives the networks' memory back at the end of the block.

    Args:
        bundle: manifest and files.
        device: `auto` (a GPU if it works, else the processor), `cpu`, `openvino`, `onnxruntime`, `cuda`,
            `cuda:1` or `cuda:GPU-UUID`; see `runtime.backends.select_backend`.
        threads: CPU threads; 0 for as many as can run at a time, a quota considered.
        precision: `fp32` forbids what the manifest allows; None does not.
        budget: memory that may be taken; None for what is at hand, as `Budget.at_hand` finds it.
        release: give back the networks' memory as soon as a case needs them no more, before clean-up.
        strict_input: refuse images that are doubtful before a network sees them, see
            `inference.trust.input_doubts`.
        statistics: also take mean and deviation of the first channel within each structure.
        writing: what results beside the label map take, which is left to them; None: there are none.
        first: how the case is run that is read while networks are loaded: all are, if it has all in memory at
            a time, otherwise only the localization network, if the plan uses it. None: all are if they take
            half of the budget at most.

    Raises:
        DeviceError: the device is not there, or a network cannot be loaded on it.
        ValueError: a device or a precision that is not known, or threads below 0.
    """

    def __init__(
        self,
        bundle: ModelBundle,
        *,
        device: Device = "auto",
        threads: int = 0,
        precision: Literal["fp32"] | None = None,
        budget: Budget | None = None,
        release: bool = False,
        strict_input: bool = False,
        statistics: bool = False,
        writing: WritingCost | None = None,
        first: InferencePlan | None = None,
    ) -> None:
        backend = select_backend(device)
        check(precision in (None, "fp32"), f"precision: must be fp32 or None, is {precision!r}")
        whole = isinstance(threads, int) and threads >= 0
        check(whole, f"threads: must be a whole number, 0 or more, is {threads!r}")
        self._bundle = bundle
        self._threads = Threads(threads)
        self._precision = precision
        self._budget = budget or Budget.at_hand()
        self._release = release
        self._strict_input = strict_input
        self._statistics = statistics
        self._writing = writing or WritingCost()
        self._may_leave_gpu = device == "auto"
        self._gpu = gpu_index(device)
        self._left_gpu = ""
        self._turns = Turns()
        self._use(backend)
        # While the first case is read, load what can be; but no CUDA context before the first window is
        # ready.
        load_library(self.backend)
        if self.backend != "cuda":
            with suppress(DeviceMemoryError):  # The case that needs it tries with a smaller plan, and tells.
                self._load_ahead(first)

    def _load_ahead(self, first: InferencePlan | None) -> None:
        """Load what the first case needs, as far as that is known and fits."""
        localization = self._bundle.manifest.localization
        if first is None:
            self._sessions.load_all(self._budget.host_mb // 2)
        elif first.at_once == len(self._bundle.manifest.networks()):
            self._sessions.load_all()
        elif first.localizes and localization is not None:
            self._sessions.get(localization)  # The others' windows depend on what it finds.

    def _use(self, backend: Backend) -> None:
        self.backend: Backend = backend
        self._sessions = Sessions(
            self._bundle,
            backend,
            threads=self._threads.of_libraries,
            precision=self._precision,
            gpu=self._gpu,
        )
        self.planner = Planner(
            bundle=self._bundle,
            backend=backend,
            precision=self._precision,
            budget=self._budget,
            writing=self._writing,
        )

    def predict(
        self,
        volume: Volume,
        plan: InferencePlan | None = None,
        timings: Timings | None = None,
        reserved_mb: float = 0.0,
        *,
        progress: Progress | None = None,
    ) -> Segmented:
        """Segment one case.

        When the device runs out of memory the case is tried once more with the smallest plan; then, if the
        device was the program's choice, on the CPU, where later cases stay. Each that is not run as planned
        says so in its warnings.

        Args:
            volume: as read, or made of arrays in memory: what these hold is taken as that of a file is, in a
                copy where it is neither int16 nor float32, or not finite. The memory budget holds one copy.
            plan: made from its header by `planner`; None makes it here.
            timings: goes on counting where reading left off; None begins anew.
            reserved_mb: MiB of the host's budget that others hold meanwhile, such as an image that is read
                ahead; labels are the same beside it, and nothing is refused.
            progress: called with the windows done and those there are at most: before the first, after each,
                and when all are done. A region that is looked at once more adds to the most; a case that is
                tried once more begins anew; one without organs has no windows. It runs in the thread that
                called `predict`, and must not use this predictor. An exception of its own ends the case and
                comes out of `predict`; the next case can be segmented.

        Raises:
            InputError: the bundle takes another number of channels; a channel has no finite value; the image
                is doubtful, and such are to be refused.
            BudgetError: the memory budget cannot be kept.
            DeviceError: the device that was asked for cannot run the networks, or ran out of memory with the
                smallest plan too.
            TypeError: it is no volume, or holds no numbers.
        """
        with self._turns.turn():
            return self._predict(volume, plan, timings or Timings(), reserved_mb, progress or _nobody)

    def __enter__(self) -> Self:
        """The predictor, which is closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Give back the networks' memory, once no case is at work; they are loaded again if needed."""
        with self._turns.turn():
            self._sessions.close()

    def _predict(
        self,
        volume: Volume,
        plan: InferencePlan | None,
        timings: Timings,
        reserved_mb: float,
        progress: Progress,
    ) -> Segmented:
        volume, odd = as_read(volume)
        check_channels(len(volume.channels), self._bundle)
        notes = [*odd, *([ON_THE_CPU.format(self._left_gpu)] if self._left_gpu else [])]
        small = False
        # A case before may have shown that another device must do, since the plan was made.
        if plan is not None and plan.backend != self.backend:
            plan = None
        while True:
            try:
                planned = plan or self.planner.plan(
                    volume.geometry, voxel_bytes=volume.voxel_bytes, small=small, reserved_mb=reserved_mb
                )
                attempt = Attempt(
                    plan=planned,
                    timings=timings,
                    reserved_mb=reserved_mb,
                    progress=progress,
                    warnings=list(notes),
                )
                return self._steps(small).run(volume, attempt)
            except (BudgetError, DeviceError) as error:
                self._sessions.close()
                plan = None
                if isinstance(error, DeviceMemoryError) and not small:
                    notes.append(f"{error}; trying once more with a smaller plan")
                    small = True
                elif self.backend == "cuda" and self._may_leave_gpu:
                    notes.append(f"{error}; GOING ON WITH THE CPU, which is slower")
                    small, self._left_gpu = False, str(error)
                    self._use(select_backend("cpu"))
                else:
                    for note in notes:
                        error.add_note(note)
                    raise

    def _steps(self, small: bool) -> CaseSteps:
        """The steps of a case, on the device that is in use now."""
        return CaseSteps(
            bundle=self._bundle,
            sessions=self._sessions,
            planner=self.planner,
            small=small,
            threads=self._threads,
            release=self._release,
            strict_input=self._strict_input,
            statistics=self._statistics,
        )


def _nobody(done: int, most: int) -> None:
    """Takes progress where nobody watches."""
