"""The networks of a bundle alone, one program each: does CUDA load, do logits agree, does TensorRT pay."""

from collections.abc import Iterator
from dataclasses import dataclass

from eval.benchmark.cold_runs import Json
from eval.benchmark.gpu_check.bundle_networks import CheckedBundle, NetworkFile
from eval.benchmark.gpu_check.network_program import CUDA, MISSING, TENSORRT
from eval.benchmark.gpu_check.rungs import Rung, failed, judged, skipped
from eval.benchmark.gpu_check.timed_programs import MOST_S, Ran, TimedPrograms

PROVIDERS = "providers"
LIMITS = {"fp32": (1e-3, 0.999), "fp16": (5e-2, 0.98)}
"""Precision to the largest relative difference of a logit and the least share of voxels with the same most
probable channel. fp32: export's own, onnxruntime against torch. fp16: chosen before any GPU was at hand, to
tell rounding (11 bits) from what overflows or is wrong."""
NOT_INSTALLED = "not installed"
TENSORRT_S = 180.0
"""Seconds for a network on TensorRT, which builds an engine first."""


def _name_of(on: str, network: NetworkFile, precision: str) -> str:
    folder = network.path.parent.name
    return f"{on.removesuffix('ExecutionProvider').lower()}-{folder}-{network.path.stem}-{precision}"


@dataclass(frozen=True, kw_only=True)
class NetworkChecks:
    """Checks of networks alone."""

    programs: TimedPrograms

    def providers(self, bundle: CheckedBundle) -> Rung:
        """Whether onnxruntime loads CUDA, tried on the last network, which localizes where there is one."""
        network = bundle.networks[-1]
        ran = self._run(CUDA, network, "fp32")
        if ran.skipped:
            return skipped(PROVIDERS, "onnxruntime", ran.skipped)
        if ran.failed:
            return failed(PROVIDERS, "onnxruntime", ran.failed)
        figures = {
            "onnxruntime": ran.report["version"],
            "installed": _short(ran.report["available"]),
            "loaded": _short(ran.report["used"]),
            "import s": f"{ran.report['import_s']:.2f}",
            "first session s": f"{ran.report['open_s']:.2f}",
        }
        return judged(PROVIDERS, "onnxruntime", [], figures)

    def on_cuda(self, bundle: CheckedBundle) -> Iterator[Rung]:
        """Each network in fp32, and in fp16 where the bundle has that, beside the CPU in fp32."""
        for network in bundle.networks:
            yield self._rung(CUDA, bundle, network, "fp32")
            if network.fp16_path is not None:
                yield self._rung(CUDA, bundle, network, "fp16")

    def on_tensorrt(self, bundle: CheckedBundle) -> Iterator[Rung]:
        """Each network on TensorRT in the lowest precision that the bundle has.

        One rung where it is not installed.
        """
        for network in bundle.networks:
            rung = self._rung(TENSORRT, bundle, network, "fp32" if network.fp16_path is None else "fp16")
            yield rung
            if rung.said.startswith(NOT_INSTALLED):
                return

    def _run(self, on: str, network: NetworkFile, precision: str) -> Ran:
        name = _name_of(on, network, precision)
        report = self.programs.folder / f"{name}-report.json"
        half = [] if precision == "fp32" or network.fp16_path is None else [network.fp16_path]
        words = [str((*half, network.path)[0]), "--on", on, "--reference", str(network.path)]
        words += ["--shape", *map(str, network.shape), "--json", str(report)]
        words += [*(["--fp16"] if half else []), *(["--unit-scaled"] if network.unit_scaled else [])]
        program = ["-m", "eval.benchmark.gpu_check.network_program", *words]
        return self.programs.run(name, program, report, TENSORRT_S if on == TENSORRT else MOST_S)

    def _rung(self, on: str, bundle: CheckedBundle, network: NetworkFile, precision: str) -> Rung:
        library = "TensorRT" if on == TENSORRT else "CUDA"
        check, of = f"networks on {library}", f"{bundle.name}: {network.path.stem}, {precision}"
        ran = self._run(on, network, precision)
        if ran.skipped:
            return skipped(check, of, ran.skipped)
        if ran.record["exit_code"] == MISSING:
            return skipped(check, bundle.name, f"{NOT_INSTALLED}: {ran.failed}")
        if ran.failed:
            return failed(check, of, ran.failed)
        return judged(check, of, _faults(ran.report, precision), _figures(ran.report))


def _faults(report: Json, precision: str) -> list[str]:
    most, least = LIMITS[precision]
    difference, agreement = report["largest_difference"], report["agreement"]
    # Written so that NaN is a fault.
    faults = [] if difference <= most else [f"logits differ by {difference:.2g}, at most {most:.2g} is right"]
    if not agreement >= least:
        faults.append(f"{1 - agreement:.2%} of voxels get another channel, at most {1 - least:.2%} is right")
    return faults


def _figures(report: Json) -> dict[str, str]:
    return {
        "largest difference": f"{report['largest_difference']:.1e}",
        "same channel": f"{report['agreement']:.4%}",
        "open s": f"{report['open_s']:.2f}",
        "first window s": f"{report['first_window_s']:.3f}",
        "window s": f"{report['window_s']:.4f}",
    }


def _short(providers: list[str]) -> str:
    return ", ".join(provider.removesuffix("ExecutionProvider") for provider in providers)
