"""Rows of an efficiency table, from traces whose figures are known."""

import math
from dataclasses import replace

import numpy as np
import pytest

from eval.measuring.efficiency import CaseEfficiency, Status, of_runs, sampling_remark
from eval.measuring.efficiency_table import OFFICIAL_COLUMNS, OWN_COLUMNS, efficiency_row, write_rows
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
    QUANTITIES,
    RAM,
    Trace,
)
from tests.eval.command_line import columns_of, rows_of

STEADY = {
    GPU: 5000.0, OWN_GPU: 4000.0, GPU_USE: 80.0, CPU: 50.0, RAM: 9000.0, OWN_CPU: 200.0, OWN_RAM: 3000.0,
    EXACT_CPU: 25.0,
}  # fmt: skip
KERNELS = ("Remark", "OwnRAM_KernelPeak_MB", "OOM_Kills")
"""Columns that are empty where there is no fault and the kernel counted nothing."""
ORGANISERS = (
    "Name", "Time", "MaxGPU_Mem", "AUC_GPU_Time", "MaxCPU_Utilization", "AUC_CPU_Time", "MaxRAM",
    "AUC_RAM_Time",
)  # fmt: skip


def steady(duration_s: float = 20.0, without: tuple[str, ...] = (), times=None) -> Trace:
    """The values above all the time, sampled twice a second; 300 MB on the GPU before the start."""
    times = np.arange(-0.5, duration_s + 0.01, 0.5) if times is None else np.array(times)
    values = {}
    for name in QUANTITIES:
        column = np.full(times.size, math.nan if name in without else STEADY[name])
        column[times < 0] = 300.0 if name == GPU and name not in without else math.nan
        values[name] = column
    return Trace(times_s=times, values=values, duration_s=duration_s)


def case(trace: Trace, status=Status.OK, exit_code: int | None = 0, remark: str = "") -> CaseEfficiency:
    return CaseEfficiency(name="a.nii.gz", status=status, exit_code=exit_code, remark=remark, trace=trace)


def test_the_organisers_columns_come_first_and_are_called_as_theirs():
    assert OFFICIAL_COLUMNS == ORGANISERS
    assert not set(OFFICIAL_COLUMNS) & set(OWN_COLUMNS)
    row = efficiency_row(replace(case(steady()), times_s=(20.0, 21.0)))
    assert set(row) == {*OFFICIAL_COLUMNS, *OWN_COLUMNS}


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("Time", "20.0"),
        ("MaxGPU_Mem", "5000"),
        # 41 samples from 0 to 20 s, each counted as a tenth of a second.
        ("AUC_GPU_Time", str(round(41 * 5000 * 0.1))),
        ("MaxCPU_Utilization", "50.0"),
        ("AUC_CPU_Time", str(round(41 * 50 * 0.1, 2))),
        ("MaxRAM", "9000.0"),
        ("AUC_RAM_Time", str(round(41 * 9000 * 0.1))),
        ("Wall_s", "20.0"),
        ("GPU_Baseline_MB", "300.0"),
        ("GPU_Integral_MBs", "100000.0"),
        ("GPU_Above2GB_MBs", str((5000 - 2048) * 20.0)),
        ("GPU_Above4GB_MBs", str((5000 - 4096) * 20.0)),
        ("Time_Above15s_s", "5.0"),
        ("GPU_MaxUtilization_percent", "80.0"),
        ("OwnGPU_Max_MB", "4000.0"),
        ("OwnGPU_Integral_MBs", "80000.0"),
        # The organisers' samples of 50 % are no part of it.
        ("CPU_Integral_percent_s", str(25 * 20.0)),
        ("RAM_Integral_MBs", "180000.0"),
        ("OwnRAM_Max_MB", "3000.0"),
        ("OwnRAM_Integral_MBs", "60000.0"),
        ("OwnCPU_Max_percent", "200.0"),
        ("OwnCPU_Integral_percent_s", "4000.0"),
        ("Samples", "41"),
        ("LongestGap_s", "0.5"),
        ("ExitCode", "0"),
        ("Status", "ok"),
        ("Remark", ""),
    ],
)
def test_every_figure_of_a_steady_run(column, cell):
    assert efficiency_row(case(steady()))[column] == cell


@pytest.mark.parametrize(
    ("status", "duration_s", "time", "above"),
    [
        (Status.OK, 12.0, "12.0", "0.0"),
        (Status.OK, 15.0, "15.0", "0.0"),
        (Status.FAILED, 16.25, "16.25", "1.25"),
        (Status.OUT_OF_MEMORY, 16.0, "16.0", "1.0"),
        # A container that was stopped costs an hour, as with the organisers, however early it was.
        (Status.TIMEOUT, 25.0, "3600.0", "3585.0"),
    ],
)
def test_what_a_case_costs_in_time(status, duration_s, time, above):
    row = efficiency_row(case(steady(duration_s), status))
    assert (row["Time"], row["Wall_s"], row["Time_Above15s_s"]) == (time, str(duration_s), above)
    assert row["Status"] == str(status)


