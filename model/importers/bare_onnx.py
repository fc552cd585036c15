"""Somebody's ONNX file becomes a bundle: what the file says is read from it, the rest is told by its owner.

The graph stays as it is. Its sides are fixed to one window, weights in other files are packed in.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx.external_data_helper import load_external_data_for_model, uses_external_data

from model.arrays import Zyx
from model.bundle import ModelBundle, check_graph, write_bundle
from model.importers.packaging import Packaging
from model.importers.priority import with_priority
from model.labels import BACKGROUND, LabelSet, merged_channels
from model.manifest.document import Input, Manifest, Preprocessing
from model.manifest.fusion import MeanFusion, Scores
from model.manifest.network import Localization, Member
from model.manifest.output import Activation, Output, Sigmoid, Softmax
from model.manifest.resampling import Resampling
from model.model_errors import RefusedModelError
from model.onnx_export.exact_norm import with_exact_norms
from model.onnx_export.memory import with_memory
from model.onnx_export.packing import check_manifest
from model.onnx_export.parity import synthetic_inputs
from model.onnx_header import FLOAT, OnnxHeader, parse_onnx_header

FILE = "network.onnx"
RANK = 5
"""Batch, channels, and the three sides of a window."""
ERRORS = 3
"""onnxruntime's log severity from which on it writes to the screen; warnings are 2."""
PROBABILITIES = ("Sigmoid", "HardSigmoid", "Softmax")
"""Operators that give probabilities, where logits are wanted."""
SAME_VALUES = ("Identity", "Cast", "Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Dropout")
"""Operators that hand on the values of their first input."""
ROUNDING = 1e-6
"""By how much a softmax may exceed 1."""
WITHOUT_ACTIVATION = "export the network without its last activation"
"""The remedy where a file gives probabilities."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Told:
    """What an ONNX file does not say."""

    labels: LabelSet
    """What its channels mean: background and all structures or merged pairs, or structures alone."""
    activation: str | None
    """`softmax` with background, `sigmoid` without; None: as the number of channels says, if it fits one."""
    priority: tuple[str, ...] = ()
    """Of sigmoids: all channels, where several are on the last of these is written."""
    inputs: tuple[Input, ...]
    """One for each image channel."""
    member: Member
    """Spacing, window, axes and tiling."""
    resampling: Resampling
    """How an image is brought to its spacing."""
    fuse: Scores
    """What is averaged."""


def import_onnx(path: Path, folder: Path, told: Told, packaging: Packaging) -> ModelBundle:
    """Write the bundle.

    Args:
        path: the ONNX file.
        folder: where the bundle shall lie.
        told: what the file does not say; `member.file` is set here.
        packaging: what a bundle is told beside.

    Raises:
        RefusedModelError: it is no ONNX file, one that the engine cannot run, one that gives probabilities,
            one whose channels may mean two things, or may be on together without a priority; nothing is
            written.
        MeasurementError: a runtime cannot load or run it.
        BundleError: its graph is not what bundles hold, or there is something else at `folder`.
    """
    model = _loaded(path)
    window = told.member.input_shape
    _check_graph(path, parse_onnx_header(model.SerializeToString()), told, window)
    _check_ends_in_logits(path, model.graph)
    _fix_sides(model, len(told.inputs), window)
    channels = _count_channels(path, model, told, window)
    output = _output(path, channels, told)
    logger.info("%s: %d channels, %s", path.name, channels, output.channels_in_words)
    if output.priority_in_words:
        logger.info("where several are on: %s", output.priority_in_words)
    member = replace(told.member, file=FILE)

    def describe(
        members: tuple[Member, ...], localization: Localization | None, files: Mapping[str, str]
    ) -> Manifest:
        return Manifest(
            name=packaging.name or folder.name,
            inputs=told.inputs,
            preprocessing=Preprocessing(resampling=told.resampling),
            members=members,
            fusion=MeanFusion(of=told.fuse),
            output=output,
            localization=localization,
            provenance=packaging.provenance(f"imported from {path.name}"),
            files=files,
        )

    check_manifest(folder, describe, (member,))
    _set_side(model.graph.output[0], [1, channels, *window])
    with_exact_norms(model)
    measured: list[Member] = []

    def write_files(staged: Path) -> None:
        (staged / FILE).write_bytes(model.SerializeToString(deterministic=True))
        logger.info("%s: measuring memory", path.name)
        measured.append(with_memory(member, staged / FILE, len(told.inputs)))

    return write_bundle(
        folder,
        write_files,
        lambda files: describe(tuple(measured), None, files),
        overwrite=packaging.overwrite,
    )


def _loaded(path: Path) -> onnx.ModelProto:
    """The model with all its weights.

    Raises:
        RefusedModelError: it is none, or weights lie outside its folder.
    """
    try:
        model = onnx.load(path, load_external_data=False)
    except OSError as error:
        raise RefusedModelError(f"{path}: cannot be read ({error.strerror})") from error
    except DecodeError as error:
        raise RefusedModelError(f"{path}: not an ONNX model, or damaged") from error
    for tensor in onnx.external_data_helper._get_all_tensors(model):
        if not uses_external_data(tensor):
            continue
        where = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
        beside = path.parent / where
        inside = not PurePosixPath(where).is_absolute() and ".." not in PurePosixPath(where).parts
        if not inside or beside.is_symlink() or not beside.resolve().is_relative_to(path.parent.resolve()):
            raise RefusedModelError(f"{path}: keeps weights outside its folder, in {where!r}")
        if not beside.is_file():
            raise RefusedModelError(f"{beside}: is missing; {path.name} keeps weights there")
    load_external_data_for_model(model, str(path.parent))
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError) as error:
        raise RefusedModelError(f"{path}: {str(error).strip().splitlines()[0]}") from error
    return model


def _check_graph(path: Path, header: OnnxHeader, told: Told, window: Zyx) -> None:
    check_graph(path, header)
    shape = header.inputs[0].shape
    if len(shape) != RANK or header.inputs[0].element_type != FLOAT:
        raise RefusedModelError(f"{path}: its input must be float32 of batch, channels and three sides")
    if shape[1] not in (None, len(told.inputs)):
        raise RefusedModelError(
            f"{path}: wants {shape[1]} channels, {len(told.inputs)} are told; repeat --intensity for each"
        )
    if any(side not in (None, want) for side, want in zip(shape[2:], window, strict=True)):
        sides = " ".join(map(str, shape[2:]))
        raise RefusedModelError(f"{path}: takes windows of {sides} in its own axes; give that with --window")
    if shape[0] not in (None, 1):
        raise RefusedModelError(f"{path}: takes batches of {shape[0]}; export it with a batch of 1")


def _check_ends_in_logits(path: Path, graph: onnx.GraphProto) -> None:
    """Refuse a graph whose output a sigmoid or softmax produced.

    The engine takes the sigmoid itself, and a probability of 0 as a logit is one of a half: every voxel would
    be labelled.

    Raises:
        RefusedModelError: naming the operator.
    """
    producers = {name: node for node in graph.node for name in node.output}
    node = producers.get(graph.output[0].name)
    while node is not None and node.op_type in SAME_VALUES:
        node = producers.get(node.input[0])
    if node is not None and node.op_type in PROBABILITIES:
        raise RefusedModelError(
            f"{path}: ends in {node.op_type}, so it gives probabilities, must give logits; "
            f"{WITHOUT_ACTIVATION}"
        )


def _fix_sides(model: onnx.ModelProto, channels: int, window: Zyx) -> None:
    given = {weight.name for weight in model.graph.initializer}
    image = next(value for value in model.graph.input if value.name not in given)
    _set_side(image, [1, channels, *window])
    del model.graph.value_info[:]


def _set_side(value: onnx.ValueInfoProto, sides: Sequence[int]) -> None:
    shape = value.type.tensor_type.shape
    del shape.dim[:]
    for side in sides:
        shape.dim.add().dim_value = side


def _count_channels(path: Path, model: onnx.ModelProto, told: Told, window: Zyx) -> int:
    """Channels that come out when it is run, which shows that it runs.

    Raises:
        RefusedModelError: it does not, or gives something else than logits of the window, or probabilities.
    """
    import onnxruntime

    model.graph.output[0].type.tensor_type.ClearField("shape")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = ERRORS
    image = synthetic_inputs(window, [channel.intensity for channel in told.inputs])[1]
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        (logits,) = session.run(None, {session.get_inputs()[0].name: image})
    except Exception as error:  # onnxruntime's errors have no common class
        raise RefusedModelError(
            f"{path}: onnxruntime cannot run it ({str(error).splitlines()[0]})"
        ) from error
    if logits.ndim != RANK or logits.shape[2:] != window or not np.isfinite(logits).all():
        found = "×".join(map(str, logits.shape))
        raise RefusedModelError(f"{path}: gives {found} from a window, must give finite logits of its voxels")
    # An activation made of other operators (Exp, Div …): logits of noise are on both sides of 0.
    if logits.min() >= 0 and logits.max() <= 1 + ROUNDING:
        raise RefusedModelError(
            f"{path}: gives nothing but values from 0 to 1, which are probabilities, must give logits; "
            f"{WITHOUT_ACTIVATION}"
        )
    return int(logits.shape[1])


def _output(path: Path, channels: int, told: Told) -> Output:
    """What the channels mean.

    Raises:
        RefusedModelError: their number fits nothing that the label set can be, or two things, or several may
            be on and nobody said which is written.
    """
    labels = told.labels
    possible = [
        each for each in _readings(labels) if told.activation is None or each[1].kind == told.activation
    ]
    fitting = [each for each in possible if len(each[0]) == channels]
    if not fitting:
        known = " or ".join(f"{len(names)} ({activation.kind})" for names, activation in possible)
        raise RefusedModelError(f"{path}: gives {channels} channels; {labels.name} would be {known}")
    if len(fitting) > 1:
        both = " and ".join(f'"{", ".join(names)}" ({activation.kind})' for names, activation in fitting)
        raise RefusedModelError(f"{path}: {channels} channels fit both {both}; say which with --activation")
    ((names, activation),) = fitting
    return Output(
        label_set=labels.name,
        labels=dict(labels.ids),
        channels=names,
        activation=with_priority(activation, names, told.priority, str(path)),
        pairs=labels.pairs,
        lesions=labels.lesions,
    )


def _readings(labels: LabelSet) -> list[tuple[tuple[str, ...], Activation]]:
    """All that the channels of a network for this label set may be, each once."""
    with_background = dict.fromkeys((merged_channels(labels), (BACKGROUND, *labels.names)))
    return [*((names, Softmax()) for names in with_background), (labels.names, Sigmoid())]
