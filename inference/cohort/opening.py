"""From what a user asks for to what runs it: predictor, planner, admission, further results."""

from dataclasses import replace
from functools import partial
from typing import Literal

from inference.call import Call
from inference.cohort.further_results import FurtherResults, further_results, writing_cost
from inference.cohort.one_case import Admit, OpenedCase
from inference.errors import BudgetError
from inference.imaging.channels import expected_modalities
from inference.imaging.dicom_results.maker import Maker
from inference.imaging.formats.dicom import open_series
from inference.planning.plan import Budget, InferencePlan
from inference.planning.planner import Planner
from inference.predictor import Predictor
from inference.runtime.backends import select_backend
from leanseg.version import VERSION
from model.bundle import ModelBundle


def predictor_for(
    call: Call,
    planner: Planner,
    *,
    one_case: bool,
    first: InferencePlan | None = None,
) -> Predictor:
    """The predictor of a call, its networks loaded; one for a single case gives them back early.

    Args:
        call: what was asked.
        planner: plans its cases, with its bundle and within its budget, which is measured once.
        one_case: there is one case alone.
        first: how the case is run that is read meanwhile, if that is known.

    Raises:
        DeviceError: the device is not there, or a network cannot be loaded on it.
    """
    return Predictor(
        planner.bundle,
        device=call.device,
        threads=call.threads,
        precision=_forced(call),
        budget=planner.budget,
        release=one_case,
        strict_input=call.strict_input,
        statistics=call.statistics is not None,
        writing=planner.writing,
        first=first,
    )


def _forced(call: Call) -> Literal["fp32"] | None:
    """The precision that is forced, if any."""
    return None if call.precision == "auto" else call.precision


def planner_for(call: Call, bundle: ModelBundle, further: FurtherResults | None = None) -> Planner:
    """Plans the cases of a call.

    Raises:
        DeviceError: the device is not there.
    """
    if call.host_memory_mb is None:
        budget = Budget.at_hand(gpu_mb=call.gpu_memory_mb)
    else:
        budget = Budget(host_mb=call.host_memory_mb, gpu_mb=call.gpu_memory_mb)
    return Planner(
        bundle=bundle,
        backend=select_backend(call.device),
        precision=_forced(call),
        budget=budget,
        writing=writing_cost(further),
    )


def further_for(call: Call, bundle: ModelBundle, cases: int) -> FurtherResults | None:
    """What a call has written beside each of so many label maps; None for label maps alone.

    Raises:
        UsageError: a package is missing, or one template is given for several cases or for none of its use.
        InputError: the template is no DICOM series, or not the one asked for.
    """
    manifest, modality = bundle.manifest, expected_modalities(bundle)[0]
    maker = Maker(
        program="LeanSeg",
        version=VERSION,
        bundle=manifest.name,
        bundle_version=manifest.provenance.git_revision,
        manifest_sha256=bundle.sha256,
    )
    return further_results(
        call.format,
        manifest.output.as_label_set(),
        maker,
        None if call.template is None else partial(open_series, call.template, modality, call.series),
        cases,
    )


def made_by(bundle: ModelBundle) -> str:
    """What made a result, for a page: release, and the bundle by name and by the hash of its manifest."""
    return f"LeanSeg {VERSION}, bundle {bundle.manifest.name} ({bundle.sha256[:12]})"


def value_unit(bundle: ModelBundle) -> str:
    """Unit of the values of a bundle's first channel, as it ends their names in tables: `hu` for a CT."""
    return "hu" if bundle.manifest.ct_channel == 0 else ""


def admit_within(call: Call, planner: Planner, further: FurtherResults | None = None) -> Admit:
    """Plans cases from their headers; where the GPU was the program's choice, the predictor may leave it."""

    def admit(opened: OpenedCase) -> InferencePlan | None:
        if further is not None:
            further.check(opened.case, opened.images[0])
        try:
            return planner.plan(opened.geometry, voxel_bytes=opened.voxel_bytes, reading_mb=opened.reading_mb)
        except BudgetError:
            if call.device == "auto" and planner.backend == "cuda":
                return None
            raise

    return admit


def admit_somewhere(call: Call, planner: Planner, further: FurtherResults | None = None) -> Admit:
    """As `admit_within`; what it leaves to the predictor, which goes on with the CPU, is planned so."""
    admit = admit_within(call, planner, further)

    def admit_on_the_cpu(opened: OpenedCase) -> InferencePlan | None:
        on_cpu = replace(planner, backend=select_backend("cpu"))
        return admit_within(replace(call, device="cpu"), on_cpu, further)(opened)

    return lambda opened: admit(opened) or admit_on_the_cpu(opened)
