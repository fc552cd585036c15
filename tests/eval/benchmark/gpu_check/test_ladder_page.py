"""The page of results, from rungs made up."""

from eval.benchmark.gpu_check.ladder_page import page
from eval.benchmark.gpu_check.rungs import failed, judged, skipped

RUNGS = [
    judged("peak GPU memory", "mine, 2048 MiB", [], {"planned MiB": "1500", "peak MiB": "1200"}),
    judged("labels, fp32", "mine", ["too few | agree"], {"Dice of all labels": "0.9"}),
    failed("peak GPU memory", "other, 2048 MiB", "broken"),
    judged("peak GPU memory", "other, 3072 MiB", [], {"peak MiB": "900", "wall s": "2.0"}),
    skipped("container", "leanseg:latest", "there is no docker command"),
]


def test_the_page():
    assert page("A GPU; `make gpu-check`.", RUNGS).splitlines() == [
        "A GPU; `make gpu-check`. 2 passed, 2 failed, 1 skipped.",
        "",
        "| check | of | outcome | why |",
        "| --- | --- | --- | --- |",
        "| peak GPU memory | mine, 2048 MiB | passed |  |",
        "| labels, fp32 | mine | **failed** | too few \\| agree |",
        "| peak GPU memory | other, 2048 MiB | **failed** | broken |",
        "| peak GPU memory | other, 3072 MiB | passed |  |",
        "| container | leanseg:latest | skipped | there is no docker command |",
        "",
        "Peak GPU memory:",
        "",
        "| of | planned MiB | peak MiB | wall s |",
        "| --- | --- | --- | --- |",
        "| mine, 2048 MiB | 1500 | 1200 |  |",
        "| other, 3072 MiB |  | 900 | 2.0 |",
        "",
        "Labels, fp32:",
        "",
        "| of | Dice of all labels |",
        "| --- | --- |",
        "| mine | 0.9 |",
    ]
