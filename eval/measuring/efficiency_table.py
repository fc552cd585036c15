"""Names and columns of the tables of `container`, `profile` and `rank`.

EFFICIENCY.csv has one row per case. The organisers' columns come first and hold what their programs compute:

    Name                  CASE.nii.gz, the name of the label map
    Time                  seconds from before `docker container run` until it returned; 3600 for a case that
                          did not end
    MaxGPU_Mem            MB, of the whole device; with `--max-gpu stable` FLARE22's rule, the highest value
                          that more than 2 % of the samples have
    AUC_GPU_Time          MB·s, sum of the samples × 0.1, a whole number; 29491200 for a case that did not end
    MaxCPU_Utilization    percent of all processors of the host
    AUC_CPU_Time          percent·s, sum of the samples × 0.1; 360000 for a case that did not end. The
                          organisers add 0.1 s of work to each sample, so that two idle processors give 33.3 %
    MaxRAM                MB, of the whole host
    AUC_RAM_Time          MB·s, sum of the samples × 0.1, a whole number

Our own columns follow. Integrals are exact, over the time stamps of the samples; `Own` stands for the
container or command alone:

    Status                ok, failed, timeout, out of memory, no output, invalid output
    ExitCode, Remark      exit code of the container; the fault in one line
    Wall_s                seconds as measured, also of a case that did not end
    Time_Lowest_s, Time_Highest_s
                          of a case that was run several times (--repeats), the quickest and the slowest run;
                          the row is that of the run of median time (of an even number, of the slower one of
                          the two in the middle), or of the run that failed
    GPU_Baseline_MB       use of the device before the start; it is not subtracted anywhere
    GPU_Integral_MBs      use of the device over time
    GPU_Above2GB_MBs      the part of it above 2048 MB; likewise GPU_Above4GB_MBs above 4096 MB
    Time_Above15s_s       seconds beyond 15
    GPU_MaxUtilization_percent, OwnGPU_Max_MB, OwnGPU_Integral_MBs, CPU_Integral_percent_s, RAM_Integral_MBs,
    OwnRAM_Max_MB, OwnRAM_Integral_MBs
                          CPU: percent of all processors × seconds, without the organisers' 0.1 s
    OwnRAM_KernelPeak_MB  the kernel's own highest value for the container (memory.peak), which misses nothing
                          between samples, but counts file cache too
    OwnCPU_Max_percent    percent of one processor: 400 is four processors
    OwnCPU_Integral_percent_s
                          100 × the processor seconds that the kernel has counted
    OOM_Kills             processes that the kernel killed for memory
    Samples               number of samples
    LongestGap_s          longest time without a sample

A cell is empty if its figure was not measured. Megabytes are MiB, as the organisers count them.

EFFICIENCY_run.json says where the table comes from: program, date, command, machine, image and its digest,
SHA-256 of the CTs.
EFFICIENCY_cases/CASE.trace.csv has the columns Time_s, GPU_MB, OwnGPU_MB, GPU_percent, CPU_percent, RAM_MB,
OwnCPU_percent, OwnRAM_MB and CPU_Exact_percent, which is CPU_percent without the organisers' 0.1 s. Times
count from the start; the baseline before it has negative times, and a last row without values marks the end.
EFFICIENCY_cases/CASE.log is the container's output.

RANKING.csv has one row per submission, the best first:

    Place                 place; submissions that tie share the better one
    Submission            name of the folder
    Score                 mean rank over metrics, weighted, and cases; 1 is first everywhere
    Rank_METRIC           mean rank over the cases in one metric
    Cases, Missing        number of cases, and number of those that the submission lacks or failed, or of
                          which its tables do not say what another submission's do
    Place_median          median of its places in resamples of the cases
    Place_low, Place_high 2.5th and 97.5th percentile of these places
    First_share           share of the resamples in which it is first; all that tie for it are
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from eval.files import write_csv
from eval.measuring.efficiency import CaseEfficiency, Status
from eval.measuring.trace import (
    CPU,
    EXACT_CPU,
    GPU,
    GPU_USE,
    KERNEL_PEAK_MB,
    OOM_KILLS,
    OWN_CPU,
    OWN_CPU_S,
    OWN_GPU,
    OWN_RAM,
    RAM,
)
from eval.scoring.columns import NAME

OFFICIAL_COLUMNS = (
    NAME,
    "Time",
    "MaxGPU_Mem",
    "AUC_GPU_Time",
    "MaxCPU_Utilization",
    "AUC_CPU_Time",
    "MaxRAM",
    "AUC_RAM_Time",
)
STATUS, REMARK = "Status", "Remark"
CT_SHA256 = "ct_sha256"
"""Where EFFICIENCY_run.json holds the SHA-256 of each case's CT, by the name of the label map."""
STUCK_S, STUCK_GPU, STUCK_CPU = 3600.0, 29_491_200.0, 360_000.0
"""What the organisers write for a container that does not end: seconds, MB·s (8 GB all the time) and
percent·s (all processors all the time). FLARE22 published the two areas."""
LENIENT_MB = (2048.0, 4096.0)
"""GPU memory in MiB that costs nothing in the rankings of FLARE22 and FLARE23."""
LENIENT_S = 15.0
"""Seconds that cost nothing in the ranking of FLARE23."""
OWN_COLUMNS = (
    STATUS, "ExitCode", REMARK, "Wall_s", "Time_Lowest_s", "Time_Highest_s",
    "GPU_Baseline_MB", "GPU_Integral_MBs", "GPU_Above2GB_MBs",
    "GPU_Above4GB_MBs", "Time_Above15s_s", "GPU_MaxUtilization_percent", "OwnGPU_Max_MB",
    "OwnGPU_Integral_MBs", "CPU_Integral_percent_s", "RAM_Integral_MBs", "OwnRAM_Max_MB",
    "OwnRAM_Integral_MBs", "OwnRAM_KernelPeak_MB", "OwnCPU_Max_percent", "OwnCPU_Integral_percent_s",
    "OOM_Kills", "Samples", "LongestGap_s",
)  # fmt: skip