def test_a_case_that_did_not_end_has_the_published_penalties():
    row = efficiency_row(case(steady(25.0), Status.TIMEOUT))
    assert (row["Time"], row["AUC_GPU_Time"], row["AUC_CPU_Time"]) == ("3600.0", "29491200", "360000")
    row = efficiency_row(case(steady(25.0, without=(GPU, OWN_GPU, GPU_USE)), Status.TIMEOUT))
    assert row.get("AUC_GPU_Time", "") == ""
    stopped = efficiency_row(case(steady(60.0, times=[0.0, 1.0, 2.0]), Status.TIMEOUT))
    assert stopped["AUC_CPU_Time"] == "360000"


def test_what_the_kernel_counted_stands_beside_the_samples():
    counters = {OWN_CPU_S: 12.34, KERNEL_PEAK_MB: 3210.0, OOM_KILLS: 1.0}
    row = efficiency_row(case(replace(steady(), counters=counters)))
    assert row["OwnCPU_Integral_percent_s"] == "1234.0"
    assert (row["OwnRAM_Max_MB"], row["OwnRAM_KernelPeak_MB"]) == ("3000.0", "3210.0")
    assert row["OOM_Kills"] == "1"


def test_the_peak_of_gpu_memory_by_the_rule_of_flare22():
    made = steady()
    made.values[GPU][-1] = 8000.0
    assert efficiency_row(case(made))["MaxGPU_Mem"] == "8000"
    # One of 41 samples is more than 2 % of them.
    long = steady(60.0)
    long.values[GPU][-1] = 8000.0
    assert efficiency_row(replace(case(long), stable_gpu_peak=True))["MaxGPU_Mem"] == "5000"


def test_without_a_gpu_its_columns_are_empty():
    row = efficiency_row(case(steady(without=(GPU, OWN_GPU, GPU_USE))))
    assert sorted(name for name, cell in row.items() if cell == "" and name not in KERNELS) == sorted(
        ["MaxGPU_Mem", "AUC_GPU_Time", *(name for name in OWN_COLUMNS if "GPU" in name)]
    )


def test_after_a_sampler_stopped_only_the_time_is_given():
    stopped = steady(60.0, times=[0.0, 1.0, 2.0])
    row = efficiency_row(case(stopped))
    assert sorted(name for name, cell in row.items() if cell) == sorted(
        ["Name", "Time", "Status", "ExitCode", "Wall_s", "Time_Above15s_s", "Samples", "LongestGap_s"]
    )
    assert (row["Samples"], row["LongestGap_s"]) == ("3", "58.0")
    remark = sampling_remark(stopped)
    assert "2.0 s" in remark
    assert "60.0 s" in remark
    assert sampling_remark(steady()) == ""


def test_a_program_that_was_stopped_has_no_exit_code():
    assert efficiency_row(case(steady(), Status.TIMEOUT, exit_code=None))["ExitCode"] == ""
    assert efficiency_row(case(steady(), Status.FAILED, exit_code=137))["ExitCode"] == "137"


def test_a_table_holds_its_rows_in_order_and_remarks_with_commas(tmp_path):
    first = case(steady(), Status.FAILED, 1, 'said "no", twice')
    second = CaseEfficiency(name="b.nii.gz", status=Status.OK, exit_code=0, remark="", trace=steady(3.0))
    write_rows(tmp_path / "e.csv", [efficiency_row(first), efficiency_row(second)])
    assert columns_of(tmp_path / "e.csv") == [*ORGANISERS, *OWN_COLUMNS]
    rows = rows_of(tmp_path / "e.csv")
    assert [(row["Name"], row["Remark"]) for row in rows] == [
        ("a.nii.gz", 'said "no", twice'),
        ("b.nii.gz", ""),
    ]
    write_rows(tmp_path / "e.csv", [efficiency_row(second)])
    assert [row["Name"] for row in rows_of(tmp_path / "e.csv")] == ["b.nii.gz"]


@pytest.mark.parametrize(
    ("runs_s", "row_of_s", "times"),
    [
        ([4.0], 4.0, ("4.0", None, None)),
        ([4.0, 9.0, 2.0], 4.0, ("4.0", "2.0", "9.0")),
        ([4.0, 2.0], 4.0, ("4.0", "2.0", "4.0")),
        ([1.0, 2.0, 3.0, 4.0], 3.0, ("3.0", "1.0", "4.0")),
    ],
)
def test_the_row_of_several_runs_is_that_of_median_time(runs_s, row_of_s, times):
    runs = [case(steady(seconds)) for seconds in runs_s]
    result = of_runs(runs)
    row = efficiency_row(result)
    assert (row["Time"], row.get("Time_Lowest_s"), row.get("Time_Highest_s")) == times
    assert result.trace is runs[runs_s.index(row_of_s)].trace


def test_a_case_of_which_one_run_failed_has_failed_by_it():
    result = of_runs([case(steady(4.0)), case(steady(2.0), Status.FAILED, 3, "exit code 3")])
    assert (result.status, result.remark, result.times_s) == (Status.FAILED, "run 2: exit code 3", ())
    only = case(steady(2.0), Status.FAILED, 3, "exit code 3")
    assert of_runs([only]) is only