def write_rows(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Write the table from rows that are made already."""
    write_csv(path, [*OFFICIAL_COLUMNS, *OWN_COLUMNS], rows)


def efficiency_row(result: CaseEfficiency) -> dict[str, str]:
    """One row of the table."""
    trace = result.trace
    time_s = STUCK_S if result.status is Status.TIMEOUT else trace.duration_s
    official = {NAME: result.name, "Time": _cell(time_s, 2)}
    own = {
        STATUS: str(result.status),
        "ExitCode": "" if result.exit_code is None else str(result.exit_code),
        REMARK: result.remark,
        "Wall_s": _cell(trace.duration_s, 2),
        "Time_Above15s_s": _cell(max(time_s - LENIENT_S, 0.0), 2),
        "Samples": str(trace.samples),
        "LongestGap_s": _cell(trace.longest_gap_s, 2),
    }
    if result.times_s:
        own["Time_Lowest_s"], own["Time_Highest_s"] = (
            _cell(seconds, 2) for seconds in (min(result.times_s), max(result.times_s))
        )
    own["OwnRAM_KernelPeak_MB"] = _cell(trace.counters.get(KERNEL_PEAK_MB, math.nan))
    own["OOM_Kills"] = _cell(trace.counters.get(OOM_KILLS, math.nan), 0)
    if trace.stopped_after_s is not None:
        return official | own | _penalties(result)
    for quantity, peak, total, digits in (
        (GPU, "MaxGPU_Mem", "AUC_GPU_Time", 0),
        (CPU, "MaxCPU_Utilization", "AUC_CPU_Time", 2),
        (RAM, "MaxRAM", "AUC_RAM_Time", 0),
    ):
        stable = quantity == GPU and result.stable_gpu_peak
        highest = trace.stable_peak(quantity) if stable else trace.peak(quantity)
        official[peak] = _cell(highest, 0 if quantity == GPU else 2)
        official[total] = _cell(trace.organisers_sum(quantity), digits)
    own["GPU_Baseline_MB"] = _cell(trace.baseline(GPU))
    own["GPU_Above2GB_MBs"], own["GPU_Above4GB_MBs"] = (
        _cell(trace.integral(GPU, tolerance)) for tolerance in LENIENT_MB
    )
    own["GPU_MaxUtilization_percent"] = _cell(trace.peak(GPU_USE))
    for stem, quantity, unit in (
        ("OwnGPU", OWN_GPU, "MB"),
        ("OwnRAM", OWN_RAM, "MB"),
        ("OwnCPU", OWN_CPU, "percent"),
    ):
        own[f"{stem}_Max_{unit}"] = _cell(trace.peak(quantity))
        own[f"{stem}_Integral_{'MBs' if unit == 'MB' else 'percent_s'}"] = _cell(trace.integral(quantity))
    own["GPU_Integral_MBs"], own["RAM_Integral_MBs"] = _cell(trace.integral(GPU)), _cell(trace.integral(RAM))
    own["CPU_Integral_percent_s"] = _cell(trace.integral(EXACT_CPU))
    if OWN_CPU_S in trace.counters:
        own["OwnCPU_Integral_percent_s"] = _cell(100.0 * trace.counters[OWN_CPU_S])
    return official | own | _penalties(result)


def _penalties(result: CaseEfficiency) -> dict[str, str]:
    """What the organisers write for a container that did not end; its GPU only if one was measured."""
    if result.status is not Status.TIMEOUT:
        return {}
    gpu = {"AUC_GPU_Time": _cell(STUCK_GPU, 0)} if result.trace.has(GPU) else {}
    return {"AUC_CPU_Time": _cell(STUCK_CPU, 0), **gpu}


def _cell(value: float, digits: int = 1) -> str:
    if math.isnan(value):
        return ""
    return str(round(value)) if digits == 0 else str(round(value, digits))
